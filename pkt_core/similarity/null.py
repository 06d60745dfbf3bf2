"""What the statistic on screen would be if the two models' samples had nothing to do with each other.

The samples of one side are permuted, all its layers together, and the same statistic is taken again. Several samples of
one prompt move together, because they are not independent. The maximum over the grid is compared with maxima, so that
picking the best cell is paid for (family-wise error; the max-T procedure of Westfall and Young 1993).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

ELEMENTS_AT_A_TIME = 2**25  # of permuted Grams, float32: 128 MiB


def permutations(n: int, group_size: int, draws: int, generator: torch.Generator) -> Tensor:
    """`[draws, n]` indexes that permute whole groups of consecutive samples."""
    groups = torch.rand(draws, n // group_size, generator=generator).argsort(-1)
    return (groups[:, :, None] * group_size + torch.arange(group_size)).reshape(draws, n)


def permuted_products(
    fixed: Float[Tensor, "L1 n n"], moved: Float[Tensor, "L2 n n"], orders: Tensor
) -> Float[Tensor, "P L1 L2"]:
    """Inner products of all fixed Grams with all moved Grams, rows and columns of the latter reordered. float32."""
    n = orders.shape[1]
    fixed_rows = fixed.float().flatten(1)
    moved = moved.float()
    at_a_time = max(1, ELEMENTS_AT_A_TIME // (len(moved) * n * n))
    found = []
    for chunk in orders.split(at_a_time):
        flat = (chunk[:, :, None] * n + chunk[:, None, :]).flatten(1)
        reordered = moved.flatten(1)[:, flat]  # [L2, draws, n * n]
        found.append((fixed_rows @ reordered.flatten(0, 1).T).reshape(len(fixed), len(moved), len(chunk)))
    return torch.cat(found, dim=2).permute(2, 0, 1)


def family_wise_p(values: Float[Tensor, "L1 L2"], null_max: Float[Tensor, P]) -> Float[Tensor, "L1 L2"]:
    """Per cell, how often chance alone makes the largest of all cells as large: (1 + #) / (P + 1), never 0."""
    beaten = (null_max[:, None, None] >= values).sum(0)
    return ((1 + beaten) / (len(null_max) + 1)).to(values.dtype)
