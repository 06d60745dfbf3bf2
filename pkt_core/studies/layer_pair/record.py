"""The record of one pair of layers, prompt by prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class CloserLook:
    """One pair of layers over the prompts of a comparison."""

    teacher_layer: int
    """From 0."""
    student_layer: int
    """From 0."""
    ids: list[int]
    """Numbers of the prompts in their set."""
    texts: list[str]
    """The prompts."""
    n_all: int
    """Prompts of the comparison; those whose states it kept may be fewer."""
    recipe: dict[str, Any]
    """How activations were read."""
    pairs: dict[str, list[Any]]
    """A sample of pairs of prompts: places `first` and `second` in `ids`, cosine in `teacher` and in `student`."""
    n_pairs: int
    """All pairs of prompts, on which the correlation rests."""
    correlation: dict[str, Any]
    """`value`, 95 % interval `low high`, `p_value`, `noise` (95 % of shuffles are below), `left_out` (groups of prompts)."""
    overlap: dict[str, Any]
    """Per prompt `values`; `mean low high`, by `chance`, `beyond` (shares below it say nothing), `left_out`, `k`."""
    near: dict[str, list[list[int]]]
    """Ids of each prompt's nearest, nearest first, in `teacher` and `student`."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CloserLook:
        return cls(**data)
