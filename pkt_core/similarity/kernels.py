"""Measures that are inner products of two symmetric `n x n` matrices, one for each layer.

CKA of any kernel, RSA and mean squared CCA are all of this kind. A layer's own work ends in one vector, the lower triangle
of its matrix (off-diagonal entries times sqrt(2), so that inner products are those of the full matrices). A whole grid is
then one matrix product, and a permutation of the samples only reorders entries.

Not covered: how the matrices are made (cka.py, rsa.py, cca.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pkt_core.similarity.record import Tick, silent

AT_A_TIME = 2**22  # gathered entries of one permutation batch: 16 MiB stay near the processor


@dataclass(frozen=True)
class Kernel:
    """A layer's symmetric matrix as a vector."""

    triangle: Float[Tensor, m]
    """m = n (n + 1) / 2 entries, row by row, off-diagonal ones times sqrt(2)."""
    size: float = 1.0
    """Inner products are divided by the smaller of the two sizes; 1 for unit vectors."""


def entries(n: int) -> tuple[Int[Tensor, m], Int[Tensor, m]]:
    """Row and column of each entry of a triangle."""
    rows, columns = torch.tril_indices(n, n)
    return rows, columns


def kernel(matrix: Float[Tensor, "n n"], size: float | None = None) -> Kernel:
    """The vector of a symmetric matrix, at unit length unless a size is given; not a number where the matrix is zero."""
    rows, columns = entries(len(matrix))
    triangle = matrix[rows, columns]
    triangle = torch.where(rows == columns, triangle, triangle * 2**0.5)
    if size is not None:
        return Kernel(triangle, size)
    return Kernel(triangle / triangle.norm())


def reordered(n: int, order: Int[Tensor, n]) -> Int[Tensor, m]:
    """Where each entry of the permuted triangle stands in the old one."""
    rows, columns = entries(n)
    i, j = order[rows], order[columns]
    larger = torch.maximum(i, j)
    return larger * (larger + 1) // 2 + torch.minimum(i, j)


def permute(prepared: Kernel, order: Int[Tensor, n]) -> Kernel:
    """The matrix with rows and columns in another order."""
    return Kernel(prepared.triangle[reordered(len(order), order)], prepared.size)


def sizes(teachers: Sequence[Kernel], students: Sequence[Kernel]) -> Float[Tensor, "L_T L_S"]:
    of_teacher, of_student = (
        torch.tensor([k.size for k in side], dtype=torch.float64) for side in (teachers, students)
    )
    return torch.minimum(of_teacher[:, None], of_student)


def stack(students: Sequence[Kernel]) -> tuple[Sequence[Kernel], Float[Tensor, "m L_S"]]:
    return students, torch.stack([k.triangle for k in students], dim=1)


def against(
    teachers: Sequence[Kernel], stacked: tuple[Sequence[Kernel], Float[Tensor, "m L_S"]], tick: Tick = silent
) -> Float[Tensor, "L_T L_S"]:
    """Inner products of all pairs; at most 1 by Cauchy and Schwarz, beyond which there is only rounding."""
    students, columns = stacked
    values = torch.stack([k.triangle for k in teachers]) @ columns / sizes(teachers, students)
    tick(1.0)
    return values.clamp(-1, 1)


def null(
    teachers: Sequence[Kernel], students: Sequence[Kernel], orders: Int[Tensor, "P n"]
) -> Float[Tensor, "P L_T L_S"]:
    """Inner products with the student's samples reordered. float32: a null's third decimal decides nothing.

    The side with fewer layers is moved: `<K, P L P^T>` is `<P^T K P, L>`.
    """
    n = orders.shape[1]
    swapped = len(teachers) < len(students)
    moved, fixed = (teachers, students) if swapped else (students, teachers)
    columns = torch.stack([k.triangle.float() for k in moved], dim=1)  # an entry's layers lie side by side in memory
    rows = torch.stack([k.triangle.float() for k in fixed])
    piece = max(1, AT_A_TIME // len(moved))
    products = torch.zeros(len(orders), len(fixed), len(moved))
    for p, order in enumerate(orders):
        places = reordered(n, order.argsort() if swapped else order)
        for start in range(0, len(places), piece):
            end = start + piece
            products[p] += rows[:, start:end] @ columns.index_select(0, places[start:end])
    values = products.mT if swapped else products
    return (values.double() / sizes(teachers, students)).clamp(-1, 1)
