"""What a measure claims, without the steps that compute it, and where noise ends: what records and pages know without torch."""

from __future__ import annotations

from dataclasses import dataclass

QUANTILE = 0.95
"""Share of permutations that stay below a noise level."""


@dataclass(frozen=True)
class MeasureFacts:
    """What a measure claims of itself."""

    label: str
    """What the screen calls it."""
    low: float
    """Smallest value it can take; minus infinity where it has none."""
    high: float
    """Largest value."""
    larger_is_closer: bool
    """Direction."""
    chance: str
    """What independent data give, in words."""
    source: str
    """Paper and equation, and where we differ."""
    note: str
    """Cost, and where it stops telling layers apart; empty where there is nothing to know."""
    symmetric: bool
    """Whether the sides may be swapped."""
    invariant_to: list[str]
    """What may be done to either side without changing the value."""
