"""What the plan of a run and its place in a family must contain for every reader: any other content counts as damage, whoever wrote it.

Only entries that lists and pages rely on are named; others pass, as earlier and later versions have them.

Not covered: whether a plan can be carried out (`transfer/plan.py`), results (`runs/results.py`), writing (`runs/folder.py`).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10**12)]


class Strict(BaseModel):
    """Types as they are, further entries as they come."""

    model_config = ConfigDict(strict=True, extra="allow")


class Family(Strict):
    """What a run is in its family."""

    family: str
    """Its name."""
    label: str
    """Which member: a method, a control or a pair of layers; seeds of one member share it."""
    place: Count
    """Where among its runs it was planned, from 0."""


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
