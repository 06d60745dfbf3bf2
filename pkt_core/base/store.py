"""Where results are kept so that nothing is computed twice.

An artefact is a folder `artefacts/<kind>-<key>/` with `tensors.safetensors` and, written last, `manifest.json`, which holds the
digests of the tensors and of itself. The key is a fingerprint of all that could change the answer. No pickle anywhere: a file from
someone else cannot run code here.

Not covered: what belongs in a key (the caller knows), eviction of old artefacts (delete the folder), locking between
machines (the last writer of a key wins, and both wrote the same thing).
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from pkt_core import __version__
from pkt_core.base.files import cache_root, read_json, told_clearly, write_bytes, write_json, write_text
from pkt_core.base.fingerprint import fingerprint
from pkt_core.base.records import from_json, to_json
from pkt_core.base.sealed import read_sealed, write_sealed
from pkt_core.base.staging import beside, move_over, sweep
from pkt_core.errors import StoreError

__all__ = [
    "artefact_folder",
    "cache_root",
    "fingerprint",
    "list_artefacts",
    "load_artefact",
    "memo",
    "read_json",
    "save_artefact",
    "set_aside",
    "told_clearly",
    "write_bytes",
    "write_json",
    "write_text",
]

logger = logging.getLogger(__name__)
T = TypeVar("T")

TENSORS = "tensors.safetensors"
MANIFEST = "manifest.json"
FORMER_ENTRIES = {"kind", "key", "pkt", "written", "bytes", "sha256", "meta"}
"""Of a manifest of earlier versions, which holds no digest of itself; `written` was left out by the first."""
_swept: set[Path] = set()
"""Folders whose leftovers this process has removed: those of killed ones, once."""


def artefact_folder(kind: str, key: str) -> Path:
    """Where an artefact lies, whether or not it exists."""
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", kind), f"kind is a lower-case word, got {kind!r}"
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", key), f"key is a fingerprint, got {key!r}"
    return cache_root() / "artefacts" / f"{kind}-{key}"


def save_artefact(kind: str, key: str, tensors: dict[str, Tensor], meta: dict[str, Any]) -> Path:
    """Keep tensors (may be none, any shape and dtype, kept bit for bit) and JSON facts under a fingerprint; returns the folder.

    Built in a folder of its own and moved into place when complete, so that a reader or a second writer never meets a
    half; an older artefact of the same key is replaced. Raises StoreError where the disk is full or not writable.
    """
    folder = artefact_folder(kind, key)
    data = safetensors.torch.save(_apart(tensors))
    manifest = {
        "kind": kind,
        "key": key,
        "pkt": __version__,
        # Distinguishes two writes, so that a reader between them does not report damage.
        "written": secrets.token_hex(8),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "meta": meta,
    }
    staging = beside(folder)
    with told_clearly(folder):
        _sweep_once(folder.parent)
        try:
            write_bytes(staging / TENSORS, data)
            write_sealed(staging / MANIFEST, manifest)
            move_over(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return folder


def load_artefact(kind: str, key: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors (on the CPU) and facts of an artefact, or None where there is none.

    A damaged one is moved aside to `<name>.damaged-N`, logged, and counts as absent, so that it is computed again.
    Raises StoreError where the files may not be read.
    """
    folder = artefact_folder(kind, key)
    with told_clearly(folder):
        _sweep_once(folder.parent)
        try:
            written = _bytes(folder / MANIFEST)
        except FileNotFoundError:
            return None
        except (ValueError, NotADirectoryError) as error:
            _move_aside(folder, error)
            return None
        try:
            return _read_whole(folder)
        except (ValueError, KeyError, TypeError, FileNotFoundError, StoreError, SafetensorError) as error:
            if _manifest_is_another(folder, written):
                return load_artefact(kind, key)
            _move_aside(folder, error)
            return None


def memo(kind: str, key: str, record: type[T], make: Callable[[], T]) -> T:
    """The record stored under a key, or the one that `make` computes, kept for the next time.

    One that this version cannot read is logged and computed again. Raises StoreError where the store may not be read or
    written, and whatever `make` raises.
    """
    if stored := load_artefact(kind, key):
        try:
            return from_json(record, stored[1], f"The stored {kind}")
        except StoreError as error:
            logger.warning("%s It is computed again.", error)
    made = make()
    save_artefact(kind, key, {}, to_json(made))
    return made


def _sweep_once(artefacts: Path) -> None:
    """What killed processes left is swept when a process first uses the store."""
    if artefacts not in _swept:
        _swept.add(artefacts)
        sweep(artefacts)


def list_artefacts(kind: str) -> list[dict[str, Any]]:
    """The facts of every artefact of a kind, oldest first; half-written and damaged ones are passed over, tensors not read."""
    dated: list[tuple[float, dict[str, Any]]] = []
    for path in (cache_root() / "artefacts").glob(f"{kind}-*/{MANIFEST}"):
        with suppress(OSError, StoreError, KeyError):
            manifest = _manifest(path)
            if manifest["kind"] == kind:
                dated.append((path.stat().st_mtime, manifest["meta"]))
    return [meta for _, meta in sorted(dated, key=lambda one: one[0])]


def _manifest(path: Path) -> dict[str, Any]:
    """Raises StoreError where one byte is another; what an earlier version wrote has to have all of its entries and no more."""
    manifest = read_sealed(path)
    if manifest.keys() | {"written"} != FORMER_ENTRIES:
        raise StoreError("its manifest is not the one that was saved")
    return manifest


def _read_whole(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    manifest = _manifest(folder / MANIFEST)
    size, digest, meta = manifest["bytes"], manifest["sha256"], manifest["meta"]
    data = _bytes(folder / TENSORS)  # once: the file may be replaced between a check and a second look
    if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
        raise ValueError("its tensors are not those that were saved")
    return safetensors.torch.load(data), meta


def _manifest_is_another(folder: Path, written: bytes) -> bool:
    """Whether the artefact was replaced or removed while it was read, which is no damage."""
    try:
        return _bytes(folder / MANIFEST) != written
    except (FileNotFoundError, ValueError):
        return True


def _bytes(path: Path) -> bytes:
    """Raises ValueError for what is no regular file: it would wait at a pipe for ever."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{path.name} is not a regular file")
    return path.read_bytes()


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous CPU tensors that share no memory, as safetensors requires."""
    seen: set[int] = set()
    apart: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        owner = plain.untyped_storage().data_ptr()
        apart[name] = plain.clone() if owner in seen else plain
        seen.add(owner)
    return apart


def set_aside(folder: Path) -> Path:
    """Rename what is damaged to `<name>.damaged-N`, so that it is not met again; where it lies now."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.damaged-{number}")).exists():
        number += 1
    os.rename(folder, aside)
    return aside


def _move_aside(folder: Path, error: Exception) -> None:
    try:
        outcome = f"It was moved to {set_aside(folder).name}"
    except OSError as refused:
        outcome = f"It could not be moved aside ({refused.strerror})"
    reason = f"{type(error).__name__}: {error}"
    logger.warning("The stored %s is damaged (%s). %s and will be computed again.", folder.name, reason, outcome)
