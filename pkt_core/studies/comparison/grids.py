"""The grid under any measure, from stored states or given activations: values, permutation null, interval.

Not covered: reading activations (`similarity/matrices.py`).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from pkt_core.alignment.model_maps import alignment_map, match
from pkt_core.base.progress import Progress, silent
from pkt_core.errors import MeasureError
from pkt_core.models.loading import LoadedModel
from pkt_core.similarity.fitter import MINIMUM_REST, GridFitter, grid_record
from pkt_core.similarity.grid import GridRecipe, SimilarityGrid
from pkt_core.similarity.interval import JACKKNIFE_GROUPS, jackknife_groups, jackknife_interval
from pkt_core.similarity.measures import MEASURES
from pkt_core.similarity.null import calibrate, permutations
from pkt_core.similarity.outliers import learn
from pkt_core.similarity.pairwise import grid_of, null_of
from pkt_core.similarity.record import Head, Reading
from pkt_core.studies.comparison.recipe import Recipe
from pkt_core.studies.comparison.states import States, rows_each

STREAMED = "debiased_linear_cka"
MOST_SAMPLES = 4096
"""For all measures but the streamed one: they hold tables of samples x samples, a layer 64 MiB at this number."""


def require_measure(name: str) -> None:
    """Raise MeasureError for an unknown measure."""
    if name not in MEASURES:
        raise MeasureError(f"There is no measure {name!r}; expected one of {', '.join(MEASURES)}.")


def needs_models(name: str) -> bool:
    """Whether a measure needs the models' vocabularies."""
    return MEASURES[name].sides is not None


def reading(teacher: LoadedModel, student: LoadedModel, seed: int) -> Reading:
    """The semantic map, and both heads over shared tokens."""
    matched = match(teacher, student).require("reading both models through one vocabulary")

    def head(loaded: LoadedModel, ids: Tensor) -> Head:
        layout = loaded.layout
        ids = ids.to(layout.head.weight.device)

        def norm(states: Tensor) -> Tensor:
            states = states.to(layout.head.weight.dtype)
            return layout.final_norm(states) if layout.final_norm is not None else states

        bias = None if layout.head.bias is None else layout.scale * layout.head.bias.detach()[ids]
        return Head(norm, layout.scale * layout.head.weight.detach()[ids], bias, layout.softcap)

    semantic = alignment_map("semantic", teacher, student, matched, seed)
    return Reading(semantic.matrix, head(teacher, matched.teacher_ids), head(student, matched.student_ids))


def measured_grid(
    name: str, states: States, recipe: Recipe, through: Reading | None, progress: Progress
) -> SimilarityGrid:
    """Every teacher layer against every student layer by one measure, on at most the 512 stored samples.

    The null permutes prompts; the interval is a delete-one-group jackknife over ten groups of prompts.
    """
    sides = [learn(recipe.outliers, states[side])(states[side]) for side in ("teacher", "student")]
    group = rows_each(recipe)
    n = sides[0].shape[1] - sides[0].shape[1] % group
    teacher, student = (side[:, :n].double() for side in sides)

    def grid(index: Tensor, stage: str, begin: float, end: float) -> Tensor:
        def tick(_what: str, done: float) -> None:
            progress(stage, begin + (end - begin) * done)

        return grid_of(name, list(teacher[:, index]), list(student[:, index]), through, progress=tick)

    values = grid(torch.arange(n), "Comparing all layer pairs", 0.2, 0.35)
    parts = jackknife_groups(n, group)
    left_out = [
        grid(index, "Leaving out prompts for the interval", 0.35 + 0.035 * i, 0.35 + 0.035 * (i + 1))
        for i, index in enumerate(parts)
    ]
    orders = permutations(n, group, recipe.permutations, torch.Generator().manual_seed(recipe.seed))
    null = null_of(
        name,
        list(teacher),
        list(student),
        orders,
        through,
        progress=lambda _what, done: progress("Permuting prompts for the null", 0.7 + 0.29 * done),
    )
    record = MEASURES[name]
    whole = GridRecipe(
        **recipe.model_dump(exclude={"n_prompts"}),
        estimator=record.source,
        n=n,
        group_size=group,
        interval=f"delete-one-group jackknife over {JACKKNIFE_GROUPS} groups of prompts, Student's t",
    )
    return grid_record(
        name,
        values,
        jackknife_interval(values, torch.stack(left_out)),
        calibrate(values, null.cells, larger_is_closer=record.larger_is_closer),
        whole,
        larger_is_closer=record.larger_is_closer,
    )


def grid_of_states(
    x: Float[Tensor, "L_T n d_T"],
    y: Float[Tensor, "L_S m d_S"],
    *,
    measure: str = STREAMED,
    permutations: int = 200,
    seed: int = 0,
    progress: Progress = silent,
) -> SimilarityGrid:
    """Every layer of x (as the teacher) against every layer of y (as the student), rows paired; nothing is stored.

    Raises MeasureError for unequal, too few or too many samples, an unknown measure, or one that needs models.
    """
    require_measure(measure)
    recipe = Recipe.of({"permutations": permutations, "seed": seed})
    n, other = x.shape[1], y.shape[1]
    if n != other:
        raise MeasureError(f"Got {n} and {other} samples; expected the same samples on both sides, in the same order.")
    if needs_models(measure):
        raise MeasureError(
            f"{measure} reads activations through the models. Give a pair of models, or choose another measure."
        )
    if measure == STREAMED:
        if n < MINIMUM_REST:
            raise MeasureError(f"Got {n} samples; expected at least {MINIMUM_REST}. Add samples.")
        fitter = GridFitter(len(x), len(y), permutations=recipe.permutations, seed=recipe.seed)
        fitter.update(x, y)
        return fitter.finish()
    # The interval leaves out a tenth of the samples; the rest must be enough.
    fewest = max(MINIMUM_REST, -(-MEASURES[measure].minimum_n * JACKKNIFE_GROUPS // (JACKKNIFE_GROUPS - 1)))
    if not fewest <= n <= MOST_SAMPLES:
        raise MeasureError(
            f"Got {n:,} samples; expected {fewest} to {MOST_SAMPLES:,} for {measure}. "
            + ("Add samples." if n < fewest else f"Draw some of them, or choose {STREAMED}.")
        )
    grid = measured_grid(measure, {"teacher": x, "student": y}, recipe, None, progress)
    return replace(grid, recipe=replace(grid.recipe, pooling=None, part=None))
