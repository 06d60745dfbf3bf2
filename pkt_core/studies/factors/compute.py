"""Which alignment factors ease the transfer? Every pair of layers tried, and what was gained against what was alike before.

sweep     the same transfer at every pair of layers    -> members of a family
gather    finished runs that differ in layers alone    -> groups of points
factors   each factor of alignment against the gain    -> Factor records, one per factor
answer    all of it for finished runs                  -> Factors

Factors are taken from the student as it was before, on prompts that nothing was trained on. Depth alone is one of them:
what a measure of likeness says beyond it is what makes the measure worth having.

Not covered: carrying runs out (`runs/queue.py`), the mathematics (`evaluation/ease.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from statsmodels.stats.multitest import multipletests

from pkt_core.base.fingerprint import fingerprint
from pkt_core.base.progress import Progress, silent
from pkt_core.errors import PktError, PlanError
from pkt_core.evaluation.ease import FEWEST, Block, ease
from pkt_core.models.catalog import Pair
from pkt_core.runs.folder import Run
from pkt_core.runs.results import RunResults
from pkt_core.similarity.measures import MEASURES
from pkt_core.studies.comparison.compute import similarity
from pkt_core.studies.factors.record import GENERAL, Factor, Factors, Group, Point
from pkt_core.transfer.controls import Member
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.settings import Paired

USUAL = ("debiased_linear_cka", "mutual_knn", "rsa", "procrustes", "linear_regression_r2", "semantic_cosine", "next_token_agreement")  # fmt: skip
"""Measures that are looked at unless others are named: one of each kind, all fast enough for large models."""
DEPTHS = {
    "same relative depth": "Same relative depth",
    "teacher depth": "Depth in the teacher",
    "student depth": "Depth in the student",
}
"""What is known of two layers without looking at a single state."""
VARY = ("teacher_layer", "student_layer", "n_pairs", "layer_pairs", "pairing", "seed")
"""What may differ between the runs of a group."""


def sweep(plan: TransferPlan, n_teacher: int, n_student: int, *, at_most: int, seeds: int = 1) -> list[Member]:
    """The plan at every pair of layers, or at evenly spread ones where that would be more than `at_most`.

    Raises PlanError for a method whose layers play no part, or a number too small to compare anything.
    """
    if not takes_a_layer(plan):
        raise PlanError(
            f"Got {plan.method}, which takes nothing from a teacher layer, so pairs of layers cannot be compared. Use semalign-v1, feature-kd or stitch."
        )
    if at_most < FEWEST:
        raise PlanError(f"Got {at_most} pairs of layers; at least {FEWEST} are needed to compare any.")
    teachers, students = spread(n_teacher, n_student, at_most)
    one_pair = {
        "pairing": "floor",
        "n_pairs": TransferPlan.default("n_pairs", plan.method),
        "layer_pairs": "",
        "interpolate": False,
    }
    open_plan = plan.model_copy(update=one_pair)
    return [
        Member(
            f"layer {t} to {s}",
            open_plan.model_copy(update={"teacher_layer": t, "student_layer": s, "seed": plan.seed + i}),
        )
        for t in teachers
        for s in students
        for i in range(seeds)
    ]


def takes_a_layer(plan: TransferPlan) -> bool:
    """Whether a method takes something from a layer of the teacher, so that pairs of layers can be compared."""
    return isinstance(plan, Paired)


def spread(n_teacher: int, n_student: int, at_most: int) -> tuple[list[int], list[int]]:
    """Layers whose pairs are no more than `at_most`, first and last included, as many on each side as its depth asks for."""
    rows, columns = n_teacher, n_student
    while rows * columns > at_most:
        if (rows / n_teacher >= columns / n_student and rows > 2) or columns <= 2:
            rows -= 1
        else:
            columns -= 1
        if rows <= 1 or columns <= 1:
            break
    return tuple(
        sorted({round(x) for x in np.linspace(0, n - 1, k)}) for n, k in ((n_teacher, rows), (n_student, columns))
    )  # type: ignore[return-value]


def gather(runs: Iterable[Run]) -> list[Group]:
    """Groups of finished runs that move something between one pair of layers, largest first; damaged runs are passed over."""
    groups: dict[str, Group] = {}
    points: dict[tuple[str, int, int], Point] = {}
    for run in runs:
        try:
            plan, results = TransferPlan.read(run.plan(), run.folder), run.results()
        except PktError:
            continue
        if results is None or results.layers is None or len(results.layers.pairs) != 1 or not takes_a_layer(plan):
            continue
        if (gained := gains(results)) is None:
            continue
        (pair,), told = results.layers.pairs, plan.model_dump(mode="json")
        key = fingerprint(shared=plan.model_dump(mode="json", exclude=set(VARY)))
        group = groups.setdefault(key, Group(key, told, is_control(told), []))
        place = key, pair.teacher, pair.student
        if place not in points:
            points[place] = Point(pair.teacher, pair.student, [], {})
            group.points.append(points[place])
        points[place].runs.append(run.id)
        for task, gain in gained.items():
            points[place].gains.setdefault(task, []).append(gain)
    for group in groups.values():
        group.points.sort(key=lambda point: (point.teacher, point.student))
    return sorted(groups.values(), key=lambda group: -len(group.points))


def gains(results: RunResults) -> dict[str, float] | None:
    """What a run gained, by task; more is better. None where it was not measured."""
    if results.behaviour is None or (bits := results.behaviour.bits_per_byte) is None:
        return None
    before, after = bits
    return {
        **{task: change.difference for task, change in results.changes.items()},
        GENERAL: before.value - after.value,
    }


def is_control(plan: Mapping[str, Any]) -> bool:
    """Whether a plan takes its meaning away from the transfer."""
    return (
        plan.get("map") in ("permuted", "random")
        or plan.get("rows") == "shuffled"
        or plan.get("teacher_weights") == "untrained"
        or plan.get("layer_weight") == 0
    )


def grids_of(group: Group, measures: Sequence[str], progress: Progress = silent) -> dict[str, np.ndarray]:
    """Each factor at every pair of layers of a group's models, larger meaning more alike; computed once, then stored."""
    plan = TransferPlan.model_validate(group.plan)
    pair = Pair(name="custom", title="", teacher=plan.teacher, student=plan.student)
    found: dict[str, np.ndarray] = {}
    for i, name in enumerate(measures):
        grid = similarity(
            pair,
            measure=name,
            prompts=plan.prompts,
            n_prompts=max(64, plan.n_prompts),
            progress=lambda what, done, i=i: progress(what, (i + done) / len(measures)),  # type: ignore[misc]
        )
        found[name] = np.asarray(grid.values, float) * (1 if grid.larger_is_closer else -1)
    return {**found, **depths(*next(iter(found.values())).shape)}


