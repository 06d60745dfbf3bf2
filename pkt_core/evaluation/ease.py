"""Whether transfers gain more where two layers were more similar before: a rank correlation that accounts for shared layers.

Points are pairs of layers between which something was transferred, in blocks: within a block only the layers (and seeds)
differ, so models, method and data cannot make the correlation. A factor is known at every pair of layers, as a grid.

The points of a block are not independent: those that share a layer share its peculiarities. The null therefore shuffles
whole teacher layers and whole student layers of the grid and leaves the gains where they are (Mantel's test, for a grid
with two sides). It tests whether the factor depends on which layers were paired, not whether its numbers could be noise.

Not covered: which factors there are, and where the gains come from (`studies/factors/compute.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata

DRAWS = 4000
FEWEST = 4  # points of a block; fewer can be ordered by chance too often


@dataclass(frozen=True)
class Block:
    """Transfers that differ in their layers alone."""

    gains: Float[np.ndarray, n]
    """What each gained; higher is better."""
    layers: Int[np.ndarray, "n 2"]
    """Teacher and student layer of each."""


@dataclass(frozen=True)
class Ease:
    """How gains go with one factor."""

    rho: float
    """Spearman's rank correlation within blocks, pooled, -1..1; above 0: more of the factor, more gain."""
    low: float
    """Lower end of its 95 % interval: percentile bootstrap over the points of each block."""
    high: float
    """Upper end."""
    p_value: float
    """Share of layer shuffles with a correlation as far from 0, two-sided; never below 1 over their number."""
    visible: float
    """The 95 % quantile of |rho| over the shuffles: values nearer to 0 are within the null for these layers."""
    n: int
    """Points, pairs of layers that differ."""


def ease(blocks: Sequence[Block], grids: Sequence[np.ndarray], *, seed: int = 0) -> Ease | None:
    """The correlation of the blocks' gains with a factor; `grids` has the factor of each block's models, `[L_T, L_S]`.

    None where it is undefined: too few points, or all gains or all values of the factor are equal.
    """
    kept = [(b, np.asarray(g, float)) for b, g in zip(blocks, grids, strict=True) if len(b.gains) >= FEWEST]
    if not kept:
        return None
    generator = np.random.default_rng(seed)
    points = [(grid[tuple(block.layers.T)][None], block.gains[None]) for block, grid in kept]
    rho = pooled(points)[0]
    if not np.isfinite(rho):
        return None
    shuffles = pooled([(moved(block, grid, generator), block.gains[None]) for block, grid in kept])
    draws = [(generator.integers(0, len(b.gains), (DRAWS, len(b.gains)))) for b, _ in kept]
    resampled = pooled([(x[0][at], y[0][at]) for (x, y), at in zip(points, draws, strict=True)])
    shuffles, resampled = (np.nan_to_num(values) for values in (shuffles, resampled))
    low, high = np.quantile(resampled, [0.025, 0.975])
    as_far = int((np.abs(shuffles) >= abs(rho) - 1e-12).sum())
    return Ease(
        rho=float(rho),
        low=float(low),
        high=float(high),
        p_value=(1 + as_far) / (1 + DRAWS),
        visible=float(np.quantile(np.abs(shuffles), 0.95)),
        n=sum(len(block.gains) for block, _ in kept),
    )


def moved(
    block: Block, grid: Float[np.ndarray, "L_T L_S"], generator: np.random.Generator
) -> Float[np.ndarray, "draws n"]:
    """The factor at the block's points when teacher layers, and student layers, have changed places."""
    teacher, student = block.layers.T
    rows, columns = (
        np.argsort(generator.random((DRAWS, size)), axis=1)[:, at]
        for size, at in zip(grid.shape, (teacher, student), strict=True)
    )
    return grid[rows, columns]


def pooled(blocks: Sequence[tuple[np.ndarray, np.ndarray]]) -> Float[np.ndarray, d]:
    """Correlation of ranks within blocks, summed over blocks, one per draw; NaN where either side does not vary.

    Factor and gain of each block as `[draw, n]`, with one draw where a side is the same in all.
    """
    top, left, right = 0.0, 0.0, 0.0
    for x, y in blocks:
        a, b = (centred(rankdata(side, axis=1)) for side in (x, y))
        top, left, right = top + (a * b).sum(1), left + (a * a).sum(1), right + (b * b).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(top / np.sqrt(left * right))


def centred(ranks: Float[np.ndarray, "d n"]) -> Float[np.ndarray, "d n"]:
    """Ranks around their middle, in shares of their number, so that a large block does not outweigh small ones by scale."""
    return (ranks - (ranks.shape[1] + 1) / 2) / ranks.shape[1]
