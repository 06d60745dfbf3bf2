"""What a task of one's own says of a run: plain records that survive a trip through JSON.

Not covered: how they are computed (`studies/behaviour/user_task.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Scored:
    """One way of scoring the same items."""

    scoring: str
    """Which: `cloze, greedy`, `choice, log-likelihood` or `choice, log-likelihood per byte`."""
    chance: float
    """Share right without knowledge, 0..1: the most frequent answer (cloze), or choosing blindly."""
    models: dict[str, dict[str, Any]]
    """For teacher, before and after: n, correct, rate with its interval (Wilson)."""
    change: dict[str, Any]
    """Before to after on the same items, paired."""
    test: dict[str, Any]
    """Corrected p over scorings, what n can show, gap to the teacher."""
    right: dict[str, str]
    """Each model's answers, item by item, as `0110`."""
    calibration: dict[str, dict[str, Any]]
    """Whether each model's confidence in its own answer is deserved."""


@dataclass(frozen=True)
class UserTask:
    """A task asked of a run's three models."""

    run: str
    task: str
    n: int
    digest: str
    """Names the items."""
    scored: list[Scored]
    items: list[tuple[str, str]]
    """Prompt and answer, in order."""

    @property
    def repeats(self) -> int:
        """Items whose prompt and answer stand in the task before."""
        return len(self.items) - len(set(self.items))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> UserTask:
        items = [(prompt, answer) for prompt, answer in data["items"]]
        return cls(**{**data, "scored": [Scored(**one) for one in data["scored"]], "items": items})
