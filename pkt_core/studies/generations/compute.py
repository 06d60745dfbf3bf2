"""Continuations of a run's three models after the same prompts.

writing  greedy or sampled, with common random numbers  -> Writing  (stored)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pkt_core.activations.collect import require_fit
from pkt_core.base.fingerprint import fingerprint
from pkt_core.base.progress import Progress, silent
from pkt_core.base.records import to_json
from pkt_core.base.store import memo
from pkt_core.data.prompts import PromptSet, chosen, prompt_set
from pkt_core.errors import PlanError
from pkt_core.evaluation.generate import Sampling, written
from pkt_core.runs.folder import Run
from pkt_core.runs.student import open_trained
from pkt_core.studies.generations.record import Greedy, Sampled, Writing, Written

WRITING_VERSION = 1


MOST_PROMPTS = 64
MOST_NEW = 512
AT_ONCE = 8  # prompts per batch; its rows are reported once all three models have finished it


def writing(
    run: Run,
    *,
    prompts: str | PromptSet | None = None,
    ids: Sequence[int] = (),
    new_tokens: int = 24,
    temperature: float | None = None,
    top_p: float = 1.0,
    seed: int = 0,
    tell: Callable[[list[dict[str, Any]]], None] = lambda _: None,
    progress: Progress = silent,
) -> Writing:
    """Continuations of teacher, student before and student after for at most 64 prompts; computed once, then stored.

    Greedy where no temperature is given; sampling uses common random numbers, see `generate.py`. tell: receives the rows as they
    come. Raises StoreError for a run without a stored student, PlanError or PromptError where settings or prompts do not fit.
    """
    plan = (trained := open_trained(run)).plan
    sampling = None if temperature is None else checked(temperature, top_p, seed)
    if not 1 <= new_tokens <= MOST_NEW:
        raise PlanError(f"Got {new_tokens} new tokens; expected 1 to {MOST_NEW}. Choose a number in that range.")
    whole = prompt_set(prompts or plan.prompts)
    texts = chosen(whole, (list(ids) or whole.ids)[:MOST_PROMPTS])
    facts: Greedy | Sampled = Greedy(new_tokens, "greedy")
    if sampling is not None:
        facts = Sampled(new_tokens, "sampled", sampling.temperature, sampling.top_p, sampling.seed)
    recipe = to_json(facts)
    key = fingerprint(**trained.named, texts=texts.digest, ids=texts.ids, recipe=recipe, version=WRITING_VERSION)

    def make() -> Writing:
        progress("Loading teacher, student before and student after", 0.0)
        models = trained.load_all()
        for loaded in models.values():
            require_fit(loaded, texts.texts)
        rows: list[Written] = []
        for start in range(0, len(texts), AT_ONCE):
            some = texts.texts[start : start + AT_ONCE]
            continuations = {
                who: written(loaded, some, new_tokens=new_tokens, sampling=sampling) for who, loaded in models.items()
            }
            batch = [
                Written(id=texts.ids[start + i], text=text, **{who: lines[i] for who, lines in continuations.items()})
                for i, text in enumerate(some)
            ]
            tell([to_json(row) for row in batch])
            rows += batch
            progress("Generating", 0.2 + 0.8 * len(rows) / len(texts))
        return Writing(rows, len(whole) if not ids else len(ids), facts)

    return memo("writing", key, Writing, make)


def checked(temperature: float, top_p: float, seed: int) -> Sampling:
    """Validated sampling settings. Raises PlanError for values out of range."""
    if not 0 < temperature <= 10:
        raise PlanError(
            f"Got temperature {temperature:g}; expected more than 0 and at most 10. Leave it out for greedy decoding."
        )
    if not 0 < top_p <= 1:
        raise PlanError(f"Got top_p {top_p:g}; expected more than 0 and at most 1. Use 1 to sample from all tokens.")
    return Sampling(float(temperature), float(top_p), seed)
