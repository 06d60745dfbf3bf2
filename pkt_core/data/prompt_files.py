"""Files of prompts: rows with `text`, their other fields labels, and copies that are kept so that a link can name them.

A kept copy lies in the cache under `prompts/` and is called `kept:STEM-DIGEST`: the digest is of its rows, so a name never means
other prompts than it did.

Not covered: how a file is read (`data/row_files.py`), bundled sets and sampling (`data/prompts.py`), Hugging Face datasets (`data/hub_datasets.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pkt_core.base.files import cache_root, write_text
from pkt_core.data.row_files import KEPT, MOST_BYTES, read_file, read_kept, read_rows, shown, stem_of
from pkt_core.errors import PromptError

MISSING = "(none)"  # the label of a row that has none

Row = Mapping[str, Any]


def parse(name: str, suffix: str, data: bytes) -> list[dict[str, Any]]:
    """The rows of a file. Raises PromptError in one sentence that names the line; `name` is what to call the file."""
    numbered = read_rows(name, suffix, data)
    for number, row in numbered:
        if "text" not in row and suffix == ".csv":
            raise PromptError(
                f"{name} has the columns {', '.join(map(repr, row))}; expected one called text. Rename it."
            )
        if not isinstance(row.get("text"), str):
            raise PromptError(
                f'{name}, line {number}, has no text field; expected an object such as {{"text": "..."}}.'
            )
    return [row for _, row in numbered]


def load_rows(name: str) -> list[dict[str, Any]]:
    """The rows of a file by path or of a kept copy by name. Raises PromptError where it is missing or malformed."""
    path = kept_path(name) if name.startswith(KEPT) else Path(os.path.expanduser(name))
    data = read_kept(path) if name.startswith(KEPT) else read_file(path)
    return parse(shown(name), path.suffix.lower(), data)


def with_text(name: str, rows: Sequence[Row]) -> list[Row]:
    """The rows whose text is not blank. Raises PromptError where all are."""
    filled = [row for row in rows if row["text"].strip()]
    if not filled:
        raise PromptError(
            f"{name} holds no prompt; expected at least one line of text. Add prompts or choose another set."
        )
    return filled


def keep(file_name: str, data: bytes) -> str:
    """Keep the prompts of a file and return the name under which they can be loaded: equal files have equal names.

    Raises PromptError for what `load_prompts` would refuse, StoreError where the cache cannot be written.
    """
    if len(data) > MOST_BYTES:
        raise PromptError(
            f"{file_name} has {len(data) / 2**20:.0f} MiB; expected at most {MOST_BYTES // 2**20}. Give a smaller file."
        )
    rows = with_text(file_name, parse(file_name, Path(file_name).suffix.lower(), data))
    text = lines(rows)
    name = f"{KEPT}{stem_of(file_name, 'prompts')}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if not (cache_root() / "prompts" / f"{name.removeprefix(KEPT)}.jsonl").is_file():
        write_text(cache_root() / "prompts" / f"{name.removeprefix(KEPT)}.jsonl", text)
    return name


def lines(rows: Sequence[Row]) -> str:
    """Rows as a .jsonl file."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def kept_path(name: str) -> Path:
    """Where a kept copy lies. Raises PromptError where there is none of that name."""
    stem = name.removeprefix(KEPT)
    path = cache_root() / "prompts" / f"{stem}.jsonl"
    if not re.fullmatch(r"[\w-]+", stem, flags=re.ASCII) or not path.is_file():  # a link must not name other files
        raise PromptError(
            f"There are no uploaded prompts {name!r} here; they were uploaded on another machine or deleted. Upload the file again."
        )
    return path
