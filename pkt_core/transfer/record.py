"""What a plan, or two models, take of this device; torch-free, because the dashboard shows it.

Not covered: how it is worked out (`requirements.py`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlanNeeds:
    """What a plan takes of this device."""

    memory: int
    """Bytes, at most."""
    disk: int
    """Bytes of targets, student and checkpoint."""
    free: int
    """Bytes of memory that the device has free."""
    device: str
    sentence: str
    """The same in words."""
    refused: str | None
    """Why it does not fit; None where it does."""
    n_layers: dict[str, int] | None
    """Of `teacher` and `student`; None where one is not here."""


@dataclass(frozen=True)
class PairNeeds:
    """What two models take of this device when they are loaded to be compared."""

    n_parameters: dict[str, int]
    """Of `teacher` and `student`."""
    bytes: int
    """Of both together."""
    free: int
    """Bytes of memory that the device has free."""
    device: str
