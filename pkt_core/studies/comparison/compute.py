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

from pkt_core.alignment.attribution import readable_attribution
from pkt_core.alignment.basis import SemanticBasis, semantic_basis
from pkt_core.alignment.maps import permuted_vocabulary_map, semantic_map
from pkt_core.alignment.model_maps import head_of, match
from pkt_core.alignment.pairing import pair_for, pair_layers
from pkt_core.alignment.recomposition import DRAWS, crossing_curves, recomposition_curves
from pkt_core.alignment.record import CrossingCurves, LayerAttribution, RecompositionCurves
from pkt_core.base.fingerprint import fingerprint
from pkt_core.base.progress import Progress, silent
from pkt_core.base.store import load_artefact, memo, save_artefact
from pkt_core.data.prompts import PromptSet, prompt_set
from pkt_core.models.catalog import Pair
from pkt_core.models.loading import LoadedModel, load
from pkt_core.models.vocabulary import EXAMPLES, MINIMUM_SHARE, VocabularyMatch, left_out, token_texts
from pkt_core.similarity.grid import SimilarityGrid
from pkt_core.studies.comparison.grids import measured_grid, needs_models, reading, require_measure
from pkt_core.studies.comparison.recipe import Recipe, pair_key
from pkt_core.studies.comparison.record import Comparison, ModelFacts, Side, Sides, VocabularyFacts, VocabularySide
from pkt_core.studies.comparison.states import States, outlier_facts, read_both

COMPARE_VERSION = 6


def compare(
    pair: Pair, *, prompts: str | PromptSet | None = None, progress: Progress = silent, **settings: Any
) -> Comparison:
    """Similarity of every layer pair with its null, recomposition, attribution and pairing; computed once, then stored.

    Settings are those of `Recipe`. Raises PlanError where they are invalid.
    """
    recipe = Recipe.of(settings)
    texts = prompt_set(prompts or pair.prompts).sample(recipe.n_prompts, recipe.seed)
    texts.require_samples(recipe.pooling)  # before models are loaded
    key = pair_key(pair, texts, recipe.model_dump(), COMPARE_VERSION)
    states: States = {}

    def make() -> Comparison:
        began = time.monotonic()
        progress("Loading both models", 0.0)
        teacher, student = load(pair.teacher), load(pair.student)
        grid, read = read_both(teacher, student, texts, recipe, progress)
        states.update(read)
        progress("Reading states through the vocabulary", 0.7)
        recomposition, crossing = recomposition_of(teacher, student, states, recipe.seed)
        progress("Attributing the answers to layers", 0.8)
        attribution = readable_attribution(teacher, pair.examples, recipe.seed)
        pairing, chosen = pairing_of(teacher.n_layers, student.n_layers, attribution)
        return Comparison(
            teacher=model_facts(teacher),
            student=model_facts(student),
            vocabulary=shared_vocabulary(teacher, student),
            prompts=texts.name,
            n_prompts=len(texts),
            pooling=recipe.pooling,
            part=recipe.part,
            grid=grid,
            outliers=outlier_facts(Sides(teacher, student), states, texts, recipe.part),
            recomposition=recomposition,
            crossing=crossing,
            attribution=attribution,
            pairing=pairing,
            chosen=chosen,
            seconds=time.monotonic() - began,
        )

    comparison = memo("comparison", key, Comparison, make)
    if states:  # after the comparison, so that a full disk does not lose it
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

    Runs both models only where no comparison with the same settings has done so. Raises MeasureError for an unknown
    measure, PlanError where settings are invalid.
    """
    require_measure(measure)
    recipe = Recipe.of(settings)
    texts = prompt_set(prompts or pair.prompts).sample(recipe.n_prompts, recipe.seed)
    read = pair_key(pair, texts, recipe.model_dump(), COMPARE_VERSION)
    compared = compare(pair, prompts=prompts, progress=lambda what, done: progress(what, 0.2 * done), **settings)
    if measure == compared.grid.measure:
        return compared.grid
    key = fingerprint(read=read, measure=measure, version=GRID_VERSION)

    def make() -> SimilarityGrid:
        states, through = load_artefact("states", read), None
        if states is None or needs_models(measure):
            progress("Loading both models", 0.2)
            teacher, student = load(pair.teacher), load(pair.student)
            through = reading(teacher, student, recipe.seed) if needs_models(measure) else None
            if states is None:  # the comparison is stored, its states are not
                states = read_both(teacher, student, texts, recipe, progress)[1], {}
                save_artefact("states", read, states[0], {"texts": texts.digest})
        grid = measured_grid(measure, states[0], recipe, through, progress)
        return replace(grid, recipe=replace(grid.recipe, repeats=texts.repeats))

    return memo("grid", key, SimilarityGrid, make)


def recomposition_of(
    teacher: LoadedModel, student: LoadedModel, states: dict[str, Tensor], seed: int
) -> tuple[Sides[RecompositionCurves], CrossingCurves | None]:
    """Recomposition of each model's states on its bases, and of the teacher's on the student's, with controls."""
    bases = Sides(semantic_basis(head_of(teacher)), semantic_basis(head_of(student)))

    def curves(loaded: LoadedModel, side: Side, basis: SemanticBasis) -> RecompositionCurves:
        rows = loaded.model.get_input_embeddings().weight.float().cpu()
        return recomposition_curves(states[side], basis, rows, torch.Generator().manual_seed(seed))

    both = Sides(curves(teacher, "teacher", bases.teacher), curves(student, "student", bases.student))
    matched = match(teacher, student)
    if matched.share < MINIMUM_SHARE:
        return both, None
    given = (bases.teacher, bases.student, matched.teacher_ids, matched.student_ids)
    generator = torch.Generator().manual_seed(seed)
    crossing = crossing_curves(
        states["teacher"],
        states["student"],
        pair_layers(teacher.n_layers, student.n_layers),
        semantic_map(*given),
        [permuted_vocabulary_map(*given, generator) for _ in range(DRAWS)],
    )
    return both, crossing


