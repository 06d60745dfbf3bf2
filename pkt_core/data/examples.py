"""Prompt and answer pairs: what a transfer trains on, an attribution differentiates and a task tests.

Bundled: `demo/unknown-seen` and alike, the demo facts in their sentence forms, and `capitals/seen` and `capitals/unseen`,
facts that a pretrained model can know; otherwise a `.jsonl` or `.csv` file with
`prompt` and `answer`, and where items are multiple choice `choices`: a list of texts, the answer among them (in a .csv
separated by `|`). `group` names the slice an item belongs to; other fields are passed over.

Not covered: scoring (`evaluation/`), free-form answers.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pkt_core.base.files import cache_root, write_bytes
from pkt_core.data.prompts import assets_folder
from pkt_core.data.row_files import KEPT, Row, exists, read_file, read_kept, read_rows, shown, stem_of
from pkt_core.errors import ExampleTooLong, PromptError

IGNORE = -100
SUFFIXES = (".jsonl", ".csv")
MOST_BYTES = 20 * 2**20  # of a file
CAPITALS = ("capitals/seen", "capitals/unseen")
CAPITALS_FORMS = (
    "The capital of {subject} is {answer}.",
    "Question: Which city is the capital of {subject}? Answer: {answer}.",
)
TITLES = {
    "demo/unknown-seen": "new facts",
    "demo/unknown-unseen": "reworded new facts",
    "demo/known-seen": "known facts",
    "demo/known-unseen": "reworded known facts",
    "capitals/seen": "capitals",
    "capitals/unseen": "reworded capitals",
}
"""Bundled set -> its title: facts the student lacks or has, in training's wording or in another."""
WORKED = {"Italy": "Rome", "Japan": "Tokyo"}  # two worked answers precede each prompt


@dataclass(frozen=True)
class Example:
    """One prompt with the answer that should follow it."""

    prompt: str
    """What the model reads."""
    answer: str
    """What should come next, with its leading space and closing mark."""
    group: str = ""
    """The slice it belongs to, such as a relation; the majority-answer baseline is taken within it."""
    choices: tuple[str, ...] = ()
    """What may come next, the answer among them; empty where anything may."""


@dataclass(frozen=True)
class ExampleSet:
    """Examples in a fixed order."""

    name: str
    """Its name: a bundled set or a file."""
    items: tuple[Example, ...]
    """The examples."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def digest(self) -> str:
        """Equal digests are equal examples in equal order."""
        parts = (f"{e.prompt}\1{e.answer}" + "".join(f"\2{choice}" for choice in e.choices) for e in self.items)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    @property
    def repeats(self) -> int:
        """Items that stand in the set before, word for word: they carry no new information."""
        return len(self.items) - len({(item.prompt, item.answer, item.choices) for item in self.items})

    def sample(self, n: int | None, seed: int) -> ExampleSet:
        """At most n examples drawn without replacement, the same for the same seed; None takes all."""
        if n is None or n >= len(self.items):
            return self
        return ExampleSet(self.name, tuple(random.Random(seed).sample(self.items, n)))

    def prior(self) -> float:
        """Share answered right by always giving each group's most frequent answer: the chance level, 0..1."""
        counts: dict[str, dict[str, int]] = {}
        for item in self.items:
            group = counts.setdefault(item.group, {})
            group[item.answer] = group.get(item.answer, 0) + 1
        return sum(max(group.values()) for group in counts.values()) / max(1, len(self.items))


@functools.cache
def demo_facts() -> dict[str, ExampleSet]:
    """The demo facts in four sets: known or unknown to the student, in seen or unseen templates."""
    folder = assets_folder() / "demo"
    templates = json.loads((folder / "templates.json").read_text(encoding="utf-8"))
    sets: dict[str, list[Example]] = {}
    for _, fact in read_rows("facts.jsonl", ".jsonl", (folder / "facts.jsonl").read_bytes()):
        for kind, forms in templates[fact["relation"]].items():
            for form in forms:
                before, after = form.replace("{subject}", fact["subject"]).split("{answer}")
                answer = " " * before.endswith(" ") + fact["answer"] + after
                name = f"demo/{'known' if fact['known'] else 'unknown'}-{kind}"
                sets.setdefault(name, []).append(Example(before.rstrip(" "), answer, fact["relation"]))
    return {name: ExampleSet(name, tuple(items)) for name, items in sorted(sets.items())}


@functools.cache
def capitals() -> dict[str, ExampleSet]:
    """The capitals of 159 countries after two worked answers, in the form that is trained on and in another."""
    rows = read_rows("facts.jsonl", ".jsonl", (assets_folder() / "demo" / "facts.jsonl").read_bytes())
    facts = [fact for _, fact in rows if fact["relation"] == "country_capital"]
    sets = {}
    for name, form in zip(CAPITALS, CAPITALS_FORMS, strict=True):
        shown = "".join(form.format(subject=country, answer=city) + " " for country, city in WORKED.items())
        items = [
            Example(
                shown + form.format(subject=fact["subject"], answer="").removesuffix(" ."),
                f" {fact['answer']}.",
                "capital",
            )
            for fact in facts
            if fact["subject"] not in WORKED
        ]
        sets[name] = ExampleSet(name, tuple(items))
    return sets


def bundled() -> dict[str, ExampleSet]:
    """Every set that comes with the project, by name."""
    return {**demo_facts(), **capitals()}


