"""What a transfer did to behaviour: scores and paired changes by task, single answers, general text; of student and teacher.

Not covered: how it is measured (`behaviour.py`, `statistics.py`), tests over several tasks (`tasks.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from pkt_core.evaluation.statistics import Change, Estimate, Recall

Who = Literal["before", "after", "teacher"]
Bits = Annotated[str, Field(pattern="^[01]*$")]
"""Item by item, 1 where the answer is right: `0110`."""


@dataclass(frozen=True)
class TextMeasure:
    """A number over general texts with its 95 % interval (bootstrap over texts)."""

    value: float
    """In the unit and the direction that its owner names."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end."""
    n: int | None = None
    """Texts; the first version wrote `n_texts` alone."""
    n_texts: int | None = None
    """The same, kept beside bits per byte for readers of the first version."""
    unit: Literal["bits"] | None = None
    """Of a KL divergence."""

    @property
    def texts(self) -> int | None:
        """How many texts; None where that was not kept."""
        return self.n if self.n is not None else self.n_texts

    @classmethod
    def of(cls, estimate: Estimate, *, n_texts: int | None = None, unit: Literal["bits"] | None = None) -> TextMeasure:
        return cls(estimate.value, estimate.low, estimate.high, estimate.n, n_texts, unit)

    def above(self, other: TextMeasure) -> bool:
        """Whether it is larger beyond chance: the two intervals do not touch."""
        return self.low > other.high


@dataclass(frozen=True)
class ModelBehaviour:
    """One model on the tasks of a run and on general text."""

    tasks: dict[str, Recall]
    """By task, how many items it answers right."""
    bits_per_byte: TextMeasure | None = None
    """Bits per byte of general text, lower is better; None where no text was read."""
    kl_to_teacher: TextMeasure | None = None
    """KL(teacher || model), bits per token, 0 is the same; None of the teacher, and where vocabularies differ."""
    top1_agreement: TextMeasure | None = None
    """Share of tokens, 0..1, at which teacher and model find the same one most likely; None as for the KL."""


@dataclass(frozen=True)
class Behaviour:
    """The three models of a run on the same items and texts."""

    before: ModelBehaviour
    """The student before."""
    after: ModelBehaviour
    """The student after."""
    teacher: ModelBehaviour | None = None
    """None where it was not measured."""

    def by_model(self) -> Iterator[tuple[Who, ModelBehaviour]]:
        """Those that were measured: before, after, teacher."""
        yield "before", self.before
        yield "after", self.after
        if self.teacher is not None:
            yield "teacher", self.teacher

    @property
    def bits_per_byte(self) -> tuple[TextMeasure, TextMeasure] | None:
        """Of the student before and after; None where no general text was read."""
        before, after = self.before.bits_per_byte, self.after.bits_per_byte
        return None if before is None or after is None else (before, after)


@dataclass(frozen=True)
class TaskChange(Change):
    """A student before against after on the items of a task."""

    prior: float | None = None
    """Majority-answer baseline, 0..1; None where it is not known."""


@dataclass(frozen=True)
class Answers:
    """Which items of a task each model answers right. All are as long as there are items."""

    after: Bits
    """Of the student after."""
    before: Bits | None = None
    """Of the student before; None where it was not kept."""
    teacher: Bits | None = None
    """Of the teacher; None where it was not kept."""

    def __post_init__(self) -> None:
        if self.before is not None and len(self.before) != len(self.after):
            raise ValueError("as many answers before as after are expected")

    @property
    def forgotten(self) -> list[int]:
        """Numbers of the items that were right before and are wrong after, in order."""
        return self.turned("1", "0")

    @property
    def newly_right(self) -> list[int]:
        """Numbers of the items that were wrong before and are right after, in order."""
        return self.turned("0", "1")

    @property
    def discordant(self) -> float | None:
        """Share of items, 0..1, that turned either way; None without the answers before, or without an item."""
        if not self.before:
            return None
        return (len(self.forgotten) + len(self.newly_right)) / len(self.after)

    def turned(self, old: str, new: str) -> list[int]:
        return [i for i, pair in enumerate(zip(self.before or "", self.after, strict=False)) if pair == (old, new)]


def right(answers: str) -> list[bool]:
    """`0110` item by item."""
    return [answer == "1" for answer in answers]


@dataclass(frozen=True)
class Generation:
    """What the three models write greedily after one prompt of a task."""

    prompt: str
    expected: str
    """The answer that counts as right."""
    before: str
    """By the student before."""
    after: str
    """By the student after."""
    teacher: str
    """By the teacher."""


@dataclass(frozen=True)
class Measured:
    """What measuring a trained student gives."""

    behaviour: Behaviour
    changes: dict[str, TaskChange]
    """By task."""
    right: dict[str, Answers]
    """By task."""
    generations: list[Generation]
    repeats: dict[str, int] = field(default_factory=dict)
    """By task that has some, how many items repeat an earlier one."""
