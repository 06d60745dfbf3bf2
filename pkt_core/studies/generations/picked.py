"""Picked prompts: one layer pair, both models' next tokens, a run's continuations.

picked_cell           the chosen cell of the heatmap by these prompts        -> PickedCell           (stored)
picked_tokens         both models' next tokens after them                   -> PickedTokens         (stored)
picked_continuations  continuations by the teacher, student before and after -> PickedContinuations  (stored)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pkt_core.activations.collect import stream
from pkt_core.alignment.model_maps import match
from pkt_core.base.progress import Progress, silent
from pkt_core.base.store import load_artefact, memo
from pkt_core.data.prompts import PromptSet, chosen, prompt_set
from pkt_core.evaluation.divergence import js_bits, most_likely, next_logits
from pkt_core.evaluation.generate import continuations
from pkt_core.models.catalog import Pair
from pkt_core.models.loading import LoadedModel, load
from pkt_core.models.sites import Site
from pkt_core.projection.maps import NEIGHBOURS, neighbours, shared
from pkt_core.runs.folder import open_run
from pkt_core.runs.student import open_trained
from pkt_core.similarity.measures import MEASURES, measure
from pkt_core.similarity.outliers import learn
from pkt_core.similarity.record import Reading
from pkt_core.studies.comparison.compute import COMPARE_VERSION, compare
from pkt_core.studies.comparison.grids import needs_models, reading, require_measure
from pkt_core.studies.comparison.recipe import Recipe, pair_key
from pkt_core.studies.comparison.states import KEPT_SAMPLES
from pkt_core.studies.generations.record import (
    Cell,
    Decoding,
    NextTokens,
    Overlap,
    PickedCell,
    PickedContinuations,
    PickedTokens,
    RestrictedCell,
    SharedTokens,
    Written,
)

PICKED_VERSION = 1
MOST = 200  # picked prompts that are used


def key_of(pair: Pair, picked: PromptSet, **facts: Any) -> str:
    """Store key: the pair, the picked prompts and everything else that can change the rows."""
    return pair_key(pair, picked, {"ids": picked.ids, **facts}, PICKED_VERSION)


def picked_tokens(
    pair: Pair, *, ids: Sequence[int], prompts: str | PromptSet | None = None, progress: Progress = silent
) -> PickedTokens:
    """Last token, both models' next tokens and the divergence between them, for the prompts of those ids."""
    picked = chosen(prompt_set(prompts or pair.prompts), ids[:MOST])

    def make() -> PickedTokens:
        progress("Loading both models", 0.1)
        return tokens_after(load(pair.teacher), load(pair.student), picked)

    return memo("picked-tokens", key_of(pair, picked), PickedTokens, make)


def picked_continuations(
    pair: Pair, *, run: str, ids: Sequence[int], prompts: str | PromptSet | None = None, progress: Progress = silent
) -> PickedContinuations:
    """Greedy continuations of those prompts by the teacher and by the run's student before and after.

    Raises StoreError as `open_trained` does.
    """
    picked = chosen(prompt_set(prompts or pair.prompts), ids[:MOST])
    trained = open_trained(open_run(run), pair)

    def make() -> PickedContinuations:
        progress("Loading teacher, student before and student after", 0.1)
        models = {"before": load(pair.student), "after": trained.load(), "teacher": load(pair.teacher)}
        progress("Generating continuations", 0.4)
        return continuations_after(models, picked)

    return memo("picked-continuations", key_of(pair, picked, after=trained.weights), PickedContinuations, make)


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
) -> PickedCell:
    """One layer pair over the picked prompts and over all prompts of the comparison; settings are those of `compare`.

    Prompts outside the comparison's stored sample of 512 are read now. With token pooling, a prompt is represented by its mean.
    """
    require_measure(measure)
    recipe = Recipe.of(settings)
    whole = prompt_set(prompts or pair.prompts)
    picked, texts = chosen(whole, ids[:MOST]), whole.sample(recipe.n_prompts, recipe.seed)
    layers = {"teacher": teacher_layer, "student": student_layer}
    facts = {"recipe": recipe.model_dump(), "layers": layers, "measure": measure, "sample": texts.digest}

    def make() -> PickedCell:
        compare(pair, prompts=prompts, progress=lambda what, done: progress(what, 0.5 * done), **settings)
        stored = load_artefact("states", pair_key(pair, texts, recipe.model_dump(), COMPARE_VERSION))
        rest = [number for number in texts.ids[:KEPT_SAMPLES] if number not in set(picked.ids)]
        order = chosen(whole, [*picked.ids, *rest])
        progress("Loading both models", 0.5)
        models = {"teacher": load(pair.teacher), "student": load(pair.student)}
        through = None
        if needs_models(measure):
            through = reading(models["teacher"], models["student"], recipe.seed)
        sides = {}
        for side, layer in layers.items():
            progress(f"Reading the {side}", 0.6)
            usable = stored is not None and recipe.pooling != "tokens"
            there = dict(zip(texts.ids, stored[0][side][layer], strict=False)) if stored and usable else {}
            sides[side] = treated(recipe, states_at(models[side], layer, recipe, order, there))
        progress("Comparing", 0.8)
        return cell_of(measure, sides["teacher"], sides["student"], order, len(picked), through, recipe.seed)

    return memo("picked-cell", key_of(pair, picked, **facts), PickedCell, make)


