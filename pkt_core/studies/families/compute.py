"""A family: one transfer with its rivals, its controls and several seeds, all on the same data, ending in one table.

`members` lists the plans, `summary` reads the finished runs. All rows answer the same items, so rows are compared item by
item: first averaged over seeds, then an interval over items. Seeds are also shown one by one, because an interval over
items excludes variation between seeds.

Not covered: executing the plans (`cli/transfers.py`, the queue).
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

DRAWS = 20_000  # enough for a small p-value after correction for some hundred comparisons
BATCH = 2_000


def members(
    plan: TransferPlan, *, rivals: Sequence[str] = (), controls: Iterable[Control] = CONTROLS, seeds: int = 3
) -> list[Member]:
    """The plan itself, its rivals and its controls, each with `seeds` consecutive seeds from that of the plan.

    A rival keeps the settings of the plan that it uses. Controls that do not apply to the method, or that equal the plan
    itself, are left out (`left_out` lists them).
    """
    chosen = [Member(plan.method, plan)] + [Member(name, rival(plan, name)) for name in rivals if name != plan.method]
    seeded = [with_seed(member, plan.seed + i) for member in chosen for i in range(seeds)]
    return seeded + [member for member, same in controls_of(plan, controls, seeds) if not same]


def left_out(plan: TransferPlan, *, controls: Iterable[Control] = CONTROLS, seeds: int = 3) -> list[str]:
    """Why controls of the method are left out, a sentence for each."""
    out: dict[str, list[str]] = {}
    for member, same in controls_of(plan, controls, seeds):
        if same:
            out.setdefault(member.label, []).append(str(member.plan.seed))
    return [
        f"The control {label} is left out{'' if len(at) == seeds else ' with seed ' + ', '.join(at)}: it pairs the same layers as "
        "the transfer itself."
        for label, at in out.items()
    ]


def controls_of(plan: TransferPlan, controls: Iterable[Control], seeds: int) -> list[tuple[Member, bool]]:
    """Each control with each seed, and whether it would pair the same layers as the plan, and so remove nothing."""
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
    """One control of a plan. Raises PlanError where it does not apply to the method, or equals the transfer itself."""
    controls = controls_of(plan, [name], 1)
    if not controls:
        raise PlanError(f"The control {name!r} does not apply to {plan.method}. Choose another.")
    ((member, same),) = controls
    if same:
        raise PlanError(
            f"The control {name} pairs the same layers as the transfer itself. Choose another control or other layers."
        )
    return member


def with_seed(member: Member, seed: int) -> Member:
    """The same with another seed."""
    return Member(member.label, member.plan.model_copy(update={"seed": seed}))


def rival(plan: TransferPlan, method: str) -> TransferPlan:
    """The same transfer with another method and the settings that both use."""
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
    """Training steps equal in compute to the teacher's pass over the data, and to the anchor."""
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
    """The table of a family's finished runs. Raises StoreError where there is no such family."""
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
    """Label of a run in its family; empty where it belongs to none."""
    place = place_of(run)
    return "" if place is None else place.label


def absent(planned: Sequence[Run]) -> list[str]:
    """Why controls of a family are left out; empty where its models or its first plan cannot be read."""
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
        label: {
            task: np.mean([right(r.right[task].after) for _, r in replicates], axis=0)
            for task in replicates[0][1].right
        }
        for label, replicates in groups.items()
    }
    first = next(iter(means))
    compared = [(label, task) for label in means if label != first for task in means[label] if task in means[first]]
    raw = [sign_flip(means[label][task] - means[first][task], DRAWS, BATCH) for label, task in compared]
    p_values = dict(zip(compared, multipletests(raw, method="holm")[1].tolist() if raw else [], strict=True))
    rows = []
    for label, replicates in groups.items():
        scores = {}
        for task, mean in means[label].items():
            share = ratio(mean, np.ones_like(mean), bounds=(0.0, 1.0))
            away = mean - means[first][task] if (label, task) in p_values else None
            interval = None if away is None else ratio(away, np.ones_like(away), bounds=(-1.0, 1.0))
            scores[task] = Score(
                seeds=[float(np.mean(right(r.right[task].after))) for _, r in replicates],
                value=share.value,
                low=share.low,
                high=share.high,
                difference=None if interval is None else interval.value,
                difference_low=None if interval is None else interval.low,
                difference_high=None if interval is None else interval.high,
                p_value=p_values.get((label, task)),
            )
        rows.append(
            Row(
                label=label,
                runs=[run for run, _ in replicates],
                tasks=scores,
                bits_per_byte=[
                    bits.value for _, r in replicates if (bits := r.behaviour and r.behaviour.after.bits_per_byte)
                ],
                seconds=[r.seconds.training for _, r in replicates if r.seconds.training is not None],
            )
        )
    return rows


def asked(results: RunResults) -> dict[str, int]:
    """Number of items by task that a run answered: seeds are averaged item by item."""
    return {task: len(answers.after) for task, answers in results.right.items()}
