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
    from pkt_core.stages.room import free_disk, needs
    from pkt_core.transfer.estimate import free_memory, require_disk, require_memory
    from pkt_core.transfer.plan import TransferPlan

    read = TransferPlan.model_validate(plan)
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
    }


def control_plan(plan: dict[str, Any], control: Any) -> dict[str, Any]:
    """The plan of a control whose steps depend on what it saves."""
    from pkt_core import families
    from pkt_core.transfer.controls import control as made
    from pkt_core.transfer.plan import TransferPlan

    read = TransferPlan.model_validate(plan)
    found = made(read, control, saved=families.what_controls_save(read))
    if found is None:
        raise PlanError(f"The control {control!r} means nothing to {read.method}. Choose another.")
    return {"plan": found.model_dump(mode="json")}


def family_members(plan: dict[str, Any], rivals: Sequence[Any], controls: Sequence[Any], seeds: int) -> dict[str, Any]:
    """The plans of a family in their order, each with its label. Raises PlanError where one does not hold together."""
    from pkt_core import families
    from pkt_core.transfer.plan import TransferPlan

    found = families.members(TransferPlan.model_validate(plan), rivals=rivals, controls=controls, seeds=seeds)
    for member in found:
        member.plan.check_settings()
    return {"members": [{"label": one.label, "plan": one.plan.model_dump(mode="json")} for one in found]}


def family_table(family: str, finished: dict[str, Any]) -> dict[str, Any]:
    """Rows of a family's finished runs, which of them are controls, and each task's prior, level before and items.

    `finished` is what the rows depend on: when each run that counts was finished, by its id.
    """
    from pkt_core import families
    from pkt_core.transfer.controls import CONTROLS

    planned = families.runs_of(family)
    runs = [run for run in planned if run.id in finished]
    rows = families.to_json(families.summary(runs))
    changes: dict[str, dict[str, Any]] = next(
        (r["changes"] for run in runs if (r := run.results()) is not None and "changes" in r), {}
    )
    tasks = {name: {key: change.get(key) for key in ("prior", "before", "n")} for name, change in changes.items()}
    controls = [row["label"] for row in rows if row["label"] in CONTROLS]
    first = (planned[0].family() or {}).get("label", "")
    return {"rows": rows, "controls": controls, "tasks": tasks, "first": first}


PLANS: dict[str, Callable[..., dict[str, Any]]] = {
    "plan_needs": plan_needs,
    "control_plan": control_plan,
    "family_members": family_members,
    "family_table": family_table,
}
