"""Alignment maps and stitching: headlines, captions and tables."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from pkt_core.studies.alignment_maps.record import MapComparison, MapScore, StitchedGrid
from pkt_core.studies.comparison.text import cells_table
from pkt_core.words.style import number

MAPS = (
    "Each map was fitted on half of the prompts (training-free maps: only their scale) and scored on the other half, token by token; "
    "whiskers are 95 % intervals over texts. The cross is the control: the same map with the vocabulary permuted, or fitted to shuffled "
    "pairs. A map no better than its cross refutes that it maps any information. A high cosine with a stitched loss near `mean state` "
    "means that the student does not use what the cosine measures."
)
STITCHING = (
    "From the student layer on, the student continues from the mapped teacher state instead of its own. Each cell is the cost in bits per "
    "byte compared with the student alone. Blue, below zero: the teacher's states serve the student better than its own. Both panels share "
    "one scale: a cell as costly as the control maps no information. A low cost does not prove shared information: models of unrelated "
    "tasks can be stitched."
)


def maps(comparison: MapComparison) -> str:
    """Headline: the map the student continues best from, against the student alone; then its control and the semantic map."""
    best = comparison.best
    if best is None:
        return "No map could be computed."
    sentence = (
        f"The {best} map is best: the student continues from mapped teacher states at "
        f"{number(comparison.maps[best].bits_per_byte.value)} bits per byte (alone {number(comparison.own.value)}). Its control reaches "
        f"{number(comparison.controls[best].bits_per_byte.value)}, a constant mean state {number(comparison.constant.value)}"
    )
    if best != "semantic" and "semantic" in comparison.maps:
        semantic = comparison.maps["semantic"].bits_per_byte
        sentence += f"; the semantic map, which needs no paired text, reaches {number(semantic.value)}"
    return sentence + "."


def stitching(grid: StitchedGrid) -> str:
    """The layer pair with the lowest stitching cost."""
    values = np.asarray(grid.values, float)
    i, j = (int(k) for k in np.unravel_index(int(np.nanargmin(values)), values.shape))
    return (
        f"Teacher layer {i} into student layer {j} costs least: {number(values[i, j])} bits per byte, 95 % interval "
        f"{number(grid.low[i][j])} to {number(grid.high[i][j])} (student alone {number(grid.own.value)}, "
        f"control {number(grid.control[i][j])}).{massive(grid.massive)}"
    )


def massive(n: int) -> str:
    """How many tokens were left out because one massive activation can dominate a fit; empty where there was none."""
    tokens = "token is" if n == 1 else "tokens are"
    return f" {n} {tokens} left out for a massive activation, 20 times the usual norm." if n else ""


def maps_table(comparison: MapComparison) -> pd.DataFrame:
    """One row per map and role: each score with its interval."""
    rows = []
    for role, scored in (("map", comparison.maps), ("control", comparison.controls)):
        for kind, scores in scored.items():
            row: dict[str, Any] = {"map": kind, "role": role}
            for name in (one.name for one in fields(MapScore)):
                value = getattr(scores, name)
                row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
            rows.append(row)
    return pd.DataFrame(rows)


def stitching_table(grid: StitchedGrid) -> pd.DataFrame:
    """One row per layer pair: bits per byte with interval, the control's, the round trip."""
    return cells_table(
        {
            "values": grid.values,
            "low": grid.low,
            "high": grid.high,
            "control": grid.control,
            "round_trip": grid.round_trip,
        }
    )
