"""A model folder, judged before any library opens it: its config.json by the numbers, its weight files by their headers.

transformers allocates as many layers as a configuration names, without a check: a file with 10^9 of them would exhaust the
machine's memory. Of the weights only headers are read, so a model of gigabytes costs milliseconds. Imports
neither torch nor transformers, so that a refusal costs no time.

Not covered: whether the numbers fit each other, and the weights the configuration (`loading.py`).
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

from pkt_core.base.files import read_regular
from pkt_core.errors import ModelError, PathError

MOST_BYTES = 16 * 2**20
MOST: tuple[tuple[str, int], ...] = (
    (r"(^|_)layers?$|^depth$", 1000),
    (r"(^|_)(heads?|experts?|groups|blocks|labels)($|_)", 2**16),
    (r"(^|_)(positions?|position_embeddings|seq_len|seq_length|ctx|context_length|window|window_size)$", 2**25),
    (r"(^|_)vocab_size$", 2**24),
    (r"(_size|_dim|_rank|^d_\w+|^n_embd|^n_inner)$", 2**20),
)
"""By the end of its name, the most that a number may be; each is several times what any published decoder has."""
NEEDED = ("num_hidden_layers", "num_layers", "n_layers", "n_layer", "hidden_size", "n_embd", "d_model", "vocab_size")
"""Numbers that must be whole and at least 1, where a configuration has them."""
POINTER = b"version https://git-lfs"
WORDS = (".json", ".txt", ".model", ".jinja")
"""Ends of the files beside the weights that are read."""
BUILTIN = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")


def read_config(path: Path) -> dict[str, Any]:
    """A config.json as JSON. Raises ModelError where it is none, or where `require_config` does."""
    try:
        config = json.loads(read_regular(path, MOST_BYTES))
    except PathError as error:
        raise ModelError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{path} is not readable JSON ({str(error)[:80]}). Download it again, or correct it by hand."
        ) from error
    if not isinstance(config, dict):
        raise ModelError(f"{path} holds a {type(config).__name__}; expected a JSON object. Download it again.")
    require_config(str(path.parent), config)
    return config


def require_folder(folder: Path) -> dict[str, Any]:
    """The config.json of a Hugging Face model folder. Raises ModelError where there is no model, or one that `read_config` refuses."""
    if not folder.is_dir():
        raise ModelError(f"There is no folder {folder}. Give an existing Hugging Face model folder or a hub id.")
    require_regular(folder)
    if (folder / "adapter_config.json").exists():
        raise ModelError(adapter_sentence(str(folder), folder / "adapter_config.json"))
    if pointers := [path for path in sorted(folder.iterdir()) if path.suffix in WORDS and is_pointer(path)]:
        raise ModelError(pointer_sentence(pointers[0]))
    if not (folder / "config.json").exists():
        raise ModelError(
            f"{folder} is not a Hugging Face model folder: it has no config.json. Give a folder with config, safetensors and tokenizer."
        )
    return read_config(folder / "config.json")


def require_regular(folder: Path) -> None:
    """Raises ModelError for an entry that a library would open as a file and that is none: it would wait at a pipe for ever."""
    for path in sorted(folder.iterdir()):
        if path.suffix in WORDS and not path.is_file() and not (path.is_symlink() and missing(path)):
            raise ModelError(f"{path} is not a file; expected a regular file. Download the folder again.")


def missing(link: Path) -> bool:
    """Whether a link leads to nothing, as in a hub cache that was not fetched whole; a loop of links is something."""
    try:
        link.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def is_pointer(path: Path) -> bool:
    """Whether a file is what Git leaves where Git LFS has not fetched the file itself; those have some 130 bytes."""
    if not path.is_file() or not len(POINTER) <= path.stat().st_size < 1024:
        return False
    with path.open("rb") as file:
        return file.read(len(POINTER)) == POINTER


def pointer_sentence(path: Path) -> str:
    return f"{path} is a Git LFS pointer: the file was not downloaded. Fetch it with `git lfs pull`, or download it."


def adapter_sentence(name: str, path: Path) -> str:
    """That something is an adapter and no model, with its base where it is named."""
    try:
        base = read_config(path).get("base_model_name_or_path")
    except ModelError:
        base = None
    of = f" of {str(base)[:120]}" if base else ""
    return (
        f"{name} is an adapter{of}, not a model. Merge it into its base (PEFT's merge_and_unload, then save_pretrained) and give "
        "that folder."
    )


def require_config(name: str, config: dict[str, Any]) -> None:
    """Raises ModelError for numbers that no decoder has, for a quantised model, and for one that names code of a hub."""
    for key, value in settings(config):
        if key in NEEDED and value is not None and (type(value) is not int or value < 1):
            raise ModelError(
                f"{name} has {key} {value!r} in config.json; expected a whole number from 1. Correct the file."
            )
        most = next((most for ending, most in MOST if re.search(ending, key)), None)
        if most is not None and isinstance(value, int | float) and not value <= most:
            raise ModelError(
                f"{name} has {key} {f'{value:,}'[:40]} in config.json; no model has more than {most:,}. Correct the file, or download it again."
            )
        if key.lstrip("_").startswith("attn_implementation") and isinstance(value, str) and value not in BUILTIN:
            raise ModelError(
                f"{name} needs custom code ({key} {value[:60]!r}), which is not run. Remove {key} from its config.json."
            )
    if quantised := config.get("quantization_config") or (config.get("text_config") or {}).get("quantization_config"):
        how = quantised.get("quant_method") if isinstance(quantised, dict) else None
        raise ModelError(
            f"{name} is quantised ({how or 'quantization_config in config.json'}); expected whole weights in float32, bfloat16 "
            "or float16. Choose the model it was made from."
        )


def settings(config: Any, depth: int = 8) -> Iterator[tuple[str, Any]]:
    """Every single value of a configuration with its own name, those of nested configurations too."""
    if not isinstance(config, dict) or depth == 0:
        return
    for key, value in config.items():
        if isinstance(value, dict):
            yield from settings(value, depth - 1)
        elif not isinstance(value, list):
            yield key, value


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
            + (f"; it has {pickled.name}, a pickle, which is never opened because it could run code" if pickled else "")
            + ". Convert the weights to safetensors or download them."
        )
    return header_size(path)


def shards(index: Path) -> list[str]:
    """The weight files that an index names, each once. Raises ModelError where one is anything but a safetensors file inside the folder."""
    try:
        content = json.loads(read_regular(index, MOST_INDEX))
        if (
            not isinstance(content, dict)
            or not isinstance(content.get("weight_map"), dict)
            or not content["weight_map"]
        ):
            raise ValueError("no weight_map")
    except PathError as error:
        raise ModelError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{index} is not an index of weights ({str(error)[:80]}); expected JSON with a weight_map. Download it again."
        ) from error
    names: dict[str, None] = {}
    for name in content["weight_map"].values():
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
        kind = "is not a regular file" if path.exists() else "is missing"
        raise ModelError(f"{path} {kind}; the model's weights are incomplete. Download the folder again.")
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
        header = file.read(length)
    try:
        weights = {name: one for name, one in json.loads(header).items() if name != "__metadata__"}
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
