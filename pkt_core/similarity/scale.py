"""Activations of any magnitude, brought to where squares neither overflow nor vanish.

Not covered: outliers (outliers.py): one row may still be far longer than the others.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

ORDINARY = 1e30  # eighth powers of entries up to it, and down to one over it, can be held: a CKA divides by such


def near_one(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Itself where its largest entry is of ordinary magnitude; else over the power of two that puts that between 1 and 2.

    A power of two is exact, so no digit changes. Zeros stay.
    """
    largest = max(abs(float(end)) for end in torch.aminmax(x))
    if largest == 0 or 1 / ORDINARY < largest < ORDINARY:
        return x
    return x / math.ldexp(1.0, math.frexp(largest)[1] - 1)


def unit_rows(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Each row over its length, however short it is; a row of zeros stays."""
    lengths = x.norm(dim=1, keepdim=True)
    return x / torch.where(lengths > 0, lengths, torch.inf)
