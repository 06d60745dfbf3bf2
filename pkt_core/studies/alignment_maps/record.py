"""Which alignment map carries a state best: records of one pair of layers, and of all pairs by stitching.

Not covered: the similarity of layers (results.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from pkt_core.evaluation.statistics import Estimate
from pkt_core.similarity.grid import numbers, plain


@dataclass(frozen=True)
class MapScore:
    """One map on held-out texts. Each estimate's n counts texts."""

    cosine: Estimate
    """Mean cosine of mapped teacher states with the student's, -1..1, higher is closer."""
    r2: Estimate
    """Share of the student's variance that the mapped states explain, up to 1; below 0 is worse than its mean."""
    round_trip: Estimate
    """R2 of the teacher's states after the way there and back, up to 1."""
    bits_per_byte: Estimate
    """Next-token loss of the student that goes on from the mapped states; lower is better."""


@dataclass(frozen=True)
class MapComparison:
    """All maps at one pair of layers, each beside its control."""

    teacher_layer: int
    student_layer: int
    maps: dict[str, MapScore]
    """By kind."""
    controls: dict[str, MapScore]
    """The same kinds with the vocabulary of one side permuted, or fitted to shuffled pairs."""
    own: Estimate
    """Bits per byte of the student as it is, at the same positions."""
    constant: Estimate
    """Bits per byte of the student when its state at this layer is always the mean one: no information passes."""
    bound: float
    """R2 that no way there and back through the student's width can exceed on the fitted texts (principal components)."""
    n_fitted: int
    """Token pairs the maps were fitted on."""
    n_held_out: int
    """Token pairs they were scored on."""
    recipe: dict[str, Any]
    """Prompts, seed, ridge."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MapComparison:
        def score(found: Mapping[str, Any]) -> MapScore:
            return MapScore(**{name: Estimate(**value) for name, value in found.items()})

        scores = {key: {kind: score(s) for kind, s in data[key].items()} for key in ("maps", "controls")}
        return cls(**{**data, **scores, **{key: Estimate(**data[key]) for key in ("own", "constant")}})


@dataclass(frozen=True)
class StitchedGrid:
    """Bits per byte of the student stitched onto the teacher, teacher layer x student layer; lower is better."""

    kind: str
    """Of the alignment map."""
    values: Float[Tensor, "L_T L_S"]
    low: Float[Tensor, "L_T L_S"]
    """Lower end of the 95 % bootstrap interval over texts."""
    high: Float[Tensor, "L_T L_S"]
    """Upper end."""
    control: Float[Tensor, "L_T L_S"]
    """The same with the map's meaning removed."""
    round_trip: Float[Tensor, "L_T L_S"]
    """R2 of the teacher's states after the way there and back, up to 1."""
    own: Estimate
    """The student as it is, at the same positions."""
    n: int
    """Held-out texts."""
    recipe: dict[str, Any]
    """Prompts, seed, ridge."""

    def to_json(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in ("kind", "n", "recipe")},
            **{name: plain(getattr(self, name)) for name in ("values", "low", "high", "control", "round_trip")},
            "own": asdict(self.own),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StitchedGrid:
        tensors = {name: numbers(data[name]) for name in ("values", "low", "high", "control", "round_trip")}
        return cls(**{**data, **tensors, "own": Estimate(**data["own"])})
