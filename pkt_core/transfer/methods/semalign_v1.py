"""SemAlign v1: student layers towards the mapped teacher, and the label by cosine.

arXiv 2510.24208v1, section 4: both terms are one minus a mean cosine, summed without weights, gradients through the whole
network, parameters of the paired layers only. Our choices where it is silent are in `transfer/plan.py`.
"""

from __future__ import annotations

from typing import Literal

from pkt_core.transfer.method import Batch, Method, Paper, Tensor, Terms
from pkt_core.transfer.settings import Adapted, Mapped, Scoped, Weighted


class SemAlignV1Plan(Adapted, Scoped, Weighted, Mapped):
    """Settings of SemAlign v1."""

    method: Literal["semalign-v1"] = "semalign-v1"


def terms(batch: Batch, plan: SemAlignV1Plan) -> Terms:
    """`layer` (mean over the pairs) and `output`, with the weights of the plan (1 and 1 in the paper)."""
    import torch

    from pkt_core.transfer.objectives import layer_cosine, output_cosine

    layers = [layer_cosine(read(batch, plan, pair.student), batch.target(pair)) for pair in batch.pairs]
    return {
        "layer": plan.layer_weight * torch.stack(layers).mean(),
        "output": plan.output_weight * output_cosine(batch.logits, batch.labels),
    }


def read(batch: Batch, plan: SemAlignV1Plan, layer: int) -> Tensor:
    """The student's state as the chosen bases meet it."""
    state, norm = batch.states[layer], batch.student.layout.final_norm
    return norm(state) if plan.basis == "normed" and norm is not None else state


METHOD = Method(
    plan=SemAlignV1Plan,
    order=10,
    title="SemAlign v1",
    sentence="SemAlign v1: pull student layers towards the teacher's, through the semantic map, with labels",
    group="SemAlign",
    pull="the mapped teacher state at one or more paired layers, and the label by cosine",
    source="arXiv 2510.24208v1, section 4",
    how="by SemAlign as its version 1 describes it \\cite{semalign2025}",
    papers=(
        Paper(
            "semalign2025",
            """@misc{semalign2025,
  title = {Beyond Neural Incompatibility: Easing Cross-Scale Knowledge Transfer in Large Language Models through Latent Semantic Alignment},
  author = {Gu, Jian and Aleti, Aldeida and Chen, Chunyang and Zhang, Hongyu},
  year = {2025}, eprint = {2510.24208v1}, archivePrefix = {arXiv}
}""",
        ),
    ),
    terms=terms,
    labels=True,
    states=True,
)
