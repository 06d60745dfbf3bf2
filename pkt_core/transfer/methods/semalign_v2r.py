"""SemAlign v2, a RECONSTRUCTION: only the abstract of arXiv 2510.24208v2 could be read.

Known from it: one source layer per target layer, shallow to deep, only the frontier layer trains, output KL to the source,
the token geometry of residual contributions is matched. Every equation beyond that, and every weight, is ours.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pkt_core.transfer.method import Batch, Method, Paper, Terms
from pkt_core.transfer.plan import Positions
from pkt_core.transfer.settings import Adapted, Distributed, LayerByLayer, Mapped, Weighted


class SemAlignV2Plan(Adapted, LayerByLayer, Distributed, Weighted, Mapped):
    """Settings of the reconstructed SemAlign v2."""

    method: Literal["semalign-v2r"] = "semalign-v2r"
    n_pairs: int = Field(0, ge=0)
    positions: Positions = "all"


def terms(batch: Batch, plan: SemAlignV2Plan) -> Terms:
    """`geometry` of the frontier layer's residual contribution within each text, and `kl` at the output."""
    import torch

    from pkt_core.transfer.objectives import token_geometry

    layers = [token_geometry(batch.states[p.student], batch.target(p), batch.sequence) for p in batch.pairs]
    return {
        "geometry": plan.layer_weight * torch.stack(layers).mean(),
        "kl": batch.output_kl(plan.output_weight, plan.temperature),
    }


METHOD = Method(
    plan=SemAlignV2Plan,
    order=20,
    title="SemAlign v2",
    sentence="SemAlign v2, reconstructed from its abstract: token geometry of residual contributions, shallow to deep, output KL",
    group="SemAlign",
    pull="token geometry of residual contributions, shallow to deep, output KL",
    source="**reconstruction**: only the abstract of arXiv v2 was available",
    how="by a reconstruction of SemAlign's version 2, made from its abstract \\cite{semalign2026}",
    papers=(
        Paper(
            "semalign2026",
            """@misc{semalign2026,
  title = {Beyond Neural Incompatibility: Cross-Scale Knowledge Transfer in Language Models through Latent Semantic Alignment},
  author = {Gu, Jian and Aleti, Aldeida and Chen, Chunyang and Zhang, Hongyu},
  year = {2026}, eprint = {2510.24208v2}, archivePrefix = {arXiv}
}""",
        ),
    ),
    terms=terms,
    states=True,
    logits=True,
    reconstructed=True,
)
