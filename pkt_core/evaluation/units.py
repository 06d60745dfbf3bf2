"""Intervals and tests over units: what is independent, such as a fact that is asked in several forms, and not its items.

Items of one unit are averaged first. Several seeds are a random effect crossed with the units: what one seed adds to every
unit alike widens the interval as much as it should with so few seeds (Cochran's weights of the two Student quantiles).
Half an answer is added on either side before the spread is taken, so that units which all agree still leave an interval
(after Agresti and Caffo 2000, who add answers to proportions). Coverage and false alarms are simulated in `tests/test_units.py`.

Not covered: rates whose denominators differ by item (`statistics.ratio`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pkt_core.errors import MeasureError
from pkt_core.evaluation.statistics import Estimate


@dataclass(frozen=True)
class UnitEstimate:
    """A mean over units with its interval and its test against 0."""

    value: float
    """The mean of the unit means, in the items' own unit."""
    low: float
    """Lower end of the 95 % interval, over units and seeds."""
    high: float
    """Upper end."""
    p_value: float
    """Two-sided, of the mean being 0; it is below 0.05 where the interval leaves 0 out."""
    n: int
    """Units."""
    n_items: int
    """Items in them."""
    n_seeds: int
    """Seeds; 1 says nothing of how seeds differ."""

    @property
    def differs(self) -> bool:
        """Whether the interval leaves 0 out."""
        return not self.low <= 0 <= self.high


def unit_means(values: ArrayLike, units: Sequence[Hashable]) -> tuple[Float[np.ndarray, "seed unit"], list[Hashable]]:
    """Means of (seed, item) or (item) values over the items of each unit, and the units in the order of their first item.

    Raises MeasureError where items and units are not as many.
    """
    table = np.atleast_2d(np.asarray(values, float))
    if table.shape[1] != len(units):
        raise MeasureError(f"Got {table.shape[1]} items and {len(units)} units; expected one unit for each item.")
    order: dict[Hashable, int] = {}
    index = np.array([order.setdefault(unit, len(order)) for unit in units], int)
    sums = np.zeros((len(table), len(order)))
    np.add.at(sums.T, index, table.T)
    return sums / np.bincount(index, minlength=len(order)), list(order)


def mean_over_units(values: ArrayLike, units: Sequence[Hashable], *, bound: float = 1.0) -> UnitEstimate:
    """The mean of (seed, item) or (item) values with an interval over units, and over seeds where there are several.

    `bound` is the largest size that one item's value can have, such as 1 for a difference of two answers. Raises MeasureError for
    fewer than two units: a single one says nothing of how units differ.
    """
    means, found = unit_means(values, units)
    n_seeds, n = means.shape
    if n < 2:
        raise MeasureError(f"Got {n} unit to take an interval over; expected at least 2. Give items of more units.")
    added = 0.5 / (n_seeds * len(units) / n)  # units that each half answer amounts to, on either side
    total = n + 2 * added
    over_seeds = means.mean(0)
    centre = float(over_seeds.sum() / total)
    spread = float(((over_seeds**2).sum() + 2 * added * bound**2) / total - centre**2)
    of_units = spread / total * n / (n - 1)
    of_seeds = seed_variance(means) if n_seeds > 1 else 0.0
    value = float(over_seeds.mean())
    low, high = centre - (reach := margin(0.05, of_units, n, of_seeds, n_seeds)), centre + reach
    return UnitEstimate(
        value=value,
        low=min(max(low, -bound), value),
        high=max(min(high, bound), value),
        p_value=p_value(centre, of_units, n, of_seeds, n_seeds),
        n=len(found),
        n_items=len(units),
        n_seeds=n_seeds,
    )


def seed_variance(means: Float[np.ndarray, "seed unit"]) -> float:
    """Variance of the mean that comes of the seeds alone: that between seeds, less what units leave in it by chance; at least 0."""
    n_seeds, n = means.shape
    seeds = means.mean(1, keepdims=True)
    left = means - seeds - means.mean(0) + means.mean()
    by_chance = float((left**2).sum()) / ((n_seeds - 1) * (n - 1)) / n
    return max(0.0, float(seeds.var(ddof=1)) - by_chance) / n_seeds


def margin(level: float, of_units: float, n: int, of_seeds: float, n_seeds: int) -> float:
    """Half the width of the interval at this level: the quantiles of both sources, weighted by their variances (Cochran)."""
    from scipy.special import stdtrit  # Student's quantile

    quantile = -stdtrit(n - 1, level / 2) * of_units
    if of_seeds > 0:
        quantile -= stdtrit(n_seeds - 1, level / 2) * of_seeds
    return float(quantile / np.sqrt(of_units + of_seeds))


def p_value(centre: float, of_units: float, n: int, of_seeds: float, n_seeds: int) -> float:
    """The level at which the interval just reaches 0."""
    from scipy.optimize import brentq

    if centre == 0:
        return 1.0
    smallest = 1e-15
    if margin(smallest, of_units, n, of_seeds, n_seeds) < abs(centre):
        return smallest
    return float(brentq(lambda level: margin(level, of_units, n, of_seeds, n_seeds) - abs(centre), smallest, 1.0))


def share_over_units(right: ArrayLike, units: Sequence[Hashable]) -> Estimate:
    """A share of items, 0..1, with Wilson's interval for as many items as the units are worth; n counts units.

    Raises MeasureError for no item.
    """
    from scipy.special import ndtri, stdtrit

    means, found = unit_means(right, units)
    n, value = len(found), float(np.mean(np.asarray(right, float)))
    each = means[0]
    spread = float(((each - value) ** 2).sum() / (n - 1)) if n > 1 else 0.0
    worth = value * (1 - value) / (spread / n) if spread > 0 else float(n)  # effective sample size (Kish)
    z = float(stdtrit(n - 1, 0.975) if n > 1 else ndtri(0.975))
    middle = (value + z**2 / (2 * worth)) / (1 + z**2 / worth)
    reach = z / (1 + z**2 / worth) * np.sqrt(value * (1 - value) / worth + z**2 / (4 * worth**2))
    return Estimate(value, max(0.0, float(middle - reach)), min(1.0, float(middle + reach)), n)
