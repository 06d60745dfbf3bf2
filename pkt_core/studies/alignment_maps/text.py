"""Alignment maps and stitching in words: answers, captions and tables."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from pkt_core.studies.alignment_maps.record import MapComparison, MapScore, StitchedGrid
from pkt_core.studies.comparison.text import cells_table
from pkt_core.words.style import number

MAPS = (
    "Each map was fitted on half of the prompts (a training-free one only its scale) and scored on the other half, token by token; "
    "whiskers are 95 % intervals over texts. The cross is the same map with its meaning removed: vocabulary permuted, or fitted "
    "to shuffled pairs. A map no better than its cross would refute that anything is carried; a high cosine with a stitched loss "
    "near `nothing passes` would show that what the student reads is not what the cosine sees."
)
STITCHING = (
    "The student reads the text, but from the student layer on it goes on from the teacher's mapped state instead of its own. Each "
    "cell is what that costs in bits per byte over the student alone; blue, below zero, would mean that the teacher's states "
    "serve the student better than its own. Both panels share one scale: cells as costly as the control carry nothing. Even a "
    "cheap stitch does not prove shared information: models of unrelated tasks can be stitched."
)


def maps(found: MapComparison) -> str:
    """The map that the student can use best, what it loses, and whether a training-free one comes near."""
    best = found.best
    if best is None:
        return "No map could be made."
    said = (
        f"Best carried by the {best} map: the student goes on from mapped teacher states at "
        f"{number(found.maps[best].bits_per_byte.value)} bits per byte (alone {number(found.own.value)}, control "
        f"{number(found.controls[best].bits_per_byte.value)}, with nothing passed {number(found.constant.value)})"
    )
    if best != "semantic" and "semantic" in found.maps:
        semantic = found.maps["semantic"].bits_per_byte
        said += f"; the semantic map, which needs no paired text, reaches {number(semantic.value)}"
    return said + "."


def stitching(grid: StitchedGrid) -> str:
    """The pair of layers that stitches best."""
    values = np.asarray(grid.values, float)
    i, j = (int(k) for k in np.unravel_index(int(np.nanargmin(values)), values.shape))
    return (
        f"Teacher layer {i} into student layer {j} costs least: {number(values[i, j])} bits per byte, 95 % interval "
        f"{number(grid.low[i][j])} to {number(grid.high[i][j])} (student alone {number(grid.own.value)}, "
        f"control {number(grid.control[i][j])}).{massive(grid.massive)}"
    )


def massive(n: int) -> str:
    """What was left out because one such token would bend every fit to itself; empty where there was none."""
    words = "token is" if n == 1 else "tokens are"
    return f" {n} {words} left out for a massive activation, 20 times as long as usual." if n else ""


def maps_table(found: MapComparison) -> pd.DataFrame:
    """One row per map and role: each score with its interval."""
    rows = []
    for role, scored in (("map", found.maps), ("control", found.controls)):
        for kind, scores in scored.items():
            row: dict[str, Any] = {"map": kind, "role": role}
            for name in (one.name for one in fields(MapScore)):
                value = getattr(scores, name)
                row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
            rows.append(row)
    return pd.DataFrame(rows)


def stitching_table(grid: StitchedGrid) -> pd.DataFrame:
    """One row per pair of layers: bits per byte with interval, the control's, the round trip."""
    return cells_table(
        {
            "values": grid.values,
            "low": grid.low,
            "high": grid.high,
            "control": grid.control,
            "round_trip": grid.round_trip,
        }
    )
