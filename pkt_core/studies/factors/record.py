"""What went with the gain of transfers: groups of runs that differ in their layers alone, and every factor against what they gained.

Not covered: how it is computed (`compute.py`, `evaluation/ease.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pkt_core.evaluation.statistics import SURE

GENERAL = "general text"
"""The gain of this name is bits per byte saved."""


@dataclass(frozen=True)
class Point:
    """One pair of layers in a group, all seeds of it."""

    teacher: int
    """Layer, from 0."""
    student: int
    """Layer, from 0."""
    runs: list[str]
    """One per seed."""
    gains: dict[str, list[float]]
    """By task, per seed: share right after less before, -1..1; `general text`: bits per byte before less after. More is better."""


@dataclass(frozen=True)
class Group:
    """Runs that differ in their layers and seeds alone."""

    key: str
    """Names all that they share."""
    plan: dict[str, Any]
    """The JSON form of one run's plan, of whatever version it is."""
    control: bool
    """Whether something was taken away from the transfer: such a group says nothing of what eases one."""
    points: list[Point]
    """By teacher layer, then student layer."""


@dataclass(frozen=True)
class Correlation:
    """How gains go with one factor, over pairs of layers."""

    rho: float
    """Partial correlation beyond the depth of both layers, -1..1; above 0: more alike, more gain."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end."""
    p_value: float
    """By turning the factor at random among teacher layers, 0..1; for this factor alone."""
    p_corrected: float
    """Holm's, over all factors of the answer."""
    visible: float
    """The smallest |rho| that these layers can tell from chance, 0..1."""

    @property
    def sure(self) -> bool:
        """Whether it is beyond chance after correction for all factors."""
        return self.p_corrected < SURE


@dataclass(frozen=True)
class Factor:
    """One factor against one gain. What `Correlation` holds is None, all of it, where nothing can be said."""

    name: str
    """Of the measure, or of the depth."""
    label: str
    """What the screen calls it."""
    kind: Literal["likeness", "depth"]
    """Whether it is a measure of likeness, or known without looking at a single state."""
    rho: float | None
    low: float | None
    high: float | None
    p_value: float | None
    p_corrected: float | None
    visible: float | None
    n: int
    """Pairs of layers."""
    values: dict[str, list[list[float]]]
    """By group, `[L_T][L_S]`: the factor at every pair of layers; larger is more alike."""

    @property
    def correlation(self) -> Correlation | None:
        """None where nothing can be said: too few pairs of layers, or all gains or all values are the same."""
        if self.rho is None or self.low is None or self.high is None:
            return None
        if self.p_value is None or self.p_corrected is None or self.visible is None:
            return None
        return Correlation(self.rho, self.low, self.high, self.p_value, self.p_corrected, self.visible)


def correlated(factors: Iterable[Factor]) -> list[tuple[Factor, Correlation]]:
    """Factors of which something can be said, in the same order, each with what is said of it."""
    return [(factor, correlation) for factor in factors if (correlation := factor.correlation) is not None]


@dataclass(frozen=True)
class Factors:
    """Every factor against every gain."""

    groups: list[Group]
    """All there are, largest first."""
    used: list[str]
    """Keys of those that were answered from."""
    factors: dict[str, list[Factor]]
    """By task, the strongest first."""
    depth: dict[str, float | None]
    """By task, the share of the gains' variance, 0..1, that the depth of both layers explains alone; None where it cannot be taken."""

    @property
    def groups_used(self) -> list[Group]:
        return [group for group in self.groups if group.key in self.used]


@dataclass(frozen=True)
class RecordedFactors(Factors):
    """An answer that ships with the project."""

    command: str
    """What made its runs."""
