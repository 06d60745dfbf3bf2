"""A family as a table: every member's seeds on every task, compared with the first member and the student before.

Not covered: how it is computed (`compute.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pkt_core.evaluation.statistics import SURE

Kind = Literal["reference", "rival", "control"]


@dataclass(frozen=True)
class Score:
    """Share right of one row on one task, averaged over seeds, and its difference from the first row."""

    seeds: list[float]
    """Share right of each seed, 0..1."""
    value: float
    """Their mean."""
    low: float
    """Lower end of its 95 % interval over items (bootstrap of items, seeds averaged)."""
    high: float
    """Upper end."""
    difference: float | None
    """Minus the first row's value on the same items, -1..1; None for the first row, and where the items differ."""
    difference_low: float | None
    """Lower end of its 95 % interval; None as above."""
    difference_high: float | None
    """Upper end; None as above."""
    p_value: float | None
    """Sign-flip permutation test over items, Holm-corrected over all rows and tasks of the table; None as above."""

    @property
    def sure(self) -> bool:
        """Whether the difference is significant, corrected over the table."""
        return self.p_value is not None and self.p_value < SURE

    @property
    def no_worse(self) -> bool:
        """Whether it is not significantly below the first row."""
        return (self.difference or 0.0) >= 0 or not self.sure

    def above(self, share: float) -> bool:
        """Whether its interval lies above a share."""
        return self.low > share


@dataclass(frozen=True)
class Row:
    """All seeds of one member."""

    label: str
    """The method, or the control."""
    runs: list[str]
    """Finished runs, one per seed."""
    tasks: dict[str, Score]
    """By task."""
    bits_per_byte: list[float]
    """On general text, per seed; lower is better."""
    seconds: list[float]
    """Of training, per seed."""


@dataclass(frozen=True)
class TaskLevel:
    """Baselines of a task."""

    prior: float | None
    """Majority-answer baseline, 0..1."""
    before: float | None
    """Share right of the student before, 0..1."""
    n: int | None
    """Items."""


@dataclass(frozen=True)
class FamilyTable:
    """One row per member with measured runs, in the order they were planned; differences are to the first of them."""

    rows: list[Row]
    controls: list[str]
    """Labels of rows that are controls."""
    tasks: dict[str, TaskLevel]
    """By task, from the first run that was measured."""
    first: str
    """Label of the member that was planned first; its row is missing until it is measured."""
    left_out: list[str] = field(default_factory=list)
    """Why controls were left out, a sentence each; empty in a table that ships with the project."""

    def kind(self, row: Row) -> Kind:
        """Role of a row in the table."""
        if row is self.rows[0]:
            return "reference"
        return "control" if row.label in self.controls else "rival"

    def of_kind(self, *kinds: Kind, task: str) -> list[Row]:
        """Rows of these kinds that were measured on a task, in order."""
        return [row for row in self.rows if self.kind(row) in kinds and task in row.tasks]

    @property
    def asked(self) -> list[str]:
        """All tasks, in the order in which the rows have them."""
        return list(dict.fromkeys(task for row in self.rows for task in row.tasks))

    def level(self, task: str) -> TaskLevel:
        return self.tasks.get(task, TaskLevel(None, None, None))


@dataclass(frozen=True)
class RecordedFamily(FamilyTable):
    """A table that ships with the project."""

    command: str = ""
    """The command that made its runs."""


@dataclass(frozen=True)
class PlannedRun:
    """A planned run of a family."""

    label: str
    """Which member it is."""
    plan: dict[str, Any]
    """The JSON form of its plan."""


@dataclass(frozen=True)
class PlannedFamily:
    """The planned runs of a family, in order."""

    members: list[PlannedRun]
    left_out: list[str] = field(default_factory=list)
    """Why controls were left out, a sentence each."""
