"""The minimum detectable effect of a paired test on n items.

Not covered: the other tests of this project (paired bootstrap of bits per byte), corrections over tasks (pass a smaller `alpha`).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom

INDEPENDENT = 0.5
"""Share of items on which two models that are right half of the time, each by itself, differ; models with correlated errors differ on fewer."""
TAIL = 1e-9
"""Probability left out at either end of the number of items that differ."""


def detectable(n: int, discordant: float | None = None, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest change of a share, 0..1, that McNemar's exact test on n items finds with this power.

    `discordant` is the share of items that one model has right and the other wrong, whichever way; without it, `INDEPENDENT`, the
    worst that two models do that do not err on opposite items. The test's power is computed from its exact distribution: the number
    of items that differ is binomial, and of those the number that turned right. A change cannot be larger than the share that
    differs, so where `discordant` is too small for any finding, the change sought is one in which every differing item goes the same
    way. Infinite where n items can find none at all (n < 6 at alpha 0.05).

    The form of Connor (1987), with the exact distribution in place of his normal approximation.
    """
    share = INDEPENDENT if discordant is None else discordant

    def missing(change: float) -> float:
        return found(n, max(share, change), change, alpha) - power

    if missing(1.0) < 0:
        return math.inf
    return float(brentq(missing, 1e-9, 1.0, xtol=1e-6))


def found(n: int, discordant: float, change: float, alpha: float = 0.05) -> float:
    """The chance, 0..1, that McNemar's exact test finds a change on n items of which the share `discordant` differs."""
    low, high = binom.ppf([TAIL, 1 - TAIL], n, discordant).astype(int)
    differing = np.arange(max(low, 1), max(high, 1) + 1)
    fewest = binom.ppf(alpha / 2, differing, 0.5)
    fewest -= 2 * binom.cdf(fewest, differing, 0.5) > alpha
    turned_right = (discordant + change) / (2 * discordant)
    either_end = binom.cdf(fewest, differing, turned_right) + binom.cdf(fewest, differing, 1 - turned_right)
    return float(binom.pmf(differing, n, discordant) @ either_end)
