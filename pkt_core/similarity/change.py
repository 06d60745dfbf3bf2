"""How far a grid moved between two students that read the same prompts: the difference of each cell, and whether it is more than
the choice of prompts could make.

Both grids leave out the same groups of prompts in turn, so what they share cancels in the difference. The permutation null does
not apply here: before and after are both far from chance, and the question is whether they differ.

Not covered: which measure made the grids (pairwise.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import t as student_t
from statsmodels.stats.multitest import multipletests
from torch import Tensor

from pkt_core.similarity.grid import numbers, plain
from pkt_core.similarity.interval import jackknife_error, t_margin

TENSORS = ("before", "after", "difference", "low", "high", "p_values", "own")


@dataclass(frozen=True)
class GridChange:
    """Teacher layer x student layer, before and after; differences are after minus before."""

    measure: str
    """Name of the measure."""
    larger_is_closer: bool
    """Its direction."""
    before: Float[Tensor, "L_T L_S"]
    after: Float[Tensor, "L_T L_S"]
    difference: Float[Tensor, "L_T L_S"]
    """After minus before."""
    low: Float[Tensor, "L_T L_S"]
    """Lower end of its 95 % interval (paired delete-one-group jackknife, Student's t)."""
    high: Float[Tensor, "L_T L_S"]
    """Upper end."""
    p_values: Float[Tensor, "L_T L_S"]
    """That a cell did not move, corrected over the grid (Holm)."""
    own: Float[Tensor, "L_S L_S"]
    """The student's layers after (rows) against its layers before (columns), by the same measure."""
    n: int
    """Samples."""
    recipe: dict[str, Any]
    """How it was computed."""

    def to_json(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in ("measure", "larger_is_closer", "n", "recipe")},
            **{name: plain(getattr(self, name)) for name in TENSORS},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> GridChange:
        return cls(**{**data, **{name: numbers(data[name]) for name in TENSORS}})


def paired_difference(
    before: Float[Tensor, "L_T L_S"],
    after: Float[Tensor, "L_T L_S"],
    before_left_out: Float[Tensor, "G L_T L_S"],
    after_left_out: Float[Tensor, "G L_T L_S"],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Difference, its 95 % interval, and p corrected over the grid by Holm's step-down procedure; NaN stays NaN.

    The ratio of a difference to its jackknife error is taken as Student's t with G - 1 degrees of freedom.
    """
    difference, left_out = after - before, after_left_out - before_left_out
    groups = len(left_out)
    error = jackknife_error(left_out)
    margin = t_margin(groups) * error
    ratios = torch.where(difference == 0, 0.0, difference.abs() / error).numpy()  # a cell that cannot move did not move
    p = 2 * student_t.sf(ratios, groups - 1)
    known = np.isfinite(p)
    corrected = np.full(p.shape, np.nan)
    if known.any():
        corrected[known] = multipletests(p[known], method="holm")[1]
    return difference, difference - margin, difference + margin, torch.from_numpy(corrected)
