"""Files of prompts: what a .txt, .jsonl or .csv says, and copies that are kept so that a link can name them.

A row is a dict with `text`; its other fields are labels. A kept copy lies in the cache under `prompts/` and is called
`kept:STEM-DIGEST`: the digest is of its rows, so a name never means other prompts than it did.

Not covered: bundled sets and sampling (`prompts.py`), Hugging Face datasets (`hub_datasets.py`).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pkt_core.errors import PromptError
from pkt_core.files import cache_root, write_text

KEPT = "kept:"
SUFFIXES = (".txt", ".jsonl", ".csv")
MOST_BYTES = 50 * 2**20  # of a file to keep; far more than both models would read in an hour

Row = Mapping[str, Any]


def parse(name: str, suffix: str, text: str) -> list[dict[str, Any]]:
    """The rows of a file. Raises PromptError in one sentence for what is malformed; `name` is what to call it."""
    if suffix == ".txt":
        return [{"text": line} for line in text.splitlines()]
    if suffix == ".csv":
        return parse_csv(name, text)
    if suffix != ".jsonl":
        raise PromptError(f"{name} ends in {suffix or 'nothing'}; expected .txt, .jsonl or .csv.")
    found = []
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: a JSON string may hold other line ends
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise PromptError(
                f"{name}, line {number}, is not JSON; expected an object with a text field. Fix that line."
            ) from error
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise PromptError(
                f'{name}, line {number}, has no text field; expected an object such as {{"text": "..."}}.'
            )
        found.append(row)
    return found


def parse_csv(name: str, text: str) -> list[dict[str, Any]]:
    """The rows of a table with a heading; a quoted cell may hold several lines."""
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise PromptError(f"{name} is no readable table ({error}). Save it as comma-separated UTF-8.") from error
    if rows and "text" not in rows[0]:
        raise PromptError(
            f"{name} has the columns {', '.join(map(str, rows[0]))}; expected one called text. Rename it."
        )
    return [{k: v or "" for k, v in row.items() if k} for row in rows]


def decode(name: str, data: bytes) -> str:
    """The text of a file. Raises PromptError where it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PromptError(
            f"{name} could not be read as UTF-8 text ({type(error).__name__}). Save it as UTF-8."
        ) from error


def read_rows(name: str) -> list[dict[str, Any]]:
    """The rows of a file by path or of a kept copy by name. Raises PromptError where it is missing or malformed."""
    path = kept_path(name) if name.startswith(KEPT) else Path(name).expanduser()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PromptError(f"{name} could not be read ({error.strerror or error}). Check its permissions.") from error
    return parse(name, path.suffix.lower(), decode(name, data))


def with_text(name: str, rows: Sequence[Row]) -> list[Row]:
    """The rows that say something. Raises PromptError where none does."""
    found = [row for row in rows if row["text"].strip()]
    if not found:
        raise PromptError(
            f"{name} holds no prompt; expected at least one line of text. Add prompts or choose another set."
        )
    return found


def keep(file_name: str, data: bytes) -> str:
    """Keep the prompts of a file and return the name under which they can be loaded: equal files have equal names.

    Raises PromptError for what `load_prompts` would refuse, StoreError where the cache cannot be written.
    """
    if len(data) > MOST_BYTES:
        raise PromptError(
            f"{file_name} has {len(data) / 2**20:.0f} MiB; at most {MOST_BYTES // 2**20} are kept. Give its path instead."
        )
    rows = with_text(file_name, parse(file_name, Path(file_name).suffix.lower(), decode(file_name, data)))
    text = lines(rows)
    stem = re.sub(r"\W+", "-", Path(file_name).stem, flags=re.ASCII).strip("-")[:40] or "prompts"
    name = f"{KEPT}{stem}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
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
            f"There are no kept prompts {name!r} here; they were uploaded elsewhere or deleted. Upload the file again."
        )
    return path
