"""Neighbour turnover once more, point by point with sets, straight from the formula in `projection/turnover.py`."""

from __future__ import annotations

import statistics

import numpy as np


def nearest(points: np.ndarray, k: int) -> list[list[int]]:
    """The k nearest others by cosine about the mean, nearest first."""
    points = points - points.mean(0)
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    near = unit @ unit.T
    np.fill_diagonal(near, -np.inf)
    return [list(np.argsort(-row, kind="stable")[:k]) for row in near]


def turnover(first: np.ndarray, second: np.ndarray, partners: list[int], k: int) -> tuple[list[float], list[float]]:
    """Turnover and relative turnover of every prompt."""
    n = len(first)
    back = {row: i for i, row in enumerate(partners)}
    a = [set(found) for found in nearest(first, k)]
    of_second = nearest(second, k)
    b = [{back[j] for j in of_second[partners[i]]} for i in range(n)]
    t = [1 - len(a[i] & b[i]) / k for i in range(n)]
    relative = []
    for i in range(n):
        yardstick = a[i] & b[i] if len(a[i] & b[i]) >= 3 else a[i] | b[i]
        relative.append(t[i] - statistics.median(t[j] for j in yardstick))
    return t, relative
