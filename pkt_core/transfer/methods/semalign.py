"""SemAlign v1 (arXiv 2510.24208v1, section 4): the layer towards the mapped teacher, the output towards the label.

Faithful to the paper: both terms are one minus a mean cosine, summed without weights, gradients through the whole
network, parameters of the paired layer only. Our choices where it is silent are in `plan.py`.
"""

from __future__ import annotations

from torch import Tensor

from pkt_core.transfer.objectives import layer_cosine, output_cosine
from pkt_core.transfer.plan import TransferPlan


def semalign_v1_terms(
    plan: TransferPlan, logits: Tensor, state: Tensor, labels: Tensor, targets: dict[str, Tensor]
) -> dict[str, Tensor]:
    """`layer` and `output`, weighted as the plan says (1 and 1 in the paper)."""
    return {
        "layer": plan.layer_weight * layer_cosine(state, targets["states"]),
        "output": plan.output_weight * output_cosine(logits, labels),
    }
