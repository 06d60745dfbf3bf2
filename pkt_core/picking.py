"""The story of a few prompts that were picked: on one pair of layers, in both models' next words, in a run's continuations.

picked_cell           the chosen cell of the heatmap by these prompts        -> Rows  (stored)
picked_tokens         what both models would say next after them             -> Rows  (stored)
picked_continuations  what teacher, before and after write after them        -> Rows  (stored)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pkt_core import stages
from pkt_core.activations.collect import stream
from pkt_core.catalog import Pair
from pkt_core.mapping import plan_of_run, student_after
from pkt_core.models.loading import LoadedModel, load, weights_digest
from pkt_core.models.sites import Site
from pkt_core.pipeline import COMPARE_VERSION, Progress, compare, silent
from pkt_core.prompts import PromptSet
from pkt_core.similarity.outliers import learn
from pkt_core.stages import picked as stage
from pkt_core.stages.picked import Rows, chosen
from pkt_core.stages.states import KEPT_SAMPLES
from pkt_core.store import load_artefact, save_artefact

PICKED_VERSION = 1
MOST = 200  # picked prompts that are looked at


def kept(kind: str, key: str, make: Callable[[], Rows]) -> Rows:
    """The stored rows, or made now and stored."""
    if stored := load_artefact(kind, key):
        return Rows.from_json(stored[1])
    found = make()
    save_artefact(kind, key, {}, found.to_json())
    return found


def key_of(pair: Pair, picked: PromptSet, **facts: Any) -> str:
    """Names rows by the pair, the picked prompts and what else could change them."""
    return stages.pair_key(pair, picked, {"ids": picked.ids, **facts}, PICKED_VERSION)


def picked_tokens(
    pair: Pair, *, ids: Sequence[int], prompts: str | PromptSet | None = None, progress: Progress = silent
) -> Rows:
    """Last token, both models' next tokens and the divergence between them, for the prompts of those ids."""
    picked = chosen(stages.prompt_set(prompts or pair.prompts), ids[:MOST])

    def make() -> Rows:
        progress("Loading both models", 0.1)
        return stage.picked_tokens(load(pair.teacher), load(pair.student), picked)

    return kept("picked-tokens", key_of(pair, picked), make)


def picked_continuations(
    pair: Pair, *, run: str, ids: Sequence[int], prompts: str | PromptSet | None = None, progress: Progress = silent
) -> Rows:
    """Greedy continuations of those prompts by the teacher and by the run's student before and after.

    Raises PlanError where the run belongs to another pair or keeps no weights.
    """
    picked = chosen(stages.prompt_set(prompts or pair.prompts), ids[:MOST])
    after = weights_digest(plan_of_run(pair, run)[0].folder / "student")

    def make() -> Rows:
        progress("Loading teacher, student before and student after", 0.1)
        models = {"before": load(pair.student), "after": student_after(pair, run), "teacher": load(pair.teacher)}
        progress("Writing on", 0.4)
        return stage.picked_continuations(models, picked)

    return kept("picked-continuations", key_of(pair, picked, after=after), make)


def picked_cell(
    pair: Pair,
    *,
    ids: Sequence[int],
    teacher_layer: int,
    student_layer: int,
    measure: str,
    prompts: str | PromptSet | None = None,
    progress: Progress = silent,
    **settings: object,
) -> Rows:
    """One pair of layers by the picked prompts beside all prompts of the comparison; settings are those of `compare`.

    Prompts that the comparison's sample of 512 left out are read now. With pooling over words a prompt's mean stands for it.
    """
    stages.require_measure(measure)
    recipe = stages.Recipe.of(settings)
    whole = stages.prompt_set(prompts or pair.prompts)
    picked, texts = chosen(whole, ids[:MOST]), whole.sample(recipe.n_prompts, recipe.seed)
    layers = {"teacher": teacher_layer, "student": student_layer}
    facts = {"recipe": recipe.model_dump(), "layers": layers, "measure": measure, "sample": texts.digest}

    def make() -> Rows:
        compare(pair, prompts=prompts, progress=lambda what, done: progress(what, 0.5 * done), **settings)
        stored = load_artefact("states", stages.pair_key(pair, texts, recipe.model_dump(), COMPARE_VERSION))
        rest = [number for number in texts.ids[:KEPT_SAMPLES] if number not in set(picked.ids)]
        order = chosen(whole, [*picked.ids, *rest])
        progress("Loading both models", 0.5)
        models = {"teacher": load(pair.teacher), "student": load(pair.student)}
        through = None
        if stages.needs_models(measure):
            through = stages.reading(models["teacher"], models["student"], recipe.seed)
        sides = {}
        for side, layer in layers.items():
            progress(f"Reading the {side}", 0.6)
            usable = stored is not None and recipe.pooling != "tokens"
            there = dict(zip(texts.ids, stored[0][side][layer], strict=False)) if stored and usable else {}
            sides[side] = treated(recipe, states_at(models[side], layer, recipe, order, there))
        progress("Comparing", 0.8)
        return stage.picked_cell(measure, sides["teacher"], sides["student"], order, len(picked), through, recipe.seed)

    return kept("picked-cell", key_of(pair, picked, **facts), make)


def states_at(
    loaded: LoadedModel, layer: int, recipe: stages.Recipe, wanted: PromptSet, there: dict[int, Tensor]
) -> Float[Tensor, "n d"]:
    """Activations of the wanted prompts at one layer; those that are there already are not read again."""
    site = loaded.require(Site(recipe.part, layer))
    missing = [number for number in wanted.ids if number not in there]
    if missing:
        pooling = "mean" if recipe.pooling == "tokens" else recipe.pooling
        read = stream(loaded, chosen(wanted, missing).texts, [site], pooling, skip_first=recipe.skip_first)
        there = there | dict(zip(missing, torch.cat([part[0].cpu() for part in read]), strict=True))
    return torch.stack([there[number] for number in wanted.ids])


def treated(recipe: stages.Recipe, states: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """After the outlier rule, which is learnt on all that is compared."""
    return learn(recipe.outliers, states[None])(states[None])[0]
