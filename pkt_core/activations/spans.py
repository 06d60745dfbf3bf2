"""The finest character spans of a text that two tokenizers share.

A span ends where no token of either tokenizer continues. No token then belongs to two spans, and at the end of a
span both models have read the same characters; words would let a token that runs over a word's end, such as `."`, tell
one model more than the other, and languages without spaces have none. With one tokenizer the pieces are its tokens.
Nothing is ever matched by position or by token id.

Whitespace belongs to no piece, because tokenizers disagree on whose it is; a token of nothing else is not looked at.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

Span = tuple[int, int]


def shared_pieces(text: str, tokenizations: Sequence[Sequence[Span]]) -> list[Span]:
    """The finest common pieces of a text, in order, given each tokenizer's offsets.

    A character that several tokens share (bytes of an emoji) is never cut. What one of the tokenizers passes over without a
    token is no piece. Special tokens have empty offsets and change nothing.
    """
    letters = [i for i, c in enumerate(text) if not c.isspace()]
    joined = [False] * len(letters)  # to the next letter, by a token of any tokenizer
    known = [True] * len(letters)  # to every tokenizer
    for offsets in tokenizations:
        covered = [False] * len(letters)
        for begin, end in offsets:
            first, after = bisect_left(letters, begin), bisect_left(letters, end)
            for i in range(first, after):
                covered[i] = True
                joined[i] = joined[i] or i < after - 1
        known = [k and c for k, c in zip(known, covered, strict=True)]
    spans, start = [], 0
    for i in range(len(letters)):
        if not joined[i]:
            if all(known[start : i + 1]):
                spans.append((letters[start], letters[i] + 1))
            start = i + 1
    return spans


def tokens_touching(offsets: Sequence[Span], span: Span) -> list[int]:
    """Indexes of the tokens whose characters overlap the span. Special tokens have empty offsets and never do."""
    start, end = span
    return [i for i, (a, b) in enumerate(offsets) if a < end and b > start and b > a]


def spread(n: int, k: int) -> list[int]:
    """k of n positions, evenly spread and always with the last one: the same choice in every run."""
    return [((i + 1) * n) // k - 1 for i in range(k)]
