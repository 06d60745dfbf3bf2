"""Naive twins of what one pair of layers says: cosines, ranks and neighbours by loops over prompts, straight from the definitions."""

import numpy as np
from scipy.stats import spearmanr


def cosines(x):
    """Cosine of centred rows i and j."""
    x = x - x.mean(0)
    n = len(x)
    return np.array([[x[i] @ x[j] / (np.linalg.norm(x[i]) * np.linalg.norm(x[j])) for j in range(n)] for i in range(n)])


def correlation(x, y):
    """SciPy's Spearman over pairs i < j."""
    a, b = cosines(x), cosines(y)
    pairs = [(i, j) for i in range(len(x)) for j in range(i)]
    return spearmanr([a[p] for p in pairs], [b[p] for p in pairs]).statistic


def overlap(x, y, k=10):
    """Per row, the share of its k nearest that both have."""
    shares = []
    for a, b in zip(cosines(x), cosines(y), strict=True):
        near = [
            set(sorted((j for j in range(len(a)) if j != len(shares)), key=lambda j: -row[j])[:k]) for row in (a, b)
        ]
        shares.append(len(near[0] & near[1]) / k)
    return np.array(shares)


def left_out(statistic, x, y, groups=10):
    """The statistic without each tenth of the rows in turn."""
    part = np.arange(len(x)) * groups // len(x)
    return np.array([statistic(x[part != g], y[part != g]) for g in range(groups)])


def interval(value, without):
    """Efron's delete-a-group jackknife: value -+ 2.262 standard errors, as the table of Student's t says of ten groups."""
    g = len(without)
    error = np.sqrt((g - 1) / g * np.sum((without - without.mean()) ** 2))
    return value - 2.262157 * error, value + 2.262157 * error
