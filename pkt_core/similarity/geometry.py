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

SMALLEST = 1e-14  # of the largest singular value: directions below it hold rounding only
SAME = 1e-12  # of the two samples' lengths: distances that differ by less differ by rounding
HIDDEN = 1e13  # times as long as most rows, on both sides together: of X^T Y only such a row is left
CLEAR = 1e-8  # of the largest eigenvalue: where one lies below it, squaring has cost too many digits


@dataclass(frozen=True)
class Shape:
    """A layer's samples in no more than n coordinates; lengths and angles between samples are those of the layer."""

    rows: Float[Tensor, "n r"]
    """One row for each sample."""


def in_few_coordinates(x: Float[Tensor, "n d"]) -> Float[Tensor, "n r"]:
    """The same cloud, rotated into n dimensions where it has more: what a rotation cannot change is kept exactly."""
    if x.shape[1] <= len(x):
        return x
    r: Tensor = torch.linalg.qr(x.T, mode="r").R
    return r.T


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

    By one symmetric eigenproblem on the narrower side, which costs half of an SVD; but that squares the singular values, and one
    sample much longer than the others hides their directions. Then by an SVD. Directions in which the two sides share nothing but
    rounding are left out; they add nothing to an inner product.
    """
    if cross.shape[0] < cross.shape[1]:
        return best_rotation(cross.T).T
    values, vectors = torch.linalg.eigh(cross.T @ cross)
    if float(values[0]) > CLEAR * float(values[-1]):
        rotation: Tensor = cross @ (vectors * values.rsqrt()) @ vectors.T
        return rotation
    u, s, vh = torch.linalg.svd(cross, full_matrices=False)
    rotation = (u * (s > SMALLEST * s[0])) @ vh
    return rotation


def aligned_cosine(of_teacher: Shape, of_student: Shape) -> float:
    """Mean cosine between rows after the best rotation of one side; the narrower side is padded with zeros.

    -1..1, larger is closer. As in resi: rows are not centred, so a mean that both sides have counts as likeness. Rows
    that are zero on either side are left out (NaN where none is left). NaN also where one row is so much longer than most that the
    rotation of the others is rounding. The sides may be swapped: the best rotation back is the transpose.
    """
    x, y = of_teacher.rows, of_student.rows
    lengths = x.norm(dim=1) * y.norm(dim=1)
    if bool(lengths.max() > HIDDEN * lengths[lengths > 0].median()):
        return math.nan
    products = (x @ best_rotation(x.T @ y) * y).sum(1)
    return float((products / lengths)[lengths > 0].mean().clamp(-1, 1))


def permute(prepared: Shape, order: Int[Tensor, n]) -> Shape:
    """The same samples in another order."""
    return Shape(prepared.rows[order])


def ranked(distances: Float[Tensor, "n n"], rounding: Float[Tensor, "n n"] | float = SAME) -> Kernel:
    """Ranks of the distances between two different samples, ties sharing their mean rank, centred.

    Distances that differ by no more than their rounding are ties: neighbours in the sorted list are taken together. Not a number
    where all of them are.
    """
    n = len(distances)
    rows, columns = torch.tril_indices(n, n, offset=-1)
    ordered, order = distances[rows, columns].sort()
    if isinstance(rounding, Tensor):
        rounding = rounding[rows, columns][order]
        rounding = torch.maximum(rounding[1:], rounding[:-1])
    which = torch.zeros_like(order)
    which[1:] = (ordered.diff() > rounding).cumsum(0)
    counts = which.bincount()
    ranks = torch.empty_like(ordered, dtype=torch.float64)
    ranks[order] = (counts.cumsum(0) - (counts - 1) / 2).double()[which]
    matrix = torch.zeros(n, n, dtype=torch.float64)
    matrix[rows, columns] = ranks - (len(ranks) + 1) / 2
    return kernel(matrix + matrix.T)


def prepare_rsa(x: Float[Tensor, "n d"]) -> Kernel:
    """Distances 1 - Pearson's r between samples, over the dimensions; r is 0 with a sample that is the same in all of them."""
    unit = x - x.mean(1, keepdim=True)
    lengths = unit.norm(dim=1, keepdim=True)
    flat = lengths <= SAME * x.norm(dim=1, keepdim=True)
    unit = unit / torch.where(flat, torch.inf, lengths)
    return ranked(1 - unit @ unit.T)


def prepare_rsa_euclidean(x: Float[Tensor, "n d"]) -> Kernel:
    """Squared Euclidean distances between samples, which have the same ranks as the distances."""
    x = x - x.mean(0)
    far = x.square().sum(1)
    x = x - x[far <= far.median()].mean(0)  # one sample far away would put the middle far from all the others
    squares = x.square().sum(1)
    both = squares[:, None] + squares
    return ranked((both - 2 * x @ x.T).clamp_min(0), rounding=SAME * both)
