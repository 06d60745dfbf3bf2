"""How much a similarity varies over prompts: bootstrap weights for unbiased HSIC, jackknife groups for the rest.

Drawing prompts with replacement puts copies into a Gram matrix, and a copy is its own neighbour: a plain bootstrap of CKA
is pushed upward. As the diagonal of a U-centred Gram is zero, weighting its entries by how often both prompts were drawn
leaves copies out (the weighted bootstrap of a U-statistic). Measures without such a form take a delete-one-group jackknife,
whose few groups require Student's t: a normal interval of ten groups covers 92 to 93 % instead of 95.

Two grids of the same prompts, before a run and after it, leave out the same groups in turn, so what they share cancels in the
difference. The permutation null does not apply there: both are far from chance, and the question is whether they differ.

Not covered: the null (null.py).
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import t as student_t
from torch import Tensor

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
    """The 95 % interval around each value by Student's t with G - 1 degrees of freedom."""
    margin = t_margin(len(left_out)) * jackknife_error(left_out)
    return values - margin, values + margin


def jackknife_error(left_out: Float[Tensor, "G L_T L_S"]) -> Float[Tensor, "L_T L_S"]:
    """Standard error: its square is (G - 1) / G times the spread of the values without each group (Efron 1982)."""
    groups = len(left_out)
    return ((left_out - left_out.mean(0)).square().sum(0) * (groups - 1) / groups).sqrt()


def t_margin(groups: int) -> float:
    """How many standard errors a 95 % interval reaches to each side."""
    return float(student_t.ppf(0.975, groups - 1))


def paired_difference(
    before: Float[Tensor, "L_T L_S"],
    after: Float[Tensor, "L_T L_S"],
    before_left_out: Float[Tensor, "G L_T L_S"],
    after_left_out: Float[Tensor, "G L_T L_S"],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Difference, its 95 % interval, and p corrected over the grid by Holm's step-down procedure; NaN stays NaN.

    The ratio of a difference to its jackknife error is taken as Student's t with G - 1 degrees of freedom.
    """
    from statsmodels.stats.multitest import multipletests  # here: it brings pandas along, and a grid needs neither

    difference, left_out = after - before, after_left_out - before_left_out
    groups = len(left_out)
    error = jackknife_error(left_out)
    margin = t_margin(groups) * error
    ratios = torch.where(difference == 0, 0.0, difference.abs() / error).numpy()  # a cell that cannot move did not move
    p = 2 * student_t.sf(ratios, groups - 1)
    known = np.isfinite(p)
    corrected = np.full(p.shape, np.nan)
    if known.any():
        corrected[known] = multipletests(p[known], method="holm")[1]
    return difference, difference - margin, difference + margin, torch.from_numpy(corrected)
