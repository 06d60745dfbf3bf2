"""SemAlign: student layers towards the mapped teacher, in the form of the first paper and in two later ones rebuilt.

`semalign-v1` is arXiv 2510.24208v1, section 4: both terms are one minus a mean cosine, summed without weights, gradients
through the whole network, parameters of the paired layers only. Our choices where it is silent are in `plan.py`.

`semalign-v2r` (arXiv v2) and `semalign-aclr` (ACL Findings 2026) are RECONSTRUCTIONS: only the abstracts could be read. Known
from those: one source layer per target layer, shallow to deep, only the frontier layer trains, output KL to the source; v2
matches the token geometry of residual contributions, ACL a Fisher-weighted quadratic on aligned logits. Every equation
beyond that, and every weight, is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pkt_core.transfer.methods.method import Batch, Method
from pkt_core.transfer.objectives import (
    fisher_quadratic,
    layer_cosine,
    output_cosine,
    token_geometry,
)


def semalign_v1_terms(batch: Batch) -> dict[str, Tensor]:
    """`layer` (mean over the pairs) and `output`, weighted as the plan says (1 and 1 in the paper)."""
    plan = batch.plan
    layers = [layer_cosine(read(batch, pair.student), batch.target(pair)) for pair in batch.pairs]
    return {
        "layer": plan.layer_weight * torch.stack(layers).mean(),
        "output": plan.output_weight * output_cosine(batch.logits, batch.labels),
    }


def semalign_v2r_terms(batch: Batch) -> dict[str, Tensor]:
    """`geometry` of the frontier layer's residual contribution within each text, and `kl` at the output."""
    layers = [token_geometry(batch.states[p.student], batch.target(p), batch.sequence) for p in batch.pairs]
    return {"geometry": batch.plan.layer_weight * torch.stack(layers).mean(), "kl": output_kl(batch)}


def semalign_aclr_terms(batch: Batch) -> dict[str, Tensor]:
    """`fisher` on logits that the student's own norm and head read from its state and from the mapped one, and `kl`."""
    layers = []
    for pair in batch.pairs:
        own = batch.student.layout.logits(batch.states[pair.student])
        with torch.no_grad():
            wanted = batch.student.layout.logits(batch.target(pair))
        layers.append(fisher_quadratic(own.float(), wanted.float()))
    return {"fisher": batch.plan.layer_weight * torch.stack(layers).mean(), "kl": output_kl(batch)}


def output_kl(batch: Batch) -> Tensor:
    """KL to the teacher's next-token distribution, times the plan's output weight."""
    if batch.plan.output_weight == 0:
        return batch.logits.new_zeros(())
    return batch.plan.output_weight * batch.divergence("kl")


def read(batch: Batch, layer: int) -> Tensor:
    """The student's state as the chosen bases meet it."""
    state, norm = batch.states[layer], batch.student.layout.final_norm
    return norm(state) if batch.plan.basis == "normed" and norm is not None else state


SEMALIGN_V1 = Method(semalign_v1_terms, states=True)
SEMALIGN_V2R = Method(semalign_v2r_terms, states=True, logits=True)
SEMALIGN_ACLR = Method(semalign_aclr_terms, states=True, logits=True)
