"""Feature distillation: the student's states towards the teacher's raw ones, label-free.

Through a learned projector (`mse`, `cosine`; DistillKit's form: bias-free, from student to teacher, one per pair, orthogonal
at the start so that both losses begin with the student's geometry), or without one by comparing geometries of the batch
(`procrustes`, `cka`): these two are undefined at a single position and need batches of many rows. A zero loss of the projector
or of CKA does not mean equal features (arXiv 2509.25253).
"""

from __future__ import annotations

from typing import Literal

from pkt_core.transfer.method import Batch, Method, Pairs, Terms, nn
from pkt_core.transfer.methods.logit_kd import DISTILLATION
from pkt_core.transfer.plan import Part
from pkt_core.transfer.settings import Adapted, Distributed, Paired, Scoped, Weighted


class FeatureKDPlan(Adapted, Scoped, Distributed, Weighted, Paired):
    """Settings of feature distillation."""

    method: Literal["feature-kd"] = "feature-kd"
    part: Part = "block_out"
    feature_loss: Literal["mse", "cosine", "procrustes", "cka"] = "cosine"
    """Loss of feature-kd; the first two use a learned projector, the last two compare geometries."""


def projectors(plan: FeatureKDPlan, pairs: Pairs, d_teacher: int, d_student: int) -> nn.Module | None:
    """One bias-free projector per pair, from the student's width to the teacher's; None for losses of geometry."""
    import torch

    if plan.feature_loss in ("procrustes", "cka"):
        return None
    made = torch.nn.ModuleDict()
    generator = torch.Generator().manual_seed(plan.seed)
    for pair in pairs:
        projector = torch.nn.Linear(d_student, d_teacher, bias=False)
        torch.nn.init.orthogonal_(projector.weight, generator=generator)
        made[str(pair.student)] = projector
    return made


def terms(batch: Batch, plan: FeatureKDPlan) -> Terms:
    """`feature`, mean over the pairs, and `kl` at the output."""
    import torch

    from pkt_core.transfer.objectives import cka_loss, layer_cosine, procrustes_loss, standardised_mse

    loss = {"mse": standardised_mse, "cosine": layer_cosine, "procrustes": procrustes_loss, "cka": cka_loss}
    layers = []
    for pair in batch.pairs:
        state = batch.states[pair.student]
        if batch.foreign is not None:
            state = batch.foreign.get_submodule(str(pair.student))(state)
        layers.append(loss[plan.feature_loss](state, batch.target(pair)))
    return {
        "feature": plan.layer_weight * torch.stack(layers).mean(),
        "kl": batch.output_kl(plan.output_weight, plan.temperature),
    }


METHOD = Method(
    plan=FeatureKDPlan,
    order=60,
    title="Feature distillation",
    sentence="Feature distillation: student states towards the teacher's through a learned projector or a geometry loss, no labels",
    group="Rival",
    pull="teacher states through a learned projector (mse, cosine), or their geometry (Procrustes, CKA); output KL",
    source="the form of DistillKit",
    how="by distillation of hidden states and of the next-token distribution \\cite{distillation2015}",
    papers=(DISTILLATION,),
    terms=terms,
    states=True,
    logits=True,
    loss_only=("feature_loss",),
    foreign=projectors,
)
