"""A transfer as an intention: what trains, towards what, on which data, for how long, with which seed.

A plan checks itself against both models before anything heavy starts. Defaults follow SemAlign v1 (arXiv 2510.24208v1,
section 4.3 and appendix A.2) where the paper says, and `shared defaults` of ours where it does not: it never says which
sublayer is matched (we take the block's contribution) or which positions (we take those that predict the answer).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pkt_core.errors import PlanError, StoreError
from pkt_core.models.loading import LoadedModel, ModelRef
from pkt_core.models.sites import Site
from pkt_core.models.vocabulary import VocabularyMatch

Method = Literal["semalign-v1", "sft", "logit-kd"]
METHODS: dict[Method, str] = {
    "semalign-v1": "SemAlign v1: pull one student layer towards the teacher's, through the semantic map, with labels",
    "sft": "Plain fine-tuning with labels, no teacher",
    "logit-kd": "Logit distillation: the teacher's next-token distribution, no labels",
}


class TransferPlan(BaseModel):
    """Everything that could change the result of a transfer."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    teacher: ModelRef
    student: ModelRef
    data: str
    """Example set to train on: a bundled name or a .jsonl/.csv file with prompt and answer."""
    n_examples: int | None = Field(None, ge=1)
    """Use that many of them, drawn with the seed; None uses all."""
    method: Method = "semalign-v1"
    map: Literal["semantic", "permuted", "random"] = "semantic"
    """Alignment map of semalign-v1; `permuted` (vocabulary of the student shuffled) and `random` bases are controls."""
    teacher_layer: int | None = Field(None, ge=0)
    """From 0; None takes the layer of highest attribution and the paper's pairing."""
    student_layer: int | None = Field(None, ge=0)
    """From 0; None takes the layer that the pairing gives to the teacher layer."""
    part: Literal["block_delta", "block_out", "attn_out", "mlp_out"] = "block_delta"
    """Site that is matched in both models."""
    positions: Literal["answer", "all"] = "answer"
    """Positions that predict an answer token, or all."""
    scope: Literal["layer", "all"] = "layer"
    """What trains: the one paired student layer, or all blocks."""
    adapter: Literal["full", "lora"] = "full"
    """All parameters of what trains, or LoRA on its value, output and MLP projections."""
    lora_rank: int = Field(16, ge=1, le=1024)
    layer_weight: float = Field(1.0, ge=0)
    """Weight of the layer term; 0 is the control `output term only`."""
    output_weight: float = Field(1.0, ge=0)
    """Weight of the output term; 0 is the control `layer term only`, which uses no label at all."""
    temperature: float = Field(1.0, gt=0)
    """Of logit-kd."""
    steps: int = Field(300, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
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

    @classmethod
    def read(cls, stored: dict[str, Any], path: Path) -> TransferPlan:
        """The plan that a run's file holds. Raises StoreError where it is damaged or of a version that no longer fits."""
        try:
            return cls.model_validate(stored)
        except ValidationError as error:
            first = error.errors()[0]
            raise StoreError(
                f"{path} is no plan that can be carried out ({first['loc'][0]}: {first['msg']}). "
                "Restore it from a copy, or start the transfer again."
            ) from error

    @property
    def uses_teacher(self) -> bool:
        return self.method != "sft"

    def check(self, teacher: LoadedModel, student: LoadedModel, match: VocabularyMatch) -> None:
        """Raises LayerNotFound, PlanError or VocabularyMismatch in one sentence, in a second rather than after an hour."""
        if self.method == "semalign-v1" and self.layer_weight == 0 and self.output_weight == 0:
            raise PlanError(
                "Got layer weight 0 and output weight 0, which leaves nothing to train towards. Raise one of them."
            )
        if self.method != "semalign-v1" and self.map != "semantic":
            raise PlanError(
                f"Got map {self.map} with {self.method}, which uses no alignment map. Drop it or use semalign-v1."
            )
        teacher.require(Site(self.part, self.teacher_layer or 0))
        student.require(Site(self.part, self.student_layer or 0))
        if not self.uses_teacher:
            return
        match.require(f"{self.method} on matched tokens")
        if not match.same_tokenizer:
            raise PlanError(
                f"{teacher.name} and {student.name} cut text into different tokens ({match.n} of {match.n_teacher} and "
                f"{match.n_student} shared); {self.method} compares them token by token. Choose a pair with one tokenizer, or sft."
            )
