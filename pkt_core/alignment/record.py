"""Records of attribution (which layers the answer depends on) and of recomposition from vocabulary bases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import computed_field

from pkt_core.base.arrays import Table, Vector

Aggregation = Literal["abs_of_sum", "sum", "sum_of_abs"]


@dataclass(frozen=True, eq=False)
class LayerAttribution:
    """One score per layer; higher means the answer depends more on it. Unit: nats, to first order."""

    scores: Vector
    """`[L]`: mean over examples of |sum over tokens and channels|, at least 0."""
    low: Vector
    """`[L]`: lower end of the 95 % bootstrap interval over examples."""
    high: Vector
    """`[L]`: upper end."""
    aggregations: dict[Aggregation, Vector]
    """`[L]` each: `abs_of_sum` (the scores), `sum` (signed) and `sum_of_abs`."""
    per_example: Table
    """`[n, L]`: the signed sums."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def best(self) -> int:
        """The layer of the highest score."""
        return int(np.argmax(self.scores))


@dataclass(frozen=True)
class Curve:
    """A mean per layer with a 95 % band (normal approximation): over prompts, or over draws where a control is drawn."""

    mean: list[float]
    """By layer, from 0."""
    low: list[float]
    """Lower end of the band."""
    high: list[float]
    """Upper end."""


@dataclass(frozen=True)
class RecompositionCurves:
    """Recomposition cosine per layer with its controls, -1..1; higher is better recomposed."""

    real: Curve
    """The model's own semantic bases."""
    gaussian: Curve
    """Random isotropic bases, as many as the vocabulary has tokens."""
    embedding_rows: Curve
    """The input embeddings as bases: the paper's bad comparison, as we read it."""
    permuted: Curve
    """The model's own bases, recomposed in another order than decomposed; the band holds 95 % of single permutations."""
    closed_form: float
    """1 / sqrt(1 + d/V), what random bases are expected to give."""
    n: int
    """Prompts."""
    condition_number: float
    """Of the unembedding, at least 1."""

    @property
    def curves(self) -> dict[str, Curve]:
        """By name, the own bases first."""
        return {
            "real": self.real,
            "gaussian": self.gaussian,
            "embedding_rows": self.embedding_rows,
            "permuted": self.permuted,
        }

    @property
    def special_layers(self) -> list[int]:
        """Layers whose states the own bases recompose better than as many random ones: the bands do not meet."""
        return [
            layer for layer, (low, high) in enumerate(zip(self.real.low, self.gaussian.high, strict=True)) if low > high
        ]


@dataclass(frozen=True)
class CrossingCurves:
    """Cosine between the teacher's state mapped into the student's space and the student's own, per student layer, -1..1."""

    real: Curve
    """Through the semantic map."""
    permuted: Curve
    """Through the map of a permuted vocabulary; the band holds 95 % of single permutations."""
    pairing: list[int]
    """The teacher layer of each student layer."""
    n: int
    """Prompts."""

    @property
    def curves(self) -> dict[str, Curve]:
        """By name, the own bases first."""
        return {"real": self.real, "permuted": self.permuted}
