"""Whether a plan fits the two models it names: asked before anything heavy, in a second rather than after an hour."""

from __future__ import annotations

from pkt_core.alignment.pairing import read_pairs
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
