"""Tests over several tasks: corrected p-values, minimum detectable effects, and the gap to the teacher.

Not covered: one task's change (`statistics.py`), rivals of a family (`studies/families/compute.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pkt_core.evaluation.record import Answers, right
from pkt_core.evaluation.statistics import SURE, Change, paired_change


@dataclass(frozen=True)
class TaskTest:
    """What stands beside the paired change of one task."""

    p_holm: float
    """The task's p-value, corrected over all tasks of the run (Holm 1979)."""
    detectable: float | None
    """Minimum detectable effect, 0..1, at 80 % power, for this n and this share of differing items; None: not detectable."""
    gap: float | None
    """Teacher minus after on the same items, -1..1, above zero: the teacher is ahead; None where single answers were not kept."""
    gap_low: float | None
    """Lower end of its 95 % interval (paired bootstrap over items)."""
    gap_high: float | None
    """Upper end."""
    closed: float | None
    """Share of the gap before that the change closed; None where the teacher was not ahead. Below zero: it opened."""

    @property
    def sure(self) -> bool:
        """Whether the change is more than chance, corrected over all tasks of the run."""
        return self.p_holm < SURE


def over_tasks(changes: Mapping[str, Change], answers: Mapping[str, Answers]) -> dict[str, TaskTest]:
    """For each task of a run's results; `answers` may lack tasks."""
    if not changes:
        return {}
    from statsmodels.stats.multitest import multipletests  # here, as in `statistics.py`: pages read the record alone

    from pkt_core.evaluation.power import detectable

    corrected = multipletests([change.p_value for change in changes.values()], method="holm")[1]
    tests = {}
    for (task, change), p in zip(changes.items(), corrected.tolist(), strict=True):
        of_task = answers.get(task)
        least = detectable(change.n, None if of_task is None else of_task.discordant)
        gap = low = high = closed = None
        if of_task is not None and of_task.teacher is not None:
            away = paired_change(right(of_task.after), right(of_task.teacher))
            gap, low, high = away.difference, away.low, away.high
            ahead = away.after - change.before
            closed = change.difference / ahead if ahead > 0 else None
        tests[task] = TaskTest(p, least if math.isfinite(least) else None, gap, low, high, closed)
    return tests
