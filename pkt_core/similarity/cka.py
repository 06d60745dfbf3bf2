"""Centred kernel alignment: linear, linear debiased, and with an RBF kernel.

CKA(X, Y) = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with Gram matrices K, L of the two sides (Kornblith et al. 2019,
eq. 1 and section 2.3). The biased HSIC makes independent noise look alike when there are fewer samples than dimensions: 0.965
at 164 samples of width 4096 and 5120. The debiased one (Song et al. 2012, eq. 5; written by U-centring as in Szekely
and Rizzo 2014) is about 0 there and may be slightly negative.

Not covered: CKA over mini-batches (fitter.py).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from pkt_core.similarity.kernels import Kernel, against, kernel, stack

ROUNDING = 1e-12  # of the largest squared distance: samples nearer than that are the same
NOTHING = 1e-12  # of a Gram's entries: U-centred ones below it are rounding
CLEAR = 1e-6  # of what an HSIC is the difference of: a smaller one has lost too many digits
BANDWIDTH = 0.5  # of the median distance, as in Google's notebook


def gram(x: Float[Tensor, "*layer n d"]) -> Float[Tensor, "*layer n n"]:
    """Inner products of centred rows. Centring does not change the result but keeps large means out of the sums."""
    x = x - x.mean(-2, keepdim=True)
    return x @ x.mT


def u_centred(k: Float[Tensor, "*layer n n"]) -> Float[Tensor, "*layer n n"]:
    """The Gram matrix whose plain inner products are unbiased HSICs (times n (n - 3)): zero diagonal, zero row sums."""
    n = k.shape[-1]
    k = k - torch.diag_embed(k.diagonal(dim1=-2, dim2=-1))
    rows = k.sum(-1, keepdim=True) / (n - 2)
    total = k.sum((-2, -1), keepdim=True) / ((n - 1) * (n - 2))
    k = k - rows - rows.mT + total
    return k - torch.diag_embed(k.diagonal(dim1=-2, dim2=-1))


def centred(k: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """H K H with H = I - 1/n."""
    return k - k.mean(0) - k.mean(1, keepdim=True) + k.mean()


def rbf(x: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    """exp(-|a - b|^2 / (2 (0.5 m)^2)), m^2 the median of all n^2 squared distances, the n zeros among them.

    The median of an even count is the mean of the two middle values, as in NumPy and in Google's notebook; `torch.median`
    takes the lower one, which is how ckatorch 1.0.3 comes to another fifth decimal. Not a number where the median is 0.
    """
    x = x - x.mean(0)  # changes no distance, but keeps large means out of the differences
    squares = x.square().sum(1)
    distances = (squares[:, None] + squares - 2 * x @ x.T).clamp_min(0)
    distances.fill_diagonal_(0)
    ordered = distances.flatten().sort().values
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    if not float(middle) > ROUNDING * float(ordered[-1]):
        return torch.full_like(distances, torch.nan)
    return torch.exp(-distances / (2 * BANDWIDTH**2 * middle))


def prepare_linear(x: Float[Tensor, "n d"]) -> Kernel:
    return kernel(gram(x))


def prepare_debiased(x: Float[Tensor, "n d"]) -> Kernel:
    """Not a number where the U-centred Gram is zero: but for one sample all are the same, or every two are as far apart."""
    k = gram(x)
    u = u_centred(k)
    return kernel(u if float(u.norm()) > NOTHING * float(k.norm()) else u * torch.nan)


def prepare_rbf(x: Float[Tensor, "n d"]) -> Kernel:
    return kernel(centred(rbf(x)))


def debiased_linear_cka(x: Float[Tensor, "n d1"], y: Float[Tensor, "n d2"]) -> float:
    """Unitless, at most 1, larger is closer, 0 by chance for independent samples, whatever the width.

    Where samples outnumber dimensions, eq. 5 of Song et al. is written with features: Gram rows of centred data sum to 0, so a Gram
    without its diagonal `a` has row sums `-a`, and no `n x n` matrix is needed. That is a difference of large sums: where little of them is
    left, because one sample is much longer than the others or because nothing varies but by chance, the Grams themselves are taken.
    """
    n = len(x)

    def hsic(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        a, b = one.square().sum(1), other.square().sum(1)
        products = (one.T @ other).square().sum()
        return products - a @ b * (1 + 2 / (n - 2)) + a.sum() * b.sum() / ((n - 1) * (n - 2)), products

    if n > max(x.shape[1], y.shape[1]):
        one, other = x - x.mean(0), y - y.mean(0)
        of_x, of_y = hsic(one, one), hsic(other, other)
        if all(bool(value > CLEAR * whole) for value, whole in (of_x, of_y)):
            return float(hsic(one, other)[0] / (of_x[0] * of_y[0]).sqrt())
    return float(against([prepare_debiased(x)], stack([prepare_debiased(y)])))


def linear_cka(x: Float[Tensor, "n d1"], y: Float[Tensor, "n d2"]) -> float:
    """Unitless, 0..1, larger is closer. Biased upward, badly where n < d: report n and prefer the debiased form.

    Where samples outnumber dimensions the feature form |Y^T X|^2 / (|X^T X| |Y^T Y|) is the same and needs no `n x n` matrix.
    """
    if len(x) <= max(x.shape[1], y.shape[1]):
        return float(against([prepare_linear(x)], stack([prepare_linear(y)])))
    x, y = x - x.mean(0), y - y.mean(0)
    return float((y.T @ x).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm()))
