"""A transfer as an intention: what trains, towards what, on which data, for how long, with which seed.

Here is the part that every plan has. What only some methods use lies in groups (`settings.py`), and the plan of a method is
made of those groups and of settings of its own (`methods/`): a setting that means nothing to a method has no place in its
plan. Written, a plan is flat. A flat plan of any method is read through `TransferPlan`, which gives the method's own; plans of
earlier versions, which held every setting, are read too.

A plan is checked against both models before anything heavy starts (`check.py`). Defaults follow SemAlign v1 (arXiv 2510.24208v1,
section 4.3 and appendix A.2) where the paper specifies them, and our `shared defaults` elsewhere: it does not specify which
sublayer is matched (we take the block's contribution) or which positions (we take those that predict the answer).

Not covered: what each method does (`methods/`), the controls of a plan (`controls.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from pkt_core.alignment.pairing import read_pairs, write_pairs
from pkt_core.errors import PlanError, StoreError
from pkt_core.models.catalog import Pair
from pkt_core.models.ref import ModelRef

METHODS = "pkt_core.transfer.methods"
Part = Literal["block_delta", "block_out", "attn_out", "mlp_out"]
Positions = Literal["answer", "all"]


@cache
def records() -> tuple[Any, ...]:
    """The record of every method in their order: `METHOD` of each module of the package, and no list of them is kept.

    By name, because methods stand above their plans.
    """
    package = import_module(METHODS)
    modules = [import_module(f"{METHODS}.{one.name}") for one in iter_modules(package.__path__)]
    return tuple(sorted((module.METHOD for module in modules), key=lambda method: (method.order, method.name)))


@cache
def kinds() -> dict[str, type[TransferPlan]]:
    """The plan of each method."""
    return {method.name: method.plan for method in records()}


@cache
def settings() -> dict[str, FieldInfo]:
    """Every setting that some plan has, with type, range, help and default where it is first defined; the common ones first."""
    fields = dict(TransferPlan.model_fields)
    for kind in kinds().values():
        for above in reversed(kind.__mro__):
            if issubclass(above, TransferPlan):
                for name, field in above.model_fields.items():
                    fields.setdefault(name, field)
    return fields


def users(name: str) -> tuple[str, ...]:
    """The methods that a setting means something to."""
    return tuple(method for method, kind in kinds().items() if name in kind.model_fields)


def held_by(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a plan's settings that a plan of another method can hold; names that no plan knows stay, to be refused."""
    fields = kinds()[method].model_fields
    kept = {name: value for name, value in given.items() if name in fields or name not in settings()}
    if "adapter" in fields and kept.get("adapter") != "lora":
        kept.pop("lora_rank", None)
    return kept


