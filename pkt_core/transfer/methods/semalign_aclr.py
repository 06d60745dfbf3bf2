"""SemAlign ACL, a RECONSTRUCTION: only the abstract of ACL Findings 2026 could be read.

Known from it: one source layer per target layer, shallow to deep, only the frontier layer trains, output KL to the source,
a Fisher-weighted quadratic on aligned logits. Every equation beyond that, and every weight, is ours.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pkt_core.transfer.method import Batch, Method, Paper, Terms
from pkt_core.transfer.plan import Part
from pkt_core.transfer.settings import Adapted, Distributed, LayerByLayer, Mapped, Weighted


class SemAlignACLPlan(Adapted, LayerByLayer, Distributed, Weighted, Mapped):
    """Settings of the reconstructed SemAlign ACL."""

    method: Literal["semalign-aclr"] = "semalign-aclr"
    n_pairs: int = Field(0, ge=0)
    part: Part = "block_out"


def terms(batch: Batch, plan: SemAlignACLPlan) -> Terms:
    """`fisher` on logits that the student's own norm and head read from its state and from the mapped one, and `kl`."""
    import torch

    from pkt_core.transfer.objectives import fisher_quadratic

    layers = []
    for pair in batch.pairs:
        logits = batch.student.layout.logits(batch.states[pair.student])
        with torch.no_grad():
            mapped = batch.student.layout.logits(batch.target(pair))
        layers.append(fisher_quadratic(logits.float(), mapped.float()))
    return {
        "fisher": plan.layer_weight * torch.stack(layers).mean(),
        "kl": batch.output_kl(plan.output_weight, plan.temperature),
    }


METHOD = Method(
    plan=SemAlignACLPlan,
    order=30,
    title="SemAlign ACL",
    sentence="SemAlign ACL, reconstructed from its abstract: Fisher-weighted logits of mapped states, shallow to deep, output KL",
    group="SemAlign",
    pull="logits of the mapped state in the Fisher metric, shallow to deep, output KL",
    source="**reconstruction**: only the abstract of ACL Findings 2026 was available",
    how="by a reconstruction of SemAlign's ACL version, made from its abstract \\cite{semalignacl2026}",
    papers=(
        Paper(
            "semalignacl2026",
            """@inproceedings{semalignacl2026,
  title = {Beyond Neural Incompatibility: Cross-Scale Knowledge Transfer in Large Language Models through Latent Semantic Alignment},
  author = {Gu, Jian and Aleti, Aldeida and Chen, Chunyang and Zhang, Hongyu},
  booktitle = {Findings of the Association for Computational Linguistics: ACL 2026}, year = {2026}, pages = {21893--21905}
}""",
        ),
    ),
    terms=terms,
    states=True,
    logits=True,
    reconstructed=True,
)
