"""The records of a latent map: one plot of two spaces, a chain of spaces, and neighbour turnover along it."""

from __future__ import annotations

from dataclasses import dataclass

MARGIN = 0.05
"""Excess of the held-out cosine over its control from which two spaces count as aligned; a convention, not a test."""


@dataclass(frozen=True)
class Trust:
    """Fidelity of a plot of two spaces, and what the full spaces share; all 0..1, larger is better."""

    teacher: float
    """Share of a teacher point's 10 nearest neighbours in the full space that are also its neighbours in the plot; the mean."""
    student: float
    """The same for the student's points."""
    overlap: float
    """Share of a prompt's 10 nearest neighbours that both full spaces agree on; the mean over prompts."""
    overlap_chance: float
    """Expected share of unrelated spaces."""


@dataclass(frozen=True)
class LatentMap:
    """One plot of the same n prompts in both latent spaces."""

    method: str
    """`pca` or `umap`."""
    teacher_xy: list[list[float]]
    """`[n, 2]`: teacher states, mapped into the student's space, then projected; student activation units for PCA, none for UMAP."""
    student_xy: list[list[float]]
    """`[n, 2]`: student states in the same projection."""
    ids: list[int]
    """`[n]`: index of each prompt in the whole set, from 0."""
    texts: list[str]
    """`[n]`: the prompts."""
    labels: dict[str, list[str]]
    """By name of the label, its value for each prompt, `[n]`."""
    last_tokens: list[str]
    """`[n]`: the last piece of each prompt, where its `last` activation was taken."""
    neighbour_overlap: list[float]
    """`[n]`: per prompt, share of its 10 nearest neighbours that both full spaces agree on, 0..1; larger is more similar."""
    trust: Trust
    """Fidelity of the plot."""
    map: str
    """Kind of alignment map: `semantic`, `logit-preserving`, `ridge` or `procrustes`."""
    map_cosine: float
    """Mean cosine of mapped teacher states with student states that the map was not fitted on, -1..1; larger is more similar."""
    map_control: float
    """The same for the map's control: vocabulary permuted, or pairs shuffled before fitting."""
    map_r2: float | None
    """Share of the student's variance that the mapped teacher explains on those prompts, up to 1; None for maps without scale."""
    map_r2_control: float | None
    """The same for the control; 0 or below is no better than the mean."""
    teacher_layer: int
    """The teacher's layer, from 0."""
    student_layer: int
    """The student's layer, from 0."""
    shuffled: bool
    """Whether this is the null picture, drawn with the control map."""
    seconds: float
    """Wall time of the computation."""

    @property
    def alike(self) -> bool:
        """Whether the held-out cosine exceeds that of the control by more than `MARGIN`."""
        return self.map_cosine > self.map_control + MARGIN


KINDS = ("pair", "run", "teacher", "student")


@dataclass(frozen=True)
class Slice:
    """One latent space of a chain."""

    name: str
    """Title of the panel."""
    model: str
    """`teacher`, `student`, or of a run `before` and `after`."""
    layer: int
    """From 0."""

    @property
    def title(self) -> str:
        """`teacher, layer 5`."""
        return f"{self.name}, layer {self.layer}"

    @property
    def short(self) -> str:
        """`teacher 5`."""
        return f"{self.name} {self.layer}"


@dataclass(frozen=True)
class DrawnSlice(Slice):
    """One latent space of a chain, and the fidelity of its panel."""

    fidelity: float
    """Share of a prompt's 10 nearest neighbours in the full space that the panel keeps, 0..1; larger is better; the mean."""
    explained: float | None
    """Share of the space's variance that the panel shows, 0..1; None for UMAP."""


@dataclass(frozen=True)
class ChainMap:
    """A chain of s latent spaces of the same n prompts, one panel each on common axes."""

    method: str
    """`pca` or `umap`."""
    kind: str
    """What the chain is: `pair`, `run`, or the layers of the `teacher` or `student`."""
    run: str | None
    """The run whose student stands last; None for other chains."""
    slices: list[DrawnSlice]
    """`[s]`: the spaces, in order."""
    xy: list[list[list[float]]]
    """`[s, n, 2]`: per slice, where each prompt lies; all slices in one frame, each in units of its own size."""
    partners: list[list[int]] | None
    """`[s - 1, n]`: between consecutive slices, the row that each row is joined to; None: the same row."""
    ids: list[int]
    """`[n]`: index of each prompt in the whole set, from 0."""
    texts: list[str]
    """`[n]`: the prompts."""
    labels: dict[str, list[str]]
    """By name of the label, its value for each prompt, `[n]`."""
    last_tokens: list[str]
    """`[n]`: the last piece of each prompt."""
    overlap: list[list[float]]
    """`[s, n]`: share of a prompt's 10 nearest neighbours shared with the adjacent slices, full spaces, 0..1; larger is more similar."""
    steps: list[float]
    """`[s - 1]`: between consecutive slices, the mean overlap, 0..1; larger is more similar."""
    ends: float
    """Mean overlap of the first slice with the last, 0..1; larger is more similar."""
    overlap_chance: float
    """Expected share of unrelated spaces."""
    regularisation: float
    """Pull between partners in AlignedUMAP; 0 is none."""
    pooling: str
    """`last` or `mean`: which states of a prompt make its point."""
    seed: int
    """Of the sample of prompts, the projection and the null picture."""
    shuffled: bool
    """Whether this is the null picture, with prompts paired at random."""
    seconds: float
    """Wall time of the computation."""


FALSE_ALARMS = 0.05
"""False discovery rate (Benjamini-Hochberg) below which a prompt counts as more changed than its neighbourhood."""


@dataclass(frozen=True)
class TurnoverRow:
    """How much one prompt's neighbourhood changed between two spaces."""

    id: int
    """Index of the prompt in the whole set, from 0."""
    text: str
    """The prompt."""
    turnover: float
    """Share of its k nearest neighbours (full spaces) that differ in the second space, 0..1; larger changed more."""
    relative: float
    """Turnover minus its median around the prompt, -1..1; above 0 it changed more than its neighbourhood."""
    q: float
    """False discovery rate if this prompt and all above it are flagged, 0..1."""
    before: list[int]
    """`[k]`: ids of its neighbours in the first space, the nearest first."""
    after: list[int]
    """`[k]`: the same in the second space."""


@dataclass(frozen=True)
class TurnoverTable:
    """Neighbour turnover between two slices of a chain, largest excess over the neighbourhood first."""

    first: str
    """Title of the first slice."""
    second: str
    """Title of the second slice."""
    rows: list[TurnoverRow]
    """`[n]`: the prompts, ranked."""
    texts: dict[str, str]
    """Text of every prompt by its id in decimal digits."""
    labels: dict[str, dict[str, str]]
    """By name of the label, its value by id in decimal digits."""
    mean: float
    """Mean turnover, 0..1; larger changed more."""
    chance: float
    """Turnover between unrelated spaces, 0..1."""
    noise: float
    """Noise level: the 95 % quantile of the largest relative turnover over random pairings, -1..1."""
    k: int
    """Neighbours counted."""
    shuffled: bool
    """Whether prompts were paired at random (null)."""

    @property
    def beyond_chance(self) -> int:
        """Number of prompts with `q` below `FALSE_ALARMS`."""
        return sum(row.q < FALSE_ALARMS for row in self.rows)

    @property
    def beyond_noise(self) -> int:
        """Number of prompts with a relative turnover above `noise`."""
        return sum(row.relative > self.noise for row in self.rows)
