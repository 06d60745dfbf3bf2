"""How a computation reports how far it is: a stage in words and the share that is done, 0..1."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]


def silent(_stage: str, _fraction: float) -> None:
    """The progress of a caller that shows none."""
