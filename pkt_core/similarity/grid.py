"""Debiased CKA of every teacher layer with every student layer, in one pass over the activations.

Unbiased HSIC is bilinear in U-centred Grams, so a mini-batch of all layer pairs is one matrix product; HSICs are averaged
over mini-batches before dividing (averaging CKAs would be wrong). Memory depends on the block, not on the text.

Not covered: other measures; groups of unequal size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pkt_core.errors import MeasureError
from pkt_core.similarity.cka import gram, u_centred
from pkt_core.similarity.null import family_wise_p, permutations, permuted_products

MINIMUM_BLOCKS = 8  # fewer give no honest bootstrap
DRAWS = 1000


@dataclass(frozen=True)
class SimilarityGrid:
    """Teacher layer x student layer, with what chance gives and how sure we are."""

    measure: str
    """Name of the measure."""
    values: Float[Tensor, "L_T L_S"]
    """At most 1, larger is closer; NaN where a layer does not vary."""
    low: Float[Tensor, "L_T L_S"] | None
    """Lower end of the 95 % interval (bootstrap over blocks); None with fewer than 8 blocks."""
    high: Float[Tensor, "L_T L_S"] | None
    """Upper end."""
    null_max: Float[Tensor, P]
    """The grid's maximum in each permutation."""
    p_values: Float[Tensor, "L_T L_S"]
    """Family-wise, against the null of the maximum."""
    n: int
    """Samples used."""
    block: int
    """Samples per mini-batch."""
    recipe: dict[str, str | int | float]
    """How it was computed."""

    @property
    def best(self) -> tuple[int, int, float]:
        """Teacher layer, student layer and value of the largest cell."""
        values = self.values.nan_to_num(-2.0)
        i, j = divmod(int(values.argmax()), values.shape[1])
        return i, j, float(self.values[i, j])

    @property
    def noise_level(self) -> float:
        """The 95 % quantile of the maximum under the null: below it, the largest cell may be chance."""
        return float(self.null_max.quantile(0.95))

    def to_json(self) -> dict[str, Any]:
        def plain(value: Tensor | None) -> Any:  # JSON has no NaN
            return None if value is None else [[v if v == v else None for v in row] for row in value.tolist()]

        return {
            **{name: getattr(self, name) for name in ("measure", "n", "block", "recipe", "noise_level")},
            **{name: plain(getattr(self, name)) for name in ("values", "low", "high", "p_values")},
            "null_max": self.null_max.tolist(),
            "best": list(self.best),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SimilarityGrid:
        def tensor(value: Any) -> Any:
            if value is None:
                return None
            return torch.tensor([[float("nan") if v is None else v for v in row] for row in value])

        return cls(
            **{name: data[name] for name in ("measure", "n", "block", "recipe")},
            **{name: tensor(data[name]) for name in ("values", "low", "high", "p_values")},
            null_max=torch.tensor(data["null_max"]),
        )


class GridFitter:
    """Takes activations in pieces of any size; the pieces change nothing in the result."""

    def __init__(
        self,
        n_teacher_layers: int,
        n_student_layers: int,
        *,
        block: int = 64,
        permutations: int = 200,
        seed: int = 0,
        group_size: int = 1,
    ):
        if block < 4 or block % group_size or block // group_size < 2:
            raise MeasureError(
                f"Got a block of {block} samples for groups of {group_size}; expected at least 4, and a multiple of the group "
                "with at least two groups."
            )
        self.block, self.group_size, self.draws, self.seed = block, group_size, permutations, seed
        self.shape = n_teacher_layers, n_student_layers
        self.generator = torch.Generator().manual_seed(seed)
        self.waiting: list[tuple[Tensor, Tensor]] = []
        self.n_waiting = self.n = self.dropped = 0
        self.cross: list[Tensor] = []
        self.of_teacher: list[Tensor] = []
        self.of_student: list[Tensor] = []
        self.null = torch.zeros(permutations, *self.shape)

    def update(self, teacher: Float[Tensor, "L_T n d_T"], student: Float[Tensor, "L_S n d_S"]) -> None:
        """Add samples, rows paired. Raises MeasureError where the sides do not pair or hold values that are not numbers."""
        if teacher.shape[1] != student.shape[1] or (len(teacher), len(student)) != self.shape:
            raise MeasureError(
                f"Got activations {tuple(teacher.shape)} and {tuple(student.shape)}; expected {self.shape[0]} and "
                f"{self.shape[1]} layers of the same samples."
            )
        if not (torch.isfinite(teacher).all() and torch.isfinite(student).all()):
            raise MeasureError("The activations hold values that are not numbers. Check the models' precision.")
        self.waiting.append((teacher, student))
        self.n_waiting += teacher.shape[1]
        while self.n_waiting >= self.block:
            self.take(self.block)

    def take(self, n: int) -> None:
        """Turn the first n waiting samples into one block of HSICs."""
        teacher, student = (torch.cat(sides, dim=1) for sides in zip(*self.waiting, strict=True))
        self.waiting = [(teacher[:, n:], student[:, n:])]
        self.n_waiting -= n
        self.n += n
        # float64: a Gram of activations with outlier dimensions loses its small entries in float32.
        k, other = (u_centred(gram(side[:, :n].double())) for side in (teacher, student))
        scale = 1 / (n * (n - 3))
        self.cross.append(k.flatten(1) @ other.flatten(1).T * scale)
        self.of_teacher.append(k.square().sum((1, 2)) * scale)
        self.of_student.append(other.square().sum((1, 2)) * scale)
        orders = permutations(n, self.group_size, self.draws, self.generator)
        if len(k) < len(other):
            self.null += permuted_products(other, k, orders).transpose(1, 2) * scale
        else:
            self.null += permuted_products(k, other, orders) * scale

    def finish(self) -> SimilarityGrid:
        """The grid of all samples so far. Raises MeasureError where there is not one block."""
        rest = self.n_waiting - self.n_waiting % self.group_size
        if rest >= max(4, self.block // 2) and rest // self.group_size >= 2:
            self.take(rest)
        self.dropped = self.n_waiting
        if not self.cross:
            raise MeasureError(
                f"Got {self.n_waiting} samples; expected at least {max(4, self.block // 2)}. Add prompts."
            )
        cross, of_teacher, of_student = (torch.stack(parts) for parts in (self.cross, self.of_teacher, self.of_student))

        def cka(xy: Tensor, xx: Tensor, yy: Tensor) -> Tensor:
            """A layer whose own HSIC is not positive gives NaN: not computable, and never an exception."""
            return xy / (xx.clamp_min(0).sqrt()[..., :, None] * yy.clamp_min(0).sqrt()[..., None, :])

        values = cka(cross.mean(0), of_teacher.mean(0), of_student.mean(0))
        values[~values.isfinite()] = float("nan")
        null = cka(self.null.double() / len(cross), of_teacher.mean(0), of_student.mean(0))
        null_max = null.flatten(1).nan_to_num(-1.0).amax(1)
        low = high = None
        if len(cross) >= MINIMUM_BLOCKS:
            draws = torch.randint(len(cross), (DRAWS, len(cross)), generator=self.generator)
            again = cka(cross[draws].mean(1), of_teacher[draws].mean(1), of_student[draws].mean(1))
            low, high = again.quantile(torch.tensor([0.025, 0.975], dtype=again.dtype), dim=0)
        return SimilarityGrid(
            measure="debiased_linear_cka",
            values=values,
            low=low,
            high=high,
            null_max=null_max,
            p_values=family_wise_p(values, null_max),
            n=self.n,
            block=self.block,
            recipe={
                "estimator": "unbiased HSIC, averaged over blocks before dividing",
                "n": self.n,
                "block": self.block,
                "group_size": self.group_size,
                "permutations": self.draws,
                "seed": self.seed,
                "dropped": self.dropped,
                "interval": "bootstrap over blocks" if low is not None else f"none: fewer than {MINIMUM_BLOCKS} blocks",
            },
        )
