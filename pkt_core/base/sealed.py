"""JSON objects with an integrity check: the first line holds a digest of every byte below it.

Files of earlier versions have no such line and are read as they are.

Not covered: what the objects mean (`runs/folder.py`, `base/store.py`, `transfer/`).
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from pkt_core.base.files import MOST_JSON, opened_regular, parsed, read_file, write_bytes
from pkt_core.errors import PathError, StoreError

_HEAD = re.compile(rb'\{\n "digest": "sha256:([0-9a-f]{64})"')
_LONGEST_HEAD = 120


def write_sealed(path: Path, value: dict[str, Any], *, durable: bool = True) -> None:
    """`files.write_json` of an object, with its digest as the first entry. TypeError for what JSON cannot hold."""
    assert "digest" not in value, "that is the name of the digest"
    rest = json.dumps(value, indent=1, ensure_ascii=False)[1:] + "\n"
    below = (("," if value else "\n") + rest).encode("utf-8")
    write_bytes(path, _head(below) + below, durable=durable)


def read_sealed(path: Path, *, required: bool = False, most_bytes: int = MOST_JSON) -> dict[str, Any]:
    """What `write_sealed` wrote, or an object without a digest that an earlier version wrote.

    Raises StoreError where the file is missing, unreadable or no JSON object, where one byte of it is another, and, where a digest is
    `required`, where there is none.
    """
    data = read_file(path, most_bytes)
    head = _HEAD.match(data)
    begun = data[:_LONGEST_HEAD]
    if head is not None:
        if head[0] != _head(data[head.end() :]):
            raise StoreError(f"{path} is damaged: its digest does not match. Restore it from a copy, or make it again.")
    elif required or b"sha256:" in begun or b'"digest"' in begun:
        raise StoreError(f"{path} is damaged: its digest cannot be read. Restore it from a copy, or make it again.")
    value = parsed(path, data)
    if not isinstance(value, dict):
        raise StoreError(f"{path} is damaged: expected a JSON object. Delete it, or restore it from a copy.")
    if head is not None:
        value.pop("digest", None)
    return value


def file_digest(path: Path) -> dict[str, Any]:
    """Size and sha256 of a whole file, to be kept in a sealed object."""
    with opened_regular(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": file.tell(), "sha256": digest}


def require_files(folder: Path, digests: dict[str, dict[str, Any]]) -> None:
    """Raises StoreError for the first file, named relative to the folder, that is missing or does not match its digest."""
    for name, digest in digests.items():
        try:
            there = file_digest(folder / name)
        except PathError as error:
            raise StoreError(f"{folder / name} is damaged: {error}") from error
        if there != digest:
            raise StoreError(f"{folder / name} is not what was written: {there['bytes']} bytes, other content.")


def _head(below: bytes) -> bytes:
    return b'{\n "digest": "sha256:' + hashlib.sha256(below).hexdigest().encode() + b'"'
