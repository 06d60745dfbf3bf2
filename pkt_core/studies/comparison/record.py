"""The records of a comparison: both models, their vocabularies, the grid and what stands beside it."""

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
    """The same of both models."""

    teacher: T
    """Of the teacher."""
    student: T
    """Of the student."""

    def items(self) -> tuple[tuple[Side, T], tuple[Side, T]]:
        """Each by its name, the teacher's first."""
        return ("teacher", self.teacher), ("student", self.student)


@dataclass(frozen=True)
class ModelFacts:
    """What one should know of a model before comparing it."""

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
    """As held here."""
    device: str
    """Where it was held."""
    tied: bool
    """Whether head and embedding are one tensor."""
    context: int
    """Longest input in tokens."""
    memory_gib: float
    """Of its weights as held here."""


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
    """Special and added tokens, left out whatever their name."""
    specials: list[str]
    """Up to 20 of those, the first ones."""
    doubles: int
    """Tokens that stand for the same text as one with a smaller id, left out."""
    rowless: int
    """Tokens whose id is beyond the head's last row."""
    padding: int
    """Rows of the head that no token has: added to make its size a round number."""


@dataclass(frozen=True)
class VocabularyFacts:
    """How far two vocabularies overlap."""

    n: int
    """Tokens that stand for the same text in both."""
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
    """What is matched, left out and padding."""


@dataclass(frozen=True)
class OutlierFacts:
    """What may own a similarity all by itself, in each layer of one model, from 0."""

    top_share: list[float]
    """Share of the variance in the largest dimension, 0..1."""
    top3_share: list[float]
    """The same of the largest three."""
    first_ratio: list[float]
    """Length at position 0 over the median of the other positions, at least 0; about 1 is ordinary. Empty without long prompts."""


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
    """What stands out in either model."""
    recomposition: Sides[RecompositionCurves]
    """Cosine of each layer's states with their recomposition, and its controls."""
    crossing: CrossingCurves | None
    """The same from the teacher's space into the student's, paired layers; None where too few tokens are shared."""
    attribution: LayerAttribution | None
    """Of the teacher, on the pair's examples; None where the teacher reads too few tokens at once for them."""
    pairing: list[int]
    """The paper's teacher layer for each student layer."""
    chosen: tuple[int, int]
    """Teacher and student layer that attribution and pairing would pick (the last ones without attribution)."""
    seconds: float
    """What it took to compute."""

    @property
    def models(self) -> Sides[ModelFacts]:
        """Both models."""
        return Sides(self.teacher, self.student)

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        rows = [
            [side, m.name, m.n_layers, m.d_model, f"{m.n_parameters / 1e6:,.1f} M"] for side, m in self.models.items()
        ]
        caption = (
            f"{self.n_prompts:,} prompts of {self.prompts}. The vocabularies share {self.vocabulary.n:,} tokens "
            f"({self.vocabulary.share:.0%} of the smaller). A transfer would pair teacher layer {self.chosen[0]} with student layer {self.chosen[1]}."
        )
        return html_table(caption, ["", "model", "layers", "width", "parameters"], rows) + self.grid._repr_html_()
