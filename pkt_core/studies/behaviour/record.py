"""What accompanies a run's results: its controls, tests over its tasks, seeds of the same plan, a custom task.

Not covered: the results themselves (`runs/results.py`), how this is computed (`controls.py`, `compute.py`, `user_task.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from pkt_core.evaluation.calibration import Calibration
from pkt_core.evaluation.record import Answers, Behaviour, ModelBehaviour, TaskChange
from pkt_core.evaluation.statistics import Change, Recall
from pkt_core.evaluation.tasks import TaskTest
from pkt_core.runs.family import Seeds


@dataclass(frozen=True)
class Against:
    """One control of a run."""

    name: str
    purpose: str
    """What it removes."""
    run: str | None
    """Id of the control's run; None where there is none."""
    changes: dict[str, TaskChange] | None
    """After minus before by task, as that run measured it; None where there is none."""
    left: dict[str, Change]
    """By task, share right after the run minus after the control, on the same items; p is McNemar's, corrected by Holm over all."""

    def beaten_on(self, task: str) -> bool:
        """Whether the run does better than this control on a task, beyond chance after correction."""
        return task in self.left and self.left[task].better


@dataclass(frozen=True)
class Controls:
    """A run beside its controls."""

    controls: list[Against]
    """All controls that apply to the plan, run or not."""

    @property
    def carried_out(self) -> list[Against]:
        """Those that answered items of the run."""
        return [one for one in self.controls if one.left]

    @property
    def beyond(self) -> list[str]:
        """Tasks on which the run does better than each control that was carried out."""
        tasks = dict.fromkeys(task for one in self.carried_out for task in one.left)
        return [task for task in tasks if all(one.beaten_on(task) for one in self.carried_out)]


@dataclass(frozen=True)
class TaskTests:
    """Tests of a run's changes, and its replicates."""

    tests: dict[str, TaskTest]
    """By task."""
    seeds: Seeds | None
    """Of the same plan; None where the run belongs to no family."""


@dataclass(frozen=True)
class Scored:
    """One way of scoring the same items."""

    scoring: str
    """Which: `cloze, greedy`, `choice, log-likelihood` or `choice, log-likelihood per byte`."""
    chance: float
    """Share right without knowledge, 0..1: the majority answer (cloze), or uniform choice."""
    models: dict[str, Recall]
    """Items right of `teacher`, `before` and `after`."""
    change: Change
    """Before to after on the same items, paired; above zero the student gained."""
    test: TaskTest
    """Corrected p over scorings, minimum detectable change, gap to the teacher."""
    right: dict[str, str]
    """Answers of `teacher`, `before` and `after`, item by item, as `0110`."""
    calibration: dict[str, Calibration]
    """Calibration of `teacher`, `before` and `after` on their own answers."""

    @property
    def answers(self) -> Answers:
        """The same as `right`."""
        return Answers(**self.right)


@dataclass(frozen=True)
class UserTask:
    """A custom task, measured on a run's three models."""

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
    def behaviour(self) -> Behaviour:
        """The three models, with each scoring as a separate task."""
        by_model = {
            who: ModelBehaviour({one.scoring: one.models[who] for one in self.scored})
            for who in ("before", "after", "teacher")
        }
        return Behaviour(**by_model)

    @property
    def changes(self) -> dict[str, TaskChange]:
        """By scoring; the prior is chance."""
        return {one.scoring: TaskChange(**vars(one.change), prior=one.chance) for one in self.scored}

    @property
    def tests(self) -> dict[str, TaskTest]:
        """By scoring."""
        return {one.scoring: one.test for one in self.scored}

    @property
    def repeats(self) -> int:
        """Items whose prompt and answer occur earlier in the task."""
        return len(self.items) - len(set(self.items))
