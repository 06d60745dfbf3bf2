"""Naive twins of the similarity measures: sums over index tuples, straight from the formulas."""

from itertools import permutations

import numpy as np


def unbiased_hsic(k, other):
    """Song et al. 2012, eq. 5: 1 / (n (n - 3)) [tr(KL) + 1K1 1L1 / ((n - 1)(n - 2)) - 2 / (n - 2) 1KL1], diagonals zero."""
    k, other = k - np.diag(np.diag(k)), other - np.diag(np.diag(other))
    n = len(k)
    one = np.ones(n)
    inner = np.trace(k @ other) + (one @ k @ one) * (one @ other @ one) / ((n - 1) * (n - 2))
    return (inner - 2 / (n - 2) * one @ k @ other @ one) / (n * (n - 3))


def unbiased_hsic_by_tuples(k, other):
    """The U-statistic over all ordered 4-tuples of distinct samples (Gretton et al. 2005); n = 6 is as far as it goes."""
    n, total, count = len(k), 0.0, 0
    for i, j, q, r in permutations(range(n), 4):
        total += k[i, j] * (other[i, j] + other[q, r] - 2 * other[i, q])
        count += 1
    return total / count


def debiased_cka(x, y):
    k, other = x @ x.T, y @ y.T
    return unbiased_hsic(k, other) / np.sqrt(unbiased_hsic(k, k) * unbiased_hsic(other, other))


def biased_cka(x, y):
    n = len(x)
    h = np.eye(n) - 1 / n
    k, other = h @ x @ x.T @ h, h @ y @ y.T @ h
    return np.sum(k * other) / np.sqrt(np.sum(k * k) * np.sum(other * other))
