"""The story's other eyes: the same states by another measure. What pipeline.py read is not read again.

similarity   the grid by any measure, from the stored states  -> SimilarityGrid  (stored)
"""

from __future__ import annotations

from pkt_core import stages
from pkt_core.catalog import Pair
from pkt_core.models.loading import load
from pkt_core.pipeline import COMPARE_VERSION, Progress, compare, silent
from pkt_core.prompts import PromptSet
from pkt_core.similarity.grid import SimilarityGrid
from pkt_core.store import fingerprint, load_artefact, save_artefact

GRID_VERSION = 1


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
    save_artefact("grid", key, {}, grid.to_json())
    return grid
