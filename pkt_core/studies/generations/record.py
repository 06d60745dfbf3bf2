"""What models say and write after prompts, and what a few picked prompts say of a pair of layers; a row each.

Not covered: how it is computed (`studies/generations/compute.py`, `studies/generations/picked.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

Named = tuple[str, float]


@dataclass(frozen=True)
class Written:
    """What three models write after one prompt; the prompt is not repeated."""

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
        """Whether the student after writes something else than before."""
        return self.before != self.after


@dataclass(frozen=True)
class Greedy:
    """The most likely token at every step."""

    new_tokens: int
    """How many are written, at most."""
    decoding: str
    """`greedy`; of sampled ones `sampled`."""


@dataclass(frozen=True)
class Sampled(Greedy):
    """Tokens by chance, which the three models share."""

    temperature: float
    """Above 0, at most 10; 1 is the model's own distribution."""
    top_p: float
    """Above 0, at most 1: only the fewest tokens that hold this share of the probability are drawn."""
    seed: int


@dataclass(frozen=True)
class Writing:
    """What a run's three models write after prompts of one's own."""

    rows: list[Written]
    """In the order of the prompts, 64 at most."""
    n_picked: int
    """Prompts that were asked for; there may be fewer rows."""
    facts: Sampled | Greedy
    """How they were written."""


@dataclass(frozen=True)
class Decoding:
    """How continuations were made."""

    decoding: str
    """In words, such as `greedy, 12 tokens`."""


@dataclass(frozen=True)
class PickedContinuations:
    """What a run's three models write after picked prompts."""

    rows: list[Written]
    """In the order they were picked, 12 at most."""
    n_picked: int
    """Prompts that were picked; there may be fewer rows."""
    facts: Decoding


@dataclass(frozen=True)
class NextTokens:
    """What two models would say next after one prompt."""

    id: int
    """Number of the prompt in its set."""
    text: str
    """The prompt, in full."""
    last_token: str
    """Its last token, as the teacher cuts it."""
    teacher: list[Named]
    """The three most likely next tokens with probabilities, 0..1, most likely first."""
    student: list[Named]
    """The same of the student, over its own vocabulary."""
    js_bits: float | None
    """Jensen-Shannon divergence over shared tokens, bits, 0..1, 0 is the same; None where none is shared."""


@dataclass(frozen=True)
class SharedTokens:
    """What the two vocabularies have in common."""

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
    """One picked prompt at a pair of layers."""

    id: int
    """Number of the prompt in its set."""
    text: str
    """The prompt, in full."""
    overlap: float
    """Share of its nearest neighbours among all prompts that both layers have in common, 0..1, higher is closer."""


@dataclass(frozen=True)
class Cell:
    """A pair of layers by all prompts, and by the neighbours of the picked ones."""

    measure: str
    """Name of the similarity."""
    larger_is_closer: bool
    """Its direction."""
    n: int
    """Prompts in all, the picked ones among them."""
    enough: int
    """Picked prompts from which a similarity of their own says something."""
    overlap: float
    """Mean share of common neighbours over all prompts, 0..1."""
    overlap_picked: float
    """Over the picked ones."""
    overlap_chance: float
    """What unrelated layers would share on average."""
    all: float
    """The similarity by all prompts, in the measure's range."""


@dataclass(frozen=True)
class RestrictedCell(Cell):
    """The same where enough prompts were picked for a similarity of their own."""

    picked: float
    """The similarity by the picked prompts alone."""
    low: float
    """Lower end of the middle 95 % of random choices of as many prompts."""
    high: float
    """Upper end."""

    @property
    def usual(self) -> bool:
        """Whether the picked prompts give what random choices of as many give."""
        return self.low <= self.picked <= self.high


@dataclass(frozen=True)
class PickedCell:
    """Picked prompts at one pair of layers beside all prompts."""

    rows: list[Overlap]
    """Smallest overlap first."""
    n_picked: int
    """Prompts that were picked."""
    facts: RestrictedCell | Cell
    """Which: whether enough prompts were picked."""
