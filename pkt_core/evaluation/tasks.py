"""What the tests on several tasks say together: corrected p-values, what so many items can show, and the gap to the teacher.

Not covered: one task's change (`statistics.py`), rivals of a family (`studies/families/compute.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pkt_core.evaluation.statistics import paired_change


@dataclass(frozen=True)
class TaskTest:
    """What stands beside the paired change of one task."""

    p_holm: float
    """The task's p-value, corrected over all tasks of the run (Holm 1979)."""
    detectable: float | None
    """The smallest change, 0..1, that so many items, of which as many differ as did, find with a power of 80 %; None: none."""
    gap: float | None
    """Teacher minus after on the same items, -1..1, above zero: the teacher is ahead; None where single answers were not kept."""
    gap_low: float | None
    """Lower end of its 95 % interval (paired bootstrap over items)."""
    gap_high: float | None
    """Upper end."""
    closed: float | None
    """Share of the gap before that the change closed; None where the teacher was not ahead. Below zero: it opened."""


def over_tasks(changes: Mapping[str, Mapping[str, Any]], right: Mapping[str, Mapping[str, str]]) -> dict[str, TaskTest]:
    """For each task of a run's results; `right` holds each model's answers as `0110`, and may lack tasks."""
    if not changes:
        return {}
    from statsmodels.stats.multitest import multipletests  # here, as in `statistics.py`: pages read the record alone

    from pkt_core.evaluation.power import detectable

    corrected = multipletests([change["p_value"] for change in changes.values()], method="holm")[1]
    found = {}
    for (task, change), p in zip(changes.items(), corrected.tolist(), strict=True):
        answers = right.get(task, {})
        least = detectable(change["n"], discordant(answers))
        gap = low = high = closed = None
        if "teacher" in answers:
            away = paired_change(bits(answers["after"]), bits(answers["teacher"]))
            gap, low, high = away.difference, away.low, away.high
            ahead = away.after - change["before"]
            closed = change["difference"] / ahead if ahead > 0 else None
        found[task] = TaskTest(p, least if math.isfinite(least) else None, gap, low, high, closed)
    return found


def discordant(answers: Mapping[str, str]) -> float | None:
    """Share of items answered right before and wrong after or the other way round; None where single answers were not kept."""
    if "before" not in answers:
        return None
    before, after = bits(answers["before"]), bits(answers["after"])
    return sum(one != other for one, other in zip(before, after, strict=True)) / len(before)


def bits(answers: str) -> list[bool]:
    """`0110` as booleans."""
    return [one == "1" for one in answers]
