"""The rivals under the same plan: plain fine-tuning with labels, and logit distillation without them."""

from __future__ import annotations

from torch import Tensor

from pkt_core.transfer.methods.method import Batch, Method
from pkt_core.transfer.objectives import label_cross_entropy


def sft_terms(batch: Batch) -> dict[str, Tensor]:
    """Cross-entropy with the labels; the teacher plays no part."""
    return {"cross_entropy": label_cross_entropy(batch.logits, batch.labels)}


def logit_kd_terms(batch: Batch) -> dict[str, Tensor]:
    """The chosen divergence from the teacher's next-token distribution; the labels play no part."""
    return {batch.plan.divergence: batch.divergence(batch.plan.divergence)}


SFT = Method(sft_terms)
LOGIT_KD = Method(logit_kd_terms, logits=True)
