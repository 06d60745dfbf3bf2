"""How much of the student's activations can be predicted linearly from the teacher's, on samples not fitted on?

With fewer samples than dimensions a plain least-squares fit is always perfect, so the fit is scored held out: fit on one
half of the samples, score on the other, swap, average. A small ridge (0.001 of the mean eigenvalue of the fitted half's
Gram) keeps the solution unique; it comes near the minimum-norm one. The halves are drawn with a fixed seed.

Written with Grams: predictions are `S Y_fitted` with a smoothing matrix S that depends on the teacher alone, and the squared
errors are inner products of S and S^T S with blocks of the student's Gram. So a grid is one matrix product.

Not covered: other splits, nonlinear fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pkt_core.similarity.cka import gram
from pkt_core.similarity.record import Tick, silent

RIDGE = 1e-3
NOTHING = 1e-12  # of the mean squared length: less is rounding
SPLIT_SEED = 0


def halves(n: int) -> tuple[Int[Tensor, a], Int[Tensor, b]]:
    """A seeded split of the samples; the second half is the larger by one where n is odd."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(SPLIT_SEED))
    return order[: n // 2], order[n // 2 :]


@dataclass(frozen=True)
class Regressable:
    """A layer as predictor and as what is to be predicted."""

    gram: Float[Tensor, "n n"]
    """Inner products of centred rows."""
    order: Int[Tensor, n]
    """Which of those rows stands where."""

    def blocks(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """For each fitted half: Gram of the fitted, of scored with fitted, and squared length of the scored.

        All centred by the mean of the fitted half: what is scored must not have been seen.
        """
        first, second = (self.order[half] for half in halves(len(self.gram)))
        parts = []
        for fitted, scored in ((first, second), (second, first)):
            columns = self.gram.index_select(1, fitted)
            inside, across = columns.index_select(0, fitted), columns.index_select(0, scored)
            mean_inside, mean_across = inside.mean(1), across.mean(1)  # of each row with the fitted half's mean
            mean = mean_inside.mean()
            inside = inside - mean_inside[:, None] - mean_inside + mean
            across = across - mean_across[:, None] - mean_inside + mean
            lengths = self.gram.diagonal()[scored] - 2 * mean_across + mean
            parts.append((inside, across, lengths.sum()))
        return parts

    @cached_property
    def predictor(self) -> Float[Tensor, m]:
        """-2 S and S^T S of each split, as one vector."""
        parts = []
        for fitted, across, _ in self.blocks():
            # The floor lets a half that does not vary predict its mean instead of its rounding.
            ridge = RIDGE * fitted.diagonal().mean() + NOTHING * self.gram.diagonal().mean()
            factor = torch.linalg.cholesky(fitted + ridge * torch.eye(len(fitted), dtype=fitted.dtype))
            smoother = torch.cholesky_solve(across.T, factor).T
            parts += [-2 * smoother.flatten(), (smoother.T @ smoother).flatten()]
        return torch.cat(parts)

    @cached_property
    def predicted(self) -> Float[Tensor, m]:
        """The Gram blocks that `predictor` meets, over the squared length of what is scored; NaN where that is 0."""
        parts = []
        for fitted, across, length in self.blocks():
            if not float(length) > NOTHING * float(self.gram.diagonal().sum()):
                length = length * torch.nan
            parts += [across.flatten() / length, fitted.flatten() / length]
        return torch.cat(parts)


def prepare(x: Float[Tensor, "n d"]) -> Regressable:
    return Regressable(gram(x), torch.arange(len(x)))


def permute(prepared: Regressable, order: Int[Tensor, n]) -> Regressable:
    """The same samples in another order, which puts others into the fitted half."""
    return Regressable(prepared.gram, prepared.order[order])


def stack(students: Sequence[Regressable]) -> Float[Tensor, "m L_S"]:
    return torch.stack([layer.predicted for layer in students], dim=1)


def linear_regression_r2(
    teachers: Sequence[Regressable], stacked: Float[Tensor, "m L_S"], tick: Tick = silent
) -> Float[Tensor, "L_T L_S"]:
    """Held-out R^2 of the student's activations from the teacher's. At most 1, larger is closer, at or below 0 by chance.

    1 - |Y - S Y_fitted|^2 / |Y|^2 over the scored half, both centred by the fitted half's mean; the mean over both splits.
    Kornblith et al. 2019, section 5.2 gives the same ratio on the samples that were fitted.
    """
    values = -(torch.stack([layer.predictor for layer in teachers]) @ stacked) / 2
    tick(1.0)
    return values
