"""Functions of the engine that put several of the core's together, and answer in plain JSON.

They import what they need when they are asked: the process starts at once. Where each function lives says `registry.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pkt_core.base.progress import Progress


def plan_needs(plan: Any) -> Any:
    """What a plan takes of this device. Raises what is wrong with it, so far as no model has to be loaded for that."""
    from pkt_core.transfer import requirements
    from pkt_core.transfer.teacher_pass import require_plan

    require_plan(plan, now=False)
    return requirements.plan_needs(plan)


def control_plan(plan: Any, control: Any) -> dict[str, Any]:
    """The plan of a control that follows from both models. Raises PlanError where it would be the transfer itself."""
    from pkt_core.studies.families.compute import member_of

    return {"plan": member_of(plan, control).plan.model_dump(mode="json")}


def family_members(plan: Any, rivals: Sequence[Any], controls: Sequence[Any], seeds: int) -> dict[str, Any]:
    """The plans of a family in their order, each with its label. Raises PlanError where one does not hold together."""
    from pkt_core.studies.families.compute import left_out, members

    found = members(plan, rivals=rivals, controls=controls, seeds=seeds)
    for member in found:
        member.plan.check_settings()
    return {"members": named(found), "left_out": left_out(plan, controls=controls, seeds=seeds)}


def sweep_members(plan: Any, at_most: int, seeds: int) -> dict[str, Any]:
    """The plans of a transfer at every pair of layers, each with its label. Raises PlanError where there can be none."""
    from pkt_core.models.shape import model_shape
    from pkt_core.studies.factors.compute import sweep

    plan.check_settings()
    depths = [model_shape(ref).n_layers for ref in (plan.teacher, plan.student)]
    return {"members": named(sweep(plan, *depths, at_most=at_most, seeds=seeds))}


def named(members: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"label": one.label, "plan": one.plan.model_dump(mode="json")} for one in members]


def run_controls(run: Any) -> dict[str, Any]:
    """The controls of a run, carried out or not."""
    from pkt_core.studies.behaviour.controls import controls_of, to_json

    return {"controls": to_json(controls_of(run))}


def task_tests(run: Any) -> dict[str, Any]:
    """What stands beside each task's change, and the other seeds of the same plan where the run belongs to a family."""
    from dataclasses import asdict

    from pkt_core.evaluation.tasks import over_tasks
    from pkt_core.studies.families.compute import seeds_of

    results = run.results() or {}
    tests = over_tasks(results.get("changes") or {}, results.get("right") or {})
    return {"tests": {task: asdict(one) for task, one in tests.items()}, "seeds": seeds_of(run)}


def factors(finished: Mapping[str, Any], measures: Sequence[str] | None, progress: Progress) -> Any:
    """What eases a transfer, from these runs; no measures: the usual ones."""
    from pkt_core.runs.folder import open_run
    from pkt_core.studies.factors.compute import USUAL, answer

    return answer([open_run(name) for name in finished], measures=measures or USUAL, progress=progress)


def warm_projection() -> dict[str, Any]:
    """Import and compile UMAP ahead of the first map."""
    from pkt_core.projection.aligned import warm

    warm()
    return {}
