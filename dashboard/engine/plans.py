"""What the engine answers about plans and families: cost, members, the table. They read configurations, no weights.

They are asked of the engine because they import what a page must not wait for. Answers are plain JSON.

Not covered: carrying a plan out (`jobs.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pkt_core.errors import PlanError


def plan_needs(plan: dict[str, Any]) -> dict[str, Any]:
    """Bytes a plan takes and this device has, and `refused`: the sentence of a plan that does not fit, else None."""
    from pkt_core.models.loading import choose_device
    from pkt_core.transfer.estimate import free_memory, require_disk, require_memory
    from pkt_core.transfer.plan import TransferPlan
    from pkt_core.transfer.requirements import free_disk, needs
    from pkt_core.transfer.teacher_pass import require_plan

    read = TransferPlan.model_validate(plan)
    require_plan(read, now=False)
    needed, device = needs(read), choose_device(read.student.device)
    try:
        require_disk(needed, free_disk())
        require_memory(needed, device)
        refused = None
    except PlanError as error:
        refused = str(error)
    return {
        "memory": needed.memory,
        "disk": needed.disk,
        "free": free_memory(device),
        "device": str(device),
        "sentence": needed.sentence(),
        "refused": refused,
        "n_layers": depths(read),
    }


def pair_room(**named: Any) -> dict[str, Any]:
    """Parameters and bytes of a pair's two models as they would be loaded to be compared, and the bytes this device has free."""
    from dashboard.engine.worker import chosen_pair
    from pkt_core.models.loading import choose_device, choose_dtype
    from pkt_core.models.shape import model_shape
    from pkt_core.transfer.estimate import free_memory

    pair = chosen_pair(named)
    device = choose_device(pair.teacher.device)
    each = choose_dtype(pair.teacher.dtype, device).itemsize
    sizes = {side: model_shape(getattr(pair, side)).n_parameters for side in ("teacher", "student")}
    return {
        "n_parameters": sizes,
        "bytes": each * sum(sizes.values()),
        "free": free_memory(device),
        "device": str(device),
    }


def run_controls(run: str, finished: float | None, others: int) -> dict[str, Any]:
    """The controls of a run, carried out or not; `finished` and `others` renew them when it was measured again or another run ended."""
    from pkt_core.runs.folder import open_run
    from pkt_core.studies.behaviour.controls import controls_of, to_json

    del finished, others
    return {"controls": to_json(controls_of(open_run(run)))}


def depths(plan: Any) -> dict[str, int] | None:
    """Layers of both models; None where the teacher is not here, whose targets may be stored."""
    from pkt_core.errors import ModelError
    from pkt_core.models.shape import model_shape

    try:
        return {"teacher": model_shape(plan.teacher).n_layers, "student": model_shape(plan.student).n_layers}
    except ModelError:
        return None


def control_plan(plan: dict[str, Any], control: Any) -> dict[str, Any]:
    """The plan of a control that follows from both models. Raises PlanError where it would be the transfer itself."""
    from pkt_core.studies.families import compute as families_compute
    from pkt_core.transfer.plan import TransferPlan

    read = TransferPlan.model_validate(plan)
    found = families_compute.controls_of(read, [control], 1)
    if not found:
        raise PlanError(f"The control {control!r} means nothing to {read.method}. Choose another.")
    ((member, same),) = found
    if same:
        raise PlanError(
            f"The control {control} would pair the same layers as the transfer itself. Choose another control or other layers."
        )
    return {"plan": member.plan.model_dump(mode="json")}


def family_members(plan: dict[str, Any], rivals: Sequence[Any], controls: Sequence[Any], seeds: int) -> dict[str, Any]:
    """The plans of a family in their order, each with its label. Raises PlanError where one does not hold together."""
    from pkt_core.studies.families import compute as families_compute
    from pkt_core.transfer.plan import TransferPlan

    read = TransferPlan.model_validate(plan)
    found = families_compute.members(read, rivals=rivals, controls=controls, seeds=seeds)
    for member in found:
        member.plan.check_settings()
    return {
        "members": [{"label": one.label, "plan": one.plan.model_dump(mode="json")} for one in found],
        "left_out": families_compute.left_out(read, controls=controls, seeds=seeds),
    }


def family_table(family: str, finished: dict[str, Any]) -> dict[str, Any]:
    """Rows of a family's finished runs, which of them are controls, and each task's prior, level before and items.

    `finished` is what the rows depend on: when each run that counts was finished, by its id.
    """
    from pkt_core.studies.families import compute as families_compute
    from pkt_core.transfer.controls import CONTROLS

    planned = families_compute.runs_of(family)
    runs = [run for run in planned if run.id in finished]
    rows = families_compute.to_json(families_compute.summary(runs))
    changes: dict[str, dict[str, Any]] = next(
        (r["changes"] for run in runs if (r := families_compute.readable_results(run)) is not None and "changes" in r),
        {},
    )
    tasks = {name: {key: change.get(key) for key in ("prior", "before", "n")} for name, change in changes.items()}
    controls = [row["label"] for row in rows if row["label"] in CONTROLS]
    first = families_compute.place_of(planned[0]).get("label", "")
    return {"rows": rows, "controls": controls, "tasks": tasks, "first": first, "left_out": absent(planned)}


def absent(planned: Sequence[Any]) -> list[str]:
    """Why controls are no members of a family; nothing where its models or its first plan are not here to tell."""
    from pkt_core.errors import PktError
    from pkt_core.studies.families import compute as families_compute
    from pkt_core.transfer.plan import TransferPlan

    label = families_compute.place_of(planned[0]).get("label")
    seeds = sum(families_compute.place_of(run).get("label") == label for run in planned)
    try:
        return families_compute.left_out(TransferPlan.read(planned[0].plan(), planned[0].folder), seeds=seeds)
    except PktError:
        return []


def sweep_members(plan: dict[str, Any], at_most: int, seeds: int) -> dict[str, Any]:
    """The plans of a transfer at every pair of layers, each with its label. Raises PlanError where there can be none."""
    from pkt_core.models.shape import model_shape
    from pkt_core.studies.factors.compute import sweep
    from pkt_core.transfer.plan import TransferPlan

    read = TransferPlan.model_validate(plan)
    read.check_settings()
    depths = [model_shape(ref).n_layers for ref in (read.teacher, read.student)]
    found = sweep(read, *depths, at_most=at_most, seeds=seeds)
    return {"members": [{"label": one.label, "plan": one.plan.model_dump(mode="json")} for one in found]}


def task_tests(run: str, finished: float | None) -> dict[str, Any]:
    """What stands beside each task's change, and the other seeds of the same plan where the run belongs to a family.

    `finished` renews it when the run was evaluated again.
    """
    from dataclasses import asdict

    from pkt_core.evaluation.tasks import over_tasks
    from pkt_core.runs.folder import open_run
    from pkt_core.studies.families import compute as families_compute

    del finished
    opened = open_run(run)
    results = opened.results() or {}
    tests = over_tasks(results.get("changes") or {}, results.get("right") or {})
    return {"tests": {task: asdict(one) for task, one in tests.items()}, "seeds": families_compute.seeds_of(opened)}


PLANS: dict[str, Callable[..., dict[str, Any]]] = {
    "plan_needs": plan_needs,
    "pair_room": pair_room,
    "run_controls": run_controls,
    "control_plan": control_plan,
    "family_members": family_members,
    "family_table": family_table,
    "sweep_members": sweep_members,
    "task_tests": task_tests,
}
