"""A transfer as an intention: what trains, towards what, on which data, for how long, with which seed.

A plan is checked against both models before anything heavy starts (`check.py`). Defaults follow SemAlign v1 (arXiv 2510.24208v1,
section 4.3 and appendix A.2) where the paper says, and `shared defaults` of ours where it does not: it never says which
sublayer is matched (we take the block's contribution) or which positions (we take those that predict the answer).
Where a method needs another default, `OWN` has it and the plan states it, so that a plan read from a file is complete.

Not covered: what each method does (`methods/`), the controls of a plan (`controls.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pkt_core.alignment.pairing import read_pairs, write_pairs
from pkt_core.errors import PlanError, StoreError
from pkt_core.models.catalog import Pair
from pkt_core.models.ref import ModelRef

Method = Literal[
    "semalign-v1",
    "semalign-v2r",
    "semalign-aclr",
    "sft",
    "logit-kd",
    "feature-kd",
    "seeking",
    "laten",
    "stitch",
    "ours",
]
METHODS: dict[Method, str] = {
    "semalign-v1": "SemAlign v1: pull student layers towards the teacher's, through the semantic map, with labels",
    "semalign-v2r": "SemAlign v2, reconstructed from its abstract: token geometry of residual contributions, shallow to deep, output KL",
    "semalign-aclr": "SemAlign ACL, reconstructed from its abstract: Fisher-weighted logits of mapped states, shallow to deep, output KL",
    "sft": "Plain fine-tuning with labels, no teacher",
    "logit-kd": "Logit distillation: the teacher's next-token distribution, no labels",
    "feature-kd": "Feature distillation: student states towards the teacher's through a learned projector or a geometry loss, no labels",
    "seeking": "Seeking: LoRA that starts from the teacher's most sensitive parameters, then fine-tuning with labels",
    "laten": "LaTen: a small network turns the teacher's most attributed neurons into changes of the student's, with labels",
    "stitch": "Stitching: no training, one layer's output moved to the mapped teacher's in closed form, no labels",
    "ours": "Ours, self-anchored distillation: the teacher's next-token distribution into the MLPs, while the student is held to what it said on text it wrote itself, no labels",
}
MAPPED: tuple[Method, ...] = ("semalign-v1", "semalign-v2r", "semalign-aclr", "stitch")
"""Methods that carry teacher states through an alignment map."""
OUTPUT_KL: tuple[Method, ...] = ("semalign-v2r", "semalign-aclr", "feature-kd")
"""Methods whose output term is a KL to the teacher's distribution."""
FRONTIER: tuple[Method, ...] = ("semalign-v2r", "semalign-aclr")
"""Methods that train one layer after the other, from shallow to deep."""
OWN: dict[Method, dict[str, Any]] = {
    "semalign-v2r": {"positions": "all", "n_pairs": 0},
    "semalign-aclr": {"part": "block_out", "n_pairs": 0},
    "feature-kd": {"part": "block_out"},
    "seeking": {"scope": "all"},
    "laten": {"scope": "all"},
    "stitch": {"part": "block_out", "map": "ridge", "positions": "all"},
    "ours": {"scope": "all", "modules": "mlp", "anchor": "output", "decay": "cosine"},
}
"""Defaults of a method where they differ from those below."""
ANCHORED = ("anchor_weight", "anchor_batch", "n_anchor")
INSTALLED: tuple[Method, ...] = ("seeking", "laten", "stitch")
"""Methods that bring their own way of changing the student."""
STEPPING: tuple[Method, ...] = tuple(method for method in METHODS if method != "stitch")
"""Methods that take steps at all."""
USERS: dict[str, tuple[Method, ...]] = {
    "map": MAPPED,
    "basis": MAPPED,
    "interpolate": (*MAPPED, "feature-kd"),
    "rows": (*MAPPED, "logit-kd", "feature-kd", "ours"),
    "layer_weight": ("semalign-v1", "semalign-v2r", "semalign-aclr", "feature-kd"),
    "output_weight": ("semalign-v1", "semalign-v2r", "semalign-aclr", "feature-kd"),
    "temperature": ("logit-kd", "semalign-v2r", "semalign-aclr", "feature-kd", "ours"),
    "divergence": ("logit-kd", "ours"),
    "feature_loss": ("feature-kd",),
    "strength": ("stitch",),
    "steer": ("stitch",),
    "teacher_weights": tuple(method for method in METHODS if method != "sft"),
    "scope": tuple(method for method in STEPPING if method not in FRONTIER),
    "modules": tuple(method for method in METHODS if method not in INSTALLED),
    "adapter": tuple(method for method in METHODS if method not in INSTALLED),
    "lora_rank": tuple(method for method in STEPPING if method != "laten"),
    **dict.fromkeys(
        ("steps", "batch_size", "micro_batch", "learning_rate", "decay", "precision", "recompute"), STEPPING
    ),
}
"""Which methods a setting means something to; elsewhere it is refused rather than ignored."""