def states_at(
    loaded: LoadedModel, layer: int, recipe: Recipe, wanted: PromptSet, there: dict[int, Tensor]
) -> Float[Tensor, "n d"]:
    """Activations of the wanted prompts at one layer; available ones are not read again."""
    site = loaded.require(Site(recipe.part, layer))
    missing = [number for number in wanted.ids if number not in there]
    if missing:
        pooling = "mean" if recipe.pooling == "tokens" else recipe.pooling
        read = stream(loaded, chosen(wanted, missing).texts, [site], pooling, skip_first=recipe.skip_first)
        there = there | dict(zip(missing, torch.cat([part[0].cpu() for part in read]), strict=True))
    return torch.stack([there[number] for number in wanted.ids])


def treated(recipe: Recipe, states: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """After the outlier rule, fitted on all compared states."""
    return learn(recipe.outliers, states[None])(states[None])[0]


ENOUGH = 32  # fewest prompts for a separate similarity
DRAWS = 100
MOST_READ = 40  # prompts whose next tokens are read
MOST_WRITTEN = 12  # prompts that are continued, which takes longest
TOP = 3


def tokens_after(teacher: LoadedModel, student: LoadedModel, texts: PromptSet) -> PickedTokens:
    """Last token, both models' three most likely next tokens, and the divergence of their predictions, for at most 40 prompts."""
    read = chosen(texts, texts.ids[:MOST_READ])
    logits = {name: next_logits(loaded, read.texts) for name, loaded in (("teacher", teacher), ("student", student))}
    shared_tokens = match(teacher, student)
    apart = (
        js_bits(logits["teacher"], logits["student"], shared_tokens.teacher_ids, shared_tokens.student_ids).tolist()
        if shared_tokens.n
        else None
    )
    likely = {
        name: most_likely(loaded, logits[name], TOP) for name, loaded in (("teacher", teacher), ("student", student))
    }
    rows = [
        NextTokens(
            id=read.ids[i],
            text=text,
            last_token=teacher.tokenizer.decode(teacher.tokenizer(text)["input_ids"][-1:]),
            teacher=likely["teacher"][i],
            student=likely["student"][i],
            js_bits=None if apart is None else apart[i],
        )
        for i, text in enumerate(read.texts)
    ]
    return PickedTokens(rows, len(texts), SharedTokens(shared_tokens.n, shared_tokens.share))


def continuations_after(models: dict[str, LoadedModel], texts: PromptSet) -> PickedContinuations:
    """Greedy continuations of teacher, student before and student after for at most 12 picked prompts."""
    read = chosen(texts, texts.ids[:MOST_WRITTEN])
    written = {name: continuations(loaded, read.texts) for name, loaded in models.items()}
    rows = [
        Written(id=number, text=text, **{name: lines[i] for name, lines in written.items()})
        for i, (number, text) in enumerate(zip(read.ids, read.texts, strict=True))
    ]
    return PickedContinuations(rows, len(texts), Decoding("greedy, 12 tokens"))


def cell_of(
    name: str, x: Tensor, y: Tensor, texts: PromptSet, n_picked: int, through: Reading | None, seed: int
) -> PickedCell:
    """One layer pair over the picked prompts, which are the first rows of `x` and `y`, and over all prompts.

    With at least 32: the similarity over them, and the central 95 % of 100 random choices of equally many prompts. Always: each
    picked prompt's neighbour overlap among all rows.
    """
    k = min(NEIGHBOURS, len(x) - 1)
    near = [neighbours((side.double() - side.double().mean(0)).numpy(), k, "cosine") for side in (x, y)]
    overlap = shared(near[0][:n_picked], near[1][:n_picked])
    rows = [
        Overlap(texts.ids[i], texts.texts[i], float(overlap[i]))
        for i in sorted(range(n_picked), key=lambda i: overlap[i])
    ]
    facts = Cell(
        measure=name,
        larger_is_closer=MEASURES[name].larger_is_closer,
        n=len(x),
        enough=ENOUGH,
        overlap=float(shared(*near).mean()),
        overlap_picked=float(overlap.mean()),
        overlap_chance=k / (len(x) - 1),
        all=measure(name, x, y, through),
    )
    if n_picked >= max(ENOUGH, MEASURES[name].minimum_n) and n_picked < len(x):
        generator = torch.Generator().manual_seed(seed)
        draws = torch.tensor(
            [
                measure(name, x[rows_], y[rows_], through)
                for rows_ in (torch.randperm(len(x), generator=generator)[:n_picked] for _ in range(DRAWS))
            ]
        )
        low, high = draws.quantile(torch.tensor([0.025, 0.975])).tolist()
        alone = measure(name, x[:n_picked], y[:n_picked], through)
        facts = RestrictedCell(**vars(facts), picked=alone, low=low, high=high)
    return PickedCell(rows, n_picked, facts)
