"""Intervals and paired tests; the mathematics is SciPy's and statsmodels'. All intervals are 95 %.

One item gives no variance, so where n is 1 the interval spans the whole range of the number.

SciPy and statsmodels are loaded by what computes with them: records hold an `Estimate`, and a page that shows one needs neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pkt_core.errors import MeasureError

DRAWS = 2000
SURE = 0.05
"""Significance level of a p-value."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval."""

    value: float
    """The estimate, in the unit its owner names."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end."""
    n: int
    """Independent items it rests on."""

    @property
    def differs(self) -> bool:
        """Of a difference: whether its interval leaves 0 out."""
        return not self.low <= 0 <= self.high

    def times(self, factor: float) -> Estimate:
        """The same in another unit; the factor is above 0."""
        return Estimate(factor * self.value, factor * self.low, factor * self.high, self.n)


def proportion(correct: int, n: int) -> Estimate:
    """A share of n items with Wilson's interval, 0..1."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(correct, n, method="wilson")
    return Estimate(correct / n, float(low), float(high), n)


@dataclass(frozen=True)
class Recall:
    """How many items were right."""

    n: int
    """Items."""
    correct: int
    """Of them right."""
    rate: float
    """Share right, 0..1, higher is better."""
    low: float
    """Lower end of its 95 % interval (Wilson)."""
    high: float
    """Upper end."""


def ratio(
    numerators: ArrayLike, denominators: ArrayLike, seed: int = 0, *, bounds: tuple[float, float] | None = None
) -> Estimate:
    """Sum over sum, with a percentile bootstrap over items, for rates such as bits per byte.

    `bounds` are the least and the most that the rate can be: the interval of a single item. Raises MeasureError for no item,
    and for a single one of a rate without bounds.
    """
    from scipy.stats import bootstrap

    top, bottom = np.asarray(numerators, float), np.asarray(denominators, float)
    if len(top) == 0 or (len(top) == 1 and bounds is None):
        raise MeasureError(f"Got {len(top)} items for an interval; expected at least 2. Add items.")
    if len(top) == 1:
        assert bounds is not None
        return Estimate(float(top[0] / bottom[0]), *bounds, 1)
    interval = bootstrap(
        (top, bottom),
        lambda a, b, axis: a.sum(axis) / b.sum(axis),
        paired=True,
        n_resamples=DRAWS,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(float(top.sum() / bottom.sum()), float(interval.low), float(interval.high), len(top))


@dataclass(frozen=True)
class Change:
    """Before against after on the same items."""

    before: float
    """Share right before, 0..1."""
    after: float
    """Share right after."""
    difference: float
    """After minus before, -1..1."""
    low: float
    """Lower end of its 95 % interval (paired bootstrap over items)."""
    high: float
    """Upper end."""
    p_value: float
    """Exact McNemar test that as many items turned right as turned wrong."""
    n: int
    """Items."""

    @property
    def sure(self) -> bool:
        """Whether it is significant by its own p-value, uncorrected for other tests."""
        return self.p_value < SURE

    @property
    def better(self) -> bool:
        """Whether after is above before, beyond chance."""
        return self.sure and self.difference > 0

    @property
    def worse(self) -> bool:
        """Whether after is below before, beyond chance."""
        return self.sure and self.difference < 0


def paired_change(before: Sequence[bool], after: Sequence[bool], seed: int = 0) -> Change:
    """The change of a share on the same items. Raises MeasureError where there is none."""
    from statsmodels.stats.contingency_tables import mcnemar

    old, new = np.asarray(before, bool), np.asarray(after, bool)
    table = [[int((old & new).sum()), int((old & ~new).sum())], [int((~old & new).sum()), int((~old & ~new).sum())]]
    steps = new.astype(float) - old.astype(float)
    interval = mean_step(steps, seed, bounds=(-1.0, 1.0))
    return Change(
        before=float(old.mean()),
        after=float(new.mean()),
        difference=float(steps.mean()),
        low=interval.low,
        high=interval.high,
        p_value=float(mcnemar(table, exact=True).pvalue),
        n=len(old),
    )


def paired_difference(
    first: float, second: float, first_left_out: Sequence[float], second_left_out: Sequence[float]
) -> Estimate:
    """First minus second with a paired 95 % interval (delete-one-group jackknife, Student's t); n counts the groups.

    What is left out are the numbers without each group of items in turn, at least two groups and the same for both.
    """
    from scipy.stats import t as student_t

    without = np.asarray(first_left_out, float) - np.asarray(second_left_out, float)
    groups = len(without)
    error = np.sqrt((groups - 1) / groups * ((without - without.mean()) ** 2).sum())
    margin = float(student_t.ppf(0.975, groups - 1)) * float(error)
    return Estimate(first - second, first - second - margin, first - second + margin, groups)


def mean_step(steps: np.ndarray, seed: int = 0, *, bounds: tuple[float, float] | None = None) -> Estimate:
    """The mean of paired differences, of several items that are all 0 with no interval at all."""
    if len(steps) > 1 and not steps.any():
        return Estimate(0.0, 0.0, 0.0, len(steps))
    return ratio(steps, np.ones_like(steps), seed, bounds=bounds)


def sign_flip(steps: np.ndarray, draws: int, batch: int | None = None) -> float:
    """P-value, 0..1, that paired items do not differ on average, two-sided; 1 for a single item."""
    from scipy.stats import permutation_test

    if len(steps) < 2 or not steps.any():
        return 1.0

    test = permutation_test(
        (steps,),
        lambda d, axis: d.mean(axis=axis),
        permutation_type="samples",
        n_resamples=draws,
        batch=batch,
        rng=np.random.default_rng(0),
        vectorized=True,
    )
    return min(1.0, float(test.pvalue))
