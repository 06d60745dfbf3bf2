"""Correlates of transfer gain: groups of runs that differ only in their layers, and every factor against their gain.

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
    """One layer pair in a group, with all its seeds."""

    teacher: int
    """Layer, from 0."""
    student: int
    """Layer, from 0."""
    runs: list[str]
    """One per seed."""
    gains: dict[str, list[float]]
    """By task, per seed: share right, after minus before, -1..1; `general text`: bits per byte, before minus after. Larger is better."""


@dataclass(frozen=True)
class Group:
    """Runs that differ only in their layers and seeds."""

    key: str
    """Fingerprint of everything they share."""
    plan: dict[str, Any]
    """The JSON form of one run's plan, of whatever version it is."""
    control: bool
    """Whether the transfer is a control; controls are not used to predict gain."""
    points: list[Point]
    """By teacher layer, then student layer."""


@dataclass(frozen=True)
class Correlation:
    """Correlation of the gain with one factor, over layer pairs."""

    rho: float
    """Rank correlation, -1..1; above 0: more similar, more gain."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end."""
    p_value: float
    """By shuffling layers, 0..1; for this factor alone."""
    p_corrected: float
    """Holm's, over all factors of the answer."""
    visible: float
    """Noise level: the 95 % quantile of |rho| over shuffles of whole layers, 0..1."""

    @property
    def sure(self) -> bool:
        """Whether it is significant after correction for all factors."""
        return self.p_corrected < SURE


@dataclass(frozen=True)
class Factor:
    """One factor against one gain. All fields of `Correlation` are None where the correlation is undefined."""

    name: str
    """Of the measure, or of the depth."""
    label: str
    """Its label on screen."""
    kind: Literal["likeness", "depth"]
    """A similarity measure, or layer depth, which needs no states."""
    rho: float | None
    low: float | None
    high: float | None
    p_value: float | None
    p_corrected: float | None
    visible: float | None
    n: int
    """Pairs of layers."""
    values: dict[str, list[list[float]]]
    """By group, `[L_T][L_S]`: the factor at every layer pair; larger is more similar."""

    @property
    def correlation(self) -> Correlation | None:
        """None where it is undefined: too few layer pairs, or all gains or all values are equal."""
        if self.rho is None or self.low is None or self.high is None:
            return None
        if self.p_value is None or self.p_corrected is None or self.visible is None:
            return None
        return Correlation(self.rho, self.low, self.high, self.p_value, self.p_corrected, self.visible)


def correlated(factors: Iterable[Factor]) -> list[tuple[Factor, Correlation]]:
    """Factors with a defined correlation, in the same order, each with its correlation."""
    return [(factor, correlation) for factor in factors if (correlation := factor.correlation) is not None]


@dataclass(frozen=True)
class Factors:
    """Every factor against every gain."""

    groups: list[Group]
    """All groups, largest first."""
    used: list[str]
    """Keys of the groups used."""
    factors: dict[str, list[Factor]]
    """By task, the strongest first."""

    @property
    def groups_used(self) -> list[Group]:
        return [group for group in self.groups if group.key in self.used]


@dataclass(frozen=True)
class RecordedFactors(Factors):
    """A result that ships with the project."""

    command: str
    """The command that made its runs."""