def held_by(method: Method, settings: dict[str, Any]) -> dict[str, Any]:
    """Those of a plan's settings that a plan of another method can hold."""
    kept = {name: value for name, value in settings.items() if method in USERS.get(name, (method,))}
    if method != "seeking" and kept.get("adapter") != "lora":
        kept.pop("lora_rank", None)
    return kept


class TransferPlan(BaseModel):
    """Everything that could change the result of a transfer."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    teacher: ModelRef
    student: ModelRef
    data: str
    """Example set to train on: a bundled name or a .jsonl/.csv file with prompt and answer."""
    n_examples: int | None = Field(None, ge=1)
    """Use that many of them, drawn with the seed; None uses all."""
    method: Method = "semalign-v1"
    map: Literal["semantic", "logit-preserving", "ridge", "procrustes", "permuted", "random"] = "semantic"
    """Alignment map; `permuted` (vocabulary of the student shuffled) and `random` bases are controls."""
    basis: Literal["raw", "gain-folded", "normed"] = "raw"
    """Of the semantic map: of the head as it is, of the head with the final norm's gain, or of normed states."""
    rows: Literal["paired", "shuffled"] = "paired"
    """Whether a position learns from its own teacher row; `shuffled` is a control."""
    teacher_weights: Literal["trained", "untrained"] = "trained"
    """`untrained` draws the teacher's weights anew: a control for what its mere shape gives."""
    teacher_layer: int | None = Field(None, ge=0)
    """From 0; None takes the layer of highest attribution and the paper's pairing."""
    student_layer: int | None = Field(None, ge=0)
    """From 0; None takes the layer that the pairing gives to the teacher layer."""
    layer_pairs: str = ""
    """Pairs drawn by hand, `teacher:student, ...` from 0, as in `5:2, 3:1`; they take the place of the settings around this one."""
    n_pairs: int = Field(1, ge=0)
    """Where layers are open: as many pairs as this, by attribution; 0 pairs every student layer."""
    pairing: Literal["floor", "last-to-last", "reversed", "random"] = "floor"
    """Which teacher layer a student layer learns from where none is named; the paper's rule is `floor`, the last two are controls."""
    interpolate: bool = False
    """Mix the two teacher layers around the exact proportional depth, instead of taking the lower one."""
    part: Literal["block_delta", "block_out", "attn_out", "mlp_out"] = "block_delta"
    """Site that is matched in both models."""
    positions: Literal["answer", "all"] = "answer"
    """Positions that predict an answer token, or all."""
    scope: Literal["layer", "all"] = "layer"
    """What trains: the paired student layers, or all blocks."""
    modules: Literal["all", "mlp"] = "all"
    """All of a block that trains, or its MLP alone."""
    adapter: Literal["full", "lora"] = "full"
    """All parameters of what trains, or LoRA on its value, output and MLP projections."""
    lora_rank: int = Field(16, ge=1, le=1024)
    layer_weight: float = Field(1.0, ge=0)
    """Weight of the layer term; 0 is the control `output term only`."""
    output_weight: float = Field(1.0, ge=0)
    """Weight of the output term; 0 is the control `layer term only`, which uses no label at all."""
    temperature: float = Field(1.0, gt=0)
    """Of distributions that are matched."""
    divergence: Literal["kl", "reverse-kl", "jsd", "uld"] = "kl"
    """Of logit-kd, from teacher to student; `uld` compares sorted probabilities and needs no shared token."""
    feature_loss: Literal["mse", "cosine", "procrustes", "cka"] = "cosine"
    """Of feature-kd; the first two go through a learned projector, the last two compare geometries."""
    strength: float = Field(1.0, ge=0, le=10)
    """Of stitch: the share of the way to the mapped teacher; 1 is all of it."""
    steer: bool = False
    """Of stitch: move every row by one steering vector (the teacher's mean on the data less its mean on general text), not each to its own mapped state."""
    anchor: Literal["none", "output", "states"] = "none"
    """Hold the student, on text it wrote itself, to what it said there before (`output`) or to its block outputs (`states`)."""
    anchor_weight: float = Field(1.0, ge=0)
    """Weight of the anchor term."""
    anchor_batch: int = Field(16, ge=1)
    """Texts of the anchor in a step."""
    n_anchor: int = Field(2048, ge=16)
    """Texts the student writes."""
    steps: int = Field(300, ge=1)
    batch_size: int = Field(32, ge=1)
    micro_batch: int | None = Field(None, ge=1)
    """Examples that go through the student at once, gradients added up; None takes the whole batch."""
    learning_rate: float = Field(1e-3, gt=0)
    decay: Literal["none", "cosine"] = "none"
    """Of the learning rate: none, or a cosine to a twentieth after a short rise."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the student's forward pass while it trains; its weights stay float32."""
    recompute: bool = False
    """Recompute activations in the backward pass (gradient checkpointing): less memory, a third more time."""
    seed: int = Field(0, ge=0)
    tasks: tuple[str, ...] = ()
    """Example sets on which behaviour is measured before and after."""
    n_task_items: int | None = Field(None, ge=1)
    """At most that many items of each task; None takes all."""
    general: str = "general"
    """Prompt set on which bits per byte and agreement with the teacher are measured."""
    n_general: int = Field(200, ge=2)
    prompts: str = "facts"
    """Prompt set on which alignment before and after is measured."""
    n_prompts: int = Field(256, ge=16)

    @model_validator(mode="before")
    @classmethod
    def own_defaults(cls, given: Any) -> Any:
        """Fill in what the method wants where nothing was said; None counts as nothing said."""
        if not isinstance(given, dict):
            return given
        own = OWN.get(given.get("method", ""), {})
        return {**given, **{name: value for name, value in own.items() if given.get(name) is None}}

    @field_validator("layer_pairs")
    @classmethod
    def in_order(cls, given: str) -> str:
        """Written in one way, so that the same pairs are the same plan; what cannot be read is said by `check_settings`."""
        try:
            return write_pairs(read_pairs(given))
        except PlanError:
            return given

    @classmethod
    def said(cls, given: dict[str, Any]) -> TransferPlan:
        """A plan of what somebody said; None leaves a setting to its default. Raises ValidationError."""
        return cls.model_validate({name: value for name, value in given.items() if value is not None})

    @classmethod
    def of_pair(cls, pair: Pair, settings: dict[str, Any]) -> TransferPlan:
        """A plan for a pair, on the pair's own examples and prompts where the settings name no others.

        Where they name examples and no tasks, behaviour is measured on those examples. Raises PlanError in one sentence where a
        setting has a value that cannot be.
        """
        given = {name: value for name, value in settings.items() if value is not None and value != ()}
        data = given.get("data") or pair.examples
        own = {
            "teacher": pair.teacher,
            "student": pair.student,
            "tasks": pair.tasks if data == pair.examples else (data,),
            "prompts": pair.prompts,
        }
        try:
            return cls.model_validate({**own, **given, "data": data})
        except ValidationError as error:
            first = error.errors()[0]
            raise PlanError(f"{first['loc'][0]}: got {first['input']!r}; {first['msg']}.") from error

    @classmethod
    def read(cls, stored: dict[str, Any], path: Path) -> TransferPlan:
        """The plan that a run's file holds. Raises StoreError where it is damaged or of a version that no longer fits."""
        try:
            return cls.model_validate(stored)
        except ValidationError as error:
            first = error.errors()[0]
            raise StoreError(
                f"{path} is no plan that can be carried out ({'.'.join(map(str, first['loc']))}: {first['msg']}). "
                "Restore it from a copy, or start the transfer again."
            ) from error

    @classmethod
    def default(cls, name: str, method: Method) -> Any:
        """What a setting is where nothing is said."""
        return OWN.get(method, {}).get(name, cls.model_fields[name].default)

    @property
    def uses_teacher(self) -> bool:
        return self.method != "sft"

    @property
    def leaves_layers_open(self) -> bool:
        """Whether no layer of either side is named or drawn, so that attribution has a say."""
        return not self.layer_pairs and self.teacher_layer is None and self.student_layer is None

    @property
    def pairs_layers(self) -> bool:
        """Whether the paired layers play a part in the training, and not only in what is measured."""
        return self.method in MAPPED or self.method == "feature-kd" or self.scope == "layer"

    @property
    def compares_tokens(self) -> bool:
        """Whether tokens of one vocabulary are compared with the other's: through a map made of both, or distributions."""
        through_vocabulary = self.method in MAPPED and self.map not in ("ridge", "procrustes", "random")
        distributions = (self.method in ("logit-kd", "ours") and not self.by_rank) or (
            self.method in OUTPUT_KL and self.output_weight > 0
        )
        return through_vocabulary or distributions

    @property
    def by_rank(self) -> bool:
        """Whether distributions are compared by rank, whatever their tokens are."""
        return self.divergence == "uld"

    @property
    def trains(self) -> bool:
        """Whether there are steps at all."""
        return self.method != "stitch"

    @property
    def total_steps(self) -> int:
        return self.steps if self.trains else 0

    def check_settings(self) -> None:
        """Raises PlanError where a setting means nothing to the method, or nothing is left to train towards."""
        for name, users in USERS.items():
            value = getattr(self, name)
            if self.method not in users and value != type(self).model_fields[name].default:
                raise PlanError(
                    f"Got {name.replace('_', ' ')} {value} with {self.method}, which does not use it. "
                    f"Drop it or use {' or '.join(users[:2])}."
                )
        if self.method in USERS["layer_weight"] and self.layer_weight == 0 and self.output_weight == 0:
            raise PlanError(
                "Got layer weight 0 and output weight 0, which leaves nothing to train towards. Raise one of them."
            )
        if self.basis != "raw" and self.map not in ("semantic", "permuted"):
            raise PlanError(f"Got basis {self.basis} with map {self.map}, which has no bases. Drop it or use semantic.")
        rank = type(self).model_fields["lora_rank"].default
        if self.lora_rank != rank and self.adapter != "lora" and self.method != "seeking":
            raise PlanError(
                f"Got lora rank {self.lora_rank} with adapter full, where nothing is LoRA. Drop it or use adapter lora."
            )
        if self.steer and self.rows == "shuffled":
            raise PlanError(
                "Got rows shuffled with a steering vector, which is a mean over rows and the same in any order. Use paired."
            )
        if self.anchor == "none" and any(getattr(self, name) != self.default(name, self.method) for name in ANCHORED):
            raise PlanError(
                "Got settings of an anchor without an anchor. Choose anchor output or states, or drop them."
            )
        if self.anchor != "none" and not self.trains:
            raise PlanError(f"Got anchor {self.anchor} with {self.method}, which takes no steps. Use anchor none.")
        if self.layer_pairs:
            read_pairs(self.layer_pairs)
            layers = (self.teacher_layer, self.student_layer, self.n_pairs) != (
                None,
                None,
                self.default("n_pairs", self.method),
            )
            if layers or self.interpolate or self.pairing == "last-to-last":
                raise PlanError(
                    f"Got layer pairs {self.layer_pairs} and another choice of layers (a layer, a number of pairs, interpolation or "
                    "last-to-last). Drop one of the two."
                )
        named = [layer for layer in (self.teacher_layer, self.student_layer) if layer is not None]
        if named and self.n_pairs != self.default("n_pairs", self.method):
            raise PlanError(
                f"Got {self.n_pairs} pairs of layers and a layer by name (layer {named[0]}), which is one pair. Drop one of the two."
            )
        if self.teacher_layer is not None and (self.interpolate or self.pairing != "floor"):
            other = "interpolation" if self.interpolate else f"pairing {self.pairing}"
            raise PlanError(
                f"Got teacher layer {self.teacher_layer} and {other}, which would take other teacher layers. Drop one of the two; the "
                "student layer may stay."
            )
        if self.interpolate and self.pairing != "floor":
            raise PlanError(
                f"Got interpolation with pairing {self.pairing}; it is defined for floor. Drop one of them."
            )
