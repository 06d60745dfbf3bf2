"""A family: one transfer with its rivals, its controls and several seeds, all on the same data, ending in one table.

`members` says which plans that is, `summary` reads the finished runs. Every row answers the same items, so rows are
compared item by item: first averaged over seeds, then an interval over items; seeds are also shown one by one, because
an interval over items says nothing of what another seed would have done.

Not covered: carrying the plans out (`cli/transfers.py`, the queue).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
from statsmodels.stats.multitest import multipletests

from pkt_core.data.examples import load_examples
from pkt_core.errors import PktError, PlanError, StoreError
from pkt_core.evaluation.record import right
from pkt_core.evaluation.statistics import ratio, sign_flip
from pkt_core.models.loading import load_tokenizer
from pkt_core.models.shape import model_shape
from pkt_core.runs.family import place_of, readable_results, runs_of
from pkt_core.runs.folder import Run
from pkt_core.runs.results import RunResults
from pkt_core.studies.families.record import FamilyTable, Row, Score, TaskLevel
from pkt_core.transfer.anchor import TOKENS
from pkt_core.transfer.controls import (
    CONTROLS,
    Control,
    Member,
    Saved,
    control,
    layer_that_stays,
    same_layers,
    steps_for_anchor,
    steps_for_teacher,
)
from pkt_core.transfer.estimate import trained_parameters
from pkt_core.transfer.plan import TransferPlan, held_by
from pkt_core.transfer.settings import ANCHORED, Trained

DRAWS = 20_000  # so many that a p-value corrected for some hundred comparisons can still be small
BATCH = 2_000


def members(
    plan: TransferPlan, *, rivals: Sequence[str] = (), controls: Iterable[Control] = CONTROLS, seeds: int = 3
) -> list[Member]:
    """The plan itself, its rivals and its controls, each with `seeds` seeds from the plan's own on.

    A rival keeps what it uses of the plan's settings. Controls that mean nothing to the method are left out, and those that
    would be the plan itself (`left_out` says which).
    """
    chosen = [Member(plan.method, plan)] + [Member(name, rival(plan, name)) for name in rivals if name != plan.method]
    found = [with_seed(member, plan.seed + i) for member in chosen for i in range(seeds)]
    return found + [member for member, same in controls_of(plan, controls, seeds) if not same]


def left_out(plan: TransferPlan, *, controls: Iterable[Control] = CONTROLS, seeds: int = 3) -> list[str]:
    """Why controls that the method has are no members, a sentence for each."""
    out: dict[str, list[str]] = {}
    for member, same in controls_of(plan, controls, seeds):
        if same:
            out.setdefault(member.label, []).append(str(member.plan.seed))
    return [
        f"The control {label} is left out{'' if len(at) == seeds else ' with seed ' + ', '.join(at)}: it would pair the same layers as "
        "the transfer itself."
        for label, at in out.items()
    ]


def controls_of(plan: TransferPlan, controls: Iterable[Control], seeds: int) -> list[tuple[Member, bool]]:
    """Each control with each seed, and whether it would pair the very layers that the plan pairs, and so take nothing away."""
    saved = what_controls_save(plan)
    n_teacher, n_student = (model_shape(ref).n_layers for ref in (plan.teacher, plan.student))
    stays = layer_that_stays(plan, n_teacher, n_student)
    found = []
    for name in controls:
        made = control(plan, name, saved=saved, student_layer=stays)
        for i in range(seeds if made is not None else 0):
            assert made is not None
            one = with_seed(Member(name, made), plan.seed + i)
            own = plan.model_copy(update={"seed": plan.seed + i})
            same = made.pairing != plan.pairing and same_layers(own, one.plan, n_teacher, n_student)
            found.append((one, same))
    return found


def member_of(plan: TransferPlan, name: Control) -> Member:
    """One control of a plan. Raises PlanError where it means nothing to the method, or would be the transfer itself."""
    found = controls_of(plan, [name], 1)
    if not found:
        raise PlanError(f"The control {name!r} means nothing to {plan.method}. Choose another.")
    ((member, same),) = found
    if same:
        raise PlanError(
            f"The control {name} would pair the same layers as the transfer itself. Choose another control or other layers."
        )
    return member


def with_seed(member: Member, seed: int) -> Member:
    """The same with another seed."""
    return Member(member.label, member.plan.model_copy(update={"seed": seed}))


def rival(plan: TransferPlan, method: str) -> TransferPlan:
    """The same transfer by another method, with the settings that both use."""
    of_method = {"part", "positions", "n_pairs", "scope", "modules", "decay", "anchor", "map"}
    given = {
        name: value
        for name, value in held_by(method, plan.model_dump(exclude={"method"})).items()
        if name not in of_method or value != plan.default(name, plan.method)  # not what its method takes by itself
    }
    if given.get("anchor", TransferPlan.default("anchor", method)) == "none":
        given = {name: value for name, value in given.items() if name not in ANCHORED}
    return TransferPlan.model_validate({**given, "method": method})


def what_controls_save(plan: TransferPlan) -> Saved:
    """Steps that the teacher's pass over the data, and the anchor, would have paid for."""
    if not isinstance(plan, Trained):
        return Saved()
    teacher, student = model_shape(plan.teacher), model_shape(plan.student)
    examples = load_examples(plan.data).sample(plan.n_examples, plan.seed).items
    texts = [item.prompt + item.answer for item in examples]
    lengths = [len(ids) for ids in load_tokenizer(plan.student)(texts)["input_ids"]]
    return Saved(
        teacher=steps_for_teacher(
            plan,
            teacher_parameters=teacher.n_parameters,
            student_parameters=student.n_parameters,
            trained_parameters=trained_parameters(plan, student),
            n_examples=len(examples),
        ),
        anchor=steps_for_anchor(plan, anchor_tokens=TOKENS, example_tokens=sum(lengths) / len(lengths)),
    )