def depths(n_teacher: int, n_student: int) -> dict[str, np.ndarray]:
    """The factors that are known without looking, as grids."""
    teacher, student = (np.arange(n) / max(1, n - 1) for n in (n_teacher, n_student))
    across, down = np.meshgrid(student, teacher)
    return {"same relative depth": -np.abs(down - across), "teacher depth": down, "student depth": across}


def factors(groups: Sequence[Group], grids: Sequence[Mapping[str, np.ndarray]], task: str) -> list[Factor]:
    """Every factor that all groups have against the gain in `task`, the strongest first; `grids` as `grids_of` gives them."""
    kept = [(g, grid) for g, grid in zip(groups, grids, strict=True) if any(task in p.gains for p in g.points)]
    blocks = [block_of(group, task) for group, _ in kept]
    names = [name for name in (grids[0] if grids else {}) if all(name in grid for _, grid in kept)]
    told = {name: ease(blocks, [grid[name] for _, grid in kept]) for name in names}
    sure = [name for name in names if told[name] is not None]
    raw = [found.p_value for name in sure if (found := told[name]) is not None]
    corrected = dict(zip(sure, multipletests(raw, method="holm")[1].tolist() if raw else [], strict=True))
    made = []
    for name in names:
        one = told[name]
        made.append(
            Factor(
                name=name,
                label=DEPTHS.get(name) or MEASURES[name].label,
                kind="depth" if name in DEPTHS else "likeness",
                **{
                    key: None if one is None else getattr(one, key)
                    for key in ("rho", "low", "high", "p_value", "visible")
                },
                p_corrected=corrected.get(name),
                n=sum(len(b.gains) for b in blocks) if one is None else one.n,
                values={group.key: grid[name].tolist() for group, grid in kept},
            )
        )
    return sorted(made, key=lambda factor: -abs(factor.rho or 0))


def block_of(group: Group, task: str) -> Block:
    """The points of a group, seeds averaged."""
    points = [point for point in group.points if task in point.gains]
    return Block(
        np.array([np.mean(point.gains[task]) for point in points], float),
        np.array([[point.teacher, point.student] for point in points], dtype=np.int64).reshape(-1, 2),
    )


def answer(
    runs: Iterable[Run],
    *,
    measures: Sequence[str] = USUAL,
    keys: Sequence[str] | None = None,
    progress: Progress = silent,
) -> Factors:
    """Groups and, for each task, all factors. `keys` names the groups to answer from; None: all but controls.

    Groups with fewer points than can be ordered are told of and left out. Raises PlanError where no group is left.
    """
    groups = gather(runs)
    chosen = [g for g in groups if len(g.points) >= FEWEST and (not g.control if keys is None else g.key in keys)]
    if not chosen:
        raise PlanError(
            f"No {FEWEST} finished transfers differ in their layers alone, so no factor can be compared. Try every pair of layers first."
        )
    grids = [
        grids_of(group, measures, lambda what, done, i=i: progress(what, (i + done) / len(chosen)))  # type: ignore[misc]
        for i, group in enumerate(chosen)
    ]
    tasks = list(dict.fromkeys(task for group in chosen for point in group.points for task in point.gains))
    return Factors(
        groups=groups,
        used=[group.key for group in chosen],
        factors={task: factors(chosen, grids, task) for task in tasks},
    )
