"""The records of a latent map: one picture of two spaces, a chain of spaces, and who changed neighbours along it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class LatentMap:
    """One picture of the same prompts in both latent spaces."""

    method: str
    """`pca` or `umap`."""
    teacher_xy: list[list[float]]
    """Teacher states, carried into student space by the alignment map, then projected."""
    student_xy: list[list[float]]
    """Student states in the same projection."""
    ids: list[int]
    """Where each prompt stands in the whole set, from 0."""
    texts: list[str]
    labels: dict[str, list[str]]
    last_tokens: list[str]
    """The last piece of each prompt, where its `last` activation was taken."""
    neighbour_overlap: list[float]
    """Per prompt, share of its nearest neighbours that both original spaces agree on, 0..1."""
    trust: dict[str, float]
    """Share of high-dimensional neighbours that survive in the picture, per side; `overlap` and its `overlap_chance`."""
    map: str
    """Kind of alignment map."""
    map_cosine: float
    """Mean cosine of mapped teacher states with student states that the map was not fitted on, -1..1."""
    map_control: float
    """The same for the map's control: vocabulary permuted, or pairs shuffled before fitting."""
    map_r2: float | None
    """Share of the student's variance that the mapped teacher explains on those prompts, up to 1; None for maps without scale."""
    map_r2_control: float | None
    """The same for the control; 0 or below is no better than the mean."""
    teacher_layer: int
    student_layer: int
    shuffled: bool
    """Whether this is the null picture, drawn with the control map."""
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LatentMap:
        return cls(**data)


Kind = Literal["pair", "run", "teacher", "student"]
KINDS: tuple[Kind, ...] = ("pair", "run", "teacher", "student")


@dataclass(frozen=True)
class Slice:
    """One latent space of a chain."""

    name: str
    """What the panel is called."""
    model: str
    """`teacher`, `student`, or of a run `before` and `after`."""
    layer: int
    """From 0."""


@dataclass(frozen=True)
class ChainMap:
    """A chain of latent spaces of the same prompts, one picture each in frames that belong together."""

    method: str
    """`pca` or `umap`."""
    kind: str
    """What the chain is: `pair`, `run`, or the layers of the `teacher` or `student`."""
    run: str | None
    """The run whose student stands last."""
    slices: list[dict[str, Any]]
    """Per slice the fields of Slice, `fidelity` (share of 10 neighbours that the picture keeps), `explained` (PCA only)."""
    xy: list[list[list[float]]]
    """Per slice, where each prompt lies."""
    partners: list[list[int]] | None
    """Between consecutive slices, the row that each row is joined to; None: the same row."""
    ids: list[int]
    """Where each prompt stands in the whole set, from 0."""
    texts: list[str]
    labels: dict[str, list[str]]
    last_tokens: list[str]
    """The last piece of each prompt."""
    overlap: list[list[float]]
    """Per slice and prompt, share of its 10 nearest neighbours that the slices beside it share, full spaces, 0..1."""
    steps: list[float]
    """Between consecutive slices, the mean overlap, 0..1."""
    ends: float
    """Mean overlap of the first slice with the last, 0..1."""
    overlap_chance: float
    """What unrelated spaces share."""
    regularisation: float
    """Pull between partners in AlignedUMAP."""
    pooling: str
    seed: int
    shuffled: bool
    """Whether this is the null picture, partners dealt out at random."""
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ChainMap:
        return cls(**data)


@dataclass(frozen=True)
class TurnoverTable:
    """Who changed neighbours between two slices of a chain, the most changed relative to their neighbourhood first."""

    first: str
    second: str
    """Names of the two slices."""
    rows: list[dict[str, Any]]
    """Per prompt: `id text turnover relative q before after`, the last two as lists of ids; ranked."""
    texts: dict[str, str]
    """Text of every prompt by id."""
    labels: dict[str, dict[str, str]]
    """Per label, its value by id."""
    mean: float
    """Mean turnover, 0..1."""
    chance: float
    """Turnover between unrelated spaces."""
    noise: float
    """What the largest relative turnover reaches in 5 of 100 random pairings."""
    k: int
    """Neighbours counted."""
    shuffled: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TurnoverTable:
        return cls(**data)
