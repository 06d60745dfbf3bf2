"""Answers in one sentence about alignment maps, stitching, and what a run moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pkt_core.report.figures_maps import MOVED
from pkt_core.report.look import number

Json = Mapping[str, Any]


def maps(found: Json) -> str:
    """The map that the student can use best, what it loses, and whether a training-free one comes near."""
    losses = {kind: scores["bits_per_byte"]["value"] for kind, scores in found["maps"].items()}
    if not losses:
        return "No map could be made."
    best, own = min(losses, key=losses.__getitem__), found["own"]["value"]
    said = (
        f"Best carried by the {best} map: the student goes on from mapped teacher states at {number(losses[best])} bits per byte "
        f"(alone {number(own)}, control {number(found['controls'][best]['bits_per_byte']['value'])}, "
        f"with nothing passed {number(found['constant']['value'])})"
    )
    if best != "semantic" and "semantic" in losses:
        said += f"; the semantic map, which needs no paired text, reaches {number(losses['semantic'])}"
    return said + "."


def stitching(grid: Json) -> str:
    """The pair of layers that stitches best."""
    values = np.asarray(grid["values"], float)
    i, j = (int(k) for k in np.unravel_index(int(np.nanargmin(values)), values.shape))
    return (
        f"Teacher layer {i} into student layer {j} costs least: {number(values[i, j])} bits per byte, 95 % interval "
        f"{number(grid['low'][i][j])} to {number(grid['high'][i][j])} (student alone {number(grid['own']['value'])}, "
        f"control {number(grid['control'][i][j])}).{massive(grid['recipe'])}"
    )


def massive(recipe: Json) -> str:
    """What was left out because one such token would bend every fit to itself; empty where there was none."""
    n = recipe.get("massive", 0)
    words = "token is" if n == 1 else "tokens are"
    return f" {n} {words} left out for a massive activation, 20 times as long as usual." if n else ""


def change(found: Json) -> str:
    """How many cells moved, which way, and the one that moved most."""
    difference, p = (np.asarray(found[key], float) for key in ("difference", "p_values"))
    closer = difference if found.get("larger_is_closer", True) else -difference
    moved = p < MOVED
    if not moved.any():
        return f"No pair of layers moved by more than the choice of prompts could explain (of {difference.size})."
    up, down = int((moved & (closer > 0)).sum()), int((moved & (closer < 0)).sum())
    size = np.where(moved, np.abs(difference), 0)
    i, j = (int(k) for k in np.unravel_index(int(size.argmax()), size.shape))
    return (
        f"{up} pairs of layers came closer to the teacher and {down} went away, of {difference.size}; most moved teacher layer {i} "
        f"and student layer {j}, {number(found['before'][i][j])} to {number(found['after'][i][j])} "
        f"(95 % interval of the difference {number(found['low'][i][j], 3)} to {number(found['high'][i][j], 3)})."
    )
