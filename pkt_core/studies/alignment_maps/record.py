"""Which alignment map maps a state best: records of one layer pair, and of all pairs by stitching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pkt_core.evaluation.statistics import Estimate

Kind = Literal["semantic", "logit-preserving", "ridge", "procrustes", "affine"]
Recipe = dict[str, str | int | float]
"""Name of the prompts, seed, ridge, number of `texts`, and tokens left out as `massive` where there were any."""
Cells = list[list[float | None]]
"""Teacher layer x student layer, both from 0; None is not a number."""


@dataclass(frozen=True)
class MapScore:
    """One map on held-out texts. Each estimate's n counts texts."""

    cosine: Estimate
    """Mean cosine of mapped teacher states with the student's, -1..1, higher is closer."""
    r2: Estimate
    """Share of the student's variance that the mapped states explain, up to 1; below 0 is worse than its mean."""
    round_trip: Estimate
    """Round-trip R2 of the teacher's states, up to 1; higher preserves more."""
    bits_per_byte: Estimate
    """Next-token loss of the student that continues from the mapped states, at least 0; lower is better."""


@dataclass(frozen=True)
class MapComparison:
    """All maps at one layer pair, each with its control."""

    teacher_layer: int
    """From 0."""
    student_layer: int
    """From 0."""
    maps: dict[Kind, MapScore]
    """By kind; those that need a shared vocabulary are missing without one."""
    controls: dict[Kind, MapScore]
    """The same kinds with the vocabulary of one side permuted, or fitted to shuffled pairs."""
    own: Estimate
    """Bits per byte of the student alone, at the same positions; lower is better."""
    constant: Estimate
    """Bits per byte of the student with the mean state at this layer: no information is passed."""
    bound: float
    """Upper bound of the round-trip R2 through the student's width on the fitted texts (principal components), 0..1."""
    n_fitted: int
    """Token pairs the maps were fitted on."""
    n_held_out: int
    """Token pairs they were scored on."""
    recipe: Recipe
    """How it was computed."""

    @property
    def best(self) -> Kind | None:
        """The kind with the lowest bits per byte; None where no map could be computed."""
        return min(self.maps, key=lambda kind: self.maps[kind].bits_per_byte.value, default=None)

    @property
    def n_texts(self) -> int:
        """Prompts of both halves."""
        return int(self.recipe["texts"])

    @property
    def massive(self) -> int:
        """Tokens left out because a massive activation can dominate a fit."""
        return int(self.recipe.get("massive", 0))


@dataclass(frozen=True)
class StitchedGrid:
    """The student stitched onto the teacher at every layer pair."""

    kind: Kind
    """Of the alignment map."""
    n: int
    """Held-out texts."""
    recipe: Recipe
    """How it was computed."""
    values: Cells
    """Bits per byte of the stitched student, at least 0; lower is better."""
    low: Cells
    """Lower end of the 95 % bootstrap interval over texts."""
    high: Cells
    """Upper end."""
    control: Cells
    """Bits per byte with the map's meaning removed."""
    round_trip: Cells
    """Round-trip R2 of the teacher's states, up to 1; higher preserves more."""
    own: Estimate
    """Bits per byte of the student alone, at the same positions."""

    @property
    def massive(self) -> int:
        """Tokens left out because a massive activation can dominate a fit."""
        return int(self.recipe.get("massive", 0))
