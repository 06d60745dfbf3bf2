"""The weight files of a model folder, looked at before any library opens them: all there, whole, safetensors, in the folder.

Only headers are read, so a model of gigabytes costs milliseconds.

Not covered: whether the weights fit the configuration (`loading.py`), what they hold.
"""

from __future__ import annotations

import json
import struct
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

from pkt_core.base.files import read_regular
from pkt_core.errors import ModelError, PathError
from pkt_core.models.config import is_pointer, pointer_sentence

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
MOST_INDEX = 64 * 2**20
MOST_HEADER = 100_000_000  # safetensors' own limit


def require_weights(folder: Path, config: dict[str, Any]) -> int:
    """How many numbers the weight files of a local folder hold, by their headers.

    Raises ModelError where files are missing, cut off, no safetensors, not downloaded, or outside the folder.
    """
    named = config.get("transformers_weights")  # transformers reads the file of that name instead
    if named is None:
        named = WEIGHTS if (folder / WEIGHTS).exists() or not (folder / INDEX).exists() else INDEX
    require_plain(folder / "config.json", named, (".safetensors", ".safetensors.index.json"))
    path = folder / named
    if path.name.endswith(".json"):
        return sum(header_size(folder / one) for one in shards(path))
    if not path.exists():
        pickled = next(iter(sorted([*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")])), None)
        raise ModelError(
            f"{folder} has no {path.name}"
            + (f"; it has {pickled.name}, a pickle, which is never opened as it could run code" if pickled else "")
            + ". Convert the weights to safetensors or download them."
        )
    return header_size(path)


def shards(index: Path) -> list[str]:
    """The weight files that an index names, each once. Raises ModelError where one is anything but a safetensors file inside the folder."""
    try:
        told = json.loads(read_regular(index, MOST_INDEX))
        if not isinstance(told, dict) or not isinstance(told.get("weight_map"), dict) or not told["weight_map"]:
            raise ValueError("no weight_map")
    except PathError as error:
        raise ModelError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{index} is no index of weights ({str(error)[:80]}); expected JSON with a weight_map. Download it again."
        ) from error
    names: dict[str, None] = {}
    for name in told["weight_map"].values():
        require_plain(index, name, (".safetensors",))
        names[name] = None
    for name in names:
        require_inside(index, name)
    return list(names)


def require_plain(by: Path, name: Any, endings: tuple[str, ...]) -> None:
    """Raises ModelError unless what a file names is a path that stays in its folder and ends as safetensors do."""
    if (
        not isinstance(name, str)
        or not name.endswith(endings)
        or {"\0", "\\"} & set(name)
        or len(name) > 250
        or PurePosixPath(name).is_absolute()
        or ".." in PurePosixPath(name).parts
    ):
        raise foreign(by, name)


def require_inside(by: Path, name: str) -> None:
    """Raises ModelError where links lead out of the folder; those of the hub's cache lead to its neighbour `blobs`, and may."""
    homes = [by.parent.resolve()]
    if by.parent.parent.name == "snapshots":
        homes.append(by.parent.parent.parent.resolve() / "blobs")
    try:
        there = (by.parent / name).resolve()
    except (OSError, RuntimeError) as error:  # a loop of links
        raise foreign(by, name) from error
    if not any(there.is_relative_to(home) for home in homes):
        raise foreign(by, name)


def foreign(by: Path, name: Any) -> ModelError:
    return ModelError(
        f"{by} names {str(name)[:80]!r} as weights; expected .safetensors files inside its folder, and nothing else is opened. "
        "Use a copy from a source you trust."
    )


def header_size(path: Path) -> int:
    """How many numbers a safetensors file holds. Raises ModelError where it is missing, cut off or something else."""
    if not path.is_file():
        kind = "is a folder or no regular file" if path.exists() else "is missing"
        raise ModelError(f"{path} {kind}; the model's weights are not all there. Download the folder again.")
    if is_pointer(path):
        raise ModelError(pointer_sentence(path))
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else MOST_HEADER
        if length >= min(MOST_HEADER, max(size, 8)):
            raise ModelError(
                f"{path} holds no readable safetensors weights: its {size:,} bytes are no safetensors file, or the first part of one. "
                "Download it again."
            )
        told = file.read(length)
    try:
        weights = {name: one for name, one in json.loads(told).items() if name != "__metadata__"}
        whole = 8 + length + max((int(one["data_offsets"][1]) for one in weights.values()), default=0)
        numbers = sum(prod(map(int, one["shape"])) for one in weights.values())
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{path} holds no readable safetensors weights: its list of weights is damaged. Download it again."
        ) from error
    if size < whole:
        raise ModelError(f"{path} is cut off: it has {size:,} of {whole:,} bytes. Download it again.")
    if size > whole:
        raise ModelError(
            f"{path} is damaged: it has {size:,} bytes, {whole:,} by its own list of weights. Download it again."
        )
    return numbers
