"""Texts to look at models with: bundled sets, files, pasted text, datasets; labels travel along and a digest names them.

Files: `.txt` (a prompt a line), `.jsonl` (objects with `text` and any other fields as labels), `.csv` (a `text` column).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pkt_core.data.hub_datasets import PREFIX, dataset_rows
from pkt_core.data.prompt_files import MISSING, Row, load_rows, with_text
from pkt_core.data.row_files import KEPT, exists, shown, text_lines
from pkt_core.errors import PromptError

PER_PROMPT = 4  # samples that a prompt gives with `tokens` pooling; one with any other
FEWEST_SAMPLES = 64  # of a similarity grid


def assets_folder() -> Path:
    """The repository's `assets/`, or the copy inside an installed wheel."""
    beside = Path(__file__).resolve().parents[2] / "assets"
    return beside if beside.is_dir() else Path(__file__).resolve().parents[1] / "_assets"


@dataclass(frozen=True)
class PromptSet:
    """Different prompts in a fixed order.

    A text that is repeated is no further sample: it would pair with its copy in any two models and inflate similarity.
    It is taken once, with the labels of its first row, and `repeats` counts the others.
    """

    name: str
    """Its name: a bundled set or a file."""
    texts: tuple[str, ...]
    """The prompts."""
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Label name to one value per prompt, for colours and slices."""
    ids: tuple[int, ...] = ()
    """Where each prompt stands in the set it was drawn from, from 0: a prompt keeps its id through every sample."""
    repeats: int = field(default=0, compare=False)
    """Texts of the whole set that stood in it before, word for word, and were left out."""

    def __post_init__(self) -> None:
        first = {text: i for i, text in reversed(list(enumerate(self.texts)))}
        if len(first) < len(self.texts):
            rows = sorted(first.values())
            self._set("repeats", self.repeats + len(self.texts) - len(rows))
            self._set("texts", tuple(self.texts[i] for i in rows))
            self._set("labels", {name: tuple(values[i] for i in rows) for name, values in self.labels.items()})
            self._set("ids", tuple(self.ids[i] for i in rows) if self.ids else ())
        if not self.ids:
            self._set("ids", tuple(range(len(self.texts))))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def digest(self) -> str:
        """Equal digests are equal texts in equal order."""
        return hashlib.sha256("\0".join(self.texts).encode()).hexdigest()[:16]

    @property
    def full_digest(self) -> str:
        """Equal ones are equal texts, labels and ids: names results that carry those along."""
        content = json.dumps([self.texts, sorted(self.labels.items()), self.ids])
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def counted(self) -> str:
        """How many prompts there are, and how many lines only repeat one."""
        sentence = f"{len(self):,} prompt{'' if len(self) == 1 else 's'}"
        if not self.repeats:
            return sentence
        return f"{sentence} ({self.repeats:,} more {'line repeats' if self.repeats == 1 else 'lines repeat'} one word for word; equal texts count once)"

    def require_samples(self, pooling: str, usable: int | None = None) -> None:
        """PromptError where the prompts, or those that the pooling can use, are too few for a similarity grid."""
        usable = len(self) if usable is None else usable
        n_samples = usable * (PER_PROMPT if pooling == "tokens" else 1)
        if n_samples < FEWEST_SAMPLES:
            left = "" if usable == len(self) else f", {usable} of them with enough shared spans"
            raise PromptError(
                f"{self.name} gives {self.counted}{left}: {n_samples} samples with {pooling} pooling; a similarity grid needs at "
                f"least {FEWEST_SAMPLES}. Add different prompts or choose another set."
            )

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
            self.repeats,
        )


def shipped() -> dict[str, Path]:
    """Files of the prompt sets that ship with the project, by name."""
    paths = (assets_folder() / "prompts").glob("*.*")
    return {path.stem: path for path in sorted(paths) if path.suffix in (".txt", ".jsonl")}


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
    if path is None and not name.startswith(KEPT) and not exists(name):
        raise PromptError(
            f"There is no prompt set {name[:200]!r}; expected one of {', '.join(bundled())}, a .txt, .jsonl or .csv file, or a "
            "dataset such as hf:stanfordnlp/sst2."
        )
    return of_rows(shown(name), load_rows(str(path or name)))


def of_rows(name: str, rows: Sequence[Row]) -> PromptSet:
    """Rows with a `text`; all their other fields are labels, `MISSING` where a row lacks one."""
    rows = with_text(name, rows)
    keys = [key for key in dict.fromkeys(itertools.chain.from_iterable(rows)) if key != "text"]
    return PromptSet(
        name,
        tuple(row["text"] for row in rows),
        {key: tuple(MISSING if row.get(key) is None else str(row[key]) for row in rows) for key in keys},
    )


def pasted(text: str) -> PromptSet:
    """One prompt a line from a text box. Raises PromptError where there is none, or a line that a .txt file may not have."""
    lines = tuple(line for _, line in text_lines("The pasted text", text))
    if not lines:
        raise PromptError("Got no text; expected one prompt a line. Paste some lines or choose a bundled set.")
    return PromptSet("pasted", lines)


def chosen(texts: PromptSet, ids: Sequence[int]) -> PromptSet:
    """The prompts of those ids, in the order given. Raises PromptError where the set has none of them."""
    place = {number: i for i, number in enumerate(texts.ids)}
    rows = [place[number] for number in dict.fromkeys(ids) if number in place]
    if not rows:
        raise PromptError(
            f"{texts.name} has prompts {min(texts.ids)} to {max(texts.ids)}; none of the selected ids is among them. Select others."
        )
    return PromptSet(
        texts.name,
        tuple(texts.texts[i] for i in rows),
        {name: tuple(values[i] for i in rows) for name, values in texts.labels.items()},
        tuple(texts.ids[i] for i in rows),
    )


def prompt_set(prompts: str | PromptSet) -> PromptSet:
    """A set by name, or itself."""
    return load_prompts(prompts) if isinstance(prompts, str) else prompts
