"""Every similarity measure as a record of what it claims; the claims are the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pkt_core.errors import MeasureError
from pkt_core.similarity.cka import debiased_linear_cka, linear_cka

MINIMUM = 4  # the unbiased HSIC divides by n - 3


@dataclass(frozen=True)
class Measure:
    """A similarity of two activation matrices `[n, d1]` and `[n, d2]` whose rows are the same samples."""

    name: str
    """What code and URL call it."""
    label: str
    """What the screen calls it."""
    function: Callable[[Tensor, Tensor], float]
    """Takes float64 matrices."""
    low: float
    """Smallest value it can take."""
    high: float
    """Largest value; reached for X with itself."""
    larger_is_closer: bool
    """Direction."""
    chance: str
    """What independent data give, in words."""
    rotation_invariant: bool
    """Unchanged by an orthogonal map of either side."""
    scale_invariant: bool
    """Unchanged by scaling either side."""
    translation_invariant: bool
    """Unchanged by shifting either side."""
    linear_invariant: bool
    """Unchanged by any invertible linear map of either side."""
    symmetric: bool
    """Whether the sides may be swapped."""
    source: str
    """Paper and equation."""


MEASURES: dict[str, Measure] = {
    m.name: m
    for m in (
        Measure(
            name="debiased_linear_cka",
            label="CKA (debiased, linear)",
            function=debiased_linear_cka,
            low=-1.0,
            high=1.0,
            larger_is_closer=True,
            chance="0, whatever the number of samples and dimensions",
            rotation_invariant=True,
            scale_invariant=True,
            translation_invariant=True,
            linear_invariant=False,
            symmetric=True,
            source="Song et al. 2012, eq. 5, in Kornblith et al. 2019, eq. 1",
        ),
        Measure(
            name="linear_cka",
            label="CKA (biased, linear)",
            function=linear_cka,
            low=0.0,
            high=1.0,
            larger_is_closer=True,
            chance="above 0, near 1 where dimensions outnumber samples",
            rotation_invariant=True,
            scale_invariant=True,
            translation_invariant=True,
            linear_invariant=False,
            symmetric=True,
            source="Kornblith et al. 2019, eq. 1",
        ),
    )
}


def checked(side: str, given: object) -> Tensor:
    """The matrix in float64, or MeasureError."""
    matrix = torch.as_tensor(given if isinstance(given, Tensor) else np.asarray(given)).detach().cpu().double()
    if matrix.ndim != 2 or min(matrix.shape) == 0:
        raise MeasureError(
            f"The {side} activations have shape {tuple(matrix.shape)}; expected two dimensions, samples x width."
        )
    if not bool(torch.isfinite(matrix).all()):
        raise MeasureError(f"The {side} activations hold values that are not numbers. Check the model's precision.")
    return matrix


def measure(name: str, x: object, y: object) -> float:
    """Similarity of two matrices `[n, d1]`, `[n, d2]` (torch or numpy, any float type), rows paired.

    Raises MeasureError for an unknown name, shapes that do not pair, fewer than 4 rows, or data without variance.
    """
    if name not in MEASURES:
        raise MeasureError(f"There is no measure {name!r}; expected one of {', '.join(MEASURES)}.")
    first, second = checked("first", x), checked("second", y)
    if len(first) != len(second):
        raise MeasureError(f"Got {len(first)} and {len(second)} rows; expected the same samples on both sides.")
    if len(first) < MINIMUM:
        raise MeasureError(f"Got {len(first)} samples; expected at least {MINIMUM}. Add prompts.")
    return MEASURES[name].function(first, second)
