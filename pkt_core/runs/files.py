"""What the files of a run must be for everybody who reads them: a file that says something else is damaged, whoever wrote it.

Only entries that lists and pages rely on are named; others pass, as earlier and later versions have them.

Not covered: whether a plan can be carried out (`transfer/plan.py`), how a run is written (`runs/folder.py`).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10**12)]


class Strict(BaseModel):
    """Types as they are, further entries as they come."""

    model_config = ConfigDict(strict=True, extra="allow")


class Family(Strict):
    """What a run is in its family."""

    family: str
    label: str
    place: Count


class Named(Strict):
    """A model by name."""

    name: str = ""


class PlanShape(Strict):
    """A plan as lists describe it."""

    method: str = ""
    teacher: Named | None = None
    student: Named | None = None
    steps: Count | None = None
    batch_size: Count | None = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**64)
    tasks: list[str] = []
    map: str | None = None
    rows: str | None = None
    teacher_weights: str | None = None
    pairing: str | None = None
    output_weight: Finite | None = None
    layer_weight: Finite | None = None


class Paired(Strict):
    """A pair of layers."""

    teacher: Count
    student: Count


class Layers(Paired):
    """The layers that a run paired."""

    pairs: list[Paired] = []
    """Earlier versions told of one pair alone."""


class Valued(Strict):
    """A number with more beside it."""

    value: float


class Behaviour(Strict):
    """What one of the three models does."""

    tasks: dict[str, dict[str, float | None]] = {}
    bits_per_byte: Valued


class Change(Strict):
    """What a task gained or lost."""

    difference: Finite
    before: Finite | None = None
    after: Finite | None = None


class Answers(Strict):
    """Which items of a task were answered right, as `0110`."""

    before: str | None = Field(default=None, pattern="^[01]*$")
    after: str = Field(pattern="^[01]*$")

    @model_validator(mode="after")
    def same_items(self) -> Answers:
        """Before and after are asked the same."""
        if self.before is not None and len(self.before) != len(self.after):
            raise ValueError("as many answers before as after")
        return self


class ResultsShape(Strict):
    """Results as tables of several runs read them."""

    layers: Layers | None = None
    steps: Count | None = None
    planned_steps: Count | None = None
    seconds: dict[str, Finite] = {}
    behaviour: dict[str, Behaviour] | None = None
    changes: dict[str, Change] | None = None
    right: dict[str, Answers] | None = None
    generations: list[dict[str, Any]] | None = None
    attribution: dict[str, Any] | None = None
    alignment: dict[str, Any] | None = None
    examples: dict[str, Any] | None = None
    changed: dict[str, Any] | None = None
    command: str | None = None
    unmeasured: str | None = None
    exported: dict[str, dict[str, Any]] | None = None

    @model_validator(mode="after")
    def measured_together(self) -> ResultsShape:
        """Changes and single answers are of models that were measured."""
        if self.changes is not None and not {"before", "after"} <= (self.behaviour or {}).keys():
            raise ValueError("changes without the behaviour before and after")
        if self.right is not None and ("after" not in (self.behaviour or {}) or "training" not in self.seconds):
            raise ValueError("single answers without the behaviour after, or the seconds of training")
        return self
