"""Two texts word by word: which words only one of them has.

Not covered: how they are shown.
"""

from __future__ import annotations

import difflib

Marked = list[tuple[bool, str]]


def marked_words(before: str, after: str) -> tuple[Marked, Marked]:
    """Each text as runs of words, True where the other text has not got them at that place."""
    old, new = before.split(), after.split()
    left: Marked = []
    right: Marked = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if b > a:
            left.append((kind != "equal", " ".join(old[a:b])))
        if d > c:
            right.append((kind != "equal", " ".join(new[c:d])))
    return left, right
