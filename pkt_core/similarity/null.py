"""What the statistic on screen would be if the two models' samples had nothing to do with each other.

The samples of one side are permuted, all its layers together, and the same statistic is taken again. Several samples of
one prompt move together, because they are not independent. A cell chosen because it is the largest of a grid or of a row
is compared with the largest of the permuted grid or row, so that picking it is paid for (family-wise error; the max-T
procedure of Westfall and Young 1993).

Not covered: intervals (interval.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pkt_core.similarity.grid import QUANTILE


def permutations(n: int, group_size: int, draws: int, generator: torch.Generator) -> Tensor:
    """`[draws, n]` indexes that permute whole groups of consecutive samples."""
    groups = torch.rand(draws, n // group_size, generator=generator).argsort(-1)
    return (groups[:, :, None] * group_size + torch.arange(group_size)).reshape(draws, n)


@dataclass(frozen=True)
class Calibration:
    """A grid against its permutation null: by cell, by row, and by the whole grid."""

    null_max: Float[Tensor, P]
    """The closest cell of the whole grid in each permutation."""
    null_mean: Float[Tensor, "L_T L_S"]
    """Per cell, its mean over the permutations: its chance level on these very data, samples of one prompt held together."""
    noise_rows: Float[Tensor, L_T]
    """Per teacher layer, what the closest cell of its row reaches in 5 % of permutations."""
    noise_cells: Float[Tensor, "L_T L_S"]
    """Per cell, what it reaches itself in 5 % of permutations."""
    p_values: Float[Tensor, "L_T L_S"]
    """Of a cell chosen from the whole grid (family-wise)."""
    p_rows: Float[Tensor, "L_T L_S"]
    """Of a cell chosen from its teacher layer's row."""
    p_cells: Float[Tensor, "L_T L_S"]
    """Of a cell named before looking."""


def calibrate(
    values: Float[Tensor, "L_T L_S"], null: Float[Tensor, "P L_T L_S"], *, larger_is_closer: bool = True
) -> Calibration:
    """p = (1 + permutations at least as close) / (P + 1), in (0, 1], never 0; cells that are not computable count as far."""
    sign = 1.0 if larger_is_closer else -1.0
    mean = null.mean(0, dtype=values.dtype)
    null = (sign * null).nan_to_num(-torch.inf).to(values.dtype)
    closeness = (sign * values).nan_to_num(-torch.inf)
    rows, whole = null.amax(2), null.flatten(1).amax(1)

    def p(chance: Tensor) -> Tensor:
        return ((1 + (chance >= closeness).sum(0)) / (len(null) + 1)).to(values.dtype)

    def level(chance: Tensor) -> Tensor:
        if not len(chance):
            return torch.full(chance.shape[1:], torch.nan, dtype=values.dtype)
        return sign * chance.quantile(QUANTILE, dim=0)

    return Calibration(
        null_max=sign * whole,
        null_mean=mean,
        noise_rows=level(rows),
        noise_cells=level(null),
        p_values=p(whole[:, None, None]),
        p_rows=p(rows[:, :, None]),
        p_cells=p(null),
    )
