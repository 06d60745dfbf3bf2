"""Models that stay loaded between uses, and what was made from them; never more than the current use needs.

What a use does not need is released before missing models are loaded, so that two pairs are never in memory at once.

Not covered: sharing between processes; models that train (their job loads its own).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pkt_core.models.loading import LoadedModel, model_digest, release
from pkt_core.models.ref import ModelRef

Key = tuple[str, str, str, str]
Made = TypeVar("Made")
KEPT = 12  # things made from models: two ways of making the bases of a pair and a student of a run, and their maps


def model_key(ref: ModelRef, digest: str | None = None) -> Key:
    """Names a model as it is held: weights, the name its tokenizer came by, precision, device."""
    return digest or model_digest(ref), ref.name, ref.dtype, ref.device


class Pool:
    """The models of the latest use."""

    def __init__(self) -> None:
        self.models: dict[Key, LoadedModel] = {}
        self.made: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    def open(self, wanted: Sequence[tuple[Key, Callable[[], LoadedModel]]]) -> list[LoadedModel]:
        """The wanted models in order; those held are not loaded again, all others are let go first."""
        keys = [key for key, _ in wanted]
        if gone := [key for key in self.models if key not in keys]:
            for key in gone:
                del self.models[key]
            self.made = OrderedDict((k, v) for k, v in self.made.items() if not any(key in k for key in gone))
            release()
        for key, load in wanted:
            if key not in self.models:
                self.models[key] = load()
        return [self.models[key] for key in keys]

    def keep(self, name: tuple[Any, ...], make: Callable[[], Made]) -> Made:
        """What was made under that name, made now where it was not; the name holds the keys of its models."""
        if name not in self.made:
            while len(self.made) >= KEPT:
                self.made.popitem(last=False)
            self.made[name] = make()
        self.made.move_to_end(name)
        return self.made[name]

    def clear(self) -> None:
        """Let everything go."""
        if self.models or self.made:
            self.models.clear()
            self.made.clear()
            release()
