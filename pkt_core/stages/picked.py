"""The stages of a selection: what a few picked prompts look like at one pair of layers, and what the models say after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from pkt_core.errors import PromptError
from pkt_core.evaluation.divergence import js_bits, most_likely, next_logits
from pkt_core.evaluation.generate import continuations
from pkt_core.models.loading import LoadedModel
from pkt_core.projection.maps import NEIGHBOURS, neighbours, shared
from pkt_core.prompts import PromptSet
from pkt_core.similarity.measures import MEASURES, measure
from pkt_core.similarity.reading import Reading
from pkt_core.stages.shared import match

ENOUGH = 32  # prompts from which a similarity of their own says something
DRAWS = 100
MOST_READ = 40  # prompts whose next tokens are read
MOST_WRITTEN = 12  # prompts that are continued, which takes longest
TOP = 3


@dataclass(frozen=True)
class Rows:
    """Facts about picked prompts, a row each."""

    rows: list[dict[str, Any]]
    """Each with the prompt's `id` and `text`."""
    n_picked: int
    """How many were picked; there may be fewer rows."""
    facts: dict[str, Any]
    """What holds for all rows."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Rows:
        return cls(**data)


def chosen(texts: PromptSet, ids: Sequence[int]) -> PromptSet:
    """The prompts of those ids, in the order given. Raises PromptError where the set has none of them."""
    place = {number: i for i, number in enumerate(texts.ids)}
    rows = [place[number] for number in dict.fromkeys(ids) if number in place]
    if not rows:
        raise PromptError(
            f"{texts.name} has prompts {min(texts.ids)} to {max(texts.ids)}; none of the picked ones is among them. Pick others."
        )
    return PromptSet(
        texts.name,
        tuple(texts.texts[i] for i in rows),
        {name: tuple(values[i] for i in rows) for name, values in texts.labels.items()},
        tuple(texts.ids[i] for i in rows),
    )


def picked_tokens(teacher: LoadedModel, student: LoadedModel, texts: PromptSet) -> Rows:
    """Last token, both models' three most likely next tokens, and how far their predictions are apart, 40 prompts at most."""
    read = chosen(texts, texts.ids[:MOST_READ])
    logits = {name: next_logits(loaded, read.texts) for name, loaded in (("teacher", teacher), ("student", student))}
    found = match(teacher, student)
    apart = (
        js_bits(logits["teacher"], logits["student"], found.teacher_ids, found.student_ids).tolist()
        if found.n
        else None
    )
    said = {
        name: most_likely(loaded, logits[name], TOP) for name, loaded in (("teacher", teacher), ("student", student))
    }
    rows = [
        {
            "id": read.ids[i],
            "text": text,
            "last_token": teacher.tokenizer.decode(teacher.tokenizer(text)["input_ids"][-1:]),
            "teacher": [list(pair) for pair in said["teacher"][i]],
            "student": [list(pair) for pair in said["student"][i]],
            "js_bits": None if apart is None else apart[i],
        }
        for i, text in enumerate(read.texts)
    ]
    return Rows(rows, len(texts), {"shared_tokens": found.n, "share": found.share})


def picked_continuations(models: dict[str, LoadedModel], texts: PromptSet) -> Rows:
    """What teacher, student before and student after write greedily after the picked prompts, 12 at most."""
    read = chosen(texts, texts.ids[:MOST_WRITTEN])
    written = {name: continuations(loaded, read.texts) for name, loaded in models.items()}
    rows = [
        {"id": number, "text": text, **{name: said[i] for name, said in written.items()}}
        for i, (number, text) in enumerate(zip(read.ids, read.texts, strict=True))
    ]
    return Rows(rows, len(texts), {"decoding": "greedy, 12 tokens"})


def picked_cell(
    name: str, x: Tensor, y: Tensor, texts: PromptSet, n_picked: int, through: Reading | None, seed: int
) -> Rows:
    """One pair of layers by the picked prompts, which are the first rows of `x` and `y`, beside all the prompts there are.

    With 32 of them or more: the similarity restricted to them, beside the middle 95 of 100 random choices of as many
    prompts. Always: each picked prompt's own neighbour overlap among all rows.
    """
    k = min(NEIGHBOURS, len(x) - 1)
    near = [neighbours((side.double() - side.double().mean(0)).numpy(), k, "cosine") for side in (x, y)]
    overlap = shared(near[0][:n_picked], near[1][:n_picked])
    rows = [
        {"id": texts.ids[i], "text": texts.texts[i], "overlap": float(overlap[i])}
        for i in sorted(range(n_picked), key=lambda i: overlap[i])
    ]
    facts: dict[str, Any] = {
        "measure": name,
        "larger_is_closer": MEASURES[name].larger_is_closer,
        "n": len(x),
        "enough": ENOUGH,
        "overlap": float(shared(*near).mean()),
        "overlap_picked": float(overlap.mean()),
        "overlap_chance": k / (len(x) - 1),
        "all": measure(name, x, y, through),
    }
    if n_picked >= max(ENOUGH, MEASURES[name].minimum_n) and n_picked < len(x):
        generator = torch.Generator().manual_seed(seed)
        draws = torch.tensor(
            [
                measure(name, x[rows_], y[rows_], through)
                for rows_ in (torch.randperm(len(x), generator=generator)[:n_picked] for _ in range(DRAWS))
            ]
        )
        low, high = draws.quantile(torch.tensor([0.025, 0.975])).tolist()
        facts |= {"picked": measure(name, x[:n_picked], y[:n_picked], through), "low": low, "high": high}
    return Rows(rows, n_picked, facts)
