"""What a run changed in single tokens: plain records that survive a trip through JSON.

Not covered: how they are computed (`evaluation/tokens.py`, `studies/token_change/compute.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

Named = tuple[str, float]


@dataclass(frozen=True)
class Read:
    """One model at every predicted token of a text; the first token is nobody's prediction and is not among them."""

    bits: list[float]
    """Bits needed for the token that came; 0 is certainty."""
    entropy: list[float]
    """Of the next-token distribution, in bits."""
    rank: list[int]
    """Place of the token that came, 1 is the most likely."""
    top: list[list[Named]]
    """The most likely tokens instead, with probabilities, most likely first."""


@dataclass(frozen=True)
class Between:
    """Two models at the same tokens; the first is the one that weighs the KL."""

    kl: list[float]
    """KL(first || second), bits, 0 is the same."""
    js: list[float]
    """Jensen-Shannon divergence, bits, 0..1."""
    agreement: list[float]
    """Share of the five most likely tokens that both have, 0..1."""
    same_top: list[int]
    """1 where the most likely token is the same."""


@dataclass(frozen=True)
class Sentence:
    """One text, token by token."""

    id: int
    """Its number within the reading, from 0."""
    text: str
    group: str
    """The task it comes from; empty for plain text."""
    answer_at: int | None
    """Character at which the answer begins; None for plain text."""
    tokens: list[tuple[str, int, int]]
    """As the student cuts it: token, first character, character after its last. The first one is not predicted."""
    models: dict[str, Read]
    """`before` and `after`; `teacher` where it cuts text alike."""
    apart: dict[str, Between]
    """`before_after`; `teacher_before` and `teacher_after` over shared tokens, where the teacher cuts text alike."""
    spans: list[tuple[int, int, float, float, float]] | None
    """Where it cuts otherwise: first and last character of a shared piece, bits of teacher, before and after for it."""
    right: dict[str, bool] | None
    """For each model, whether greedy decoding gives the whole answer; None for plain text."""


@dataclass(frozen=True)
class TokenChange:
    """A run's student before and after, token by token, beside its teacher."""

    run: str
    name: str
    """What the texts are."""
    sentences: list[Sentence]
    same_tokenizer: bool
    """Whether teacher and student cut text alike, so that they can be compared at every token."""
    n_shared: int
    """Tokens both vocabularies have; the teacher is compared over these."""
    whole: dict[str, dict[str, Any]]
    """Over all texts, each with its interval over texts: bits per byte of each model, divergences per token, and paired changes."""
    half: int
    """How many of the most changed tokens hold half of all KL(before || after)."""
    n_tokens: int
    """Predicted tokens in all."""
    answers: dict[str, float] | None
    """Share of the tokens that are answers, and of the change that sits there; None for plain text."""
    calibration: dict[str, dict[str, Any]]
    """Of each model over its own next tokens."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TokenChange:
        def named(rows: list[Any]) -> list[list[Named]]:
            return [[(name, p) for name, p in row] for row in rows]

        def sentence(found: Mapping[str, Any]) -> Sentence:
            models = {who: Read(**{**read, "top": named(read["top"])}) for who, read in found["models"].items()}
            between = {pair: Between(**values) for pair, values in found["apart"].items()}
            spans = found["spans"] and [tuple(span) for span in found["spans"]]
            tokens = [tuple(token) for token in found["tokens"]]
            return Sentence(**{**found, "models": models, "apart": between, "spans": spans, "tokens": tokens})

        return cls(**{**data, "sentences": [sentence(one) for one in data["sentences"]]})
