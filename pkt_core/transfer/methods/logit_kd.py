"""Logit distillation: the student towards the teacher's next-token distribution, without labels."""

from __future__ import annotations

from typing import Literal

from pkt_core.transfer.method import Batch, Method, Paper, Terms
from pkt_core.transfer.settings import Adapted, Distributed, RowWise, Scoped

DISTILLATION = Paper(
    "distillation2015",
    """@misc{distillation2015,
  title = {Distilling the Knowledge in a Neural Network},
  author = {Hinton, Geoffrey and Vinyals, Oriol and Dean, Jeff},
  year = {2015}, eprint = {1503.02531}, archivePrefix = {arXiv}
}""",
)


class LogitKDPlan(Adapted, Scoped, Distributed, RowWise):
    """Settings of logit distillation."""

    method: Literal["logit-kd", "ours"] = "logit-kd"
    divergence: Literal["kl", "reverse-kl", "jsd", "uld"] = "kl"
    """Divergence of logit-kd, from teacher to student; `uld` compares sorted probabilities and needs no shared token."""

    @property
    def by_rank(self) -> bool:
        return self.divergence == "uld"


def terms(batch: Batch, plan: LogitKDPlan) -> Terms:
    """The chosen divergence from the teacher's next-token distribution; the labels play no part."""
    return {plan.divergence: batch.divergence(plan.divergence, plan.temperature)}


METHOD = Method(
    plan=LogitKDPlan,
    order=50,
    title="Logit distillation",
    sentence="Logit distillation: the teacher's next-token distribution, no labels",
    group="Rival",
    pull="the teacher's distribution: KL, reverse KL, Jensen-Shannon, temperature",
    source="",
    how="by distillation of the next-token distribution \\cite{distillation2015}",
    papers=(DISTILLATION,),
    terms=terms,
    logits=True,
    layers=False,
)
