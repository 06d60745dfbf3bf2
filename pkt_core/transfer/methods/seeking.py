"""Seeking: LoRA of the student that starts from the teacher's most sensitive parameters, then fine-tuning with labels.

Zhong et al., ICLR 2024 (arXiv 2310.11451), in the form of their code; what is theirs and what is ours, and the maths, are
in `transfer/maths/sensitive_blocks.py`.
"""

from __future__ import annotations

from typing import Literal

from pkt_core.transfer.method import Batch, Extract, Extraction, LoadedModel, Method, Pairs, Paper, Terms, Trainable
from pkt_core.transfer.settings import Ranked, Scoped, WithTeacher


class SeekingPlan(Ranked, Scoped, WithTeacher):
    """Settings of Seeking."""

    method: Literal["seeking"] = "seeking"
    scope: Literal["layer", "all"] = "all"


def extract(extraction: Extraction, plan: SeekingPlan) -> Extract:
    """`B.K.NAME` and `A.K.NAME` for each matrix of student layer K: the adapter's first values."""
    from pkt_core.transfer.maths.sensitive_blocks import seek

    return seek(extraction, every_layer=plan.every_block, rank=plan.lora_rank)


def install(student: LoadedModel, plan: SeekingPlan, _pairs: Pairs, extract: Extract) -> Trainable:
    """LoRA that starts at what was extracted."""
    from pkt_core.transfer.maths.sensitive_blocks import plant

    return plant(student, extract, plan.lora_rank)


def terms(batch: Batch, _plan: SeekingPlan) -> Terms:
    """Cross-entropy with the labels."""
    from pkt_core.transfer.objectives import label_cross_entropy

    return {"cross_entropy": label_cross_entropy(batch.logits, batch.labels)}


def changed(plan: SeekingPlan, blocks: str, n: int) -> str:
    return f"{blocks}, through LoRA of rank {plan.lora_rank} that was merged, {n:,} parameters"


METHOD = Method(
    plan=SeekingPlan,
    order=70,
    title="Seeking",
    sentence="Seeking: LoRA that starts from the teacher's most sensitive parameters, then fine-tuning with labels",
    group="Rival",
    pull="labels, from LoRA that starts at the teacher's most sensitive blocks",
    source="arXiv 2310.11451, the form of its code",
    how="by Seeking in the form of its authors' code \\cite{seeking2024}",
    papers=(
        Paper(
            "seeking2024",
            """@inproceedings{seeking2024,
  title = {Seeking Neural Nuggets: Knowledge Transfer in Large Language Models from a Parametric Perspective},
  author = {Zhong, Ming and An, Chenxin and Chen, Weizhu and Han, Jiawei and He, Pengcheng},
  booktitle = {International Conference on Learning Representations}, year = {2024}, note = {arXiv:2310.11451}
}""",
        ),
    ),
    terms=terms,
    labels=True,
    extract=extract,
    install=install,
    changed=changed,
)
