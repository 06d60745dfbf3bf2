"""The record of facts about prompts, a row each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Rows:
    """Facts about picked prompts, a row each."""

    rows: list[dict[str, Any]]
    """Each with the prompt's `id` and `text`."""
    n_picked: int
    """How many were picked; there may be fewer rows."""
    facts: dict[str, Any]
    """What holds for all rows."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Rows:
        return cls(**data)
