"""The records of a comparison: both models, their vocabularies, the grid and its companions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from pkt_core.alignment.record import CrossingCurves, LayerAttribution, RecompositionCurves
from pkt_core.similarity.grid import SimilarityGrid
from pkt_core.words.notebook import html_table

T = TypeVar("T")
Side = Literal["teacher", "student"]


@dataclass(frozen=True)
class Sides(Generic[T]):
    """One value for each of the two models."""

    teacher: T
    """Of the teacher."""
    student: T
    """Of the student."""

    def items(self) -> tuple[tuple[Side, T], tuple[Side, T]]:
        """Each by its name, the teacher's first."""
        return ("teacher", self.teacher), ("student", self.student)


@dataclass(frozen=True)
class ModelFacts:
    """Properties of a model that matter for a comparison."""

    name: str
    """Last part of its hub id or path."""
    n_layers: int
    """Blocks."""
    d_model: int
    """Width of the residual stream."""
    vocabulary: int
    """Rows of its head, padding included."""
    n_parameters: int
    """All of them, tied ones once."""
    dtype: str
    """Precision of its weights in memory."""
    device: str
    """Device of its weights."""
    tied: bool
    """Whether head and embedding are one tensor."""
    context: int
    """Longest input in tokens."""
    memory_gib: float
    """Memory of its weights, GiB."""


@dataclass(frozen=True)
class VocabularySide:
    """One model's tokens, counted."""

    rows: int
    """Rows of its head."""
    ordinary: int
    """Tokens with a row that are not special, one for each text."""
    alone: int
    """Ordinary ones without a partner in the other vocabulary."""
    special: int
    """Special and added tokens, excluded whatever their name."""
    specials: list[str]
    """Up to 20 of those, the first ones."""
    doubles: int
    """Tokens with the same text as one with a smaller id, excluded."""
    rowless: int
    """Tokens whose id is beyond the head's last row."""
    padding: int
    """Rows of the head without a token, added to round its size."""


@dataclass(frozen=True)
class VocabularyFacts:
    """How far two vocabularies overlap."""

    n: int
    """Tokens with the same text in both."""
    share: float
    """Of the smaller vocabulary, 0..1."""
    n_teacher: int
    """Ordinary tokens of the teacher."""
    n_student: int
    """Ordinary tokens of the student."""
    same_tokenizer: bool
    """Whether token positions and ids can be compared directly."""
    only_teacher: list[str]
    """Up to 20 without a partner."""
    only_student: list[str]
    """Up to 20 without a partner."""
    sides: Sides[VocabularySide]
    """Counts of matched, excluded and padding rows."""


@dataclass(frozen=True)
class OutlierFacts:
    """Outliers that can dominate a similarity, by layer of one model, from 0."""

    top_share: list[float]
    """Share of the variance in the largest dimension, 0..1."""
    top3_share: list[float]
    """The same of the largest three."""
    first_ratio: list[float]
    """Norm at position 0 over the median of the other positions, at least 0; about 1 is typical. Empty without long prompts."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Where two models' latent spaces agree."""

    teacher: ModelFacts
    """The model that gives."""
    student: ModelFacts
    """The model that receives."""
    vocabulary: VocabularyFacts
    """What their vocabularies share."""
    prompts: str
    """Name of the prompt set."""
    n_prompts: int
    """How many of its prompts were read."""
    pooling: str
    """What one sample is: a prompt's `mean`, its `last` token, or several of its `tokens`."""
    part: str
    """Which activation of a layer."""
    grid: SimilarityGrid
    """Teacher layer x student layer."""
    outliers: Sides[OutlierFacts]
    """Outliers of each model."""
    recomposition: Sides[RecompositionCurves]
    """Cosine of each layer's states with their recomposition, and its controls."""
    crossing: CrossingCurves | None
    """The same from the teacher's space to the student's, paired layers; None where too few tokens are shared."""
    attribution: LayerAttribution | None
    """Of the teacher, on the pair's examples; None where the context of the teacher is too short for them."""
    pairing: list[int]
    """The paper's teacher layer for each student layer."""
    chosen: tuple[int, int]
    """Teacher and student layer that attribution and pairing would pick (the last ones without attribution)."""
    seconds: float
    """Wall time of the computation."""

    @property
    def models(self) -> Sides[ModelFacts]:
        """Both models."""
        return Sides(self.teacher, self.student)

    def _repr_html_(self) -> str:
        """HTML for notebooks."""
        rows = [
            [side, m.name, m.n_layers, m.d_model, f"{m.n_parameters / 1e6:,.1f} M"] for side, m in self.models.items()
        ]
        caption = (
            f"{self.n_prompts:,} prompts of {self.prompts}. The vocabularies share {self.vocabulary.n:,} tokens "
            f"({self.vocabulary.share:.0%} of the smaller). A transfer would pair teacher layer {self.chosen[0]} with student layer {self.chosen[1]}."
        )
        return html_table(caption, ["", "model", "layers", "width", "parameters"], rows) + self.grid._repr_html_()
