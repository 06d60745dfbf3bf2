"""How a plan's teacher states are mapped into student space before the student is trained towards them."""

from __future__ import annotations

import torch
from torch import Tensor

from pkt_core.activations.paired import paired_states
from pkt_core.alignment.maps import RIDGE, AlignmentMap, logit_preserving_map, procrustes_map, ridge_map
from pkt_core.alignment.model_maps import alignment_map, head_of
from pkt_core.alignment.pairing import LayerPair
from pkt_core.data.prompts import load_prompts
from pkt_core.errors import PlanError
from pkt_core.models.loading import LoadedModel
from pkt_core.models.norms import final_norm
from pkt_core.models.sites import Site
from pkt_core.models.vocabulary import VocabularyMatch
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.settings import FITTED, Mapped
from pkt_core.transfer.targets import Carry

FITTING_TEXTS = 400  # that maps are fitted on, at most
FEWEST_FITTING_TEXTS = 16


def fitting_texts(plan: TransferPlan) -> tuple[str, ...]:
    """General texts that nothing is measured on. Raises PlanError where too few are left."""
    every = load_prompts(plan.general)
    measured = set(every.sample(plan.n_general, plan.seed).texts)
    left = [text for text in every.texts if text not in measured][:FITTING_TEXTS]
    if len(left) < FEWEST_FITTING_TEXTS:
        raise PlanError(
            f"{every.name} leaves {len(left)} texts besides the {len(measured)} that are measured on; fitting a map needs "
            f"{FEWEST_FITTING_TEXTS}. Lower the number of general texts, or name a larger set."
        )
    return tuple(left)


def carries(
    plan: Mapped,
    teacher: LoadedModel,
    student: LoadedModel,
    shared: VocabularyMatch,
    pairs: tuple[LayerPair, ...],
    texts: tuple[str, ...],
) -> dict[int, Carry]:
    """From teacher to student states by student layer: the plan's map, with the teacher's norm before it where the plan sets it."""
    if plan.map in FITTED:
        return fitted(plan, teacher, student, pairs, texts)
    if plan.map == "logit-preserving":
        one = logit_preserving_map(head_of(teacher), head_of(student), shared.teacher_ids, shared.student_ids)
    else:
        one = alignment_map(plan.map, teacher, student, shared, plan.seed, folded=plan.basis == "gain-folded")
    carry: Carry = one
    if plan.basis == "normed":
        norm = final_norm(teacher)
        carry = lambda state: one(norm(state))  # noqa: E731
    return {pair.student: carry for pair in pairs}


def fitted(
    plan: Mapped,
    teacher: LoadedModel,
    student: LoadedModel,
    pairs: tuple[LayerPair, ...],
    texts: tuple[str, ...],
) -> dict[int, Carry]:
    """A map per pair, fitted on both models' states at every token of general text; tokens are paired by characters."""
    sites = [(Site(plan.part, pair.teacher), Site(plan.part, pair.student)) for pair in pairs]
    read = list(paired_states(teacher, student, texts, sites))
    x, y = torch.cat([a for a, _ in read], dim=1), torch.cat([b for _, b in read], dim=1)

    def fit(a: Tensor, b: Tensor) -> AlignmentMap:
        return ridge_map(a, b, RIDGE) if plan.map == "ridge" else procrustes_map(a, b)

    return {pair.student: fit(a, b) for pair, a, b in zip(pairs, x, y, strict=True)}
