"""What a task of one's own says of a run.

Not covered: how it is computed (`studies/behaviour/user_task.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from pkt_core.evaluation.calibration import Calibration
from pkt_core.evaluation.statistics import Change, Recall
from pkt_core.evaluation.tasks import TaskTest


@dataclass(frozen=True)
class Scored:
    """One way of scoring the same items."""

    scoring: str
    """Which: `cloze, greedy`, `choice, log-likelihood` or `choice, log-likelihood per byte`."""
    chance: float
    """Share right without knowledge, 0..1: the most frequent answer (cloze), or choosing blindly."""
    models: dict[str, Recall]
    """Items right of `teacher`, `before` and `after`."""
    change: Change
    """Before to after on the same items, paired; above zero the student gained."""
    test: TaskTest
    """Corrected p over scorings, what n can show, gap to the teacher."""
    right: dict[str, str]
    """Answers of `teacher`, `before` and `after`, item by item, as `0110`."""
    calibration: dict[str, Calibration]
    """Whether the confidence of `teacher`, `before` and `after` in their own answers is deserved."""


@dataclass(frozen=True)
class UserTask:
    """A task asked of a run's three models."""

    run: str
    """Id of the run."""
    task: str
    """Its name: a bundled one or a file."""
    n: int
    """Items."""
    digest: str
    """Names the items."""
    scored: list[Scored]
    """By each scoring that fits the items, at least one."""
    items: list[tuple[str, str]]
    """`[n]`: prompt and answer, in order."""

    @property
    def repeats(self) -> int:
        """Items whose prompt and answer stand in the task before."""
        return len(self.items) - len(set(self.items))
