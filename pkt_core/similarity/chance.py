"""What independent Gaussian noise gives, where a closed form exists: numbers of n samples and the two widths.

Real activations do not fill their dimensions evenly, and pieces of one prompt are not independent of each other, so the
permutation null on the data at hand is what decides; these say what to expect before any data are there.
"""

from __future__ import annotations

from math import comb

from pkt_core.similarity.neighbours import K, harmonic, rank_scores


def zero(n: int, d1: int, d2: int) -> float:  # noqa: ARG001
    """Nothing."""
    return 0.0


def biased_cka(n: int, d1: int, d2: int) -> float:
    """Ratio of Wishart moments: E tr(K L) = (n - 1) d1 d2 and E tr(K K) = (n - 1) d (d + n)."""
    return ((d1 / (d1 + n)) * (d2 / (d2 + n))) ** 0.5


def overlaps(n: int) -> list[float]:
    """Probability that two random sets of K among n - 1 samples have 0..K in common (hypergeometric)."""
    return [comb(K, m) * comb(n - 1 - K, K - m) / comb(n - 1, K) for m in range(K + 1)]


def mutual_knn(n: int, d1: int, d2: int) -> float:  # noqa: ARG001
    """K / (n - 1)."""
    return K / (n - 1)


def jaccard(n: int, d1: int, d2: int) -> float:  # noqa: ARG001
    """The mean of m / (2 K - m)."""
    return sum(p * m / (2 * K - m) for m, p in enumerate(overlaps(n)))


def rank_similarity(n: int, d1: int, d2: int) -> float:  # noqa: ARG001
    """Ranks of common neighbours are uniform and independent, so each counts the mean of all rank scores."""
    mean = float(rank_scores()[:, 1:].mean())
    return sum(p * m * mean / float(harmonic()[m]) for m, p in enumerate(overlaps(n)))


def mean_squared_cca(n: int, d1: int, d2: int) -> float:
    """E |Q_x^T Q_y|^2 = r1 r2 / (n - 1) for ranks r, over the smaller: exact for any independent data."""
    return max(min(d1, n - 1), min(d2, n - 1)) / (n - 1)


def linear_regression_r2(n: int, d1: int, d2: int) -> float:  # noqa: ARG001
    """-d1 / (n / 2 - d1 - 2) for least squares with more fitted samples than dimensions; NaN otherwise."""
    spare = n / 2 - d1 - 2
    return -d1 / spare if spare > 0 else float("nan")
