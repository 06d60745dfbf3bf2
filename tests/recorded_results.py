"""Results that ship with the project, read as records: what tests of figures, sentences and pages show.

Each call reads anew, so that no test sees what another did. Other cases are made of these by `dataclasses.replace`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pkt_core.base.records import from_json
from pkt_core.similarity.grid import GridChange, SimilarityGrid
from pkt_core.studies.comparison.record import Comparison

RECORDED = Path(__file__).parents[1] / "assets" / "recorded"


def read(name: str) -> Any:
    """A recorded file as it is."""
    return json.loads((RECORDED / name).read_text(encoding="utf-8"))


def comparison(**changes: Any) -> Comparison:
    """Of the demo pair: 6 teacher layers of width 256, 3 student layers, all 18 cells beyond noise, the closest at 5, 2."""
    return replace(from_json(Comparison, read("comparison.json"), "comparison.json"), **changes)


def grid(**changes: Any) -> SimilarityGrid:
    """That of the comparison."""
    return replace(comparison().grid, **changes)


def grid_by(measure: str) -> SimilarityGrid:
    """The same pair by another measure."""
    if measure == comparison().grid.measure:
        return grid()
    return from_json(SimilarityGrid, read("grids.json")[measure], "grids.json")


def resized(of: SimilarityGrid, n_teacher: int, n_student: int) -> SimilarityGrid:
    """As if the models had so many layers: cells are repeated."""
    rows, columns = np.arange(n_teacher) % len(of.values), np.arange(n_student) % of.values.shape[1]
    names = ("values", "low", "high", "noise_cells", "p_values", "p_rows", "p_cells")
    tables = {name: getattr(of, name)[np.ix_(rows, columns)] for name in names}
    return replace(of, **tables, noise_rows=of.noise_rows[rows])


def change(**changes: Any) -> GridChange:
    """The recorded grid, and after it one whose last column is 0.05 closer, but 0.1 further away at teacher layer 5."""
    before, difference = comparison().grid, np.zeros((6, 3))
    difference[:, 2], difference[5, 2] = 0.05, -0.1
    made = GridChange(
        measure=before.measure,
        larger_is_closer=True,
        n=before.n,
        recipe=before.recipe,
        before=before.values,
        after=before.values + difference,
        difference=difference,
        low=difference - 0.01,
        high=difference + 0.01,
        p_values=np.where(difference != 0, 0.01, 1.0),
        own=np.eye(3),
    )
    return replace(made, **changes)
