"""Where two latent spaces agree: every teacher layer against every student layer, by any measure.

compare     grid with its null, recomposition, attribution, pairing  -> Comparison      (stored)
similarity  the grid by any measure, from the stored states         -> SimilarityGrid  (stored)
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pkt_core.alignment.attribution import LayerAttribution, readable_attribution
from pkt_core.alignment.basis import semantic_basis
from pkt_core.alignment.maps import permuted_vocabulary_map, semantic_map
from pkt_core.alignment.model_maps import head_of, match
from pkt_core.alignment.pairing import pair_for, pair_layers
from pkt_core.alignment.recomposition import (
    DRAWS,
    CrossingCurves,
    RecompositionCurves,
    crossing_curves,
    recomposition_curves,
)
from pkt_core.base.fingerprint import fingerprint
from pkt_core.base.progress import Progress, silent
from pkt_core.base.store import load_artefact, save_artefact
from pkt_core.data.prompts import PromptSet, prompt_set
from pkt_core.models.catalog import Pair
from pkt_core.models.loading import LoadedModel, load
from pkt_core.models.vocabulary import MINIMUM_SHARE, vocabulary_side
from pkt_core.similarity.grid import SimilarityGrid
from pkt_core.studies.comparison.grids import measured_grid, needs_models, reading, require_measure
from pkt_core.studies.comparison.recipe import Recipe, pair_key
from pkt_core.studies.comparison.record import Comparison, ModelFacts, VocabularyFacts
from pkt_core.studies.comparison.states import States, outlier_facts, read_both

COMPARE_VERSION = 6


def compare(
    pair: Pair, *, prompts: str | PromptSet | None = None, progress: Progress = silent, **settings: Any
) -> Comparison:
    """Similarity of every layer pair with its null, recomposition, attribution and pairing; computed once, then stored.

    Settings are those of stages.Recipe. Raises PlanError where they do not fit.
    """
    recipe = Recipe.of(settings)
    texts = prompt_set(prompts or pair.prompts).sample(recipe.n_prompts, recipe.seed)
    texts.require_samples(recipe.pooling)  # before models are loaded
    key = pair_key(pair, texts, recipe.model_dump(), COMPARE_VERSION)
    if stored := load_artefact("comparison", key):
        return Comparison.from_json(stored[1])
    began = time.monotonic()
    progress("Loading both models", 0.0)
    teacher, student = load(pair.teacher), load(pair.student)
    grid, states = read_both(teacher, student, texts, recipe, progress)
    progress("Reading states through the vocabulary", 0.7)
    recomposition, crossing = recomposition_of(teacher, student, states, recipe.seed)
    progress("Attributing the answers to layers", 0.8)
    attribution = readable_attribution(teacher, pair.examples, recipe.seed)
    pairing, chosen = pairing_of(teacher.n_layers, student.n_layers, attribution)
    comparison = Comparison(
        **pair_facts(teacher, student),
        prompts=texts.name,
        n_prompts=len(texts),
        pooling=recipe.pooling,
        part=recipe.part,
        grid=grid,
        outliers=outlier_facts({"teacher": teacher, "student": student}, states, texts, recipe.part),
        recomposition=recomposition,
        crossing=crossing,
        attribution=attribution,
        pairing=pairing,
        chosen=chosen,
        seconds=time.monotonic() - began,
    )
    save_artefact("comparison", key, {}, comparison.to_json())  # first: it is what a disk that fills up must not lose
    save_artefact("states", key, states, {"texts": texts.digest})
    return comparison


GRID_VERSION = 3


def similarity(
    pair: Pair,
    *,
    measure: str,
    prompts: str | PromptSet | None = None,
    progress: Progress = silent,
    **settings: object,
) -> SimilarityGrid:
    """Every teacher layer against every student layer by a measure of `similarity.MEASURES`; computed once, then stored.

    Reads both models only where no comparison of the same settings has done so. Raises MeasureError for an unknown
    measure, PlanError where settings do not fit.
    """
    require_measure(measure)
    recipe = Recipe.of(settings)
    texts = prompt_set(prompts or pair.prompts).sample(recipe.n_prompts, recipe.seed)
    read = pair_key(pair, texts, recipe.model_dump(), COMPARE_VERSION)
    compared = compare(pair, prompts=prompts, progress=lambda what, done: progress(what, 0.2 * done), **settings)
    if measure == compared.grid.measure:
        return compared.grid
    key = fingerprint(read=read, measure=measure, version=GRID_VERSION)
    if stored := load_artefact("grid", key):
        return SimilarityGrid.from_json(stored[1])
    states = load_artefact("states", read)
    through = None
    if states is None or needs_models(measure):
        progress("Loading both models", 0.2)
        teacher, student = load(pair.teacher), load(pair.student)
        through = reading(teacher, student, recipe.seed) if needs_models(measure) else None
        if states is None:  # the comparison was kept, its states were not
            states = read_both(teacher, student, texts, recipe, progress)[1], {}
            save_artefact("states", read, states[0], {"texts": texts.digest})
    grid = measured_grid(measure, states[0], recipe, through, progress)
    grid = replace(grid, recipe={**grid.recipe, "repeats": texts.repeats})
    save_artefact("grid", key, {}, grid.to_json())
    return grid


def recomposition_of(
    teacher: LoadedModel, student: LoadedModel, states: dict[str, Tensor], seed: int
) -> tuple[dict[str, RecompositionCurves], CrossingCurves | None]:
    """How well each model's vocabulary bases recompose its own states, and the teacher's on the student's, with controls."""
    curves, bases = {}, {}
    for side, loaded in (("teacher", teacher), ("student", student)):
        generator = torch.Generator().manual_seed(seed)
        rows = loaded.model.get_input_embeddings().weight.float().cpu()
        bases[side] = semantic_basis(head_of(loaded))
        curves[side] = recomposition_curves(states[side], bases[side], rows, generator)
    found = match(teacher, student)
    if found.share < MINIMUM_SHARE:
        return curves, None
    given = (bases["teacher"], bases["student"], found.teacher_ids, found.student_ids)
    generator = torch.Generator().manual_seed(seed)
    crossing = crossing_curves(
        states["teacher"],
        states["student"],
        pair_layers(teacher.n_layers, student.n_layers),
        semantic_map(*given),
        [permuted_vocabulary_map(*given, generator) for _ in range(DRAWS)],
    )
    return curves, crossing


