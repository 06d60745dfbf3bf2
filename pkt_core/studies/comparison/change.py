"""The grid before and after a transfer: teacher, student before and student after over the same prompts.

similarity_change  by any measure, with the interval of the difference  -> GridChange  (stored)
"""

from __future__ import annotations

import torch
from torch import Tensor

from pkt_core.activations.collect import stream
from pkt_core.base.arrays import array
from pkt_core.base.fingerprint import fingerprint
from pkt_core.base.progress import Progress, silent
from pkt_core.base.store import memo
from pkt_core.data.prompts import PromptSet, prompt_set
from pkt_core.models.loading import LoadedModel
from pkt_core.runs.folder import Run
from pkt_core.runs.student import open_trained
from pkt_core.similarity.grid import GridChange, GridRecipe
from pkt_core.similarity.interval import JACKKNIFE_GROUPS, jackknife_groups, paired_difference
from pkt_core.similarity.measures import MEASURES
from pkt_core.similarity.outliers import learn
from pkt_core.similarity.pairwise import grid_of
from pkt_core.similarity.record import Reading
from pkt_core.studies.comparison.grids import needs_models, reading, require_measure
from pkt_core.studies.comparison.recipe import Recipe
from pkt_core.studies.comparison.states import KEPT_SAMPLES, block_sites, readable, rows_each

CHANGE_VERSION = 2


def similarity_change(
    run: Run,
    *,
    measure: str = "debiased_linear_cka",
    prompts: str | PromptSet | None = None,
    progress: Progress = silent,
    **settings: object,
) -> GridChange:
    """The grid against the teacher before and after a run, with the interval of the difference; computed once, then stored.

    Raises StoreError as `open_trained` does, MeasureError and PlanError as `similarity` does.
    """
    require_measure(measure)
    recipe = Recipe.of(settings)
    trained = open_trained(run)
    texts = prompt_set(prompts or trained.plan.prompts).sample(recipe.n_prompts, recipe.seed)
    texts.require_samples(recipe.pooling)  # before models are loaded
    key = fingerprint(**trained.named, texts=texts.digest, recipe=recipe, measure=measure, version=CHANGE_VERSION)

    def make() -> GridChange:
        progress("Loading teacher, student before and student after", 0.0)
        return grid_change(trained.load_all(), texts, measure, recipe, progress)

    return memo("grid-change", key, GridChange, make)


def grid_change(
    models: dict[str, LoadedModel], texts: PromptSet, name: str, recipe: Recipe, progress: Progress
) -> GridChange:
    """Both grids on at most 512 samples, their difference by cell, and the similarity of the student's layers after and before.

    The outlier rule is fitted on the student before and applied to the student after, so that it cannot cause a difference.
    """
    read, spans = readable(texts, recipe, [models["teacher"], models["before"]])
    most = KEPT_SAMPLES // rows_each(recipe)
    read, spans = read[:most], spans and spans[:most]
    states = {}
    for i, (who, loaded) in enumerate(models.items()):
        progress(f"Reading prompts: {'teacher' if who == 'teacher' else f'student {who}'}", 0.1 + 0.1 * i)
        sites = block_sites(loaded, recipe.part)
        parts = stream(loaded, read, sites, recipe.pooling, skip_first=recipe.skip_first, spans=spans)
        states[who] = torch.cat([part.cpu() for part in parts], dim=1)
    rules = {who: learn(recipe.outliers, states[who]) for who in ("teacher", "before")}
    sides = {who: rules.get(who, rules["before"])(state).double() for who, state in states.items()}
    n = sides["teacher"].shape[1]
    through: dict[str, Reading | None] = dict.fromkeys(("before", "after"))
    through_itself = None
    if needs_models(name):
        through = {who: reading(models["teacher"], models[who], recipe.seed) for who in through}
        through_itself = reading(models["after"], models["before"], recipe.seed)

    def grid(who: str, index: Tensor) -> Tensor:
        return grid_of(name, sides["teacher"][:, index], sides[who][:, index], through[who])

    grids: dict[str, list[Tensor]] = {"before": [], "after": []}
    indexes = [torch.arange(n), *jackknife_groups(n, rows_each(recipe))]
    for i, index in enumerate(indexes):
        progress("Comparing all layer pairs, before and after", 0.4 + 0.5 * i / len(indexes))
        for who, values in grids.items():
            values.append(grid(who, index))
    (before, *without_before), (after, *without_after) = grids["before"], grids["after"]
    difference, low, high, p = paired_difference(before, after, torch.stack(without_before), torch.stack(without_after))
    return GridChange(
        measure=name,
        larger_is_closer=MEASURES[name].larger_is_closer,
        n=n,
        recipe=GridRecipe(
            **recipe.model_dump(exclude={"n_prompts", "permutations"}),
            estimator=MEASURES[name].source,
            prompts=texts.name,
            interval=f"paired delete-one-group jackknife over {JACKKNIFE_GROUPS} groups of prompts, Student's t",
            correction="Holm over the grid",
        ),
        before=array(before),
        after=array(after),
        difference=array(difference),
        low=array(low),
        high=array(high),
        p_values=array(p),
        own=array(grid_of(name, sides["after"], sides["before"], through_itself)),
    )
