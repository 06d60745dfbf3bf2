"""Changes of single tokens after a run.

Not covered: how it is computed (`evaluation/tokens.py`, `studies/token_change/compute.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from pkt_core.evaluation.calibration import Calibration
from pkt_core.evaluation.statistics import Estimate

Named = tuple[str, float]


@dataclass(frozen=True)
class Read:
    """One model at every predicted token of a text; the first token is not predicted and left out."""

    bits: list[float]
    """`[T]`: surprisal of the actual token in bits, 0 or more; 0 is certainty."""
    entropy: list[float]
    """`[T]`: of the next-token distribution, in bits, 0 or more."""
    rank: list[int]
    """`[T]`: rank of the actual token, 1 is the most likely."""
    top: list[list[Named]]
    """`[T, 6]` at most: the most likely tokens, with probabilities, 0..1, most likely first."""


@dataclass(frozen=True)
class Between:
    """Two models at the same predicted tokens; the KL is weighted by the first."""

    kl: list[float]
    """`[T]`: KL(first || second), bits, 0 is the same."""
    js: list[float]
    """`[T]`: Jensen-Shannon divergence, bits, 0..1, 0 is the same."""
    agreement: list[float]
    """`[T]`: share of the five most likely tokens that both have, 0..1, 1 is all."""
    same_top: list[int]
    """`[T]`: 1 where the most likely token is the same, else 0."""


@dataclass(frozen=True)
class Right:
    """Whether greedy decoding gives the whole answer, for each model."""

    teacher: bool
    before: bool
    after: bool


@dataclass(frozen=True)
class Sentence:
    """One text, token by token."""

    id: int
    """Its index, from 0."""
    text: str
    """As it was read, in full."""
    group: str
    """The task it comes from; empty for plain text."""
    answer_at: int | None
    """Character at which the answer begins; None for plain text."""
    tokens: list[tuple[str, int, int]]
    """`[T + 1]`, under the student's tokenizer: token, first character, character after its last. The first one is not predicted."""
    models: dict[str, Read]
    """`before` and `after`; `teacher` where it tokenises identically."""
    apart: dict[str, Between]
    """`before_after`; `teacher_before` and `teacher_after` over shared tokens, where the teacher tokenises identically."""
    spans: list[tuple[int, int, float, float, float]] | None
    """Where it tokenises differently: first character and character after the last of a shared span, bits of teacher, before and after."""
    right: Right | None
    """Whether the answer is right; None for plain text."""

    @property
    def before(self) -> Read:
        """The student before."""
        return self.models["before"]

    @property
    def after(self) -> Read:
        """The student after."""
        return self.models["after"]

    @property
    def change(self) -> Between:
        """Before and after; the KL is weighted by before."""
        return self.apart["before_after"]

    @property
    def to_teacher(self) -> tuple[Between, Between] | None:
        """Teacher and before, teacher and after; the KL is weighted by the teacher. None where it tokenises differently."""
        if "teacher_after" not in self.apart:
            return None
        return self.apart["teacher_before"], self.apart["teacher_after"]


@dataclass(frozen=True)
class AnswerShares:
    """Share of the tokens, and of the change, in the answers."""

    tokens: float
    """Share of the predicted tokens that are answers, 0..1."""
    change: float
    """Share of the total KL(before || after) in them, 0..1; above `tokens`: answers changed more than the rest."""


@dataclass(frozen=True)
class TokenChange:
    """A run's student before and after, and its teacher, token by token."""

    run: str
    """Id of the run."""
    name: str
    """Label of the texts."""
    sentences: list[Sentence]
    """In the order they were read."""
    same_tokenizer: bool
    """Whether teacher and student tokenise identically, so that they can be compared at every token."""
    n_shared: int
    """Tokens both vocabularies have; the teacher is compared over these."""
    whole: dict[str, Estimate]
    """Over all texts, each with its interval over texts: bits per byte of each model (`bits_teacher`), a measure of `Between` per token
    for each pair of models (`kl_before_after`), and the paired changes `bits_change` and `kl_teacher_change`, after - before."""
    half: int
    """How many of the most changed tokens hold half of all KL(before || after); 0 where nothing changed."""
    n_tokens: int
    """Predicted tokens in all."""
    answers: AnswerShares | None
    """None for plain text."""
    calibration: dict[str, Calibration]
    """Of `teacher`, `before` and `after` over their own next tokens."""

    def bits(self, who: str) -> Estimate:
        """Bits per byte of `teacher`, `before` or `after` over all texts, lower is better."""
        return self.whole[f"bits_{who}"]

    @property
    def bits_change(self) -> Estimate:
        """Bits per byte, after - before on the same texts; below zero the student predicts better."""
        return self.whole["bits_change"]

    @property
    def same_top(self) -> Estimate:
        """Share of tokens, 0..1, at which the most likely token is the same before and after."""
        return self.whole["same_top_before_after"]

    @property
    def to_teacher(self) -> tuple[Estimate, Estimate, Estimate] | None:
        """KL(teacher || student), bits per token: before, after, and after - before, below zero is closer; None without shared tokens."""
        if "kl_teacher_after" not in self.whole:
            return None
        return self.whole["kl_teacher_before"], self.whole["kl_teacher_after"], self.whole["kl_teacher_change"]
