"""Pieces of a text that two tokenizers can both be asked about, as character spans.

With one tokenizer the pieces are its tokens. With two, they are words with their leading space: the tokens of either
model that touch a word are pooled over it. Nothing is ever matched by position or by token id.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

Span = tuple[int, int]


def words(text: str) -> list[Span]:
    """Words and runs of punctuation, in order."""
    return [m.span() for m in re.finditer(r"\w+|[^\w\s]+", text)]


def tokens_touching(offsets: Sequence[Span], span: Span) -> list[int]:
    """Indexes of the tokens whose characters overlap the span. Special tokens have empty offsets and never do."""
    start, end = span
    return [i for i, (a, b) in enumerate(offsets) if a < end and b > start and b > a]


def spread(n: int, k: int) -> list[int]:
    """k of n positions, evenly spread and always with the last one: the same choice in every run."""
    return [((i + 1) * n) // k - 1 for i in range(k)]
