"""The permutation null of the statistic on screen: its distribution when the two models' samples are unrelated.

The samples of one side are permuted, all its layers together, and the same statistic is taken again. Several samples of
one prompt move together, because they are not independent. A cell chosen because it is the largest of a grid or of a row
is compared with the largest of the permuted grid or row, so that picking it is paid for (family-wise error; the max-T
procedure of Westfall and Young 1993).

Below it stands what independent Gaussian noise gives, where a closed form exists: numbers of n samples and the two widths. Real
activations do not fill their dimensions evenly, and pieces of one prompt are not independent, so the permutation null on the data
at hand is what decides; these give the expected level before any data are there.

Not covered: intervals (interval.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from pkt_core.similarity.facts import QUANTILE
from pkt_core.similarity.neighbours import K, harmonic, rank_scores


def permutations(n: int, group_size: int, draws: int, generator: torch.Generator) -> Tensor:
    """`[draws, n]` indexes that permute whole groups of consecutive samples."""
    groups = torch.rand(draws, n // group_size, generator=generator).argsort(-1)
    return (groups[:, :, None] * group_size + torch.arange(group_size)).reshape(draws, n)


@dataclass(frozen=True)
class Calibration:
    """A grid against its permutation null: by cell, by row, and by the whole grid."""

    null_max: Float[Tensor, P]
    """The closest cell of the whole grid in each permutation."""
    null_mean: Float[Tensor, "L_T L_S"]
    """Per cell, its mean over the permutations: its chance level on these very data, samples of one prompt held together."""
    noise_rows: Float[Tensor, L_T]
    """Per teacher layer, what the closest cell of its row reaches in 5 % of permutations."""
    noise_cells: Float[Tensor, "L_T L_S"]
    """Per cell, what it reaches itself in 5 % of permutations."""
    p_values: Float[Tensor, "L_T L_S"]
    """Of a cell chosen from the whole grid (family-wise)."""
    p_rows: Float[Tensor, "L_T L_S"]
    """Of a cell chosen from its teacher layer's row."""
    p_cells: Float[Tensor, "L_T L_S"]
    """Of a cell named before looking."""


def calibrate(
    values: Float[Tensor, "L_T L_S"], null: Float[Tensor, "P L_T L_S"], *, larger_is_closer: bool = True
) -> Calibration:
    """p = (1 + permutations at least as close) / (P + 1), in (0, 1], never 0; cells that are not computable count as far."""
    sign = 1.0 if larger_is_closer else -1.0
    mean = null.mean(0, dtype=values.dtype)
    null = (sign * null).nan_to_num(-torch.inf).to(values.dtype)
    closeness = (sign * values).nan_to_num(-torch.inf)
    rows, whole = null.amax(2), null.flatten(1).amax(1)

    def p(chance: Tensor) -> Tensor:
        return ((1 + (chance >= closeness).sum(0)) / (len(null) + 1)).to(values.dtype)

    def level(chance: Tensor) -> Tensor:
        if not len(chance):
            return torch.full(chance.shape[1:], torch.nan, dtype=values.dtype)
        return sign * chance.quantile(QUANTILE, dim=0)

    return Calibration(
        null_max=sign * whole,
        null_mean=mean,
        noise_rows=level(rows),
        noise_cells=level(null),
        p_values=p(whole[:, None, None]),
        p_rows=p(rows[:, :, None]),
        p_cells=p(null),
    )


def zero(n: int, d1: int, d2: int) -> float:  # noqa: ARG001
    """Nothing."""
    return 0.0


def biased_cka(n: int, d1: int, d2: int) -> float:
    """Ratio of Wishart moments: E tr(K L) = (n - 1) d1 d2 and E tr(K K) = (n - 1) d (d + n)."""
    return sqrt((d1 / (d1 + n)) * (d2 / (d2 + n)))


def overlaps(n: int) -> list[float]:
    """Probability that two random sets of K among n - 1 samples have 0..K in common (hypergeometric)."""
    return [comb(K, m) * comb(n - 1 - K, K - m) / comb(n - 1, K) for m in range(K + 1)]


def mutual_knn(n: int, d1: int, d2: int) -> float:  # noqa: ARG001
    """K / (n - 1)."""
    return K / (n - 1)


def jaccard(n: int, d1: int, d2: int) -> float:  # noqa: ARG001
    """The mean of m / (2 K - m)."""
    return sum(p * m / (2 * K - m) for m, p in enumerate(overlaps(n)))


def rank_similarity(n: int, d1: int, d2: int) -> float:  # noqa: ARG001
    """Ranks of common neighbours are uniform and independent, so each counts the mean of all rank scores."""
    mean = float(rank_scores()[:, 1:].mean())
    return sum(p * m * mean / float(harmonic()[m]) for m, p in enumerate(overlaps(n)))


def mean_squared_cca(n: int, d1: int, d2: int) -> float:
    """E |Q_x^T Q_y|^2 = r1 r2 / (n - 1) for ranks r, over the smaller: exact for any independent data."""
    return max(min(d1, n - 1), min(d2, n - 1)) / (n - 1)


def linear_regression_r2(n: int, d1: int, d2: int) -> float:  # noqa: ARG001
    """-d1 / (n / 2 - d1 - 2) for least squares with more fitted samples than dimensions; NaN otherwise."""
    spare = n / 2 - d1 - 2
    return -d1 / spare if spare > 0 else float("nan")
