"""Benchmark results of several models: intervals, paired changes, minimum detectable changes.

Only answers to the same items under the same protocol are compared. Every model other than the student before and the teacher
is compared with both, item by item: its gain over the student before, and the teacher minus the model.

Not covered: measuring the models (`asking.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from statsmodels.stats.multitest import multipletests

from pkt_core.benchmarks.record import Line, MetricScores, Result, Who
from pkt_core.evaluation.power import detectable
from pkt_core.evaluation.statistics import Change, Estimate, mean_step, paired_change, proportion, ratio, sign_flip

DRAWS = 10_000


def lines(answered: Sequence[tuple[Who, Result]]) -> list[Line]:
    """All lines, by task, then by model, in the given order."""
    made: list[Line] = []
    for settings, by_model in by_settings(answered).items():
        for metric, cut in metrics_of(by_model):
            made += of_one_metric(by_model, metric, cut, settings)
    return corrected(made)


def by_settings(answered: Sequence[tuple[Who, Result]]) -> dict[str, list[tuple[Who, list[Result]]]]:
    """Comparable results: single tasks, and groups of which every model has answered the same tasks."""
    single: dict[str, list[tuple[Who, list[Result]]]] = {}
    groups: dict[tuple[Any, ...], dict[Who, dict[str, Result]]] = {}
    for who, result in answered:
        one = result.protocol
        single.setdefault(one.key, []).append((who, [result]))
        if result.group != one.task:
            settings = (result.group, one.harness, one.limit, one.shots, one.seeds, one.chat, one.batch_size)
            groups.setdefault(settings, {}).setdefault(who, {})[one.task] = result
    whole: dict[str, list[tuple[Who, list[Result]]]] = {}
    for settings, by_model in groups.items():
        shared = set.intersection(*(set(tasks) for tasks in by_model.values()))
        if len(shared) > 1:
            whole[repr(settings)] = [(who, [tasks[name] for name in sorted(shared)]) for who, tasks in by_model.items()]
    return {**whole, **single}


def metrics_of(by_model: list[tuple[Who, list[Result]]]) -> list[tuple[str, str]]:
    """Metrics that all results have, in the order of the first."""
    return [
        (one.metric, one.filter)
        for one in by_model[0][1][0].scores
        if all(find(result, one.metric, one.filter) for _, results in by_model for result in results)
    ]


def find(result: Result, metric: str, cut: str) -> MetricScores | None:
    return next((one for one in result.scores if (one.metric, one.filter) == (metric, cut)), None)


def of_one_metric(by_model: list[tuple[Who, list[Result]]], metric: str, cut: str, settings: str) -> list[Line]:
    values = {who: joined(results, metric, cut) for who, results in by_model}
    before = next((values[who] for who in values if who.role == "before"), None)
    teacher = next((values[who] for who in values if who.role == "teacher"), None)
    made = []
    for who, results in by_model:
        items, first = values[who], results[0]
        changed = who.role in ("after", "other")
        gain = difference(before, items) if changed else None
        made.append(
            Line(
                task=first.group if len(results) > 1 else first.protocol.task,
                tasks=len(results),
                group=first.group,
                metric=metric,
                filter=cut,
                leads=(first.scores[0].metric, first.scores[0].filter) == (metric, cut),
                label=who.label,
                role=who.role,
                run=who.run,
                seed=who.seed,
                n=sum(result.protocol.n for result in results),
                share=items is not None and binary(items),
                score=None if items is None else estimate(items),
                reported=reported(results, metric, cut),
                gain=gain,
                p_holm=None,
                detectable=seen(before, items) if gain is not None else None,
                gap=difference(items, teacher) if who.role != "teacher" else None,
                settings=settings,
            )
        )
    return made


def joined(results: Sequence[Result], metric: str, cut: str) -> np.ndarray | None:
    """The values of all items of all tasks; None where a task has none."""
    parts = [one.values if (one := find(result, metric, cut)) else None for result in results]
    return None if any(values is None for values in parts) else np.concatenate([np.asarray(v, float) for v in parts])


def reported(results: Sequence[Result], metric: str, cut: str) -> float:
    """The harness's score, weighted by items where several tasks are combined."""
    figures = [one.reported for result in results if (one := find(result, metric, cut)) is not None]
    return float(np.average(figures, weights=[result.protocol.n for result in results]))


def binary(*values: np.ndarray) -> bool:
    return all(np.isin(one, (0.0, 1.0)).all() for one in values)


def estimate(values: np.ndarray) -> Estimate:
    """Estimate of a share or of a mean."""
    return proportion(int(values.sum()), len(values)) if binary(values) else ratio(values, np.ones_like(values))


def difference(first: np.ndarray | None, second: np.ndarray | None) -> Change | None:
    """The second minus the first, item by item; None where either is missing."""
    if first is None or second is None:
        return None
    if binary(first, second):
        return paired_change(first.astype(bool).tolist(), second.astype(bool).tolist())
    steps = second - first
    interval = mean_step(steps)
    return Change(
        float(first.mean()),
        float(second.mean()),
        float(steps.mean()),
        interval.low,
        interval.high,
        sign_flip(steps, DRAWS),
        len(steps),
    )


def seen(before: np.ndarray | None, after: np.ndarray | None) -> float | None:
    """The minimum detectable change on these items; None where there is none, or where scores are not right or wrong."""
    if before is None or after is None or not binary(before, after):
        return None
    smallest = detectable(len(after), float((before != after).mean()))
    return smallest if math.isfinite(smallest) else None


def corrected(made: list[Line]) -> list[Line]:
    """The same lines, p-values of the leading gains corrected by Holm's rule over all of them."""
    raw = {
        i: line.gain.p_value
        for i, line in enumerate(made)
        if line.gain is not None and line.leads and not part_of_group(line, made)
    }
    if not raw:
        return made
    at = dict(zip(raw, multipletests(list(raw.values()), method="holm")[1].tolist(), strict=True))
    return [replace(line, p_holm=at[i]) if i in at else line for i, line in enumerate(made)]


def part_of_group(line: Line, made: Iterable[Line]) -> bool:
    """Whether a group in the table already contains this task, so that it is not tested twice."""
    return line.group != line.task and any(
        other.tasks > 1 and (other.task, other.label) == (line.group, line.label) for other in made
    )
