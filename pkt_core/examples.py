"""Prompt and answer pairs: what a transfer trains on, an attribution differentiates and a task asks.

Bundled: `demo/unknown-seen` and alike, the demo facts in their sentence forms; otherwise a `.jsonl` or `.csv` file with
`prompt` and `answer` (any other field is a label).

Not covered: choices and free-form scoring.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pkt_core.errors import PromptError
from pkt_core.prompts import assets_folder

IGNORE = -100


@dataclass(frozen=True)
class Example:
    """One prompt with the answer that should follow it."""

    prompt: str
    """What the model reads."""
    answer: str
    """What should come next, with its leading space and closing mark."""
    group: str = ""
    """The slice it belongs to, such as a relation; the prior is taken within it."""


@dataclass(frozen=True)
class ExampleSet:
    """Examples in a fixed order."""

    name: str
    """What the user called it: a bundled name or a file."""
    items: tuple[Example, ...]
    """The examples."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def digest(self) -> str:
        """Equal digests are equal examples in equal order."""
        return hashlib.sha256("\0".join(f"{e.prompt}\1{e.answer}" for e in self.items).encode()).hexdigest()[:16]

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
    for line in (folder / "facts.jsonl").read_text(encoding="utf-8").splitlines():
        fact = json.loads(line)
        for kind, forms in templates[fact["relation"]].items():
            for form in forms:
                before, after = form.replace("{subject}", fact["subject"]).split("{answer}")
                answer = " " * before.endswith(" ") + fact["answer"] + after
                name = f"demo/{'known' if fact['known'] else 'unknown'}-{kind}"
                sets.setdefault(name, []).append(Example(before.rstrip(" "), answer, fact["relation"]))
    return {name: ExampleSet(name, tuple(items)) for name, items in sorted(sets.items())}


def load_examples(name: str) -> ExampleSet:
    """A bundled set by name, or a file by path. Raises PromptError for what is missing, empty or malformed."""
    if name.startswith("demo/"):
        if name not in demo_facts():
            raise PromptError(f"There is no example set {name!r}; expected one of {', '.join(demo_facts())} or a file.")
        return demo_facts()[name]
    path = Path(name).expanduser()
    if not path.is_file() or path.suffix.lower() not in (".jsonl", ".csv"):
        raise PromptError(
            f"There is no example file {name!r}; expected a .jsonl or .csv with prompt and answer, or {', '.join(demo_facts())}."
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = (
            list(csv.DictReader(text.splitlines()))
            if path.suffix.lower() == ".csv"
            else [json.loads(line) for line in text.splitlines() if line.strip()]
        )
    except (OSError, ValueError) as error:  # UnicodeDecodeError and JSONDecodeError are both ValueErrors
        raise PromptError(f"{name} could not be read ({error}). Save it as UTF-8, one JSON object a line.") from error
    if not rows:
        raise PromptError(f"{name} holds no example; expected at least one prompt with its answer.")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not all(
            isinstance(row.get(key), str) and row[key] for key in ("prompt", "answer")
        ):
            raise PromptError(f"{name}, example {number}, lacks a prompt or an answer; expected both as text.")
    return ExampleSet(name, tuple(Example(r["prompt"], r["answer"], str(r.get("group", ""))) for r in rows))


@dataclass(frozen=True)
class Encoded:
    """One example as tokens."""

    ids: list[int]
    """Prompt and answer."""
    labels: list[int]
    """The same ids where the answer is, IGNORE elsewhere."""


def encode(tokenizer: Any, items: Sequence[Example], context: int) -> list[Encoded]:
    """Tokens with labels on the answer. Raises PromptError where an example is longer than `context` tokens."""
    encoded = tokenizer([e.prompt + e.answer for e in items], return_offsets_mapping=True)
    found = []
    for item, ids, offsets in zip(items, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        if len(ids) > context:
            raise PromptError(
                f"An example has {len(ids)} tokens, the model reads at most {context}. Shorten it: {item.prompt[:40]!r}..."
            )
        # A token that straddles the boundary belongs to the answer: it cannot be given away by the prompt.
        labels = [i if end > len(item.prompt) else IGNORE for i, (_, end) in zip(ids, offsets, strict=True)]
        if all(label == IGNORE for label in labels[1:]):
            raise PromptError(
                f"An example has no answer token to predict; expected text after the prompt: {item.prompt[:40]!r}."
            )
        found.append(Encoded(ids, [IGNORE, *labels[1:]]))  # the first token has nothing before it to be predicted from
    return found
