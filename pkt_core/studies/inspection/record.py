"""The records of an inspection: what states encode.

Not covered: how it is computed (`alignment/`, `spaces.py`, `compute.py`, `basis_options.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from pkt_core.alignment.choice import BasisChoice

Named = tuple[str, float]
"""A token and its value."""


@dataclass(frozen=True)
class Space:
    """States of all layers in terms of one vocabulary, lowest layer first."""

    top: list[list[Named]]
    """`[L][k]`: per layer the nearest tokens with their coefficients (cosine with the basis, -1..1), nearest first."""
    ranks: list[list[int] | None]
    """`[followed][L]`: per followed token its rank in each layer, 1 (nearest) to `n_tokens`; None where this vocabulary lacks it."""
    cosines: list[list[float] | None]
    """`[followed][L]`: per followed token its coefficient in each layer, -1..1; None as in `ranks`."""
    n_tokens: int
    """Tokens that were ranked."""
    nearest_by_chance: float
    """Expected cosine of the nearest of equally many random bases, 0..1."""


@dataclass(frozen=True)
class Reader:
    """One model at one token."""

    name: str
    """As the catalogue or the folder names it."""
    n_layers: int
    """Its blocks, `L`."""
    d_model: int
    """Width of its states, `d`."""
    tokens: list[tuple[str, int, int]]
    """The text as this model tokenises it: token, first character, character after its last. Special tokens are left out."""
    token: int
    """Index of the inspected token, from 0."""
    own: Space
    """Its states in terms of its own vocabulary."""
    lens: list[list[Named]] | None
    """`[L][k]`: the most probable next tokens when the layer's state is read as the last one (logit lens), with probabilities 0..1,
    most probable first; None for other sites."""
    predicted: Named
    """Its own most probable next token, with the probability, 0..1."""


@dataclass(frozen=True)
class Followed:
    """A token whose rank is followed through the layers."""

    name: str
    """As in the teacher's vocabulary, else the student's."""
    why: str
    """Which model predicts it, or that the user chose it; several reasons are joined."""

    @property
    def asked(self) -> bool:
        """Whether the user chose it, predicted or not."""
        return "asked for" in self.why


@dataclass(frozen=True)
class Difference:
    """One token's coefficients in the student's vocabulary at the chosen pair of layers; cosines, -1..1."""

    name: str
    """As in the student's vocabulary."""
    carried: float
    """Of the teacher's state through the semantic map."""
    own: float
    """Of the student's own state."""
    permuted: float
    """Of the teacher's state through the map of a permuted vocabulary."""
    after: float | None
    """Of the state of the student after a run; None without one."""


@dataclass(frozen=True)
class Crossing:
    """The teacher's states in the student's space."""

    carried: Space
    """Through the semantic map, in the student's vocabulary; teacher layers."""
    permuted: Space
    """Control: through the map of a permuted vocabulary."""
    meeting: list[list[float]]
    """`[L_T][L_S]`: cosine of each mapped teacher layer (rows) with each student layer's own state, -1..1; higher is closer."""
    meeting_permuted: list[list[float]]
    """The same of the control."""
    meeting_after: list[list[float]] | None
    """The same with the student after a run; None without one."""
    differences: list[Difference]
    """At the chosen layer pair, largest difference between mapped and own state first."""
    control_reach: float
    """Largest difference between permuted and own on any token, 0..2: the largest difference of a meaningless vector."""
    n_shared: int
    """Tokens that both vocabularies have."""


@dataclass(frozen=True)
class Meeting:
    """Cosine of one mapped teacher state with one student state."""

    cosine: float
    """-1..1; higher is closer."""
    control: float
    """The same through the map of a permuted vocabulary."""
    random: float
    """Twice the standard deviation of the cosine of two random directions in the student's space: `2 / sqrt(d)`."""

    @property
    def beyond_chance(self) -> bool:
        """Whether it is above both the control and about 98 % of random directions."""
        return self.cosine > max(self.random, self.control)


@dataclass(frozen=True)
class Seconds:
    """Wall time."""

    loading: float
    """Opening the models."""
    reading: float
    """Everything else."""