class TransferPlan(BaseModel):
    """Everything that could change the result of a transfer. `TransferPlan(method=...)` is a plan of that method's own class."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    teacher: ModelRef
    student: ModelRef
    data: str
    """Example set to train on: a bundled name or a .jsonl/.csv file with prompt and answer."""
    n_examples: int | None = Field(None, ge=1)
    """Use that many of them, drawn with the seed; None uses all."""
    method: str = "semalign-v1"
    """How the student is trained."""
    teacher_layer: int | None = Field(None, ge=0)
    """From 0; None takes the layer of highest attribution and the paper's pairing."""
    student_layer: int | None = Field(None, ge=0)
    """From 0; None takes the layer that the pairing gives to the teacher layer."""
    layer_pairs: str = ""
    """Pairs set by hand, `teacher:student, ...` from 0, as in `5:2, 3:1`; they override the other layer settings."""
    n_pairs: int = Field(1, ge=0)
    """Number of pairs, chosen by attribution where no layer is named; 0 pairs every student layer."""
    pairing: Literal["floor", "last-to-last", "reversed", "random"] = "floor"
    """Which teacher layer a student layer learns from where none is named; the paper's rule is `floor`, the last two are controls."""
    part: Part = "block_delta"
    """Site that is matched in both models."""
    positions: Positions = "answer"
    """Positions that predict an answer token, or all."""
    seed: int = Field(0, ge=0)
    tasks: tuple[str, ...] = ()
    """Example sets on which behaviour is measured before and after."""
    n_task_items: int | None = Field(None, ge=1)
    """At most that many items of each task; None takes all."""
    general: str = "general"
    """Prompt set on which bits per byte and agreement with the teacher are measured."""
    n_general: int = Field(200, ge=2)
    """At most that many of its texts."""
    prompts: str = "facts"
    """Prompt set on which alignment before and after is measured."""
    n_prompts: int = Field(256, ge=16)
    """At most that many of its prompts."""

    def __new__(cls, /, **given: Any) -> TransferPlan:
        """An instance of the method's own class, so that the constructor is the same for all."""
        method = given.get("method") or TransferPlan.model_fields["method"].default
        kind = kinds().get(method) if cls is TransferPlan and isinstance(method, str) else None
        return super().__new__(kind or cls)  # type: ignore[arg-type]

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """A default that a method sets anew keeps the help of the setting."""
        for name, field in cls.model_fields.items():
            for above in cls.__mro__[1:]:
                if field.description is None and issubclass(above, TransferPlan) and name in above.model_fields:
                    field.description = above.model_fields[name].description

    @model_validator(mode="wrap")
    @classmethod
    def of_its_method(cls, given: Any, make: Callable[[Any], TransferPlan]) -> TransferPlan:
        """Read a flat plan as its method's own. None leaves a setting to its default; so does the default of a setting that the method does not have.

        Raises PlanError for any other value of a setting that means nothing to the method.
        """
        if not isinstance(given, Mapping):
            return make(given)
        method = given.get("method") or cls.model_fields["method"].default
        kind = kinds().get(method) if isinstance(method, str) else None
        if kind is None:
            return make(given)
        if kind is not cls and issubclass(kind, cls):
            return kind.model_validate(given)
        known = settings()
        for name, value in given.items():
            if name in known and name not in kind.model_fields and value not in (None, known[name].default):
                raise PlanError(kind.refusal(name, value))
        kept = {name: value for name, value in given.items() if name in kind.model_fields or name not in known}
        return make({name: value for name, value in kept.items() if value is not None})

    @field_validator("method")
    @classmethod
    def known(cls, given: str) -> str:
        if given not in kinds():
            *most, last = (repr(name) for name in kinds())
            raise PydanticCustomError(
                "literal_error", "Input should be {expected}", {"expected": f"{', '.join(most)} or {last}"}
            )
        return given

    @field_validator("layer_pairs")
    @classmethod
    def in_order(cls, given: str) -> str:
        """Written in one way, so that the same pairs are the same plan; `check_settings` reports what cannot be read."""
        try:
            return write_pairs(read_pairs(given))
        except PlanError:
            return given

    @classmethod
    def refusal(cls, name: str, value: Any) -> str:
        """Why a plan of this method does not take a setting that other methods have."""
        method = cls.model_fields["method"].default
        if name == "anchor" and "steps" not in cls.model_fields:
            return f"Got anchor {value} with {method}, which does not train. Use anchor none."
        return (
            f"Got {name.replace('_', ' ')} {value} with {method}, which does not use it. "
            f"Remove it, or use {' or '.join(users(name)[:2])}."
        )

    @classmethod
    def said(cls, given: dict[str, Any]) -> TransferPlan:
        """A plan from given settings; None leaves a setting to its default. Raises ValidationError or PlanError."""
        return cls.model_validate({name: value for name, value in given.items() if value is not None})

    @classmethod
    def of_pair(cls, pair: Pair, settings: dict[str, Any]) -> TransferPlan:
        """A plan for a pair, on the pair's own examples and prompts where the settings name no others.

        Where they name examples and no tasks, behaviour is measured on those examples. Raises PlanError in one sentence where a
        setting has a value that cannot be.
        """
        given = {name: value for name, value in settings.items() if value is not None and value != ()}
        data = given.get("data") or pair.examples
        of_this_pair = {
            "teacher": pair.teacher,
            "student": pair.student,
            "tasks": pair.tasks if data == pair.examples else (data,),
            "prompts": pair.prompts,
        }
        try:
            return cls.model_validate({**of_this_pair, **given, "data": data})
        except ValidationError as error:
            first = error.errors()[0]
            raise PlanError(f"{first['loc'][0]}: got {first['input']!r}; {first['msg']}.") from error

    @classmethod
    def read(cls, stored: dict[str, Any], path: Path) -> TransferPlan:
        """The plan that a run's file holds. Raises StoreError where it is damaged or of a version that no longer fits.

        What earlier versions wrote beside it and the method never used is passed over.
        """
        try:
            method = stored.get("method", cls.model_fields["method"].default)
            known = isinstance(method, str) and method in kinds()
            fields = kinds()[method].model_fields if known else settings()
            return cls.model_validate({k: v for k, v in stored.items() if k in fields or k not in settings()})
        except ValidationError as error:
            first = error.errors()[0]
            raise StoreError(
                f"{path} is not a valid plan ({'.'.join(map(str, first['loc']))}: {first['msg']}). "
                "Restore it from a copy, or start the transfer again."
            ) from error

    @classmethod
    def default(cls, name: str, method: str) -> Any:
        """A setting's default for a method; for a method without it, its default elsewhere."""
        return kinds()[method].model_fields.get(name, settings()[name]).default

    @property
    def uses_teacher(self) -> bool:
        return False

    @property
    def trains(self) -> bool:
        """Whether there are steps at all."""
        return False

    @property
    def total_steps(self) -> int:
        return 0

    @property
    def leaves_layers_open(self) -> bool:
        """Whether no layer of either side is named or drawn, so that attribution chooses."""
        return not self.layer_pairs and self.teacher_layer is None and self.student_layer is None

    @property
    def pairs_layers(self) -> bool:
        """Whether the paired layers play a part in the training, and not only in what is measured."""
        return True

    @property
    def interpolates(self) -> bool:
        """Whether two teacher layers are mixed."""
        return False

    @property
    def every_block(self) -> bool:
        """Whether all blocks of the student change, and not the paired ones alone."""
        return False

    @property
    def rank(self) -> int | None:
        """Of the LoRA that trains; None where none does."""
        return None

    @property
    def as_adapter(self) -> bool:
        """Whether the student is kept as an adapter of LoRA beside the weights it had."""
        return False

    @property
    def measured_map(self) -> str:
        """The alignment map under which the student is measured before and after."""
        return "semantic"

    @property
    def compares_tokens(self) -> bool:
        """Whether tokens of one vocabulary are compared with the other's: through a map made of both, or distributions."""
        return False

    @property
    def wants_distribution(self) -> bool:
        """Whether the teacher's next-token distribution has a weight in the loss, for methods that know it."""
        return True

    @property
    def by_rank(self) -> bool:
        """Whether distributions are compared by rank, whatever their tokens are."""
        return False

    def effort(self) -> dict[str, Any]:
        """How long and how fast, for the model card; for a method without steps how far."""
        return {"seed": self.seed}

    def check_settings(self) -> None:
        """Raises PlanError where settings conflict, or no training objective is left."""
        n_pairs = self.default("n_pairs", self.method)
        if self.layer_pairs:
            read_pairs(self.layer_pairs)
            layers = (self.teacher_layer, self.student_layer, self.n_pairs) != (None, None, n_pairs)
            if layers or self.interpolates or self.pairing == "last-to-last":
                raise PlanError(
                    f"layer_pairs={self.layer_pairs!r} conflicts with another choice of layers (a layer, n_pairs, interpolation or "
                    "last-to-last). Set one or the other."
                )
        named = [layer for layer in (self.teacher_layer, self.student_layer) if layer is not None]
        if named and self.n_pairs != n_pairs:
            raise PlanError(
                f"n_pairs={self.n_pairs} conflicts with the explicit layer {named[0]}, which selects one pair. Set one or the other."
            )
        if self.teacher_layer is not None and (self.interpolates or self.pairing != "floor"):
            other = "interpolation" if self.interpolates else f"pairing {self.pairing}"
            raise PlanError(
                f"teacher_layer={self.teacher_layer} conflicts with {other}, which selects other teacher layers. Set one or the other; "
                "the student layer may stay."
            )
        if self.interpolates and self.pairing != "floor":
            raise PlanError(
                f"Got interpolation with pairing {self.pairing}; it is defined for floor only. Set one or the other."
            )
