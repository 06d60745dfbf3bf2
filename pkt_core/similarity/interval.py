"""How far a similarity would move with other prompts: bootstrap weights for unbiased HSIC, jackknife groups for the rest.

Drawing prompts with replacement puts copies into a Gram matrix, and a copy is its own neighbour: a plain bootstrap of CKA
is pushed upward. As the diagonal of a U-centred Gram is zero, weighting its entries by how often both prompts were drawn
leaves copies out (the weighted bootstrap of a U-statistic). Measures without such a form take a delete-one-group
jackknife with normal intervals.

Not covered: the null (null.py).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

Z = 1.959964
JACKKNIFE_GROUPS = 10


def bootstrap_weights(n: int, group_size: int, draws: int, generator: torch.Generator) -> Float[Tensor, "D n"]:
    """How often each sample is drawn when whole groups of consecutive samples are drawn with replacement."""
    groups = n // group_size
    drawn = torch.randint(groups, (draws, groups), generator=generator)
    counts = torch.zeros(draws, groups).scatter_add(1, drawn, torch.ones(draws, groups))
    return counts.repeat_interleave(group_size, dim=1)


def percentile_interval(draws: Float[Tensor, "D L_T L_S"]) -> tuple[Tensor, Tensor]:
    """The middle 95 % of bootstrap values; NaN where there are none."""
    if not len(draws):
        return torch.full(draws.shape[1:], torch.nan), torch.full(draws.shape[1:], torch.nan)
    low, high = draws.nanquantile(torch.tensor([0.025, 0.975], dtype=draws.dtype), dim=0)
    return low, high


def jackknife_groups(n: int, group_size: int) -> list[Tensor]:
    """For each of ten groups of prompts, the indexes of all other samples."""
    index = torch.arange(n)
    part = (index // group_size) * JACKKNIFE_GROUPS // max(1, n // group_size)
    return [index[part != g] for g in range(JACKKNIFE_GROUPS)]


def jackknife_interval(
    values: Float[Tensor, "L_T L_S"], left_out: Float[Tensor, "G L_T L_S"]
) -> tuple[Float[Tensor, "L_T L_S"], Float[Tensor, "L_T L_S"]]:
    """value -+ 1.96 standard errors, (G - 1) / G times the spread of the values without each group (Efron 1982)."""
    groups = len(left_out)
    spread = (left_out - left_out.mean(0)).square().sum(0) * (groups - 1) / groups
    margin = Z * spread.sqrt()
    return values - margin, values + margin
