"""Are the two clouds of samples the same shape? After the best rotation (Procrustes), or by their distances (RSA).

Not covered: rotations restricted to permutations of dimensions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pkt_core.similarity.kernels import Kernel, kernel

SMALLEST = 1e-14  # of the largest eigenvalue: directions below it hold rounding only


@dataclass(frozen=True)
class Shape:
    """A layer's samples in no more than n coordinates; lengths and angles between samples are those of the layer."""

    rows: Float[Tensor, "n r"]
    """One row for each sample."""


def in_few_coordinates(x: Float[Tensor, "n d"]) -> Float[Tensor, "n r"]:
    """The same cloud, rotated into n dimensions where it has more: what a rotation cannot change is kept exactly."""
    if x.shape[1] <= len(x):
        return x
    return torch.linalg.qr(x.T, mode="r").R.T


def prepare_procrustes(x: Float[Tensor, "n d"]) -> Shape:
    """Centred, Frobenius norm one."""
    x = x - x.mean(0)
    return Shape(in_few_coordinates(x / x.norm()))


def procrustes(of_teacher: Shape, of_student: Shape) -> float:
    """Angle between the two shapes at their best rotation: arccos of the nuclear norm of X^T Y.

    Radians, 0..pi/2, 0 is the same shape, smaller is closer. Williams et al. 2021, section 2 (alpha = 1).
    """
    nuclear = float(torch.linalg.svdvals(of_teacher.rows.T @ of_student.rows).sum())
    return math.acos(min(1.0, nuclear))


def prepare_aligned(x: Float[Tensor, "n d"]) -> Shape:
    """As it is: aligned_cosine neither centres nor scales."""
    return Shape(in_few_coordinates(x))


def best_rotation(cross: Float[Tensor, "a b"]) -> Float[Tensor, "a b"]:
    """The (part of an) orthogonal matrix nearest to X^T Y: its polar factor, C (C^T C)^(-1/2).

    By one symmetric eigenproblem on the narrower side, which costs half of an SVD. Directions in which the two sides
    share nothing but rounding are left out; they add nothing to an inner product.
    """
    if cross.shape[0] < cross.shape[1]:
        return best_rotation(cross.T).T
    values, vectors = torch.linalg.eigh(cross.T @ cross)
    inverse = torch.where(values > SMALLEST * values[-1], values.clamp_min(1e-300).rsqrt(), 0)
    return cross @ (vectors * inverse) @ vectors.T


def aligned_cosine(of_teacher: Shape, of_student: Shape) -> float:
    """Mean cosine between rows after the best rotation of one side; the narrower side is padded with zeros.

    -1..1, larger is closer. As in resi: rows are not centred, so a mean that both sides have counts as likeness. Rows
    that are zero on either side are left out (NaN where none is left). The sides may be swapped: the best rotation back is the transpose.
    """
    x, y = of_teacher.rows, of_student.rows
    lengths = x.norm(dim=1) * y.norm(dim=1)
    products = (x @ best_rotation(x.T @ y) * y).sum(1)
    return float((products / lengths)[lengths > 0].mean().clamp(-1, 1))


def permute(prepared: Shape, order: Int[Tensor, n]) -> Shape:
    """The same samples in another order."""
    return Shape(prepared.rows[order])


def ranked(distances: Float[Tensor, "n n"]) -> Kernel:
    """Ranks of the distances between two different samples, ties sharing their mean rank, centred."""
    n = len(distances)
    rows, columns = torch.tril_indices(n, n, offset=-1)
    _, which, counts = torch.unique(distances[rows, columns], return_inverse=True, return_counts=True)
    ranks = (counts.cumsum(0) - (counts - 1) / 2)[which].double()
    matrix = torch.zeros(n, n, dtype=torch.float64)
    matrix[rows, columns] = ranks - ranks.mean()
    return kernel(matrix + matrix.T)


def prepare_rsa(x: Float[Tensor, "n d"]) -> Kernel:
    """Distances 1 - Pearson's r between samples, over the dimensions."""
    unit = x - x.mean(1, keepdim=True)
    unit = unit / unit.norm(dim=1, keepdim=True).clamp_min(1e-300)
    return ranked(1 - unit @ unit.T)


def prepare_rsa_euclidean(x: Float[Tensor, "n d"]) -> Kernel:
    """Euclidean distances between samples."""
    x = x - x.mean(0)
    squares = x.square().sum(1)
    return ranked((squares[:, None] + squares - 2 * x @ x.T).clamp_min(0))
