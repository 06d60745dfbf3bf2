"""Which prompts changed their neighbours between two spaces, more than the prompts around them did.

A group that moves together does not count: its members keep each other as neighbours, and lose and gain the same others. What stands
out is a prompt that left its neighbourhood alone. Everything is counted in the full spaces, never on a picture.

Not covered: what the spaces are, and how prompts move on a picture (a distance on a map means little).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import binom, false_discovery_control
from torch import Tensor

from pkt_core.errors import MeasureError
from pkt_core.projection.maps import NEIGHBOURS, checked, neighbours

COMPANIONS = 3  # so many kept neighbours at least make a group whose movement is the yardstick
SHUFFLES = 100


@dataclass(frozen=True)
class Turnover:
    """Neighbour turnover of every prompt between a first and a second space, row by row of the first."""

    turnover: Float[Tensor, n]
    """Share of the k nearest neighbours that are no longer among them, 0..1; by chance 1 - k / (n - 1)."""
    relative: Float[Tensor, n]
    """Turnover minus the median turnover around the prompt, -1..1; above 0 it changed more than its neighbourhood."""
    q_values: Float[Tensor, n]
    """For each prompt, the share of false alarms if it and all above it were flagged (Benjamini-Hochberg), 0..1."""
    noise: float
    """What the largest relative turnover reaches in 5 of 100 random pairings of the prompts, -1..1."""
    before: Int[Tensor, "n k"]
    """Rows of its nearest neighbours in the first space, nearest first."""
    after: Int[Tensor, "n k"]
    """The same in the second space, as rows of the first."""

    def ranked(self) -> Int[Tensor, n]:
        """Rows, the largest relative turnover first; among equals the largest turnover, then the smaller row."""
        return torch.from_numpy(np.lexsort((-self.turnover.numpy(), -self.relative.numpy())).copy())


def neighbour_turnover(
    first: Float[Tensor, "n d1"],
    second: Float[Tensor, "m d2"],
    *,
    partners: Int[Tensor, n] | None = None,
    k: int = NEIGHBOURS,
    seed: int = 0,
) -> Turnover:
    """Turnover of each prompt's k nearest others (cosine, centred), relative to that of its neighbourhood.

    With A_i and B_i the neighbours of prompt i in the two spaces:

        turnover  t_i = 1 - |A_i n B_i| / k
        yardstick R_i = A_i n B_i   where that holds at least 3 prompts (they moved together with i), else A_i u B_i
        relative  r_i = t_i - median of t_j over j in R_i
        q_i from  P(Binomial(k, rate of turnover over R_i) >= k t_i), Benjamini-Hochberg over all prompts

    So neighbours that moved together count as kept, and the others that a whole group left or met are compared with those
    that the rest of the group left or met. `partners[i]` is the row of the second space that is the same prompt
    as row i of the first (None: the same row). The noise comes from 100 random pairings; it gives what a meaningless
    pairing yields and not how a prompt would move by itself. Neighbours are not lost independently, so q is a guide.
    Raises MeasureError for too few, too many or unpaired prompts, or values that are not numbers.
    """
    n = checked(first, second)
    if not 1 <= k < n:
        raise MeasureError(f"Got {k} neighbours for {n} prompts; expected 1 to {n - 1}. Choose fewer.")
    order = torch.arange(n) if partners is None else partners
    if sorted(order.tolist()) != list(range(n)):
        raise MeasureError(f"The partners do not pair {n} prompts one to one; expected each row once.")
    a, b = (neighbours(centred(x), k, "cosine") for x in (first, second))
    after = as_rows_of_first(b, order.numpy())
    changed, relative, mask = relative_turnover(a, after)
    generator = torch.Generator().manual_seed(seed)
    tops = [
        relative_turnover(a, as_rows_of_first(b, torch.randperm(n, generator=generator).numpy()))[1].max()
        for _ in range(SHUFFLES)
    ]
    return Turnover(
        turnover=torch.from_numpy(changed / k).float(),
        relative=torch.from_numpy(relative).float(),
        q_values=torch.from_numpy(as_its_neighbours(changed, np.concatenate([a, after], 1), mask, k)).float(),
        noise=float(np.quantile(tops, 0.95)),
        before=torch.from_numpy(a).long(),
        after=torch.from_numpy(after).long(),
    )


def centred(points: Float[Tensor, "n d"]) -> np.ndarray:
    """About their mean, in float64."""
    return (points.double() - points.double().mean(0)).numpy()


def as_rows_of_first(second: np.ndarray, partners: np.ndarray) -> np.ndarray:
    """Neighbours in the second space of each row of the first, named by rows of the first."""
    back = np.empty_like(partners)
    back[partners] = np.arange(len(partners))
    return back[second[partners]]


def relative_turnover(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neighbours changed (a count), relative turnover, and which entries of `[a, b]` are the yardstick of each row."""
    n, k = a.shape
    kept_a, kept_b = membership(a, b), membership(b, a)
    changed = k - kept_a.sum(1)
    group = (kept_a.sum(1) >= COMPANIONS)[:, None]
    mask = np.concatenate([np.where(group, kept_a, True), np.where(group, False, ~kept_b)], 1)  # each prompt once
    around = np.where(mask, (changed / k)[np.concatenate([a, b], 1)], np.inf)
    around.sort(axis=1)
    count = mask.sum(1)
    rows = np.arange(n)
    median = (around[rows, (count - 1) // 2] + around[rows, count // 2]) / 2
    return changed, changed / k - median, mask


def membership(a: np.ndarray, b: np.ndarray) -> Bool[np.ndarray, "n k"]:
    """For each entry of `a`, whether the same row of `b` holds it too."""
    return (a[:, :, None] == b[:, None, :]).any(-1)


def as_its_neighbours(changed: np.ndarray, around: np.ndarray, mask: np.ndarray, k: int) -> np.ndarray:
    """Corrected chance that a prompt changes so many of k neighbours if each goes at the rate that holds around it."""
    lost = np.where(mask, changed[around], 0).sum(1)
    rate = (lost + 1) / (k * mask.sum(1) + 2)  # one imagined neighbour lost and one kept: no rate is exactly 0 or 1
    return false_discovery_control(binom.sf(changed - 1, k, rate), method="bh")
