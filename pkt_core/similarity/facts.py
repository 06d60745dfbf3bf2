"""The claims of a measure without the steps that compute it, and the noise level; torch-free, for records and pages."""

from __future__ import annotations

from dataclasses import dataclass

QUANTILE = 0.95
"""Share of permutations that stay below a noise level."""


@dataclass(frozen=True)
class MeasureFacts:
    """The claims of a measure."""

    label: str
    """Its label on screen."""
    low: float
    """Smallest value it can take; minus infinity where it has none."""
    high: float
    """Largest value."""
    larger_is_closer: bool
    """Direction."""
    chance: str
    """Its value on independent data, in words."""
    source: str
    """Paper and equation, and where we differ."""
    note: str
    """Cost, and where it no longer distinguishes layers; empty where there is nothing to note."""
    symmetric: bool
    """Whether the sides may be swapped."""
    invariant_to: list[str]
    """What may be done to either side without changing the value."""
