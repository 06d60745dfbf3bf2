"""The numbers behind the figures of alignment maps, stitching and what a run moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

Json = Mapping[str, Any]


def maps_table(found: Json) -> pd.DataFrame:
    """One row per map and role: each score with its interval."""
    rows = []
    for role in ("maps", "controls"):
        for kind, scores in found[role].items():
            row: dict[str, Any] = {"map": kind, "role": role.removesuffix("s")}
            for name, value in scores.items():
                row |= {name: value["value"], f"{name}_low": value["low"], f"{name}_high": value["high"]}
            rows.append(row)
    return pd.DataFrame(rows)


def cells_table(grid: Json, keys: tuple[str, ...]) -> pd.DataFrame:
    """One row per pair of layers with some of its fields."""
    shape = np.asarray(grid[keys[0]], float).shape
    return pd.DataFrame(
        [
            {"teacher_layer": i, "student_layer": j, **{key: grid[key][i][j] for key in keys}}
            for i, j in np.ndindex(shape)
        ]
    )


def stitching_table(grid: Json) -> pd.DataFrame:
    """One row per pair of layers: bits per byte with interval, the control's, the round trip."""
    return cells_table(grid, ("values", "low", "high", "control", "round_trip"))


def change_table(change: Json) -> pd.DataFrame:
    """One row per pair of layers: similarity before and after, the difference with interval and corrected p."""
    return cells_table(change, ("before", "after", "difference", "low", "high", "p_values"))
