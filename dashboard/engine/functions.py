"""Functions of the engine that combine several of the core's.

They import what they need when they are called, so that the process starts at once. `registry.py` lists where each function lives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pkt_core.base.progress import Progress
from pkt_core.studies.families.record import PlannedFamily, PlannedRun


def plan_needs(plan: Any) -> Any:
    """Memory and disk needs of a plan on this device. Raises any error that can be detected without loading a model."""
    from pkt_core.transfer import requirements
    from pkt_core.transfer.teacher_pass import require_plan

    require_plan(plan, now=False)
    return requirements.plan_needs(plan)


def control_plan(plan: Any, control: Any) -> PlannedRun:
    """The plan of a control that follows from both models. Raises PlanError where it equals the transfer itself."""
    from pkt_core.studies.families.compute import member_of

    return planned([member_of(plan, control)])[0]


def family_members(plan: Any, rivals: Sequence[Any], controls: Sequence[Any], seeds: int) -> PlannedFamily:
    """The plans of a family in their order, each with its label. Raises PlanError where one contradicts itself."""
    from pkt_core.studies.families.compute import left_out, members

    chosen = members(plan, rivals=rivals, controls=controls, seeds=seeds)
    for member in chosen:
        member.plan.check_settings()
    return PlannedFamily(planned(chosen), left_out(plan, controls=controls, seeds=seeds))


def sweep_members(plan: Any, at_most: int, seeds: int) -> PlannedFamily:
    """The plans of a transfer at every pair of layers, each with its label. Raises PlanError where none is possible."""
    from pkt_core.models.shape import model_shape
    from pkt_core.studies.factors.compute import sweep

    plan.check_settings()
    depths = [model_shape(ref).n_layers for ref in (plan.teacher, plan.student)]
    return PlannedFamily(planned(sweep(plan, *depths, at_most=at_most, seeds=seeds)))


def planned(members: Sequence[Any]) -> list[PlannedRun]:
    return [PlannedRun(one.label, one.plan.model_dump(mode="json")) for one in members]


def factors(finished: Mapping[str, Any], measures: Sequence[str] | None, progress: Progress) -> Any:
    """What predicts transfer gain, from these runs; `measures` None: the default ones."""
    from pkt_core.runs.folder import open_run
    from pkt_core.studies.factors.compute import USUAL, answer

    return answer([open_run(name) for name in finished], measures=measures or USUAL, progress=progress)


def warm_projection() -> dict[str, Any]:
    """Import and compile UMAP ahead of the first map."""
    from pkt_core.projection.aligned import warm

    warm()
    return {}
