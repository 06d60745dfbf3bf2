"""Two sides of a claim, alternated in one run, so that a slow moment hits both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def ratio(
    title: str, ours: Callable[[], object], other: Callable[[], object], *, repeats: int = 5, aim: str = ""
) -> float:
    """Median time of one over median time of the other, printed."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for side, work in zip(times, (ours, other), strict=True):
            side.append(seconds(work))
    a, b = (statistics.median(side) for side in times)
    print(f"{title}: {a:.3f} s against {b:.3f} s, ratio {a / b:.2f} {aim}", flush=True)
    return a / b
