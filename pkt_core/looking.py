"""The story's other eyes: the same states by another measure, and what a run did to them.

similarity         the grid by any measure, from the stored states              -> SimilarityGrid  (stored)
similarity_change  teacher against student before and after a run, any measure  -> GridChange      (stored)
"""

from __future__ import annotations

from dataclasses import replace

from pkt_core import stages
from pkt_core.catalog import Pair
from pkt_core.errors import StoreError
from pkt_core.models.loading import load, model_digest, weights_digest
from pkt_core.pipeline import COMPARE_VERSION, Progress, compare, silent
from pkt_core.prompts import PromptSet
from pkt_core.runs import Run
from pkt_core.similarity.change import GridChange
from pkt_core.similarity.grid import SimilarityGrid
from pkt_core.store import fingerprint, load_artefact, save_artefact
from pkt_core.transfer.plan import TransferPlan

GRID_VERSION = 3
CHANGE_VERSION = 2


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
    stages.require_measure(measure)
    recipe = stages.Recipe.of(settings)
    texts = stages.prompt_set(prompts or pair.prompts).sample(recipe.n_prompts, recipe.seed)
    read = stages.pair_key(pair, texts, recipe.model_dump(), COMPARE_VERSION)
    compared = compare(pair, prompts=prompts, progress=lambda what, done: progress(what, 0.2 * done), **settings)
    if measure == compared.grid.measure:
        return compared.grid
    key = fingerprint(read=read, measure=measure, version=GRID_VERSION)
    if stored := load_artefact("grid", key):
        return SimilarityGrid.from_json(stored[1])
    states = load_artefact("states", read)
    through = None
    if states is None or stages.needs_models(measure):
        progress("Loading both models", 0.2)
        teacher, student = load(pair.teacher), load(pair.student)
        through = stages.reading(teacher, student, recipe.seed) if stages.needs_models(measure) else None
        if states is None:  # the comparison was kept, its states were not
            states = stages.read_both(teacher, student, texts, recipe, progress)[1], {}
            save_artefact("states", read, states[0], {"texts": texts.digest})
    grid = stages.measured_grid(measure, states[0], recipe, through, progress)
    grid = replace(grid, recipe={**grid.recipe, "repeats": texts.repeats})
    save_artefact("grid", key, {}, grid.to_json())
    return grid


def similarity_change(
    run: Run,
    *,
    measure: str = "debiased_linear_cka",
    prompts: str | PromptSet | None = None,
    progress: Progress = silent,
    **settings: object,
) -> GridChange:
    """The grid against the teacher before and after a run, with the interval of the difference; computed once, then stored.

    Raises StoreError for a run that keeps no trained student, MeasureError and PlanError as `similarity` does.
    """
    stages.require_measure(measure)
    recipe = stages.Recipe.of(settings)
    plan, folder = TransferPlan.model_validate(run.plan()), run.folder / "student"
    if not folder.is_dir():
        raise StoreError(
            f"Run {run.id} keeps no trained student. Choose a run that finished here, or carry its plan out again."
        )
    texts = stages.prompt_set(prompts or plan.prompts).sample(recipe.n_prompts, recipe.seed)
    texts.require_samples(recipe.pooling)  # before models are loaded
    key = fingerprint(
        models=[[model_digest(ref), ref.dtype, ref.device] for ref in (plan.teacher, plan.student)],
        after=weights_digest(folder),
        texts=texts.digest,
        recipe=recipe,
        measure=measure,
        version=CHANGE_VERSION,
    )
    if stored := load_artefact("grid-change", key):
        return GridChange.from_json(stored[1])
    progress("Loading teacher, student before and student after", 0.0)
    change = stages.grid_change(stages.three_models(plan, folder), texts, measure, recipe, progress)
    save_artefact("grid-change", key, {}, change.to_json())
    return change
