"""Plain fine-tuning with labels: the rival without a teacher."""

from __future__ import annotations

from typing import Literal

from pkt_core.transfer.method import Batch, Method, Terms
from pkt_core.transfer.settings import Adapted, Scoped


class SFTPlan(Adapted, Scoped):
    """Settings of plain fine-tuning."""

    method: Literal["sft"] = "sft"


def terms(batch: Batch, _plan: SFTPlan) -> Terms:
    """Cross-entropy with the labels; the teacher plays no part."""
    from pkt_core.transfer.objectives import label_cross_entropy

    return {"cross_entropy": label_cross_entropy(batch.logits, batch.labels)}


METHOD = Method(
    plan=SFTPlan,
    order=40,
    title="Fine-tuning",
    sentence="Plain fine-tuning with labels, no teacher",
    group="Rival",
    pull="labels alone",
    source="",
    how="by plain fine-tuning, without a teacher",
    papers=(),
    terms=terms,
    labels=True,
    layers=False,
)