def load_examples(name: str) -> ExampleSet:
    """A bundled set by name, or a file by path. Raises PromptError for what is missing, empty or malformed."""
    if name in bundled():
        return bundled()[name]
    path = kept_path(name) if name.startswith(KEPT) else Path(os.path.expanduser(name))
    if not exists(str(path)) or path.suffix.lower() not in SUFFIXES:
        raise PromptError(
            f"There is no example set or file {name[:200]!r}; expected a .jsonl or .csv with prompt and answer, or {', '.join(bundled())}."
        )
    data = (read_kept if name.startswith(KEPT) else read_file)(path, MOST_BYTES)
    return ExampleSet(name, parse_examples(shown(name), path.suffix.lower(), data))


def parse_examples(name: str, suffix: str, data: bytes) -> tuple[Example, ...]:
    """The examples of a .jsonl or .csv file. Raises PromptError in one sentence that names the line."""
    rows = read_rows(name, suffix, data)
    if not rows:
        raise PromptError(f"{name} holds no example; expected at least one prompt with its answer.")
    if suffix == ".csv":
        rows = [
            (line, {**row, "choices": row["choices"].split("|") if row.get("choices") else None}) for line, row in rows
        ]
    items = tuple(example(name, line, row) for line, row in rows)
    if len({bool(one.choices) for one in items}) > 1:
        line = next(
            line for (line, _), one in zip(rows, items, strict=True) if bool(one.choices) != bool(items[0].choices)
        )
        raise PromptError(
            f"{name}, line {line}, differs from the first item in having choices; give them to all items or none."
        )
    return items


def example(name: str, line: int, row: Row) -> Example:
    """One row as an example. Raises PromptError where it lacks something."""
    if not all(isinstance(row.get(key), str) and row[key] for key in ("prompt", "answer")):
        raise PromptError(f"{name}, line {line}, lacks a prompt or an answer; expected both as text.")
    choices = [] if row.get("choices") is None else row["choices"]
    if choices != []:
        texts = isinstance(choices, list) and len(choices) > 1 and all(isinstance(one, str) and one for one in choices)
        if not texts or len(set(choices)) < len(choices):
            raise PromptError(
                f"{name}, line {line}, has no usable choices; expected a list of at least two different texts."
            )
        if row["answer"] not in choices:
            raise PromptError(
                f"{name}, line {line}, has the answer {row['answer'][:40]!r}, which is not one of its choices; write it as there, "
                "spaces included."
            )
    group = "" if row.get("group") is None else str(row["group"])
    return Example(row["prompt"], row["answer"], group, tuple(choices))


def keep_examples(file_name: str, data: bytes) -> str:
    """Keep the examples of a file and return the name under which they can be loaded: equal files have equal names.

    Raises PromptError for what `load_examples` would refuse or what is too large, StoreError where the cache cannot be written.
    """
    suffix = Path(file_name).suffix.lower()
    if suffix not in SUFFIXES:
        raise PromptError(f"{file_name} ends in {suffix or 'nothing'}; expected .jsonl or .csv.")
    if len(data) > MOST_BYTES:
        raise PromptError(
            f"{file_name} has {len(data) / 2**20:.0f} MiB; expected at most {MOST_BYTES // 2**20}. Give a smaller file."
        )
    parse_examples(file_name, suffix, data)
    name = f"{stem_of(file_name, 'task')}-{hashlib.sha256(data).hexdigest()[:16]}{suffix}"
    path = cache_root() / "tasks" / name
    if not path.is_file():
        write_bytes(path, data)
    return f"{KEPT}{name}"


def kept_path(name: str) -> Path:
    """Where a kept file lies. Raises PromptError where there is none of that name."""
    path = cache_root() / "tasks" / name.removeprefix(KEPT)
    if not re.fullmatch(r"[\w-]+\.(jsonl|csv)", name.removeprefix(KEPT), flags=re.ASCII) or not path.is_file():
        raise PromptError(
            f"There is no uploaded task {name!r} here; it was uploaded on another machine or deleted. Upload the file again."
        )
    return path


@dataclass(frozen=True)
class Encoded:
    """One example as tokens."""

    ids: list[int]
    """Prompt and answer."""
    labels: list[int]
    """The same ids where the answer is, IGNORE elsewhere."""


def encode(tokenizer: Any, items: Sequence[Example], context: int) -> list[Encoded]:
    """Tokens with labels on the answer. Raises ExampleTooLong where one has more than `context` of them."""
    encoded = tokenizer([e.prompt + e.answer for e in items], return_offsets_mapping=True)
    results = []
    for item, ids, offsets in zip(items, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        if len(ids) > context:
            raise ExampleTooLong(
                f"An example has {len(ids)} tokens, the model reads at most {context}. Shorten it: {item.prompt[:40]!r}..."
            )
        # A token that straddles the boundary belongs to the answer: it cannot be given away by the prompt.
        labels = [i if end > len(item.prompt) else IGNORE for i, (_, end) in zip(ids, offsets, strict=True)]
        if all(label == IGNORE for label in labels[1:]):
            raise PromptError(
                f"An example has no answer token to predict; expected text after the prompt: {item.prompt[:40]!r}."
            )
        results.append(
            Encoded(ids, [IGNORE, *labels[1:]])
        )  # the first token has nothing before it to be predicted from
    return results
