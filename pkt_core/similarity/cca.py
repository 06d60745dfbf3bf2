"""Canonical correlations: which directions of the two sides can be made to agree by any linear map?

The singular values of Q_x^T Q_y, for orthonormal bases of the two centred column spaces. They are blind to how much of the
variance a direction holds, and with as many dimensions as samples (d >= n - 1) every one of them is 1, whatever the data
(Kornblith et al. 2019, section 3): read them only where samples outnumber dimensions several times.

Not covered: regularised CCA.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pkt_core.similarity.kernels import Kernel, kernel

VARIANCE_KEPT = 0.99  # by SVCCA
SMALLEST = 1e-7  # of the largest singular value: below it a direction is rounding of float32 activations


@dataclass(frozen=True)
class Basis:
    """A layer's column space."""

    directions: Float[Tensor, "n r"]
    """Orthonormal columns, those of largest variance first."""
    neurons: Float[Tensor, "r d"] | None = None
    """The centred activations in that basis, where the measure weighs by them."""


def singular(x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n r"], Float[Tensor, r], Float[Tensor, "r d"]]:
    """The SVD of the centred activations, without directions that are rounding only."""
    u, s, vh = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    kept = s > SMALLEST * s[0]
    return u[:, kept], s[kept], vh[kept]


def prepare_svcca(x: Float[Tensor, "n d"]) -> Basis:
    """The fewest principal directions that hold 99 % of the variance."""
    u, s, _ = singular(x)
    share = s.square().cumsum(0) / s.square().sum()
    return Basis(u[:, : 1 + int((share < VARIANCE_KEPT).sum())])


def prepare_pwcca(x: Float[Tensor, "n d"]) -> Basis:
    u, s, vh = singular(x)
    return Basis(u, s[:, None] * vh)


def prepare_mean_squared_cca(x: Float[Tensor, "n d"]) -> Kernel:
    """The projector on the column space: the inner product of two projectors is the sum of squared correlations."""
    u = singular(x)[0]
    return kernel(u @ u.T, size=float(u.shape[1]))


def svcca(of_teacher: Basis, of_student: Basis) -> float:
    """Mean canonical correlation between the principal directions of both sides. 0..1, larger is closer.

    Raghu et al. 2017, section 2.
    """
    return min(1.0, float(torch.linalg.svdvals(of_teacher.directions.T @ of_student.directions).mean()))


def pwcca(of_teacher: Basis, of_student: Basis) -> float:
    """Canonical correlations weighted by how much of the first side they account for. 0..1, larger is closer.

    Morcos et al. 2018, eq. 2 and 3: the weight of canonical variate h_i is sum_j |<h_i, x_j>| over the centred neurons x_j of the
    first side, so neither the sides nor the axes of the first side may be exchanged.
    """
    assert of_teacher.neurons is not None
    cross = of_teacher.directions.T @ of_student.directions
    count = min(cross.shape)
    if float(cross.square().sum()) > count * (1 - 1e-12):  # all correlations are 1, and then so is any weighted mean
        return 1.0
    squares, variates = torch.linalg.eigh(cross @ cross.T)  # ascending
    weights = (variates[:, -count:].T @ of_teacher.neurons).abs().sum(1)
    correlations = squares[-count:].clamp(0, 1).sqrt()
    return float((weights * correlations).sum() / weights.sum())


def permute(prepared: Basis, order: Int[Tensor, n]) -> Basis:
    """The same samples in another order."""
    return Basis(prepared.directions[order], prepared.neurons)