@dataclass(frozen=True)
class Inspection:
    """What one token's states encode in both models."""

    text: str
    """As it was given."""
    at: int
    """The inspected character, from 0."""
    part: str
    """Where in a block the states were taken, such as `block_out`."""
    choice: BasisChoice
    """How the bases were computed."""
    layers: tuple[int, int]
    """The chosen teacher and student layer, from 0."""
    teacher: Reader
    student: Reader
    after: Reader | None
    """The student after `run`; None without one."""
    run: str | None
    """Its name."""
    followed: list[Followed]
    """Tokens whose ranks and cosines every `Space` holds, in this order."""
    crossing: Crossing | None
    """None where the vocabularies share too few tokens; `why_not` gives the reason."""
    why_not: str | None
    """One sentence; None where there is a crossing."""
    seconds: Seconds

    @property
    def readers(self) -> dict[str, Reader]:
        """The models, by `teacher`, `student` and, after a run, `after`."""
        there = {"teacher": self.teacher, "student": self.student, "after": self.after}
        return {who: one for who, one in there.items() if one is not None}

    @property
    def meeting(self) -> Meeting | None:
        """Mapped teacher and student at the chosen layers; None without a crossing."""
        if self.crossing is None:
            return None
        teacher, student = self.layers
        return Meeting(
            cosine=self.crossing.meeting[teacher][student],
            control=self.crossing.meeting_permuted[teacher][student],
            random=2 / sqrt(self.student.d_model),
        )


@dataclass(frozen=True)
class SideOption:
    """Effect of a choice on one model's bases."""

    condition_number: float
    """Largest over smallest singular value of the head, gain folded where chosen; 1 or more."""
    solved_condition_number: float
    """The same for the inverted matrix, ridge included."""
    residual: float
    """Largest absolute entry of `pinv(W) W - I`; 0 is exact, a ridge raises it."""
    recomposition: float
    """Mean recomposition cosine over layers and prompts, 0..1."""
    top1: float
    """Share of prompts where the last layer's nearest basis is the token the model predicts, 0..1."""


@dataclass(frozen=True)
class Option:
    """One way of computing bases, and its effect."""

    gain: bool
    norm: bool
    ridge: float
    """As in `BasisChoice`, all three."""
    teacher: SideOption | None
    """None where there are no such bases; `refused` gives the reason."""
    student: SideOption | None
    cosine: list[list[float]] | None
    """`[L_T][L_S]`: mean over prompts of the cosine of mapped teacher layer (rows) with student layer, -1..1; None without a shared
    vocabulary."""
    control: list[list[float]] | None
    """The same, mean over permuted vocabularies."""
    control_spread: list[list[float]] | None
    """Its standard deviation over permutations."""
    refused: str | None
    """Why there are no such bases; None where there are."""

    @property
    def choice(self) -> BasisChoice:
        return BasisChoice(self.gain, self.norm, self.ridge)

    @classmethod
    def impossible(cls, choice: BasisChoice, why: str) -> Option:
        return cls(choice.gain, choice.norm, choice.ridge, None, None, None, None, None, why)


@dataclass(frozen=True)
class HeadFacts:
    """Properties of a model's head that matter for its bases."""

    name: str
    """The model's."""
    n_layers: int
    tied: bool
    """Whether the head is the token embedding itself."""
    norm: str
    """`none`, `root mean square` or `layer`."""
    norm_bias: bool
    """Whether the final norm adds a bias."""
    softcap: float | None
    """Bound of the logits, above 0; None where they have none."""
    rank: int
    """Of the head's matrix, at most `d_model`."""
    d_model: int
    """Its columns."""
    vocabulary: int
    """Its rows, padding included."""


@dataclass(frozen=True)
class BasisOptions:
    """All ways of computing bases."""

    teacher: HeadFacts
    student: HeadFacts
    options: list[Option]
    """Ordered by gain, norm and ridge."""
    part: str
    """Where in a block the states were taken."""
    n: int
    """Prompts, read at their last token."""
    draws: int
    """Permutations of the vocabulary in the control."""
    seconds: float
    """Of the computation, without loading the models."""
