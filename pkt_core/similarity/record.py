"""One similarity measure as a record: what it claims, and the steps that compute it.

The claims are the tests. The steps are two, so that a whole grid does each layer's own work once: `prepare` a layer,
then hold one teacher layer `against` all prepared student layers.

Not covered: which measures exist (records.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pkt_core.errors import MeasureError
from pkt_core.similarity.facts import MeasureFacts

Invariance = Literal["rotation", "scale", "translation", "linear"]
Prepare = Callable[[Tensor], Any]
Tick = Callable[[float], None]


def silent(done: float) -> None:
    """A tick that does nothing."""


def one_by_one(compare: Callable[[Any, Any], float]) -> Callable[[Sequence[Any], Sequence[Any], Tick], Tensor]:
    """The grid of a measure that knows nothing better than to compare pair by pair."""

    def against(teachers: Sequence[Any], students: Sequence[Any], tick: Tick = silent) -> Float[Tensor, "L_T L_S"]:
        values = torch.zeros(len(teachers), len(students), dtype=torch.float64)
        for i, of_teacher in enumerate(teachers):
            for j, of_student in enumerate(students):
                values[i, j] = compare(of_teacher, of_student)
            tick((i + 1) / len(teachers))
        return values

    return against


@dataclass(frozen=True)
class Head:
    """How one model turns an activation into a prediction over the tokens that both vocabularies have."""

    norm: Callable[[Tensor], Tensor]
    """The final norm, on float32 `[n, d]`."""
    weight: Float[Tensor, "m d"]
    """Rows of the unembedding, index-aligned with the other model's; where a model scales its logits, with the scale."""
    bias: Float[Tensor, m] | None = None
    """Of the unembedding, the same rows and scale."""
    softcap: float | None = None
    """Logits become softcap * tanh(logits / softcap), as Gemma 2 does; None: they stay."""

    @torch.no_grad()
    def log_probabilities(self, states: Float[Tensor, "... d"]) -> Float[Tensor, "... m"]:
        """Of normed states. The shared tokens are taken as all there are: probabilities sum to 1 over them."""
        logits = states @ self.weight.float().T
        if self.bias is not None:
            logits = logits + self.bias.float()
        if self.softcap is not None:
            logits = self.softcap * torch.tanh(logits / self.softcap)
        return logits.log_softmax(-1)


@dataclass(frozen=True)
class Reading:
    """What the two measures need of the models; each reads only its own part."""

    matrix: Float[Tensor, "d_S d_T"] | None = None
    """The semantic map, for `semantic_cosine`."""
    teacher: Head | None = None
    """For `next_token_agreement`."""
    student: Head | None = None
    """The same."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A similarity of two activation matrices `[n, d1]` and `[n, d2]` whose rows are the same samples."""

    name: str
    """Its name in code and URLs."""
    label: str
    """Its label on screen."""
    low: float
    """Smallest value it can take; minus infinity where it has none."""
    high: float
    """Largest value."""
    larger_is_closer: bool
    """Direction."""
    itself: float | None = None
    """The value of X with itself, where the range does not end there."""
    chance: str
    """Its value on independent data and samples, in words; spans of one prompt are not independent, so the null decides."""
    chance_level: Callable[[int, int, int], float] | None = None
    """The same as a number of n, d1, d2 for Gaussian noise with unit covariance; None where there is no closed form."""
    invariant_to: frozenset[Invariance]
    """What may be done to either side without changing the value. What is not named here does change it."""
    symmetric: bool = True
    """Whether the sides may be swapped."""
    minimum_n: int = 4
    """Fewest samples it can be taken from."""
    why_minimum: str = ""
    """Why it needs more than four samples; empty where it does not."""
    why_not: str = "too many samples are identical, or a side varies no more than chance"
    """When it is not a number although both sides vary."""
    source: str
    """Paper and equation, and where we differ."""
    note: str = ""
    """Cost, and where it no longer distinguishes layers."""
    prepare: Prepare
    """A layer's own work, from a float64 matrix `[n, d]`."""
    against: Callable[[Sequence[Any], Any, Tick], Tensor]
    """Prepared teacher layers, stacked student layers, tick -> `[L_T, L_S]`."""
    permute: Callable[[Any, Int[Tensor, n]], Any]
    """A prepared layer as if its rows had come in another order; nothing of the layer's own work is repeated."""
    stack: Callable[[Sequence[Any]], Any] = list
    """Prepared student layers in the form that `against` reads fastest."""
    prepare_student: Prepare | None = None
    """Where the student's own work is another; None: the same."""
    direct: Callable[[Tensor, Tensor], float] | None = None
    """A cheaper way to the value of a single pair; None: prepare and compare."""
    sides: Callable[[Reading], tuple[Prepare, Prepare]] | None = None
    """For measures that need a Reading of the models: how each side is prepared with it."""
    null: Callable[[Sequence[Any], Sequence[Any], Tensor], Tensor] | None = None
    """`[P, L_T, L_S]` of permuted student rows, where there is a faster way than a grid for each permutation."""
    permuted_side: Literal["teacher", "student"] = "teacher"
    """Which side's prepared layers a permutation null moves: the teacher's, unless the place of a row matters."""

    def __post_init__(self) -> None:
        assert self.minimum_n >= 4  # the unbiased HSIC divides by n - 3, so fewer samples are not enough

    @property
    def scale_invariant(self) -> bool:
        """Unchanged by scaling either side."""
        return "scale" in self.invariant_to

    @property
    def best(self) -> float:
        """The value of X with itself."""
        if self.itself is not None:
            return self.itself
        return self.high if self.larger_is_closer else self.low

    @property
    def facts(self) -> MeasureFacts:
        """What it claims, without the steps that compute it."""
        return MeasureFacts(
            label=self.label,
            low=self.low,
            high=self.high,
            larger_is_closer=self.larger_is_closer,
            chance=self.chance,
            source=self.source,
            note=self.note,
            symmetric=self.symmetric,
            invariant_to=sorted(self.invariant_to),
        )

    def compare(self, of_teacher: Any, of_student: Any) -> float:
        """The similarity of two prepared layers."""
        return float(self.against([of_teacher], self.stack([of_student]), silent)[0, 0])

    def function(self, x: Tensor, y: Tensor) -> float:
        """The similarity of two float64 matrices."""
        if self.direct is not None:
            return self.direct(x, y)
        return self.compare(self.prepare(x), (self.prepare_student or self.prepare)(y))

    def with_reading(self, reading: Reading | None) -> Measure:
        """The record with a Reading filled in; itself where it needs none. Raises MeasureError where it lacks one."""
        if self.sides is None:
            return self
        if reading is None:
            raise MeasureError(
                f"{self.name} reads activations through the models; expected a Reading. Pass `reading=Reading(...)`."
            )
        teacher, student = self.sides(reading)
        return replace(self, prepare=teacher, prepare_student=student)
