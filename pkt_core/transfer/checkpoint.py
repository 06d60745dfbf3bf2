"""The state of a training on disk, so that a run that was killed goes on and ends as if it had not been.

One folder per checkpoint, built beside and moved into place when whole; the one before is removed only then. No pickle.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from pkt_core.errors import StoreError
from pkt_core.files import read_json, told_clearly, write_json

SECONDS = 20.0
"""Between two checkpoints, at least; more where writing one takes longer than a twentieth of that."""
SHARE = 20


class Checkpoints:
    """The checkpoints of one run; only the last whole one is kept."""

    def __init__(self, folder: Path, seconds: float = SECONDS):
        self.folder, self.seconds = folder, seconds
        self.last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for the next."""
        return time.monotonic() - self.last >= self.seconds

    def save(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Write one. Raises StoreError where the disk is full; the one before is still there then."""
        began = time.monotonic()
        target = self.folder / f"step-{facts['step']:08d}"
        staging = self.folder / f".{target.name}.{secrets.token_hex(4)}"
        former = self.whole()
        try:
            with told_clearly(target):
                staging.mkdir(parents=True)
                save_file(
                    {name: t.detach().cpu().contiguous() for name, t in tensors.items()}, staging / "state.safetensors"
                )
                write_json(staging / "facts.json", facts)
                shutil.rmtree(target, ignore_errors=True)
                os.replace(staging, target)
        except Exception as error:
            if "No space left" in str(error) and not isinstance(
                error, StoreError
            ):  # safetensors tells it in words only
                raise StoreError(
                    f"The disk is full: {target} could not be written. Free some space and resume the run."
                ) from error
            raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        for old in former:
            if old != target:
                shutil.rmtree(old, ignore_errors=True)
        self.last = time.monotonic()
        self.seconds = max(self.seconds, SHARE * (self.last - began)) if self.seconds else 0.0

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The last whole one, None where there is none."""
        found = self.whole()
        if not found:
            return None
        return load_file(found[-1] / "state.safetensors"), read_json(found[-1] / "facts.json")

    def whole(self) -> list[Path]:
        return sorted(p for p in self.folder.glob("step-*") if (p / "facts.json").is_file())

    def remove(self) -> None:
        """Delete them all: the run is over."""
        shutil.rmtree(self.folder, ignore_errors=True)
