"""The record of one pair of layers, prompt by prompt."""

from __future__ import annotations

from dataclasses import dataclass

from pkt_core.evaluation.statistics import SURE, Estimate, paired_difference


@dataclass(frozen=True)
class DrawnPairs:
    """A sample of pairs of different prompts; four lists of one length."""

    first: list[int]
    """Place of one prompt in `ids`, from 0."""
    second: list[int]
    """Place of the other, larger than the first."""
    teacher: list[float]
    """Cosine of the two prompts' centred states in the teacher layer, -1..1; higher is more similar."""
    student: list[float]
    """The same in the student's layer."""


@dataclass(frozen=True)
class RankCorrelation:
    """Whether prompts similar in one layer are similar in the other, over all pairs of prompts."""

    value: float
    """Spearman's rank correlation of the two layers' cosines, -1..1; higher agrees better, 0 for unrelated layers."""
    low: float
    """Lower end of its 95 % interval (jackknife over groups of prompts)."""
    high: float
    """Upper end."""
    left_out: list[float]
    """The correlation without each group of prompts in turn, for differences between two looks."""
    p_value: float
    """Share of shuffles that reach the value, 0..1; lower is less likely by chance."""
    noise: float
    """Noise level: the 95 % quantile over shuffles, in the unit of the value."""
    draws: int
    """Shuffles of the student's prompts."""

    @property
    def beyond_chance(self) -> bool:
        """Whether the correlation is significant against shuffled prompts."""
        return self.p_value < SURE

    def minus(self, other: RankCorrelation) -> Estimate:
        """The difference to another layer pair over the same prompts, with its paired interval; n counts groups of prompts."""
        return paired_difference(self.value, other.value, self.left_out, other.left_out)


@dataclass(frozen=True)
class SharedNeighbours:
    """Nearest prompts that both layers have in common."""

    values: list[float]
    """Per prompt, in the order of `ids`: share of its nearest prompts that both layers have, 0..1; higher agrees better."""
    mean: float
    """Their mean, 0..1."""
    low: float
    """Lower end of the mean's 95 % interval (jackknife over groups of prompts)."""
    high: float
    """Upper end."""
    left_out: list[float]
    """The mean without each group of prompts in turn, for differences between two looks."""
    chance: float
    """The share that unrelated layers have on average, 0..1."""
    beyond: float
    """The smallest share that unrelated layers reach for fewer than 5 of 100 prompts, 0..1."""
    k: int
    """Nearest prompts of each."""

    @property
    def by_chance(self) -> int:
        """Prompts whose share is within noise."""
        return sum(share < self.beyond - 1e-9 for share in self.values)

    def minus(self, other: SharedNeighbours) -> Estimate:
        """The difference of the means to another layer pair over the same prompts, with its paired interval, -1..1."""
        return paired_difference(self.mean, other.mean, self.left_out, other.left_out)


@dataclass(frozen=True)
class NearestPrompts:
    """Ids of each prompt's three nearest, nearest first; one row a prompt, in the order of `ids`."""

    teacher: list[list[int]]
    """In the teacher's layer."""
    student: list[list[int]]
    """In the student's layer."""


@dataclass(frozen=True)
class CloserLook:
    """One layer pair over the prompts of a comparison."""

    teacher_layer: int
    """From 0."""
    student_layer: int
    """From 0."""
    ids: list[int]
    """Numbers of the prompts in their set."""
    texts: list[str]
    """The prompts, in the order of `ids`."""
    n_all: int
    """Prompts of the comparison; those with stored states may be fewer."""
    recipe: dict[str, str | bool | int | float | None]
    """How activations were read, by the settings of a comparison."""
    pairs: DrawnPairs
    """The sample for the scatter plot."""
    n_pairs: int
    """All pairs of prompts, on which the correlation rests."""
    correlation: RankCorrelation
    """Over all pairs of prompts."""
    overlap: SharedNeighbours
    """Over each prompt's nearest."""
    near: NearestPrompts
    """The three nearest of each."""

    @property
    def pools_words(self) -> bool:
        """Whether a prompt is the mean of several of its words."""
        return self.recipe.get("pooling") == "tokens"
