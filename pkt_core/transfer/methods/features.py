"""Feature distillation: the student's states towards the teacher's raw ones, label-free.

Through a learned projector (`mse`, `cosine`; DistillKit's form: bias-free, from student to teacher, one per pair, orthogonal
at the start so that both losses begin with the student's geometry), or without one by comparing geometries of the batch
(`procrustes`, `cka`): these two say nothing of a single position and need batches of many rows. A zero loss of the projector
or of CKA does not mean equal features (arXiv 2509.25253).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pkt_core.alignment.pairing import LayerPair
from pkt_core.transfer.methods.method import Batch, Method
from pkt_core.transfer.methods.semalign import output_kl
from pkt_core.transfer.objectives import cka_loss, layer_cosine, procrustes_loss, standardised_mse
from pkt_core.transfer.plan import TransferPlan


def projectors(plan: TransferPlan, pairs: tuple[LayerPair, ...], d_teacher: int, d_student: int) -> nn.Module | None:
    """One bias-free projector per pair, from the student's width to the teacher's; None for losses of geometry."""
    if plan.feature_loss in ("procrustes", "cka"):
        return None
    made = nn.ModuleDict()
    generator = torch.Generator().manual_seed(plan.seed)
    for pair in pairs:
        projector = nn.Linear(d_student, d_teacher, bias=False)
        nn.init.orthogonal_(projector.weight, generator=generator)
        made[str(pair.student)] = projector
    return made


def feature_kd_terms(batch: Batch) -> dict[str, Tensor]:
    """`feature`, mean over the pairs, and `kl` at the output."""
    loss = {"mse": standardised_mse, "cosine": layer_cosine, "procrustes": procrustes_loss, "cka": cka_loss}
    layers = []
    for pair in batch.pairs:
        state = batch.states[pair.student]
        if batch.foreign is not None:
            state = batch.foreign.get_submodule(str(pair.student))(state)
        layers.append(loss[batch.plan.feature_loss](state, batch.target(pair)))
    return {"feature": batch.plan.layer_weight * torch.stack(layers).mean(), "kl": output_kl(batch)}


FEATURE_KD = Method(feature_kd_terms, states=True, logits=True, foreign=projectors)