def pairing_of(
    n_teacher: int, n_student: int, attribution: LayerAttribution | None
) -> tuple[list[int], tuple[int, int]]:
    """The paper's pairing, and the pair that a transfer would choose."""
    best = n_teacher - 1 if attribution is None else attribution.best
    return pair_layers(n_teacher, n_student), pair_for(best, n_teacher, n_student)


def model_facts(loaded: LoadedModel) -> ModelFacts:
    """Properties of a model that matter for a comparison."""
    return ModelFacts(
        name=loaded.name,
        n_layers=loaded.n_layers,
        d_model=loaded.d_model,
        vocabulary=loaded.layout.head.weight.shape[0],
        n_parameters=loaded.n_parameters,
        dtype=str(loaded.dtype).removeprefix("torch."),
        device=str(loaded.device),
        tied=loaded.layout.tied,
        context=loaded.context,
        memory_gib=sum(p.numel() * p.element_size() for p in loaded.model.parameters()) / 2**30,
    )


def shared_vocabulary(teacher: LoadedModel, student: LoadedModel) -> VocabularyFacts:
    """Overlap of both vocabularies, and what is excluded from each."""
    shared = match(teacher, student)
    rows = Sides(teacher.layout.head.weight.shape[0], student.layout.head.weight.shape[0])
    return vocabulary_facts(
        shared,
        vocabulary_side(teacher.tokenizer, rows.teacher, shared.n),
        vocabulary_side(student.tokenizer, rows.student, shared.n),
    )


def vocabulary_facts(shared: VocabularyMatch, teacher: VocabularySide, student: VocabularySide) -> VocabularyFacts:
    """A match in numbers and examples."""
    return VocabularyFacts(
        n=shared.n,
        share=shared.share,
        n_teacher=shared.n_teacher,
        n_student=shared.n_student,
        same_tokenizer=shared.same_tokenizer,
        only_teacher=list(shared.only_teacher),
        only_student=list(shared.only_student),
        sides=Sides(teacher, student),
    )


def vocabulary_side(tokenizer: Any, n_rows: int, matched: int) -> VocabularySide:
    """One model's tokens, counted; `matched` of them have a partner."""
    vocabulary, special = tokenizer.get_vocab(), left_out(tokenizer)
    ordinary = len(token_texts(tokenizer, n_rows))
    with_row = {i for i in vocabulary.values() if i < n_rows}
    names = [token for token, i in sorted(vocabulary.items(), key=lambda item: item[1]) if i in special]
    return VocabularySide(
        rows=n_rows,
        ordinary=ordinary,
        alone=ordinary - matched,
        special=len(special),
        specials=names[:EXAMPLES],
        doubles=len(with_row - special) - ordinary,
        rowless=sum(i >= n_rows for i in {*vocabulary.values()} - special),
        padding=n_rows - len(with_row | {i for i in special if i < n_rows}),
    )


def kept_states(pair: Pair, texts: PromptSet, recipe: Recipe, read: str, progress: Progress) -> States:
    """The states that the comparison stored; read again where they are missing."""
    if stored := load_artefact("states", read):
        return stored[0]
    progress("Loading both models", 0.3)
    states = read_both(load(pair.teacher), load(pair.student), texts, recipe, progress)[1]
    save_artefact("states", read, states, {"texts": texts.digest})
    return states
