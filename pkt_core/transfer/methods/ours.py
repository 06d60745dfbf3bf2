"""Ours, self-anchored distillation: logit distillation into the MLPs, with the student anchored to its own predictions.

What sets it apart from `logit_kd.py` is where it trains and what holds it (`transfer/anchor.py`): its defaults.
"""

from __future__ import annotations

from typing import Literal

from pkt_core.transfer.method import Method
from pkt_core.transfer.methods.logit_kd import DISTILLATION, LogitKDPlan, terms


class OursPlan(LogitKDPlan):
    """Settings of self-anchored distillation."""

    method: Literal["ours"] = "ours"
    scope: Literal["layer", "all"] = "all"
    modules: Literal["all", "mlp"] = "mlp"
    anchor: Literal["none", "output", "states"] = "output"
    decay: Literal["none", "cosine"] = "cosine"


METHOD = Method(
    plan=OursPlan,
    order=100,
    title="Self-anchored distillation",
    sentence="Ours, self-anchored distillation: the teacher's next-token distribution into the MLPs, while an anchor holds the student to its own predictions on text it generated, no labels",
    group="Ours",
    pull="the teacher's distribution into the MLPs, anchored to the student's own predictions on text it generated",
    source="[log of the search](demo/LOG.md)",
    how="by distillation of the next-token distribution \\cite{distillation2015} into the MLPs, with the student anchored to its own predictions on text it generated",
    papers=(DISTILLATION,),
    terms=terms,
    logits=True,
    layers=False,
)
