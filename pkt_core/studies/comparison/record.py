"""The records of a comparison: both models, their vocabularies, the grid and what stands beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from pkt_core.alignment.attribution import LayerAttribution
from pkt_core.alignment.recomposition import CrossingCurves, RecompositionCurves
from pkt_core.models.loading import LoadedModel
from pkt_core.models.vocabulary import VocabularyMatch, VocabularySide
from pkt_core.similarity.grid import SimilarityGrid
from pkt_core.words.notebook import html_table


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

    @classmethod
    def of(cls, loaded: LoadedModel) -> ModelFacts:
        return cls(
            name=loaded.name,
            n_layers=loaded.n_layers,
            d_model=loaded.d_model,
            vocabulary=loaded.layout.head.weight.shape[0],
            n_parameters=loaded.n_parameters,
            dtype=str(loaded.dtype).removeprefix("torch."),
            device=str(loaded.device),
            tied=loaded.layout.tied,
            context=loaded.context,
            memory_gib=sum(p.numel() * p.element_size() for p in loaded.model.parameters()) / 2**30,
        )


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
    sides: dict[str, dict[str, Any]]
    """For `teacher` and `student`, the fields of `models.vocabulary.VocabularySide`: what is matched, left out and padding."""

    @classmethod
    def of(cls, match: VocabularyMatch, teacher: VocabularySide, student: VocabularySide) -> VocabularyFacts:
        return cls(
            n=match.n,
            share=match.share,
            n_teacher=match.n_teacher,
            n_student=match.n_student,
            same_tokenizer=match.same_tokenizer,
            only_teacher=list(match.only_teacher),
            only_student=list(match.only_student),
            sides={
                side: {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(counted).items()}
                for side, counted in (("teacher", teacher), ("student", student))
            },
        )


@dataclass(frozen=True)
class Comparison:
    """Where two models' latent spaces agree."""

    teacher: ModelFacts
    student: ModelFacts
    vocabulary: VocabularyFacts
    prompts: str
    """Name of the prompt set."""
    n_prompts: int
    """How many of its prompts were read."""
    pooling: str
    part: str
    grid: SimilarityGrid
    """Teacher layer x student layer."""
    outliers: dict[str, dict[str, list[float]]]
    """For `teacher` and `student`, per layer: `top_share` and `top3_share` of the variance in the largest dimension and in
    the largest three, 0..1; `first_ratio`, length at position 0 over the median of the other positions."""
    recomposition: dict[str, RecompositionCurves]
    """For `teacher` and `student`: cosine of each layer's states with their recomposition, and its controls."""
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

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        sides = ((name, getattr(self, name)) for name in ("teacher", "student"))
        rows = [[side, m.name, m.n_layers, m.d_model, f"{m.n_parameters / 1e6:,.1f} M"] for side, m in sides]
        caption = (
            f"{self.n_prompts:,} prompts of {self.prompts}. The vocabularies share {self.vocabulary.n:,} tokens "
            f"({self.vocabulary.share:.0%} of the smaller). A transfer would pair teacher layer {self.chosen[0]} with student layer {self.chosen[1]}."
        )
        return html_table(caption, ["", "model", "layers", "width", "parameters"], rows) + self.grid._repr_html_()

    def to_json(self) -> dict[str, Any]:
        return {
            **{
                k: getattr(self, k)
                for k in ("prompts", "n_prompts", "pooling", "part", "pairing", "seconds", "outliers")
            },
            "teacher": asdict(self.teacher),
            "student": asdict(self.student),
            "vocabulary": asdict(self.vocabulary),
            "grid": self.grid.to_json(),
            "recomposition": {side: curves.to_json() for side, curves in self.recomposition.items()},
            "crossing": self.crossing and self.crossing.to_json(),
            "attribution": self.attribution and self.attribution.to_json(),
            "chosen": list(self.chosen),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Comparison:
        return cls(
            **{k: data[k] for k in ("prompts", "n_prompts", "pooling", "part", "pairing", "seconds", "outliers")},
            teacher=ModelFacts(**data["teacher"]),
            student=ModelFacts(**data["student"]),
            vocabulary=VocabularyFacts(**data["vocabulary"]),
            grid=SimilarityGrid.from_json(data["grid"]),
            recomposition={side: RecompositionCurves.from_json(c) for side, c in data["recomposition"].items()},
            crossing=CrossingCurves.from_json(data["crossing"]) if data["crossing"] else None,
            attribution=LayerAttribution.from_json(data["attribution"]) if data["attribution"] else None,
            chosen=tuple(data["chosen"]),
        )


def rounded(tensor: Tensor) -> list[Any]:
    """Coordinates for a screen: six significant digits would be more than a pixel needs."""
    return [[round(v, 4) for v in row] for row in tensor.tolist()]
