"""The sums that one mini-batch adds to a grid: unbiased HSICs of all layer pairs, permuted and reweighted ones included.

Unbiased HSIC is the inner product of two U-centred Grams, so all pairs of layers are one matrix product. The Grams are
symmetric with a zero diagonal: their upper triangles are enough, and a permuted or reweighted Gram is an index or a
factor on the triangle, never a new Gram.

Not covered: how blocks add up (grid.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pkt_core.similarity.cka import gram, u_centred

ELEMENTS_AT_A_TIME = 2**25  # of permuted or reweighted triangles, float32: 128 MiB


@dataclass
class BlockSums:
    """Unbiased HSICs of one block, or their mean over blocks: float64 as they are, float32 where redrawn."""

    cross: Float[Tensor, "L_T L_S"]
    of_teacher: Float[Tensor, L_T]
    of_student: Float[Tensor, L_S]
    null: Float[Tensor, "P L_T L_S"]
    """Cross terms with the samples of the smaller stack permuted."""
    drawn_cross: Float[Tensor, "D L_T L_S"]
    """Bootstrap draws of the three above."""
    drawn_teacher: Float[Tensor, "D L_T"]
    drawn_student: Float[Tensor, "D L_S"]

    def add(self, other: BlockSums, weight: float) -> None:
        """Self + weight x other, in place."""
        for name, mine in vars(self).items():
            mine += weight * getattr(other, name)


def block_sums(
    teacher: Float[Tensor, "L_T n d_T"],
    student: Float[Tensor, "L_S n d_S"],
    orders: Int[Tensor, "P n"],
    weights: Float[Tensor, "D n"],
) -> BlockSums:
    """All HSICs of one block of samples; orders permute them, weights say how often each was drawn."""
    n = teacher.shape[1]
    scale = 2 / (n * (n - 3))
    rows, columns = torch.triu_indices(n, n, 1)
    # float64: a Gram of activations with outlier dimensions loses its small entries in float32.
    k, other = (u_centred(gram(side.double())).flatten(1) for side in (teacher, student))
    k_upper, other_upper = (side[:, rows * n + columns] for side in (k, other))
    cross = k_upper @ other_upper.T * scale
    of_teacher, of_student = (side.square().sum(1) * scale for side in (k_upper, other_upper))
    few_are_teachers = len(k) <= len(other)  # the smaller stack is the one that is permuted and reweighted
    few, few_upper = (k.float(), k_upper.float()) if few_are_teachers else (other.float(), other_upper.float())
    many_upper = (other_upper if few_are_teachers else k_upper).float()

    def permuted(part: Tensor) -> Tensor:
        return few[:, part[:, rows] * n + part[:, columns]]

    def reweighted(part: Tensor) -> Tensor:
        return few_upper[:, None] * (part[:, rows] * part[:, columns])

    def products(redraw: Callable[[Tensor], Tensor], draws: Tensor) -> Tensor:
        found = [torch.zeros(0, len(few), len(many_upper))]
        for part in draws.split(max(1, ELEMENTS_AT_A_TIME // few_upper.numel())):
            redrawn = redraw(part)  # [few, draws, n (n - 1) / 2]
            product = redrawn.flatten(0, 1) @ many_upper.T
            found.append(product.unflatten(0, (len(few), len(part))).transpose(0, 1))
        every = torch.cat(found) * scale
        return every if few_are_teachers else every.transpose(1, 2)

    drawn = weights[:, rows] * weights[:, columns]
    return BlockSums(
        cross=cross,
        of_teacher=of_teacher,
        of_student=of_student,
        null=products(permuted, orders),
        drawn_cross=products(reweighted, weights),
        drawn_teacher=drawn @ k_upper.float().square().T * scale,
        drawn_student=drawn @ other_upper.float().square().T * scale,
    )
