"""Intervals and paired tests; the mathematics is SciPy's and statsmodels'. All intervals are 95 %."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import bootstrap
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

DRAWS = 2000


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


def proportion(correct: int, n: int) -> Estimate:
    """A share of n items with Wilson's interval, 0..1."""
    low, high = proportion_confint(correct, n, method="wilson")
    return Estimate(correct / n, float(low), float(high), n)


def ratio(numerators: ArrayLike, denominators: ArrayLike, seed: int = 0) -> Estimate:
    """Sum over sum, with a percentile bootstrap over items, for rates such as bits per byte."""
    top, bottom = np.asarray(numerators, float), np.asarray(denominators, float)
    found = bootstrap(
        (top, bottom),
        lambda a, b, axis: a.sum(axis) / b.sum(axis),
        paired=True,
        n_resamples=DRAWS,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(float(top.sum() / bottom.sum()), float(found.low), float(found.high), len(top))


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


def paired_change(before: Sequence[bool], after: Sequence[bool], seed: int = 0) -> Change:
    """The change of a share on the same items."""
    old, new = np.asarray(before, bool), np.asarray(after, bool)
    table = [[int((old & new).sum()), int((old & ~new).sum())], [int((~old & new).sum()), int((~old & ~new).sum())]]
    steps = new.astype(float) - old.astype(float)
    if steps.any():
        interval = ratio(steps, np.ones_like(steps), seed)
        low, high = interval.low, interval.high
    else:
        low = high = 0.0
    return Change(
        before=float(old.mean()),
        after=float(new.mean()),
        difference=float(steps.mean()),
        low=low,
        high=high,
        p_value=float(mcnemar(table, exact=True).pvalue),
        n=len(old),
    )
