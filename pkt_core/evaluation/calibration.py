"""Calibration: how often a model is right where it predicts with probability p.

Confidence is the probability of the model's own most likely answer; right is whether that answer is correct. A bin holds the
predictions of similar confidence, either of equal width in confidence or of equal number.

Not covered: recalibrating a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from pkt_core.evaluation.statistics import proportion

Bins = Literal["width", "mass"]
BINS = 10
MARGIN = 0.02
"""Confidence within this of the share right counts as calibrated."""


@dataclass(frozen=True)
class Bin:
    """Predictions of similar confidence."""

    confidence: float
    """Their mean confidence, 0..1."""
    rate: float
    """Share of them that were right, 0..1; the diagonal is `rate = confidence`."""
    low: float
    """Lower end of the rate's 95 % interval (Wilson)."""
    high: float
    """Upper end."""
    n: int
    """How many they are."""


@dataclass(frozen=True)
class Calibration:
    """How well confidence matches accuracy."""

    ece_width: float
    """Expected calibration error over ten bins of equal width, 0..1, 0 is best (Naeini et al. 2015)."""
    ece_mass: float
    """The same over ten bins of equal number, which empties no bin of a confident model."""
    brier: float
    """Mean squared difference of confidence and right, 0..1, 0 is best: also low where confidence sorts right from wrong."""
    confidence: float
    """Mean confidence."""
    rate: float
    """Share right. Above the mean confidence: underconfident; below it: overconfident."""
    n: int
    """Predictions."""
    curve: list[Bin]
    """The bins of equal number, lowest confidence first."""

    @property
    def overconfident(self) -> bool:
        """Whether the mean confidence is above the share right by more than a margin."""
        return self.confidence - self.rate > MARGIN

    @property
    def modest(self) -> bool:
        """Whether it is below by more than a margin."""
        return self.rate - self.confidence > MARGIN


def calibration(confidence: ArrayLike, right: ArrayLike, n_bins: int = BINS) -> Calibration:
    """Error, Brier score and reliability curve of predictions; at least one."""
    confidences, outcomes = np.asarray(confidence, float), np.asarray(right, bool)
    assert len(confidences) == len(outcomes) > 0, "expected one confidence per prediction, and at least one"
    curve = bins(confidences, outcomes, "mass", n_bins)
    return Calibration(
        ece_width=ece(bins(confidences, outcomes, "width", n_bins)),
        ece_mass=ece(curve),
        brier=float(((confidences - outcomes) ** 2).mean()),
        confidence=float(confidences.mean()),
        rate=float(outcomes.mean()),
        n=len(confidences),
        curve=curve,
    )


def bins(confidence: ArrayLike, right: ArrayLike, kind: Bins, n_bins: int = BINS) -> list[Bin]:
    """The bins that hold a prediction, lowest confidence first; on an edge of equal width, the bin above."""
    confidences, outcomes = np.asarray(confidence, float), np.asarray(right, bool)
    if kind == "width":
        place = np.minimum((confidences * n_bins).astype(int), n_bins - 1)
        groups = [np.flatnonzero(place == i) for i in range(n_bins)]
    else:
        groups = np.array_split(np.argsort(confidences, kind="stable"), n_bins)
    filled = []
    for group in groups:
        if len(group):
            share = proportion(int(outcomes[group].sum()), len(group))
            filled.append(Bin(float(confidences[group].mean()), share.value, share.low, share.high, len(group)))
    return filled


def ece(filled: Sequence[Bin]) -> float:
    """Mean distance of right from confidence over bins, weighted by their number, 0..1."""
    total = sum(one.n for one in filled)
    return sum(one.n * abs(one.rate - one.confidence) for one in filled) / total
