"""Texts to look at models with: bundled sets, files, pasted text, datasets; labels travel along and a digest names them.

Files: `.txt` (a prompt a line), `.jsonl` (objects with `text` and any other fields as labels), `.csv` (a `text` column).
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pkt_core.errors import PromptError
from pkt_core.hub_datasets import PREFIX, dataset_rows
from pkt_core.prompt_files import KEPT, Row, read_rows, with_text


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

    @property
    def full_digest(self) -> str:
        """Equal ones are equal texts, labels and ids: names results that carry those along."""
        told = json.dumps([self.texts, sorted(self.labels.items()), self.ids])
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def sample(self, n: int, seed: int) -> PromptSet:
        """At most n prompts in random order, drawn without replacement, the same for the same seed.

        Also where all are taken the order is drawn: files are often sorted by a label, and halves of them that fit and test a
        map, or mini-batches of a similarity, must not be.
        """
        chosen = random.Random(seed).sample(range(len(self)), min(n, len(self)))
        return PromptSet(
            self.name,
            tuple(self.texts[i] for i in chosen),
            {name: tuple(values[i] for i in chosen) for name, values in self.labels.items()},
            tuple(self.ids[i] for i in chosen),
        )


def shipped() -> dict[str, Path]:
    """Files of the prompt sets that ship with the project, by name."""
    found = (assets_folder() / "prompts").glob("*.*")
    return {path.stem: path for path in sorted(found) if path.suffix in (".txt", ".jsonl")}


def bundled() -> list[str]:
    """Names of the prompt sets that ship with the project."""
    return list(shipped())


def load_prompts(name: str) -> PromptSet:
    """A bundled set by name, a file by path, a kept copy (`kept:...`) or a Hugging Face dataset (`hf:...`).

    Raises PromptError in one sentence for what is missing, empty or unreadable.
    """
    if name.startswith(PREFIX):
        return of_rows(*dataset_rows(name))
    if not name:
        raise PromptError("Got no prompts; expected a bundled set, a file or a dataset. Name one.")
    path = shipped().get(name)
    if path is None and not name.startswith(KEPT) and not Path(name).expanduser().is_file():
        raise PromptError(
            f"There is no prompt set {name!r}; expected one of {', '.join(bundled())}, a .txt, .jsonl or .csv file, or a "
            "dataset such as hf:stanfordnlp/sst2."
        )
    return of_rows(name, read_rows(str(path or name)))


def of_rows(name: str, rows: Sequence[Row]) -> PromptSet:
    """Rows with a `text`; fields that all rows have are labels."""
    rows = with_text(name, rows)
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
