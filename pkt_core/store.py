"""Where results are kept so that nothing is computed twice.

An artefact is a folder `artefacts/<kind>-<key>/` with `tensors.safetensors` and, written last, `manifest.json`, which holds the
digest of the tensors. The key is a fingerprint of all that could change the answer. No pickle anywhere: a file from
someone else cannot run code here.

Not covered: what belongs in a key (the caller knows), eviction of old artefacts (delete the folder), locking between
machines (the last writer of a key wins, and both wrote the same thing).
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from pkt_core import __version__
from pkt_core.files import cache_root, read_json, told_clearly, write_bytes, write_json, write_text
from pkt_core.fingerprint import fingerprint

__all__ = [
    "artefact_folder",
    "cache_root",
    "fingerprint",
    "list_artefacts",
    "load_artefact",
    "read_json",
    "save_artefact",
    "told_clearly",
    "write_bytes",
    "write_json",
    "write_text",
]

logger = logging.getLogger(__name__)

TENSORS = "tensors.safetensors"
MANIFEST = "manifest.json"
ABANDONED_SECONDS = 3600.0
"""A half-written artefact this old belongs to a process that was killed; the next save of the same key removes it."""


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
        "written": secrets.token_hex(
            8
        ),  # tells two writings apart, so that a reader between them takes neither for damage
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "meta": meta,
    }
    staging = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    with told_clearly(folder):
        _remove_abandoned(folder)
        try:
            write_bytes(staging / TENSORS, data)
            write_json(staging / MANIFEST, manifest)
            _move_over(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return folder


def load_artefact(kind: str, key: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors (on the CPU) and facts of an artefact, or None where there is none.

    A damaged one is moved aside to `<name>.damaged-N`, told in the log and counts as absent, so that it is computed again.
    Raises StoreError where the files may not be read.
    """
    folder = artefact_folder(kind, key)
    with told_clearly(folder):
        try:
            written = (folder / MANIFEST).read_bytes()
        except FileNotFoundError:
            return None
        try:
            return _read_whole(folder, json.loads(written))
        except (ValueError, KeyError, TypeError, FileNotFoundError, SafetensorError) as error:
            if _manifest_is_another(folder, written):
                return load_artefact(kind, key)
            _move_aside(folder, error)
            return None


def list_artefacts(kind: str) -> list[dict[str, Any]]:
    """The facts of every artefact of a kind, oldest first; half-written and damaged ones are passed over, tensors not read."""
    found: list[tuple[float, dict[str, Any]]] = []
    for path in (cache_root() / "artefacts").glob(f"{kind}-*/{MANIFEST}"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            manifest = json.loads(path.read_bytes())
            if manifest["kind"] == kind:
                found.append((path.stat().st_mtime, manifest["meta"]))
    return [meta for _, meta in sorted(found, key=lambda one: one[0])]


def _read_whole(folder: Path, manifest: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    size, digest, meta = manifest["bytes"], manifest["sha256"], manifest["meta"]
    data = (folder / TENSORS).read_bytes()  # once: the file may be replaced between a check and a second look
    if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
        raise ValueError("its tensors are not those that were saved")
    return safetensors.torch.load(data), meta


def _manifest_is_another(folder: Path, written: bytes) -> bool:
    """Whether someone replaced or removed the artefact while it was being read, which is no damage."""
    try:
        return (folder / MANIFEST).read_bytes() != written
    except FileNotFoundError:
        return True


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous CPU tensors that share no memory, as safetensors asks for."""
    seen: set[int] = set()
    apart: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        owner = plain.untyped_storage().data_ptr()
        apart[name] = plain.clone() if owner in seen else plain
        seen.add(owner)
    return apart


def _move_over(staging: Path, folder: Path) -> None:
    """Rename the complete staging folder to its final name, replacing what is there, also when others do the same."""
    while True:
        try:
            return os.rename(staging, folder)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        former = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
        with suppress(FileNotFoundError):
            os.rename(folder, former)
        shutil.rmtree(former, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    for left in folder.parent.glob(f".{folder.name}.*"):
        # Another writer may finish, and rename its own, between the listing and the look.
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _move_aside(folder: Path, error: Exception) -> None:
    number = 1
    while (aside := folder.with_name(f"{folder.name}.damaged-{number}")).exists():
        number += 1
    try:
        os.rename(folder, aside)
        outcome = f"It was moved to {aside.name}"
    except OSError as refused:
        outcome = f"It could not be moved aside ({refused.strerror})"
    reason = f"{type(error).__name__}: {error}"
    logger.warning("The stored %s is damaged (%s). %s and will be computed again.", folder.name, reason, outcome)
