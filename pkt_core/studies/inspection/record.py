"""What a look at the meaning of states hands to the screen: plain records that survive a trip through JSON.

Not covered: how they are computed (`alignment/`, `studies/inspection/spaces.py`, `studies/inspection/basis_options.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

Named = tuple[str, float]


@dataclass(frozen=True)
class Space:
    """A stack of states read in one vocabulary, lowest layer first."""

    top: list[list[Named]]
    """Per layer the nearest tokens with their coefficients (cosine with the basis, -1..1), nearest first."""
    ranks: list[list[int] | None]
    """Per followed token its place in each layer, 1 is nearest; None where this vocabulary lacks it."""
    cosines: list[list[float] | None]
    """Per followed token its coefficient in each layer."""
    n_tokens: int
    """Tokens that were ranked."""
    nearest_by_chance: float
    """Cosine that the nearest of as many random bases would have."""


@dataclass(frozen=True)
class Reader:
    """One model at one token."""

    name: str
    n_layers: int
    d_model: int
    tokens: list[tuple[str, int, int]]
    """The text as this model cuts it: token, first character, character after its last. Special tokens are left out."""
    token: int
    """Which of them is looked at."""
    own: Space
    """Its states in its own vocabulary."""
    lens: list[list[Named]] | None
    """Per layer, the most probable next tokens when the state is read as the last one (logit lens); None for other sites."""
    predicted: Named
    """Its own most probable next token, with the probability."""


@dataclass(frozen=True)
class Followed:
    """A token whose place is followed through the layers."""

    name: str
    """As the teacher's vocabulary has it, else the student's."""
    why: str
    """Whose prediction it is, or that it was asked for."""


@dataclass(frozen=True)
class Difference:
    """One token's coefficients in the student's vocabulary at the chosen pair of layers."""

    name: str
    carried: float
    """Of the teacher's state through the semantic map."""
    own: float
    """Of the student's own state."""
    permuted: float
    """Of the teacher's state through the map of a permuted vocabulary."""
    after: float | None
    """Of the state of the student after a run."""


@dataclass(frozen=True)
class Crossing:
    """The teacher's states in the student's space."""

    carried: Space
    """Through the semantic map, in the student's vocabulary."""
    permuted: Space
    """Through the map of a permuted vocabulary: what meaningless looks like."""
    meeting: list[list[float]]
    """Cosine of each carried teacher layer (rows) with each student layer's own state, -1..1."""
    meeting_permuted: list[list[float]]
    """The same of the control."""
    meeting_after: list[list[float]] | None
    """The same with the student after a run."""
    differences: list[Difference]
    """At the chosen pair of layers, largest difference between carried and own first."""
    control_reach: float
    """Largest difference between permuted and own on any token: how far a meaningless vector differs at its own best."""
    n_shared: int
    """Tokens that both vocabularies have."""


@dataclass(frozen=True)
class Inspection:
    """What one token's states mean in both models."""

    text: str
    at: int
    """The character looked at."""
    part: str
    choice: dict[str, Any]
    """gain, norm, ridge: how the bases were made."""
    layers: tuple[int, int]
    """The chosen teacher and student layer."""
    teacher: Reader
    student: Reader
    after: Reader | None
    """The student after `run`."""
    run: str | None
    followed: list[Followed]
    crossing: Crossing | None
    """None where the vocabularies share too little; `why_not` says so."""
    why_not: str | None
    seconds: dict[str, float]
    """loading, and reading."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Inspection:
        def space(found: Mapping[str, Any]) -> Space:
            return Space(**{**found, "top": [[(n, v) for n, v in row] for row in found["top"]]})

        def reader(found: Mapping[str, Any] | None) -> Reader | None:
            if found is None:
                return None
            lens = found["lens"] and [[(n, v) for n, v in row] for row in found["lens"]]
            more = {"tokens": [tuple(t) for t in found["tokens"]], "predicted": tuple(found["predicted"]), "lens": lens}
            return Reader(**{**found, "own": space(found["own"]), **more})

        crossing = data["crossing"]
        if crossing is not None:
            spaces = {name: space(crossing[name]) for name in ("carried", "permuted")}
            crossing = Crossing(
                **{**crossing, **spaces, "differences": [Difference(**d) for d in crossing["differences"]]}
            )
        return cls(
            **{
                **data,
                **{side: reader(data[side]) for side in ("teacher", "student", "after")},
                "layers": tuple(data["layers"]),
                "followed": [Followed(**f) for f in data["followed"]],
                "crossing": crossing,
            }
        )


@dataclass(frozen=True)
class SideOption:
    """What a choice does to one model's bases."""

    condition_number: float
    """Largest over smallest singular value of the head, gain folded where chosen."""
    solved_condition_number: float
    """The same of what was inverted, ridge included."""
    residual: float
    """Largest absolute entry of `pinv(W) W - I`; 0 is exact, a ridge costs some."""
    recomposition: float
    """Mean recomposition cosine over layers and prompts, 0..1."""
    top1: float
    """Share of prompts where the last layer's nearest basis is the token the model itself predicts."""


@dataclass(frozen=True)
class Option:
    """One way of making bases, and its effect."""

    gain: bool
    norm: bool
    ridge: float
    teacher: SideOption | None
    """None where `refused` says why there are no such bases."""
    student: SideOption | None
    cosine: list[list[float]] | None
    """Mean over prompts of the cosine of carried teacher layer (rows) with student layer; None without a shared vocabulary."""
    control: list[list[float]] | None
    """The same, mean over permuted vocabularies."""
    control_spread: list[list[float]] | None
    """Its standard deviation over permutations."""
    refused: str | None
    """Why there are no such bases; None where there are."""

    @classmethod
    def impossible(cls, gain: bool, norm: bool, ridge: float, why: str) -> Option:
        return cls(gain, norm, ridge, None, None, None, None, None, why)


@dataclass(frozen=True)
class HeadFacts:
    """What one should know of a model's head before making bases of it."""

    name: str
    n_layers: int
    tied: bool
    """Whether the head is the token embedding itself."""
    norm: str
    """`none`, `root mean square` or `layer`."""
    norm_bias: bool
    """Whether the final norm adds a bias."""
    softcap: float | None
    rank: int
    d_model: int
    vocabulary: int


@dataclass(frozen=True)
class BasisOptions:
    """Every way of making bases beside each other."""

    teacher: HeadFacts
    student: HeadFacts
    options: list[Option]
    part: str
    n: int
    """Prompts, read at their last token."""
    draws: int
    """Permutations of the vocabulary in the control."""
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BasisOptions:
        def side(found: Mapping[str, Any] | None) -> SideOption | None:
            return found and SideOption(**found)  # type: ignore[return-value]

        options = [Option(**{**o, **{who: side(o[who]) for who in ("teacher", "student")}}) for o in data["options"]]
        heads = {who: HeadFacts(**data[who]) for who in ("teacher", "student")}
        return cls(**{**data, **heads, "options": options})
