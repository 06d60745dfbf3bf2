"""Whether a plan fits the two models it names: asked before anything heavy, in a second rather than after an hour."""

from __future__ import annotations

from pkt_core.alignment.pairing import read_pairs, require_layer
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site
from pkt_core.models.vocabulary import VocabularyMatch
from pkt_core.transfer.plan import TransferPlan


def check(plan: TransferPlan, teacher: LoadedModel, student: LoadedModel, match: VocabularyMatch) -> None:
    """Raises LayerNotFound, PlanError or VocabularyMismatch in one sentence."""
    plan.check_settings()
    teacher.require(Site(plan.part, plan.teacher_layer or 0))
    student.require(Site(plan.part, plan.student_layer or 0))
    for pair in read_pairs(plan.layer_pairs):
        teacher.require(Site(plan.part, pair.teacher))
        student.require(Site(plan.part, pair.student))
    if plan.compares_tokens:
        match.require(f"{plan.method} on shared tokens")


def require_layers(plan: TransferPlan, n_teacher: int, n_student: int) -> None:
    """Raises LayerNotFound for a layer that the plan names and a model of so many layers does not have."""
    pairs = read_pairs(plan.layer_pairs)
    named = {"teacher": [plan.teacher_layer, *(pair.teacher for pair in pairs)]}
    named["student"] = [plan.student_layer, *(pair.student for pair in pairs)]
    for side, n in (("teacher", n_teacher), ("student", n_student)):
        for layer in named[side]:
            if layer is not None:
                require_layer(side, layer, n)
