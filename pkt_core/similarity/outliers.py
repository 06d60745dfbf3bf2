"""Dimensions and positions that dominate a similarity, and rules to treat them.

One shared dimension thirty times as large as the others brings debiased CKA of otherwise unrelated data to 0.996.
Language models have such dimensions, and massive activations at the first token. So they are measured and shown, and a
rule is part of the recipe of every number. A rule is fitted on the first samples seen and then applied to all.

Not covered: skipping position 0, which pooling does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pkt_core.errors import MeasureError
from pkt_core.similarity.scale import layer_exponents, over_two_to

Rule = Literal["none", "clamp", "drop_top", "standardise"]
RULES: tuple[str, ...] = get_args(Rule)
CLAMP_AT = 0.95
DROPPED = 3
ENTRIES = 2**22  # of which the clamp's quantile is taken; more do not change it


@dataclass(frozen=True)
class Treatment:
    """A rule with what it learnt from the first samples of each layer."""

    rule: Rule
    limit: Float[Tensor, "L 1 1"] | None = None
    """Largest absolute value kept (clamp)."""
    factor: Float[Tensor, "L 1 d"] | None = None
    """What each dimension is multiplied by (drop_top: 0 or 1; standardise: one over its deviation)."""
    exponents: Int[Tensor, " L"] | None = None
    """Of two, by which layers are divided before that: the deviations of very large or small ones cannot be held otherwise."""

    def __call__(self, states: Float[Tensor, "L n d"]) -> Float[Tensor, "L n d"]:
        """The same samples, treated."""
        if self.limit is not None:
            return states.clamp(-self.limit, self.limit)
        if self.factor is None:
            return states
        return (states if self.exponents is None else over_two_to(self.exponents, states)) * self.factor


def learn(rule: Rule, states: Float[Tensor, "L n d"]) -> Treatment:
    """Fit a rule on samples of every layer.

    `clamp` cuts |x| at the 0.95 quantile of a layer's entries; `drop_top` removes its three dimensions of largest
    variance; `standardise` brings every dimension to unit variance. Raises MeasureError for an unknown rule, or where a
    layer has no more dimensions than would be dropped.
    """
    if rule not in RULES:
        raise MeasureError(f"There is no outlier rule {rule!r}; expected one of {', '.join(RULES)}.")
    if rule == "none":
        return Treatment(rule)
    if rule == "clamp":
        every = max(1, states[0].numel() // ENTRIES)
        entries = states.flatten(1)[:, ::every].abs().sort(1).values
        return Treatment(rule, limit=entries[:, int(CLAMP_AT * (entries.shape[1] - 1))][:, None, None])
    exponents = layer_exponents(states)
    deviation = over_two_to(exponents, states).std(1, keepdim=True)
    if rule == "standardise":
        factor = torch.where(deviation > 0, 1 / deviation, torch.zeros_like(deviation))
        return Treatment(rule, factor=factor, exponents=exponents)
    if states.shape[2] <= DROPPED:
        raise MeasureError(
            f"Got activations of width {states.shape[2]}; drop_top removes {DROPPED} dimensions. Choose another outlier rule."
        )
    factor = torch.ones_like(deviation)
    return Treatment(rule, factor=factor.scatter(2, deviation.topk(DROPPED, dim=2).indices, 0.0))


def top_share(states: Float[Tensor, "L n d"], k: int = 1) -> Float[Tensor, L]:
    """Per layer, share of the variance that its k dimensions of largest variance hold, 0..1; k/d where none stands out."""
    variance = states.double().var(1)
    return (variance.topk(min(k, variance.shape[1]), dim=1).values.sum(1) / variance.sum(1).clamp_min(1e-300)).float()


def first_ratio(norms: Float[Tensor, "L token"]) -> Float[Tensor, L]:
    """Per layer, the norm at position 0 over the median norm of the other positions of one prompt; about 1 is ordinary."""
    return norms[:, 0] / norms[:, 1:].median(1).values.clamp_min(1e-30)
