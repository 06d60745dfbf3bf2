"""A run's trained student, opened: its plan, what names its weights, and the three models of a run."""

from __future__ import annotations

from typing import Any

from pkt_core.errors import PlanError, StoreError
from pkt_core.models.catalog import Pair
from pkt_core.models.loading import LoadedModel, load, model_digest, weights_digest
from pkt_core.runs.folder import Run, open_run
from pkt_core.transfer.export import open_student
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.setup import trainable_ref


def trained(run: Run) -> TransferPlan:
    """The plan of a run that keeps its trained student. Raises StoreError where it does not."""
    plan = TransferPlan.read(run.plan(), run.folder / "plan.json")
    if not list((run.folder / "student").glob("*.safetensors")):
        raise StoreError(
            f"Run {run.id} keeps no trained student. Choose a run that finished here, or carry its plan out again."
        )
    return plan


def held(plan: TransferPlan, run: Run) -> dict[str, object]:
    """What names the three models of a run."""
    return {
        "models": [[model_digest(ref), ref.dtype, ref.device] for ref in (plan.teacher, plan.student)],
        "after": weights_digest(run.folder / "student"),
    }


def plan_of_run(pair: Pair, run: str) -> tuple[Run, TransferPlan]:
    """A run of this very pair with its plan. Raises PlanError where it belongs to other models or kept no weights."""
    opened = open_run(run)
    plan = TransferPlan.model_validate(opened.plan())
    for side in ("teacher", "student"):
        wanted, found = getattr(pair, side).name, getattr(plan, side).name
        if wanted != found:
            raise PlanError(
                f"Run {run} has the {side} {found}, this pair has {wanted}. Choose that pair, or a run of this one."
            )
    if not list((opened.folder / "student").glob("*.safetensors")):
        raise PlanError(f"Run {run} keeps no trained student. Choose a run that does, or carry it out again.")
    return opened, plan


def student_after(pair: Pair, run: str) -> LoadedModel:
    """The trained student of a run of this pair, on the pair's device and in its precision."""
    opened, plan = plan_of_run(pair, run)
    return open_student(opened.folder / "student", plan.model_copy(update={"student": pair.student}))


def three_models(plan: TransferPlan, folder: Any) -> dict[str, LoadedModel]:
    """Teacher, student before and student after, in the precision that training used."""
    return {
        "teacher": load(plan.teacher),
        "before": load(trainable_ref(plan.student)),
        "after": open_student(folder, plan.model_copy(update={"student": trainable_ref(plan.student)})),
    }
