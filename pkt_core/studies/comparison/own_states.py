"""The grid of activations that a person brings: the measures, nulls and intervals of a comparison, and no model.

Not covered: reading them (`similarity/matrices.py`).
"""

from __future__ import annotations

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from pkt_core.base.progress import Progress, silent
from pkt_core.errors import MeasureError
from pkt_core.similarity.fitter import MINIMUM_REST, GridFitter
from pkt_core.similarity.grid import SimilarityGrid
from pkt_core.similarity.interval import JACKKNIFE_GROUPS
from pkt_core.similarity.measures import MEASURES
from pkt_core.studies.comparison.grids import measured_grid, needs_models, require_measure
from pkt_core.studies.comparison.recipe import Recipe

STREAMED = "debiased_linear_cka"
MOST_SAMPLES = 4096
"""For all measures but the streamed one: they hold tables of samples x samples, a layer 64 MiB at this number."""


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
    # The interval leaves out a tenth of the samples, and what is left must be enough.
    fewest = max(MINIMUM_REST, -(-MEASURES[measure].minimum_n * JACKKNIFE_GROUPS // (JACKKNIFE_GROUPS - 1)))
    if not fewest <= n <= MOST_SAMPLES:
        raise MeasureError(
            f"Got {n:,} samples; expected {fewest} to {MOST_SAMPLES:,} for {measure}. "
            + ("Add samples." if n < fewest else f"Draw some of them, or choose {STREAMED}.")
        )
    grid = measured_grid(measure, {"teacher": x, "student": y}, recipe, None, progress)
    return replace(grid, recipe=replace(grid.recipe, pooling=None, part=None))