def pairing_of(n_teacher: int, n_student: int, found: LayerAttribution | None) -> tuple[list[int], tuple[int, int]]:
    """The paper's pairing, and the pair that a transfer would choose."""
    best = n_teacher - 1 if found is None else found.best
    return pair_layers(n_teacher, n_student), pair_for(best, n_teacher, n_student)


def pair_facts(teacher: LoadedModel, student: LoadedModel) -> dict[str, Any]:
    """Sizes of both models and the overlap of their vocabularies."""
    found = match(teacher, student)
    sides = [vocabulary_side(m.tokenizer, m.layout.head.weight.shape[0], found.n) for m in (teacher, student)]
    vocabulary = VocabularyFacts.of(found, *sides)
    return {"teacher": ModelFacts.of(teacher), "student": ModelFacts.of(student), "vocabulary": vocabulary}


def kept_states(pair: Pair, texts: PromptSet, recipe: Recipe, read: str, progress: Progress) -> States:
    """The states that the comparison stored; read again where it was kept without them."""
    if stored := load_artefact("states", read):
        return stored[0]
    progress("Loading both models", 0.3)
    states = read_both(load(pair.teacher), load(pair.student), texts, recipe, progress)[1]
    save_artefact("states", read, states, {"texts": texts.digest})
    return states
