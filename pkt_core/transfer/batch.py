"""What a method is given: one batch with the teacher's rows for its loss, both models and the data for its set-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jaxtyping import Float, Int
from torch import Tensor, nn

from pkt_core.alignment.pairing import LayerPair
from pkt_core.data.examples import Encoded, ExampleSet, encode
from pkt_core.models.loading import LoadedModel
from pkt_core.transfer.objectives import DIVERGENCES, bucketed, sorted_distance
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.readings import Reading
from pkt_core.transfer.span_likelihood import chained
from pkt_core.transfer.targets import Carry

SEEDS = 32  # as in Seeking (arXiv 2310.11451); LaTen's code judges by one example at a time


@dataclass(frozen=True)
class Batch:
    """One batch as a method sees it: a row per supervised position."""

    student: LoadedModel
    pairs: tuple[LayerPair, ...]
    """Those that train in this step."""
    logits: Float[Tensor, "n V"]
    """The student's, float32."""
    states: dict[int, Float[Tensor, "n d_S"]]
    """The student's at the matched site, by student layer; empty for methods without states."""
    labels: Int[Tensor, n]
    """The token that follows."""
    sequence: Int[Tensor, n]
    """Which example of the batch a row is from."""
    targets: dict[str, Tensor]
    """The teacher's rows, as `Targets` has them."""
    foreign: nn.Module | None
    """Weights that train with the student and are not part of it, such as projectors."""

    def target(self, pair: LayerPair) -> Tensor:
        """What the pair's student layer is pulled towards."""
        return self.targets[f"states.{pair.student}"]

    def output_kl(self, weight: float, temperature: float) -> Tensor:
        """KL to the teacher's next-token distribution, times a weight; 0 without one, when no distribution was recorded."""
        return weight * self.divergence("kl", temperature) if weight else self.logits.new_zeros(())

    def divergence(self, kind: str, temperature: float) -> Tensor:
        """How far the student's predictions are from the teacher's, times the temperature squared; a mean over rows.

        With two tokenizers a span of text counts once, wherever a model needs several tokens for it (chains.py).
        """
        targets = self.targets
        if kind == "uld":
            rows = sorted_distance(self.logits, targets["log_probs"], temperature)
        elif "length" in targets:
            rows = DIVERGENCES[kind](*chained(self.logits, self.labels, targets, temperature))
        else:
            rows = DIVERGENCES[kind](*bucketed(self.logits, targets["log_probs"], targets["ids"], temperature))
        return temperature**2 * rows.sum() / len(self.labels)


@dataclass(frozen=True)
class Extraction:
    """Both models and the data, for methods that take more from the teacher than rows of states and logits."""

    plan: TransferPlan
    teacher: LoadedModel
    student: LoadedModel
    pairs: tuple[LayerPair, ...]
    examples: ExampleSet
    encoded: Sequence[Encoded]
    """The same as the student's tokens."""
    readings: Sequence[Reading]
    """The same as the teacher reads them."""
    texts: tuple[str, ...]
    """General text that is not evaluated on."""
    maps: dict[int, Carry] = field(default_factory=dict)
    """From teacher to student states by student layer; empty for methods without a map."""

    def seed_set(self, loaded: LoadedModel) -> list[Encoded]:
        """The few examples that neurons and parameters are judged by, as this model's own tokens."""
        return encode(loaded.tokenizer, self.examples.sample(SEEDS, self.plan.seed).items, loaded.context)
