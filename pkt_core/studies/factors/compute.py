"""Which alignment factors ease the transfer? Every pair of layers tried, and what was gained against what was alike before.

sweep     the same transfer at every pair of layers    -> members of a family
gather    finished runs that differ in layers alone    -> groups of points
factors   each factor of alignment against the gain    -> Factor records, one per factor
answer    all of it for finished runs                  -> Factors

Factors are taken from the student as it was before. How much of the gain depth alone explains stands beside them: what a measure
of similarity adds beyond it is what makes the measure useful.

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
from pkt_core.evaluation.ease import FEWEST, Block, ease, explained_by_depth, product
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
SAME_DEPTH = "same relative depth"
"""What is known of two layers without looking at a single state, and is no trend over either side's depth."""
VARY = ("teacher_layer", "student_layer", "n_pairs", "layer_pairs", "pairing", "seed")
"""What may differ between the runs of a group."""


def sweep(plan: TransferPlan, n_teacher: int, n_student: int, *, at_most: int, seeds: int = 1) -> list[Member]:
    """The plan at every pair of layers, or at evenly spread ones where that would be more than `at_most`.

    Raises PlanError for a method whose layers play no part, for a teacher of too few layers, or a number too small to compare anything.
    """
    if not takes_a_layer(plan):
        raise PlanError(
            f"Got {plan.method}, which takes nothing from a teacher layer, so pairs of layers cannot be compared. Use semalign-v1, feature-kd or stitch."
        )
    if at_most < FEWEST:
        raise PlanError(f"Got {at_most} pairs of layers; at least {FEWEST} are needed to compare any.")
    if n_teacher < FEWEST:
        raise PlanError(
            f"Got a teacher of {n_teacher} layers; the effect of depth can be taken out from {FEWEST} teacher layers up. Choose a deeper teacher."
        )
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
    """Layers whose pairs are no more than `at_most`, first and last included, as many on each side as its depth asks for.

    At least `FEWEST` teacher layers are kept: with fewer, the effect of depth cannot be taken out.
    """
    rows, columns = n_teacher, n_student
    while rows * columns > at_most:
        if rows > FEWEST and (rows / n_teacher >= columns / n_student or columns == 1):
            rows -= 1
        else:
            columns -= 1
    rows = min(n_teacher, at_most // columns)  # one student layer less may have made room
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
    return {**found, SAME_DEPTH: same_depth(*next(iter(found.values())).shape)}


def same_depth(n_teacher: int, n_student: int) -> np.ndarray:
    """How near two layers are in relative depth, -1..0, at every pair of layers."""
    teacher, student = (np.arange(n) / max(1, n - 1) for n in (n_teacher, n_student))
    return -np.abs(teacher[:, None] - student)


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
                label="Same relative depth" if name == SAME_DEPTH else MEASURES[name].label,
                kind="depth" if name == SAME_DEPTH else "likeness",
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


def comparable(group: Group) -> bool:
    """Whether the effect of depth can be taken out of the group's gains."""
    layers = np.array([[point.teacher, point.student] for point in group.points], dtype=np.int64)
    return product(Block(np.zeros(len(layers)), layers.reshape(-1, 2))) is not None


def answer(
    runs: Iterable[Run],
    *,
    measures: Sequence[str] = USUAL,
    keys: Sequence[str] | None = None,
    progress: Progress = silent,
) -> Factors:
    """Groups and, for each task, all factors. `keys` names the groups to answer from; None: all but controls.

    Groups that are not `comparable` are listed and left out. Raises PlanError where no group is left.
    """
    groups = gather(runs)
    chosen = [g for g in groups if comparable(g) and (not g.control if keys is None else g.key in keys)]
    if not chosen:
        raise PlanError(
            f"No finished transfers differ in their layers alone and cover {FEWEST} teacher layers for one student layer, so no factor can be compared. Run a sweep over layers first."
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
        depth={task: explained_by_depth([block_of(group, task) for group in chosen]) for task in tasks},
    )
