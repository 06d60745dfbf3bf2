"""Texts to look at models with: bundled sets, files, pasted text; labels travel along and a digest names them.

Files: `.txt` (a prompt a line), `.jsonl` (objects with `text` and any other fields as labels), `.csv` (a `text` column).
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

from pkt_core.errors import PromptError


def assets_folder() -> Path:
    """The repository's `assets/`, or the copy inside an installed wheel."""
    beside = Path(__file__).resolve().parents[1] / "assets"
    return beside if beside.is_dir() else Path(__file__).resolve().parent / "_assets"


@dataclass(frozen=True)
class PromptSet:
    """Prompts in a fixed order."""

    name: str
    """What the user called it: a bundled name or a file."""
    texts: tuple[str, ...]
    """The prompts."""
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Label name to one value per prompt, for colours and slices."""
    ids: tuple[int, ...] = ()
    """Where each prompt stands in the set it was drawn from, from 0: a prompt keeps its id through every sample."""

    def __post_init__(self) -> None:
        if not self.ids:
            object.__setattr__(self, "ids", tuple(range(len(self.texts))))

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def digest(self) -> str:
        """Equal digests are equal texts in equal order."""
        return hashlib.sha256("\0".join(self.texts).encode()).hexdigest()[:16]

    def sample(self, n: int, seed: int) -> PromptSet:
        """At most n prompts, drawn without replacement, the same for the same seed."""
        if n >= len(self):
            return self
        chosen = random.Random(seed).sample(range(len(self)), n)
        return PromptSet(
            self.name,
            tuple(self.texts[i] for i in chosen),
            {name: tuple(values[i] for i in chosen) for name, values in self.labels.items()},
            tuple(self.ids[i] for i in chosen),
        )


def bundled() -> list[str]:
    """Names of the prompt sets that ship with the project."""
    return sorted(p.stem for p in (assets_folder() / "prompts").glob("*.*") if p.suffix in (".txt", ".jsonl"))


def load_prompts(name: str) -> PromptSet:
    """A bundled set by name, or a file by path. Raises PromptError for what is missing, empty or unreadable."""
    shipped = [p for p in (assets_folder() / "prompts").glob(f"{Path(name).name}.*") if Path(name).name == name]
    path = shipped[0] if shipped else Path(name).expanduser()
    if not path.is_file():
        raise PromptError(
            f"There is no prompt set {name!r}; expected one of {', '.join(bundled())} or a .txt, .jsonl or .csv file."
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(
            f"{name} could not be read as UTF-8 text ({type(error).__name__}). Save it as UTF-8."
        ) from error
    rows = parse(name, path.suffix.lower(), text)
    rows = [row for row in rows if row["text"].strip()]
    if not rows:
        raise PromptError(
            f"{name} holds no prompt; expected at least one line of text. Add prompts or choose another set."
        )
    keys = [key for key in rows[0] if key != "text" and all(key in row for row in rows)]
    return PromptSet(
        name, tuple(row["text"] for row in rows), {key: tuple(str(row[key]) for row in rows) for key in keys}
    )


def pasted(text: str) -> PromptSet:
    """One prompt a line from a text box."""
    lines = tuple(line for line in text.splitlines() if line.strip())
    if not lines:
        raise PromptError("Got no text; expected one prompt a line. Paste some lines or choose a bundled set.")
    return PromptSet("pasted", lines)


def parse(name: str, suffix: str, text: str) -> list[dict[str, str]]:
    if suffix == ".txt":
        return [{"text": line} for line in text.splitlines()]
    if suffix == ".csv":
        rows = list(csv.DictReader(text.splitlines()))
        if rows and "text" not in rows[0]:
            raise PromptError(
                f"{name} has the columns {', '.join(map(str, rows[0]))}; expected one called text. Rename it."
            )
        return [{k: v or "" for k, v in row.items() if k} for row in rows]
    if suffix != ".jsonl":
        raise PromptError(f"{name} ends in {suffix or 'nothing'}; expected .txt, .jsonl or .csv.")
    found = []
    for number, line in enumerate(text.splitlines(), 1):
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