def table(family: str, finished: Collection[str]) -> FamilyTable:
    """The table of those of a family's runs that are finished. Raises StoreError where there is no such family."""
    planned = runs_of(family)
    runs = [run for run in planned if run.id in finished]
    rows = summary(runs)
    changes = next((r.changes for run in runs if (r := readable_results(run)) is not None and r.changes), {})
    return FamilyTable(
        rows=rows,
        controls=[row.label for row in rows if row.label in CONTROLS],
        tasks={name: TaskLevel(change.prior, change.before, change.n) for name, change in changes.items()},
        first=label_of(planned[0]),
        left_out=absent(planned),
    )


def label_of(run: Run) -> str:
    """Which member a run is; empty where it stands alone."""
    place = place_of(run)
    return "" if place is None else place.label


def absent(planned: Sequence[Run]) -> list[str]:
    """Why controls are no members of a family; nothing where its models or its first plan cannot be read."""
    label = label_of(planned[0])
    seeds = sum(label_of(run) == label for run in planned)
    try:
        return left_out(TransferPlan.read(planned[0].plan(), planned[0].folder), seeds=seeds)
    except PktError:
        return []


def summary(runs: Sequence[Run]) -> list[Row]:
    """One row per member with finished runs, in the order they were planned; differences are to the first of them."""
    groups: dict[str, list[tuple[str, RunResults]]] = {}
    for run in runs:
        try:
            label, results = label_of(run) or run.plan().get("method", run.id), run.results()
        except StoreError:
            continue
        if results is not None and results.right:
            others = groups.setdefault(label, [])
            if not others or asked(others[0][1]) == asked(results):
                others.append((run.id, results))
    if not groups:
        return []
    means = {
        label: {task: np.mean([right(r.right[task].after) for _, r in found], axis=0) for task in found[0][1].right}
        for label, found in groups.items()
    }
    first = next(iter(means))
    compared = [(label, task) for label in means if label != first for task in means[label] if task in means[first]]
    raw = [sign_flip(means[label][task] - means[first][task], DRAWS, BATCH) for label, task in compared]
    p_values = dict(zip(compared, multipletests(raw, method="holm")[1].tolist() if raw else [], strict=True))
    rows = []
    for label, found in groups.items():
        scores = {}
        for task, mean in means[label].items():
            own = ratio(mean, np.ones_like(mean), bounds=(0.0, 1.0))
            away = mean - means[first][task] if (label, task) in p_values else None
            interval = None if away is None else ratio(away, np.ones_like(away), bounds=(-1.0, 1.0))
            scores[task] = Score(
                seeds=[float(np.mean(right(r.right[task].after))) for _, r in found],
                value=own.value,
                low=own.low,
                high=own.high,
                difference=None if interval is None else interval.value,
                difference_low=None if interval is None else interval.low,
                difference_high=None if interval is None else interval.high,
                p_value=p_values.get((label, task)),
            )
        rows.append(
            Row(
                label=label,
                runs=[run for run, _ in found],
                tasks=scores,
                bits_per_byte=[
                    bits.value for _, r in found if (bits := r.behaviour and r.behaviour.after.bits_per_byte)
                ],
                seconds=[r.seconds.training for _, r in found if r.seconds.training is not None],
            )
        )
    return rows


def asked(results: RunResults) -> dict[str, int]:
    """How many items of which task a run answered: seeds are averaged item by item."""
    return {task: len(answers.after) for task, answers in results.right.items()}
