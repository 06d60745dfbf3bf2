"""Activations of any magnitude, brought to where squares neither overflow nor vanish.

Not covered: outliers (outliers.py): one row may still be far longer than the others.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pkt_core.errors import MeasureError

ORDINARY_EXPONENT = 16  # a layer that spreads from 1e-5 to 1e5 is taken as it is
LARGEST_EXPONENT = 1000  # two to it can be held in float64
STILL = -(2**20)  # the exponent of a layer whose entries are all the same: smaller than any other
ORDINARY = 1e30  # eighth powers of entries up to it, and down to one over it, can be held: a CKA divides by such


def near_one(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Itself where its largest entry is of ordinary magnitude; else over the power of two that puts that between 1 and 2.

    A power of two is exact, so no digit changes. Zeros stay.
    """
    largest = max(abs(float(end)) for end in torch.aminmax(x))
    if largest == 0 or 1 / ORDINARY < largest < ORDINARY:
        return x
    return x / math.ldexp(1.0, math.frexp(largest)[1] - 1)


def layer_exponents(side: Float[Tensor, "L n d"]) -> Int[Tensor, " L"]:
    """Per layer the power of two that its entries' spread is near, 0 where it is of ordinary magnitude, `STILL` where there is none.

    Divided by two to that power, fourth powers of what varies can be summed in float32, which is what a grid's null and interval
    are made of. Raises MeasureError where a value is not a number.
    """
    ends = torch.stack([torch.stack(torch.aminmax(layer)) for layer in side]).double()  # per layer: one fast pass each
    spread = ends[:, 1] - ends[:, 0]
    if not bool(torch.isfinite(spread).all()):
        raise MeasureError(
            "The activations hold values that are not numbers, or magnitudes too different for one outlier rule. Check the models' precision."
        )
    exponents = torch.frexp(spread).exponent.long().clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT)
    exponents = torch.where(exponents.abs() <= ORDINARY_EXPONENT, 0, exponents)
    return torch.where(spread > 0, exponents, STILL)


def over_two_to(exponents: Int[Tensor, " L"], side: Float[Tensor, "L n d"]) -> Float[Tensor, "L n d"]:
    """Each layer over two to its power, which is exact; the very tensor where all powers are 0."""
    moving = [i for i, power in enumerate(exponents.tolist()) if power not in (0, STILL)]
    if not moving:
        return side
    shifted = side.clone()
    for i in moving:  # by way of float64, which holds the factor
        shifted[i] = side[i].double() / 2.0 ** int(exponents[i])
    return shifted


def unit_rows(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Each row over its length, however short it is; a row of zeros stays."""
    lengths = x.norm(dim=1, keepdim=True)
    return x / torch.where(lengths > 0, lengths, torch.inf)
