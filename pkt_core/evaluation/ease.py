"""Whether transfers gain more where two layers were more similar before: a correlation that depth trends cannot produce.

Points are pairs of layers between which something was transferred, in blocks: within a block only the layers (and seeds)
differ, so models, method and data cannot make the correlation. A factor is known at every pair of layers, as a grid.

Gain and similarity both change with depth, and points that share a layer share its peculiarities. So both sides are compared
within each student layer, a straight and a bent trend over the teacher's layers are taken out, and what is left is tested by
turning the factor at random among the teacher's layers, for all student layers alike (rotation test, Langsrud 2005: exact for
normal errors of any correlation among student layers). Its rate of false alarms under trends, bends and effects of whole layers is
simulated in `tests/test_ease.py`; a shuffle of layers raises a false alarm in half the cases there.

Not covered: which factors there are, and where the gains come from (`studies/factors/compute.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

DRAWS = 4000
TRENDS = 2  # powers of the teacher's depth that are taken out
FEWEST = TRENDS + 3  # teacher layers; with one less, two ways to turn are left


@dataclass(frozen=True)
class Block:
    """Transfers that differ in their layers alone."""

    gains: Float[np.ndarray, n]
    """What each gained; higher is better."""
    layers: Int[np.ndarray, "n 2"]
    """Teacher and student layer of each."""


@dataclass(frozen=True)
class Ease:
    """The correlation of gains with one factor beyond depth."""

    rho: float
    """Partial correlation within blocks, pooled, -1..1; above 0: more of the factor than its depth has, more gain."""
    low: float
    """Lower end of its 95 % interval: Fisher's z with the spread that turned factors have."""
    high: float
    """Upper end."""
    p_value: float
    """Share of turned factors with a correlation as far from 0, two-sided; never below 1 over their number."""
    visible: float
    """The 95 % quantile of |rho| over turned factors: values nearer to 0 are within the null for these layers."""
    n: int
    """Points that count: those of teacher layers tried with every student layer."""


@dataclass(frozen=True)
class Product:
    """The points of a block whose teacher layers were all tried with the same student layers."""

    gains: Float[np.ndarray, "T S"]
    """What each gained."""
    teacher: Int[np.ndarray, T]
    """Layers of the teacher, ascending."""
    student: Int[np.ndarray, S]
    """Layers of the student, ascending."""


def product(block: Block) -> Product | None:
    """The points that can be compared within student layers; None where fewer than `FEWEST` teacher layers are left.

    Student layers are given up one by one, the one tried with fewest teacher layers first, until enough teacher layers remain.
    """
    gain = {(int(t), int(s)): float(g) for (t, s), g in zip(block.layers, block.gains, strict=True)}
    students = sorted({s for _, s in gain})
    while students:
        teachers = [t for t in sorted({t for t, _ in gain}) if all((t, s) in gain for s in students)]
        if len(teachers) >= FEWEST:
            table = np.array([[gain[t, s] for s in students] for t in teachers])
            return Product(table, np.array(teachers), np.array(students))
        students.remove(min(students, key=lambda s: sum(at == s for _, at in gain)))
    return None


def beyond_depth(values: Float[np.ndarray, "T S"], teacher: Int[np.ndarray, T]) -> Float[np.ndarray, "left S"]:
    """What is left of values within each student layer without the trends, in coordinates that carry no trend: T - 1 - TRENDS rows."""
    depth = (teacher - teacher.mean()) / max(1e-12, np.ptp(teacher))
    trends = np.stack([depth**power for power in range(TRENDS + 1)], axis=1)
    whole, _ = np.linalg.qr(trends, mode="complete")
    return np.asarray(whole[:, TRENDS + 1 :].T @ values)


def explained_by_depth(blocks: Sequence[Block]) -> float | None:
    """Share of the variance of the gains, 0..1, that student layer and the teacher's trends account for; None where none can be taken."""
    tables = [(kept.gains, beyond_depth(kept.gains, kept.teacher)) for b in blocks if (kept := product(b)) is not None]
    whole = [gains.size * gains.var() for gains, _ in tables]
    shares = [1 - (left**2).sum() / total for (_, left), total in zip(tables, whole, strict=True) if total > 0]
    return float(np.mean(shares)) if shares else None


def ease(blocks: Sequence[Block], grids: Sequence[np.ndarray], *, seed: int = 0) -> Ease | None:
    """The correlation of the blocks' gains with a factor; `grids` has the factor of each block's models, `[L_T, L_S]`.

    None where it is undefined: too few teacher layers, or gains or factor do not vary beyond depth.
    """
    sides: list[tuple[np.ndarray, np.ndarray]] = []
    n = 0
    for block, grid in zip(blocks, grids, strict=True):
        if (kept := product(block)) is None:
            continue
        factor = np.asarray(grid, float)[np.ix_(kept.teacher, kept.student)]
        pair = [beyond_depth(values, kept.teacher) for values in (kept.gains, factor)]
        size = [float(np.linalg.norm(side)) for side in pair]
        if min(size[0] / spread(kept.gains), size[1] / spread(factor)) < 1e-9:
            continue
        sides.append((pair[0] / size[0], pair[1] / size[1]))  # each block weighs by its points, whatever its units
        n += kept.gains.size
    if not sides:
        return None
    generator = np.random.default_rng(seed)
    weights = np.array([gain.size for gain, _ in sides], float)
    weights /= weights.sum()
    rho = float(weights @ [(gain * factor).sum() for gain, factor in sides])
    turned = weights @ np.stack(
        [np.einsum("ts,dtu,us->d", gain, turns(len(gain), generator), factor, optimize=True) for gain, factor in sides]
    )
    most = 1 - 1e-9
    width = 1.96 * float(np.arctanh(np.clip(turned, -most, most)).std())
    z = float(np.arctanh(np.clip(rho, -most, most)))
    return Ease(
        rho=rho,
        low=float(np.tanh(z - width)),
        high=float(np.tanh(z + width)),
        p_value=(1 + int((np.abs(turned) >= abs(rho) - 1e-12).sum())) / (1 + DRAWS),
        visible=float(np.quantile(np.abs(turned), 0.95)),
        n=n,
    )


def spread(values: np.ndarray) -> float:
    """How far values lie from 0 at most; never 0."""
    return float(np.abs(values).max()) or 1.0


def turns(size: int, generator: np.random.Generator) -> Float[np.ndarray, "draws size size"]:
    """Rotations and reflections drawn evenly."""
    turned, triangle = np.linalg.qr(generator.normal(size=(DRAWS, size, size)))
    return np.asarray(turned * np.sign(np.einsum("dii->di", triangle))[:, None, :])
