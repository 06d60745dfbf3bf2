"""The records of similarity: every teacher layer against every student layer, and how a run moved that.

Rows are teacher layers, columns student layers, both from 0; not-a-number marks a cell that is not computable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import computed_field

from pkt_core.base.arrays import Table, Vector
from pkt_core.similarity.facts import QUANTILE
from pkt_core.words.notebook import html_grid

MOVED = 0.05
"""Corrected p below which a cell moved."""


@dataclass(frozen=True, kw_only=True)
class GridRecipe:
    """How a grid was computed; what does not apply to its estimator is None."""

    estimator: str
    """Formula and source."""
    interval: str
    """How the 95 % interval was made."""
    outliers: str = "none"
    """Rule for outlier dimensions."""
    seed: int = 0
    """Of prompts, permutations and draws."""
    n: int | None = None
    """Samples used."""
    group_size: int | None = None
    """Samples of one prompt, which move together."""
    permutations: int | None = None
    """Draws of the null."""
    prompts: str | None = None
    """Name of the prompt set, where the enclosing record does not name it."""
    pooling: str | None = None
    """What one sample is; None for custom activations."""
    part: str | None = None
    """Which activation of a layer; None for custom activations."""
    skip_first: bool = False
    """Whether position 0 was left out."""
    correction: str | None = None
    """How p was corrected over the grid."""
    block: int | None = None
    """Samples of one mini-batch."""
    blocks: int | None = None
    """Mini-batches."""
    centring: str | None = None
    """Of the Gram matrices."""
    draws: int | None = None
    """Bootstrap draws of the interval."""
    dropped: int | None = None
    """Samples at the end that made no mini-batch."""
    block_difference: float | None = None
    """Largest difference that mini-batches make to any cell, in the unit of the measure, at least 0."""
    too_short: int = 0
    """Prompts left out because they have too few shared spans."""
    repeats: int = 0
    """Prompts that repeat another word for word and are not counted."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SimilarityGrid:
    """Teacher layer x student layer, with its permutation null and 95 % intervals."""

    measure: str
    """Name of the measure."""
    larger_is_closer: bool
    """Its direction."""
    n: int
    """Samples used."""
    recipe: GridRecipe
    """How it was computed."""
    values: Table
    """`[L_T, L_S]`, in the range of the measure."""
    low: Table
    """`[L_T, L_S]`: lower end of the 95 % interval; not-a-number where there is none."""
    high: Table
    """`[L_T, L_S]`: upper end."""
    null_max: Vector
    """`[P]`: the closest cell of the whole grid in each permutation of prompts; empty where no null was measured."""
    null_mean: Table | None = None
    """`[L_T, L_S]`: mean over the permutations, the chance level on these very data; None in results older than it."""
    noise_rows: Vector
    """`[L_T]`: what the closest cell of a teacher layer's row reaches in 5 % of permutations."""
    noise_cells: Table
    """`[L_T, L_S]`: what a cell itself reaches in 5 % of permutations."""
    p_values: Table
    """`[L_T, L_S]`, in (0, 1]: p of a cell chosen from the whole grid (family-wise)."""
    p_rows: Table
    """`[L_T, L_S]`, in (0, 1]: p of a cell chosen from its teacher layer's row."""
    p_cells: Table
    """`[L_T, L_S]`, in (0, 1]: p of a cell named before looking."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def best(self) -> tuple[int, int, float]:
        """Teacher layer, student layer and value of the closest cell."""
        place = int(np.nan_to_num(self.closeness, nan=-np.inf).argmax())
        teacher, student = divmod(place, self.values.shape[1])
        return teacher, student, float(self.values[teacher, student])

    @computed_field  # type: ignore[prop-decorator]
    @property
    def noise_level(self) -> float | None:
        """What the closest cell of the whole grid reaches in 5 % of permutations: no further, and it may be chance.

        None where no null was measured.
        """
        if not self.null_max.size:
            return None
        with np.errstate(invalid="ignore"):  # a permutation without any computable cell is infinitely far
            return float(np.quantile(self.null_max, QUANTILE if self.larger_is_closer else 1 - QUANTILE))

    @property
    def closeness(self) -> NDArray[np.float64]:
        """`[L_T, L_S]`: the values, turned where smaller is closer, so that larger always is."""
        return self.values if self.larger_is_closer else -self.values

    @property
    def beyond_noise(self) -> NDArray[np.bool_] | None:
        """`[L_T, L_S]`: which cells are closer than the noise level; None where no null was measured."""
        level = self.noise_level
        return None if level is None else self.closeness > (level if self.larger_is_closer else -level)

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        from pkt_core.similarity.measures import MEASURES

        teacher, student, best = self.best
        caption = (
            f"{MEASURES[self.measure].label}, {self.n:,} samples. Closest: teacher layer {teacher} and student layer {student}, "
            f"{best:.3f}. "
        )
        if (level := self.noise_level) is not None:
            side = "below" if self.larger_is_closer else "above"
            caption += f"In 95 % of permutations the closest cell of the grid stays {side} {level:.3f}."
        return html_grid(caption, self.values, larger_is_closer=self.larger_is_closer)


@dataclass(frozen=True, kw_only=True, eq=False)
class GridChange:
    """The grid against the teacher before and after a run; differences are after minus before."""

    measure: str
    """Name of the measure."""
    larger_is_closer: bool
    """Its direction."""
    n: int
    """Samples."""
    recipe: GridRecipe
    """How it was computed."""
    before: Table
    """`[L_T, L_S]`, in the range of the measure."""
    after: Table
    """`[L_T, L_S]`: the same after the run."""
    difference: Table
    """`[L_T, L_S]`: after minus before."""
    low: Table
    """`[L_T, L_S]`: lower end of the difference's 95 % interval (paired delete-one-group jackknife, Student's t)."""
    high: Table
    """`[L_T, L_S]`: upper end."""
    p_values: Table
    """`[L_T, L_S]`, 0..1: that a cell did not move, corrected over the grid (Holm)."""
    own: Table
    """`[L_S, L_S]`: the student's layers after (rows) against its layers before (columns), by the same measure."""

    @property
    def moved(self) -> NDArray[np.bool_]:
        """`[L_T, L_S]`: which cells moved by more than the choice of prompts could explain."""
        return self.p_values < MOVED
