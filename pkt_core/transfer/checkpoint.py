"""The state of a training on disk, so that a killed run continues and ends as if it had not been killed.

One folder per checkpoint, built beside and moved into place when the disk has all of it; `manifest.json`, written last, holds the
digests of the state and of itself. The one before is kept beside the last: where the last is damaged, training continues from there.
No pickle.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pkt_core.base.files import read_json, told_clearly
from pkt_core.base.sealed import file_digest, read_sealed, require_files, write_sealed
from pkt_core.base.staging import beside, sync_file, sync_folder
from pkt_core.errors import StoreError

logger = logging.getLogger(__name__)

SECONDS = 20.0
"""Between two checkpoints, at least; more where writing one takes longer than a twentieth of that."""
SHARE = 20
STATE = "state.safetensors"
MANIFEST = "manifest.json"
FORMER_FACTS = "facts.json"
"""Of earlier versions, instead of a manifest: the facts without any digest."""


class Checkpoints:
    """The checkpoints of one run; the last two are kept."""

    def __init__(self, folder: Path, seconds: float = SECONDS):
        self.folder, self.seconds = folder, seconds
        self.last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for the next."""
        return time.monotonic() - self.last >= self.seconds

    def save(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Write one. Raises StoreError where the disk is full; the one before is still there then."""
        began = time.monotonic()
        for old in self.whole()[:-1]:  # first: no more than two lie on the disk at once
            shutil.rmtree(old, ignore_errors=True)
        target = self._free(f"step-{facts['step']:08d}")
        staging = beside(target)
        try:
            with told_clearly(target):
                staging.mkdir(parents=True)
                plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
                save_file(plain, staging / STATE)
                sync_file(staging / STATE)
                digests = {STATE: file_digest(staging / STATE)}
                write_sealed(staging / MANIFEST, {"facts": facts, "files": digests})
                os.rename(staging, target)
                sync_folder(self.folder)
        except Exception as error:
            # safetensors reports a full disk only in its message.
            if "No space left" in str(error) and not isinstance(error, StoreError):
                raise StoreError(
                    f"The disk is full: {target} could not be written. Free some space and resume the run."
                ) from error
            raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        self.last = time.monotonic()
        self.seconds = max(self.seconds, SHARE * (self.last - began)) if self.seconds else 0.0

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The last whole one; None where there is none. A damaged one is logged and set aside, and the previous one is used."""
        folders = self.whole()
        for number, folder in enumerate(reversed(folders), 1):
            try:
                return _read(folder)
            except (StoreError, SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
                former = number < len(folders)
                goes_on = (
                    "the previous one is used" if former else "none is left, so training starts from the beginning"
                )
                logger.warning("The checkpoint %s is damaged (%s); %s.", folder, error, goes_on)
                shutil.rmtree(folder.with_name(f"damaged-{folder.name}"), ignore_errors=True)
                os.rename(folder, folder.with_name(f"damaged-{folder.name}"))
        return None

    def whole(self) -> list[Path]:
        """Folders of those that were written to their end, oldest first."""
        return sorted(
            path
            for path in self.folder.glob("step-*")
            if (path / MANIFEST).is_file() or (path / FORMER_FACTS).is_file()
        )

    def steps(self) -> int:
        """Steps done at the last one, from its name; 0 where there is none."""
        folders = self.whole()
        return int(folders[-1].name.split("-")[1].partition(".")[0]) if folders else 0

    def remove(self) -> None:
        """Delete them all: the run is over."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _free(self, name: str) -> Path:
        """A folder of that name, which no checkpoint has: one that is there stays until the new one is whole."""
        target, number = self.folder / name, 1
        while target.exists():
            number += 1
            target = self.folder / f"{name}.{number:03d}"
        return target


def _read(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Raises StoreError where one byte is another."""
    if not (folder / MANIFEST).exists():
        facts = read_json(folder / FORMER_FACTS)
        if not isinstance(facts, dict) or not {"step", "spent", "micro_batch", "scale"} <= facts.keys():
            raise StoreError("its facts are not those of a training")
        return load_file(folder / STATE), facts
    manifest = read_sealed(folder / MANIFEST, required=True)
    require_files(folder, manifest["files"])
    return load_file(folder / STATE), manifest["facts"]
