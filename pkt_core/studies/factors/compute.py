"""Which alignment factors predict transfer gain? Transfers at every layer pair, their gain against similarity before the transfer.

sweep     the same transfer at every layer pair        -> members of a family
gather    finished runs that differ only in layers     -> groups of points
factors   each factor of alignment against the gain    -> Factor records, one per factor
answer    all of it for finished runs                  -> Factors

Factors are measured on the student before the transfer. Layer depth is one of them, as a baseline for the similarity measures.

Not covered: executing runs (`runs/queue.py`), the mathematics (`evaluation/ease.py`).
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
"""Default measures: one of each kind, all fast enough for large models."""
DEPTHS = {
    "same relative depth": "Same relative depth",
    "teacher depth": "Depth in the teacher",
    "student depth": "Depth in the student",
}
"""Factors that need no states."""
VARY = ("teacher_layer", "student_layer", "n_pairs", "layer_pairs", "pairing", "seed")
"""What may differ between the runs of a group."""


def sweep(plan: TransferPlan, n_teacher: int, n_student: int, *, at_most: int, seeds: int = 1) -> list[Member]:
    """The plan at every layer pair, or at evenly spaced ones where there are more than `at_most`.

    Raises PlanError for a method that uses no teacher layer, or an `at_most` too small for a correlation.
    """
    if not takes_a_layer(plan):
        raise PlanError(
            f"{plan.method} uses no teacher layer, so layer pairs cannot be compared. Use semalign-v1, feature-kd or stitch."
        )
    if at_most < FEWEST:
        raise PlanError(f"Got {at_most} layer pairs; expected at least {FEWEST}. Allow more.")
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
    """Whether a method uses a teacher layer, so that layer pairs can be compared."""
    return isinstance(plan, Paired)


def spread(n_teacher: int, n_student: int, at_most: int) -> tuple[list[int], list[int]]:
    """Layers that form at most `at_most` pairs, first and last included, in proportion to the depth of each side."""
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
    """Groups of finished runs between one layer pair, largest first; unreadable runs are skipped."""
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
        (pair,), settings = results.layers.pairs, plan.model_dump(mode="json")
        key = fingerprint(shared=plan.model_dump(mode="json", exclude=set(VARY)))
        group = groups.setdefault(key, Group(key, settings, is_control(settings), []))
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
    """Gain of a run, by task; larger is better. None where it was not measured."""
    if results.behaviour is None or (bits := results.behaviour.bits_per_byte) is None:
        return None
    before, after = bits
    return {
        **{task: change.difference for task, change in results.changes.items()},
        GENERAL: before.value - after.value,
    }


def is_control(plan: Mapping[str, Any]) -> bool:
    """Whether a plan is a control: a transfer with its meaning removed."""
    return (
        plan.get("map") in ("permuted", "random")
        or plan.get("rows") == "shuffled"
        or plan.get("teacher_weights") == "untrained"
        or plan.get("layer_weight") == 0
    )


def grids_of(group: Group, measures: Sequence[str], progress: Progress = silent) -> dict[str, np.ndarray]:
    """Each factor at every layer pair of a group's models, larger is more similar; computed once, then stored."""
    plan = TransferPlan.model_validate(group.plan)
    pair = Pair(name="custom", title="", teacher=plan.teacher, student=plan.student)
    grids: dict[str, np.ndarray] = {}
    for i, name in enumerate(measures):
        grid = similarity(
            pair,
            measure=name,
            prompts=plan.prompts,
            n_prompts=max(64, plan.n_prompts),
            progress=lambda what, done, i=i: progress(what, (i + done) / len(measures)),  # type: ignore[misc]
        )
        grids[name] = np.asarray(grid.values, float) * (1 if grid.larger_is_closer else -1)
    return {**grids, **depths(*next(iter(grids.values())).shape)}


def depths(n_teacher: int, n_student: int) -> dict[str, np.ndarray]:
    """The depth factors as grids."""
    teacher, student = (np.arange(n) / max(1, n - 1) for n in (n_teacher, n_student))
    across, down = np.meshgrid(student, teacher)
    return {"same relative depth": -np.abs(down - across), "teacher depth": down, "student depth": across}


def factors(groups: Sequence[Group], grids: Sequence[Mapping[str, np.ndarray]], task: str) -> list[Factor]:
    """Every factor that all groups have against the gain in `task`, the strongest first; `grids` as `grids_of` gives them."""
    kept = [(g, grid) for g, grid in zip(groups, grids, strict=True) if any(task in p.gains for p in g.points)]
    blocks = [block_of(group, task) for group, _ in kept]
    names = [name for name in (grids[0] if grids else {}) if all(name in grid for _, grid in kept)]
    fits = {name: ease(blocks, [grid[name] for _, grid in kept]) for name in names}
    defined = [name for name in names if fits[name] is not None]
    raw = [fit.p_value for name in defined if (fit := fits[name]) is not None]
    corrected = dict(zip(defined, multipletests(raw, method="holm")[1].tolist() if raw else [], strict=True))
    made = []
    for name in names:
        one = fits[name]
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
    """Groups and, for each task, all factors. keys: the groups to use; None: all except controls.

    Groups with too few points are listed but not used. Raises PlanError where no group is left.
    """
    groups = gather(runs)
    chosen = [g for g in groups if len(g.points) >= FEWEST and (not g.control if keys is None else g.key in keys)]
    if not chosen:
        raise PlanError(
            f"Got no group of {FEWEST} finished transfers that differ only in their layers, so no factor can be compared. Run every layer pair first."
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
