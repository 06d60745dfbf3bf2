"""The rivals under the same plan: plain fine-tuning with labels, and logit distillation without them."""

from __future__ import annotations

from torch import Tensor

from pkt_core.transfer.objectives import distillation_kl, label_cross_entropy
from pkt_core.transfer.plan import TransferPlan


def sft_terms(
    _plan: TransferPlan, logits: Tensor, _state: Tensor, labels: Tensor, _targets: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Cross-entropy with the labels; the teacher plays no part."""
    return {"cross_entropy": label_cross_entropy(logits, labels)}


def logit_kd_terms(
    plan: TransferPlan, logits: Tensor, _state: Tensor, _labels: Tensor, targets: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Forward KL to the teacher's next-token distribution; the labels play no part."""
    return {"kl": distillation_kl(logits, targets["log_probs"], targets["ids"], plan.temperature)}
