"""Next tokens and continuations after prompts, and similarity of one layer pair over picked prompts; a row each.

Not covered: how it is computed (`studies/generations/compute.py`, `studies/generations/picked.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

Named = tuple[str, float]


@dataclass(frozen=True)
class Written:
    """Continuations of three models after one prompt, without the prompt."""

    id: int
    """Number of the prompt in its set."""
    text: str
    """The prompt, in full."""
    teacher: str
    before: str
    """By the student before."""
    after: str
    """By the student after."""

    @property
    def differs(self) -> bool:
        """Whether the continuations before and after differ."""
        return self.before != self.after


@dataclass(frozen=True)
class Greedy:
    """The most likely token at every step."""

    new_tokens: int
    """Tokens generated, at most."""
    decoding: str
    """`greedy`; of sampled ones `sampled`."""


@dataclass(frozen=True)
class Sampled(Greedy):
    """Sampled tokens, with common random numbers for all three models."""

    temperature: float
    """Above 0, at most 10; 1 is the model's own distribution."""
    top_p: float
    """Above 0, at most 1: only the fewest tokens that hold this share of the probability are drawn."""
    seed: int


@dataclass(frozen=True)
class Writing:
    """Continuations of a run's three models after custom prompts."""

    rows: list[Written]
    """In the order of the prompts, 64 at most."""
    n_picked: int
    """Prompts requested; there may be fewer rows."""
    facts: Sampled | Greedy
    """How they were decoded."""


@dataclass(frozen=True)
class Decoding:
    """How continuations were decoded."""

    decoding: str
    """As text, such as `greedy, 12 tokens`."""


@dataclass(frozen=True)
class PickedContinuations:
    """Continuations of a run's three models after picked prompts."""

    rows: list[Written]
    """In the order they were picked, 12 at most."""
    n_picked: int
    """Prompts that were picked; there may be fewer rows."""
    facts: Decoding


@dataclass(frozen=True)
class NextTokens:
    """Most likely next tokens of two models after one prompt."""

    id: int
    """Number of the prompt in its set."""
    text: str
    """The prompt, in full."""
    last_token: str
    """Its last token under the teacher's tokenizer."""
    teacher: list[Named]
    """The three most likely next tokens with probabilities, 0..1, most likely first."""
    student: list[Named]
    """The same of the student, over its own vocabulary."""
    js_bits: float | None
    """Jensen-Shannon divergence over shared tokens, bits, 0..1, 0 is the same; None where none is shared."""


@dataclass(frozen=True)
class SharedTokens:
    """Overlap of the two vocabularies."""

    shared_tokens: int
    """Tokens that both have."""
    share: float
    """Of the smaller vocabulary, 0..1."""


@dataclass(frozen=True)
class PickedTokens:
    """Both models' next tokens after picked prompts."""

    rows: list[NextTokens]
    """In the order they were picked, 40 at most."""
    n_picked: int
    """Prompts that were picked; there may be fewer rows."""
    facts: SharedTokens


@dataclass(frozen=True)
class Overlap:
    """One picked prompt at a layer pair."""

    id: int
    """Number of the prompt in its set."""
    text: str
    """The prompt, in full."""
    overlap: float
    """Share of its nearest neighbours among all prompts that both layers have in common, 0..1, higher is closer."""


@dataclass(frozen=True)
class Cell:
    """A layer pair over all prompts, and the neighbours of the picked ones."""

    measure: str
    """Name of the similarity."""
    larger_is_closer: bool
    """Its direction."""
    n: int
    """Prompts in all, the picked ones among them."""
    enough: int
    """Fewest picked prompts for a separate similarity."""
    overlap: float
    """Mean share of common neighbours over all prompts, 0..1."""
    overlap_picked: float
    """Over the picked ones."""
    overlap_chance: float
    """Expected share of unrelated layers."""
    all: float
    """The similarity by all prompts, in the measure's range."""


@dataclass(frozen=True)
class RestrictedCell(Cell):
    """The same where enough prompts were picked for a separate similarity."""

    picked: float
    """The similarity by the picked prompts alone."""
    low: float
    """Lower end of the central 95 % of random choices of equally many prompts."""
    high: float
    """Upper end."""

    @property
    def usual(self) -> bool:
        """Whether the similarity lies within that range."""
        return self.low <= self.picked <= self.high


@dataclass(frozen=True)
class PickedCell:
    """Picked prompts at one layer pair, compared with all prompts."""

    rows: list[Overlap]
    """Smallest overlap first."""
    n_picked: int
    """Prompts that were picked."""
    facts: RestrictedCell | Cell
    """`RestrictedCell` where enough prompts were picked."""
