"""Linear centred kernel alignment, biased and debiased.

CKA(X, Y) = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with Gram matrices K = X X^T, L = Y Y^T (Kornblith et al. 2019,
eq. 1). The biased HSIC makes independent noise look alike when there are fewer samples than dimensions: 0.965 at 164
samples of width 4096 and 5120. The debiased one (Song et al. 2012, eq. 5; written by U-centring as in Szekely and Rizzo
2014) is about 0 there and may be slightly negative.

Not covered: other kernels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from pkt_core.errors import MeasureError


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


def ratio(xy: Tensor, xx: Tensor, yy: Tensor) -> float:
    if float(xx) <= 0 or float(yy) <= 0:
        raise MeasureError(
            "CKA is not computable: one side does not vary beyond chance over these samples. Add samples, or check for "
            "constant activations."
        )
    return float(xy / (xx.sqrt() * yy.sqrt()))


def debiased_linear_cka(x: Float[Tensor, "n d1"], y: Float[Tensor, "n d2"]) -> float:
    """Unitless, at most 1, larger is closer, 0 by chance whatever the width."""
    k, other = u_centred(gram(x)), u_centred(gram(y))
    return ratio((k * other).sum(), (k * k).sum(), (other * other).sum())


def linear_cka(x: Float[Tensor, "n d1"], y: Float[Tensor, "n d2"]) -> float:
    """Unitless, 0..1, larger is closer. Biased upward, badly where n < d: report n and prefer the debiased form.

    Where samples outnumber dimensions the feature form |Y^T X|^2 / (|X^T X| |Y^T Y|) is the same and cheaper.
    """
    x, y = x - x.mean(0), y - y.mean(0)
    if len(x) > max(x.shape[1], y.shape[1]):
        products = y.T @ x, x.T @ x, y.T @ y
        return ratio(products[0].square().sum(), products[1].square().sum(), products[2].square().sum())
    k, other = x @ x.T, y @ y.T
    return ratio((k * other).sum(), (k * k).sum(), (other * other).sum())
