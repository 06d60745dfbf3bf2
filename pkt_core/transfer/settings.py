"""Groups of settings that several methods use: the plan of a method is made of those it needs.

Each group brings its defaults, ranges and help, the conflicts between its values, and what the stages of a transfer need of a
plan. A method that wants another default sets the field anew in its own plan.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from pkt_core.errors import PlanError
from pkt_core.transfer.plan import TransferPlan

ANCHORED = ("anchor_weight", "anchor_batch", "n_anchor")
"""Settings that mean nothing without an anchor."""
MapName = Literal["semantic", "logit-preserving", "ridge", "procrustes", "permuted", "random"]
FITTED = ("ridge", "procrustes")
"""Maps that are fitted on states; the others are made of vocabularies."""


class WithTeacher(TransferPlan):
    """A teacher plays a part."""

    teacher_weights: Literal["trained", "untrained"] = "trained"
    """`untrained` re-initialises the teacher's weights: a control for the effect of its architecture alone."""

    @property
    def uses_teacher(self) -> bool:
        return True


class RowWise(WithTeacher):
    """Each position learns from a row of the teacher's."""

    rows: Literal["paired", "shuffled"] = "paired"
    """Whether a position learns from its own teacher row; `shuffled` is a control."""

    @property
    def rows_matter(self) -> bool:
        """Whether another order of the rows would be another transfer."""
        return True


class Paired(RowWise):
    """Student layers are moved towards states of teacher layers."""

    interpolate: bool = False
    """Mix the two teacher layers around the exact proportional depth, instead of taking the lower one."""

    @property
    def interpolates(self) -> bool:
        return self.interpolate


class Mapped(Paired):
    """Teacher states come through an alignment map."""

    map: MapName = "semantic"
    """Alignment map; `permuted` (vocabulary of the student shuffled) and `random` bases are controls."""
    basis: Literal["raw", "gain-folded", "normed"] = "raw"
    """Bases of the semantic map: from the head as it is, from the head with the final norm's gain, or for normed states."""

    @property
    def measured_map(self) -> str:
        return self.map

    @property
    def compares_tokens(self) -> bool:
        return self.map not in (*FITTED, "random") or super().compares_tokens

    def check_settings(self) -> None:
        if self.basis != "raw" and self.map not in ("semantic", "permuted"):
            raise PlanError(
                f"Got basis {self.basis} with map {self.map}, which has no bases. Remove it, or use semantic."
            )
        super().check_settings()


class Weighted(TransferPlan):
    """The loss has a layer term and an output term."""

    layer_weight: float = Field(1.0, ge=0)
    """Weight of the layer term; 0 is the control `output term only`."""
    output_weight: float = Field(1.0, ge=0)
    """Weight of the output term; 0 is the control `layer term only`, which uses no label at all."""

    @property
    def wants_distribution(self) -> bool:
        return self.output_weight > 0

    def check_settings(self) -> None:
        if self.layer_weight == 0 and self.output_weight == 0:
            raise PlanError(
                "Got layer weight 0 and output weight 0, which leaves no training objective. Raise one of them."
            )
        super().check_settings()


class Distributed(TransferPlan):
    """The teacher's next-token distribution is matched."""

    temperature: float = Field(1.0, gt=0)
    """Temperature of the matched distributions."""

    @property
    def compares_tokens(self) -> bool:
        return (self.wants_distribution and not self.by_rank) or super().compares_tokens


class Trained(TransferPlan):
    """The student takes steps."""

    steps: int = Field(300, ge=1)
    batch_size: int = Field(32, ge=1)
    micro_batch: int | None = Field(None, ge=1)
    """Examples per forward pass, with gradients accumulated; None takes the whole batch."""
    learning_rate: float = Field(1e-3, gt=0)
    decay: Literal["none", "cosine"] = "none"
    """Learning-rate decay: none, or a cosine to a twentieth after a short warm-up."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the student's forward pass while it trains; its weights stay float32."""
    recompute: bool = False
    """Recompute activations in the backward pass (gradient checkpointing): less memory, a third more time."""
    anchor: Literal["none", "output", "states"] = "none"
    """Anchor the student, on text it generated, to its earlier predictions (`output`) or block outputs (`states`)."""
    anchor_weight: float = Field(1.0, ge=0)
    """Weight of the anchor term."""
    anchor_batch: int = Field(16, ge=1)
    """Anchor texts per step."""
    n_anchor: int = Field(2048, ge=16)
    """Texts the student generates for the anchor."""

    @property
    def trains(self) -> bool:
        return True

    @property
    def total_steps(self) -> int:
        return self.steps

    def effort(self) -> dict[str, Any]:
        return {"steps": self.steps, "batch": self.batch_size, "learning rate": self.learning_rate, "seed": self.seed}

    def check_settings(self) -> None:
        unused = [name for name in ANCHORED if getattr(self, name) != self.default(name, self.method)]
        if self.anchor == "none" and unused:
            raise PlanError(
                f"{unused[0]} has no effect while anchor='none'. Set anchor to 'output' or 'states', or remove it."
            )
        super().check_settings()


class LayerByLayer(Trained):
    """One student layer trains after the other, from shallow to deep."""


class Scoped(Trained):
    """Either the paired student layers train or all blocks."""

    scope: Literal["layer", "all"] = "layer"
    """What trains: the paired student layers, or all blocks."""

    @property
    def every_block(self) -> bool:
        return self.scope == "all"

    @property
    def pairs_layers(self) -> bool:
        return isinstance(self, Paired) or self.scope == "layer"


class Ranked(TransferPlan):
    """LoRA trains, or may."""

    lora_rank: int = Field(16, ge=1, le=1024)

    @property
    def rank(self) -> int | None:
        return self.lora_rank


class Adapted(Ranked, Trained):
    """The student's own weights train as they are, or LoRA beside them."""

    modules: Literal["all", "mlp"] = "all"
    """All of a block that trains, or its MLP alone."""
    adapter: Literal["full", "lora"] = "full"
    """All parameters of what trains, or LoRA on its value, output and MLP projections."""

    @property
    def as_adapter(self) -> bool:
        return self.adapter == "lora"

    @property
    def rank(self) -> int | None:
        return self.lora_rank if self.as_adapter else None

    def check_settings(self) -> None:
        if self.lora_rank != self.default("lora_rank", self.method) and not self.as_adapter:
            raise PlanError(
                f"lora_rank={self.lora_rank} has no effect with adapter='full'. Remove it, or set adapter to 'lora'."
            )
        super().check_settings()
