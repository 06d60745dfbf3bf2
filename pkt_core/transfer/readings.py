"""How the teacher reads the examples that the student trains on: for each token of the student, the teacher's that has read as far.

With one tokenizer that is the same token. With two, tokens are matched by characters (`activations.paired`): a row has a
teacher state where the teacher has read some of the text before, and a teacher distribution only where both have read
exactly the same characters, because only there do both predict what follows. From one such cut to the next is a span, in
which each model takes as many tokens as it needs (`transfer/span_likelihood.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from pkt_core.activations.paired import ALONE, partners
from pkt_core.data.examples import IGNORE, Encoded, Example, encode
from pkt_core.errors import PlanError
from pkt_core.models.loading import LoadedModel
from pkt_core.models.vocabulary import VocabularyMatch

FEWEST_ROWS = 0.2
"""Share of the supervised positions that must be left to train on."""


@dataclass(frozen=True)
class Reading:
    """One example through the teacher's tokenizer."""

    ids: list[int]
    """The teacher's tokens."""
    partner: list[int]
    """For each student token the teacher's position; ALONE where it has read nothing yet."""
    exact: list[bool]
    """For each student token whether both have read the same characters."""


@dataclass(frozen=True)
class Span:
    """A stretch of text between two cuts that both tokenizers make, after which both predict the same characters."""

    start: int
    """The student's position before it, which predicts its first token."""
    n: int
    """Tokens the student takes for it."""
    partner: int
    """The teacher's position before it."""
    m: int
    """Tokens the teacher takes for it."""


def spans(reading: Reading) -> list[Span]:
    """All stretches between two cuts, in order; a cut without text before it, as a special token makes, begins none."""
    cuts = [t for t, exact in enumerate(reading.exact) if exact]
    candidates = [
        Span(t, u - t, reading.partner[t], reading.partner[u] - reading.partner[t]) for t, u in pairwise(cuts)
    ]
    return [span for span in candidates if span.m > 0]


def whole_spans(reading: Reading, at: Sequence[int]) -> dict[int, Span]:
    """Spans by their first position, those alone of which every token is supervised."""
    there = set(at)
    return {span.start: span for span in spans(reading) if there.issuperset(range(span.start, span.start + span.n))}


def supervised(example: Encoded, positions: str) -> list[int]:
    """The student's positions whose next token counts: a position t predicts the token t + 1."""
    if positions == "all":
        return list(range(len(example.ids) - 1))
    return [t for t, label in enumerate(example.labels[1:]) if label != IGNORE]


def read_alike(encoded: Sequence[Encoded]) -> list[Reading]:
    """Readings with one tokenizer."""
    return [Reading(e.ids, list(range(len(e.ids))), [True] * len(e.ids)) for e in encoded]


def read_apart(
    teacher: LoadedModel, student: LoadedModel, items: Sequence[Example], encoded: Sequence[Encoded]
) -> list[Reading]:
    """Readings with two tokenizers. Raises PromptError where the teacher's context is too short."""
    texts = [item.prompt + item.answer for item in items]
    by_teacher = encode(teacher.tokenizer, items, teacher.context)
    spans = [m.tokenizer(texts, return_offsets_mapping=True)["offset_mapping"] for m in (teacher, student)]
    readings = []
    for by_student, by_teacher_item, a, b in zip(encoded, by_teacher, *spans, strict=True):
        partner = partners(a, b)
        exact = [p != ALONE and a[p][1] == end for p, (_, end) in zip(partner, b, strict=True)]
        assert len(by_student.ids) == len(partner), "both come from the same tokenizer and text"
        readings.append(Reading(by_teacher_item.ids, partner, exact))
    return readings


Needs = Literal["state", "cut", "span"]
"""What a row must have: some teacher state, a place both tokenizers cut at, or a whole span that it is in."""


def usable(reading: Reading, example: Encoded, positions: str, needs: Needs) -> list[bool]:
    """Which supervised positions have a target."""
    at = supervised(example, positions)
    if needs == "span":
        inside = {t for s in whole_spans(reading, at).values() for t in range(s.start, s.start + s.n)}
        return [t in inside for t in at]
    return [reading.exact[t] if needs == "cut" else reading.partner[t] != ALONE for t in at]


def require_rows(rows: Sequence[Sequence[bool]], match: VocabularyMatch) -> None:
    """Raises PlanError where the two tokenizers leave too few positions to train on."""
    n, of = sum(map(sum, rows)), sum(map(len, rows))
    if n < FEWEST_ROWS * of:
        raise PlanError(
            f"The two tokenizers (sharing {match.n} tokens) align at {n} of {of} supervised positions; training needs "
            f"{FEWEST_ROWS:.0%}. Use positions all, or a method without the teacher's distribution."
        )
