"""Debiased CKA of every teacher layer with every student layer, in one pass over the activations.

HSICs are averaged over mini-batches before dividing (averaging CKAs would be wrong). Memory depends on the block, not on
the text. Permutations and bootstrap draws stay within blocks, so that they see the very estimator that is on screen.

Not covered: other measures (pairwise.py); groups of unequal size.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from pkt_core.base.arrays import array
from pkt_core.errors import MeasureError
from pkt_core.similarity.blocks import BlockSums, block_sums
from pkt_core.similarity.grid import GridRecipe, SimilarityGrid
from pkt_core.similarity.interval import bootstrap_weights, percentile_interval
from pkt_core.similarity.null import Calibration, calibrate, permutations
from pkt_core.similarity.outliers import Rule, Treatment, learn
from pkt_core.similarity.scale import layer_exponents, over_two_to

BLOCK = 256
MINIMUM_REST = 16  # samples that make a last, smaller block worth its noise


def ratio(sums: BlockSums, cross: Tensor, of_teacher: Tensor, of_student: Tensor) -> Tensor:
    """CKA from HSICs; a layer whose own HSIC is no more than rounding gives NaN: not computable, and never an exception."""
    teacher = torch.where(of_teacher > sums.rounding_of_teacher, of_teacher, torch.nan).sqrt()
    student = torch.where(of_student > sums.rounding_of_student, of_student, torch.nan).sqrt()
    return cross / (teacher[..., :, None] * student[..., None, :])


def finite(side: Tensor) -> bool:
    """Whether all values are numbers; their sum is looked at first, because it needs no second table of the same size."""
    return bool(torch.isfinite(side.sum(dtype=torch.float32))) or bool(torch.isfinite(side).all())


def grid_record(
    measure: str,
    values: Float[Tensor, "L_T L_S"],
    interval: tuple[Tensor, Tensor],
    calibration: Calibration,
    recipe: GridRecipe,
    *,
    larger_is_closer: bool = True,
) -> SimilarityGrid:
    """The record of a grid with its interval and its null; here tensors end."""
    low, high = interval
    return SimilarityGrid(
        measure=measure,
        larger_is_closer=larger_is_closer,
        n=recipe.n or 0,
        recipe=recipe,
        values=array(values),
        low=array(low),
        high=array(high),
        **{name: array(one) for name, one in vars(calibration).items()},
    )


class GridFitter:
    """Takes activations in pieces of any size; the pieces change nothing in the result."""

    def __init__(
        self,
        n_teacher_layers: int,
        n_student_layers: int,
        *,
        block: int = BLOCK,
        permutations: int = 200,
        draws: int = 200,
        seed: int = 0,
        group_size: int = 1,
        rule: Rule = "none",
    ):
        if block < 4 or block % group_size or block // group_size < 2:
            raise MeasureError(
                f"Got a block of {block} samples for groups of {group_size}; expected at least 4, and a multiple of the group "
                "with at least two groups."
            )
        self.block, self.group_size, self.seed, self.rule = block, group_size, seed, rule
        self.permutations, self.draws = permutations, draws
        self.shape = n_teacher_layers, n_student_layers
        self.generator = torch.Generator().manual_seed(seed)
        self.waiting: list[tuple[Tensor, Tensor]] = []
        self.n_waiting = self.n = self.blocks = self.dropped = 0
        self.treatments: list[Treatment] = []
        self.sums: BlockSums | None = None
        self.exponents: list[Tensor] = []  # of two, by which each side's layers were divided before summing

    def update(self, teacher: Float[Tensor, "L_T n d_T"], student: Float[Tensor, "L_S n d_S"]) -> None:
        """Add samples, rows paired. Raises MeasureError where the sides do not pair or hold values that are not numbers."""
        if teacher.shape[1] != student.shape[1] or (len(teacher), len(student)) != self.shape:
            raise MeasureError(
                f"Got activations {tuple(teacher.shape)} and {tuple(student.shape)}; expected {self.shape[0]} and "
                f"{self.shape[1]} layers of the same samples."
            )
        if not (finite(teacher) and finite(student)):
            raise MeasureError("The activations hold values that are not numbers. Check the models' precision.")
        self.waiting.append((teacher, student))
        self.n_waiting += teacher.shape[1]
        while self.n_waiting >= self.block:
            self.take(self.block)

    def take(self, n: int) -> None:
        """Turn the first n waiting samples into one block of HSICs."""
        sides = [side if side.dtype == torch.float64 else side.float() for side in self.pop(n)]
        if not self.treatments:
            self.treatments = [learn(self.rule, side) for side in sides]
        sides = [treat(side) for treat, side in zip(self.treatments, sides, strict=True)]
        exponents = [layer_exponents(side) for side in sides]
        teacher, student = (over_two_to(*one).float() for one in zip(exponents, sides, strict=True))
        orders = permutations(n, self.group_size, self.permutations, self.generator)
        weights = bootstrap_weights(n, self.group_size, self.draws, self.generator)
        block = block_sums(teacher, student, orders, weights)
        self.n, self.blocks = self.n + n, self.blocks + 1
        if self.sums is None:
            self.sums, self.exponents = block, exponents
        else:  # a running mean, each block weighing as many samples as it has, in the larger of both magnitudes
            larger = [torch.maximum(mine, its) for mine, its in zip(self.exponents, exponents, strict=True)]
            self.sums.shift(*(mine - most for mine, most in zip(self.exponents, larger, strict=True)))
            block.shift(*(its - most for its, most in zip(exponents, larger, strict=True)))
            self.exponents = larger
            self.sums.add(self.sums, -n / self.n)
            self.sums.add(block, n / self.n)

    def pop(self, n: int) -> list[Tensor]:
        """The first n waiting samples of both sides; nothing is copied that one piece holds."""
        taken, left = [], n
        while left:
            piece = self.waiting.pop(0)
            taken.append(tuple(side[:, :left] for side in piece))
            if piece[0].shape[1] > left:
                self.waiting.insert(0, (piece[0][:, left:], piece[1][:, left:]))
            left -= taken[-1][0].shape[1]
        self.n_waiting -= n
        return [parts[0] if len(parts) == 1 else torch.cat(parts, dim=1) for parts in zip(*taken, strict=True)]

    def finish(self) -> SimilarityGrid:
        """The grid of all samples so far. Raises MeasureError where they do not make one block."""
        rest = self.n_waiting - self.n_waiting % self.group_size
        if rest >= MINIMUM_REST and rest // self.group_size >= 2:
            self.take(rest)
        self.dropped = self.n_waiting
        if self.sums is None:
            raise MeasureError(f"Got {self.n_waiting} samples; expected at least {MINIMUM_REST}. Add prompts.")
        sums = self.sums
        values = ratio(sums, sums.cross, sums.of_teacher, sums.of_student)
        null = ratio(sums, sums.null.double(), sums.of_teacher, sums.of_student)
        low, high = percentile_interval(self.drawn())
        recipe = GridRecipe(
            estimator="unbiased HSIC, averaged over blocks before dividing",
            n=self.n,
            block=self.block,
            blocks=self.blocks,
            group_size=self.group_size,
            centring="U-centred Grams",
            outliers=self.rule,
            permutations=self.permutations,
            interval="weighted bootstrap of prompts",
            draws=self.draws,
            seed=self.seed,
            dropped=self.dropped,
        )
        return grid_record("debiased_linear_cka", values, (low, high), calibrate(values, null), recipe)

    def drawn(self) -> Float[Tensor, "D L_T L_S"]:
        """Bootstrap draws of the grid."""
        assert self.sums is not None
        drawn = (self.sums.drawn_cross, self.sums.drawn_teacher, self.sums.drawn_student)
        return ratio(self.sums, *(each.double() for each in drawn))
