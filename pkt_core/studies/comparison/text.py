"""A comparison in words: its answer, the captions of its figures, and the tables behind them.

Names of models and tasks are taken as they are; whoever shows a sentence escapes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pkt_core.studies.comparison.figures import MOVED, best_cell, closer_up, noise_level
from pkt_core.words.style import number, p_value, percent

Json = Mapping[str, Any]


HEATMAP = (
    "Each cell compares one teacher layer with one student layer on the same prompts. `noise` on the colour bar is what the "
    "closest cell of a grid with shuffled prompts reaches 5 times in 100: a best cell no closer than that would refute any "
    "agreement. Hover gives the interval, and p for a cell picked from the grid, from its row, or named before looking."
)
MEASURES = (
    "The same activations by every measure computed so far; colours span each measure's own values, the frame marks its closest "
    "cell. Measures of global geometry (CKA, RSA, Procrustes) and of near neighbours often pick other layers: a pair of layers "
    "that only one of them likes is no safe ground for a transfer."
)
OUTLIERS = (
    "Left, the share of a layer's variance in its largest dimension (solid) and its largest three (dashed): 1 would mean that "
    "one number is all a similarity sees. Right, the length of the activation at position 0 over the median of the other "
    "positions: 1 is ordinary. If the grid changes much under another outlier rule or without position 0 (sidebar), trust neither alone."
)
RECOMPOSITION = (
    "Left and middle: how parallel a layer's activations are to their recomposition from the vocabulary's semantic bases. Read the "
    "distance between the solid line and the controls, not its height: as many random bases score high too. A solid line at or "
    "below the random one would refute that the vocabulary is a special frame for this layer. With the vocabulary permuted between "
    "decomposing and recomposing the cosine must fall to about 0. Right: the teacher's state recomposed on the student's bases, against the "
    "student's own state. A solid line inside the permuted band would refute that meaning crosses; what the band has above 0 is carried by "
    "the mean of all bases, whatever the words."
)


ATTRIBUTION = (
    "How much the answer's loss moves with each teacher layer (gradient times activation, whiskers are 95 % bootstrap "
    "intervals over examples). Lines show which student layer learns from which teacher layer; orange is the chosen pair, which the "
    "pairing may place on the nearest deeper layer instead of the highest bar. Overlapping whiskers mean that the choice of the "
    "highest bar is not supported by these examples."
)


STACKS = (
    "Lines: which teacher layer teaches which student layer; grey by the method's own rule, orange once drawn by hand. Drag from "
    "one layer to a layer of the other stack, or press one and then the other; press a line to take it away. By keyboard: arrows "
    "move, Enter joins, Delete takes away. Bars, where the pair was compared: attribution in nats, whiskers 95 % intervals; where they overlap, "
    "these examples do not say which layer should teach."
)


CHANGE = (
    "Similarity with the teacher before and after the run, on prompts that were not trained on, and the difference with a paired "
    "interval; framed cells moved at p < 0.05 corrected over the grid. Layers left of the dotted line lie below the trained one, cannot "
    "move, and show what nothing looks like. On the right, how far the student's layers moved from what they were (the diagonal is 1 where "
    "nothing changed). A student that moves from itself without nearing the teacher was changed, not taught."
)


def beyond(grid: Json, value: float, level: float) -> bool:
    """Whether a value is closer than chance."""
    return value > level if closer_up(grid) else value < level


def agreement(grid: Json) -> str:
    """Where the grid is closest, beside what its closest cell reaches by chance."""
    teacher, student, value = best_cell(grid)
    level = noise_level(grid)
    where = f"teacher layer {teacher} and student layer {student} (similarity {number(value)}"
    if level is None:
        return f"most alike are {where}; no null was measured)"
    p = p_value(grid["p_values"][teacher][student]) if grid.get("p_values") is not None else None
    return f"most alike are {where}, noise {number(level)}{f', p {p}' if p else ''})"


def compatible(comparison: Json) -> str:
    """Whether two models have enough in common to transfer between them."""
    words, grid = comparison["vocabulary"], comparison["grid"]
    level = noise_level(grid)
    agrees = level is None or beyond(grid, best_cell(grid)[2], level)
    whole = words["share"] >= 0.9995
    shared = (
        f"they share all {words['n']:,} tokens"
        if whole
        else f"they share {words['n']:,} tokens ({percent(words['share'])} of the smaller vocabulary)"
    )
    if not agrees:
        return f"Hardly: {shared}, but no pair of layers is more alike than noise ({agreement(grid)})."
    if not words["same_tokenizer"]:
        return f"In part: {shared} but cut text differently, so a transfer meets only where both have read the same characters; {agreement(grid)}."
    return f"Yes: {shared}, and {agreement(grid)}."


def where(comparison: Json) -> str:
    """How much of the grid is closer than noise, and where it is closest."""
    return spread(comparison["grid"])


def by_chance(grid: Json, said: str) -> str:
    """What a measure gives where nothing corresponds, from the words of its record: pieces of one prompt resemble each other, which
    those do not know and the permutation null does."""
    if grid["recipe"]["pooling"] != "tokens":
        return f"By chance: {said}."
    means = [mean for row in grid["null_mean"] for mean in row if mean is not None]
    level = f": {number(sum(means) / len(means))} on average over all cells" if means else ""
    return (
        f"By chance: {said}; but that is for independent samples, which the pieces of one prompt are not. "
        f"Here it is what the permutation null gives{level}."
    )


def spread(grid: Json) -> str:
    """The same of a grid alone."""
    level = noise_level(grid)
    flat = [value for row in grid["values"] for value in row if value is not None]
    if level is None:
        return f"{agreement(grid)[0].upper()}{agreement(grid)[1:]}."
    above = sum(beyond(grid, value, level) for value in flat)
    return f"{above} of {len(flat)} pairs of layers agree more than noise; {agreement(grid)}."


def cell(grid: Json, teacher: int, student: int) -> str:
    """One pair of layers: value, interval, p, against the noise level."""
    value, level = grid["values"][teacher][student], noise_level(grid)
    if value is None:
        return f"Teacher layer {teacher} and student layer {student}: not computable: one of them does not vary over these prompts, or ties would decide."
    said = f"Teacher layer {teacher} and student layer {student}: similarity {number(value, 3)}"
    if grid.get("low") is not None:
        said += (
            f", 95 % interval {number(grid['low'][teacher][student], 3)} to {number(grid['high'][teacher][student], 3)}"
        )
    if grid.get("p_values") is not None:
        said += f", p {p_value(grid['p_values'][teacher][student])} (family-wise)"
    if level is not None:
        said += (
            f". {'Closer than' if beyond(grid, value, level) else 'No closer than'} the noise level {number(level, 3)}"
        )
    return said + "."


def reached(curve: Json) -> str:
    """From the lowest to the highest of a curve over layers."""
    low, high = number(min(curve["mean"])), number(max(curve["mean"]))
    return low if low == high else f"{low} to {high}"


def recomposition(curves: Mapping[str, Json]) -> str:
    """For each model, whether its own bases recompose its states better than as many random ones, and what follows."""
    said = []
    for side, found in curves.items():
        own, random = found["real"], found["gaussian"]
        n = len(own["mean"])
        above = [layer for layer in range(n) if own["low"][layer] > random["high"][layer]]
        numbers = f"{reached(own)} against {reached(random)}"
        if not above:
            verdict = (
                f"recompose its states no better than random ones at any of {n} layers ({numbers}), which refutes that its "
                "vocabulary is a special frame for them"
            )
        elif len(above) == n:
            verdict = f"recompose its states better than random ones at all {n} layers ({numbers}), so its vocabulary is a special frame for them"
        else:
            verdict = (
                f"recompose its states better than random ones at {len(above)} of {n} layers ({', '.join(map(str, above))}; {numbers}), "
                "so its vocabulary is a special frame there only"
            )
        said.append(f"The {side}'s own bases {verdict}.")
    return " ".join(said)


def repeats(n: int) -> str:
    """That prompts were repeated and are no samples of their own."""
    return (
        f"{n:,} {'prompt repeats' if n == 1 else 'prompts repeat'} another word for word; equal texts are one sample."
    )


MUCH = 0.3  # of a layer's variance in one dimension
MASSIVE = 20.0  # times as long as other positions


def outliers(facts: Json, rule: str, skip_first: bool = False) -> str | None:
    """A warning where one dimension or the first position is large enough to own a similarity; None where not."""
    said = []
    for side in ("teacher", "student"):
        share, first = facts[side]["top_share"], facts[side]["first_ratio"]
        if share and max(share) > MUCH and rule not in ("drop_top", "standardise"):
            said.append(
                f"one dimension of {side} layer {share.index(max(share))} holds {percent(max(share))} of its variance"
            )
        if first and max(first) > MASSIVE and not skip_first:
            said.append(
                f"position 0 of {side} layer {first.index(max(first))} is {number(max(first), 0)} times as long as others"
            )
    if not said:
        return None
    joined = "; ".join(said)
    return f"{joined[0].upper()}{joined[1:]}. Try another outlier rule, or skip position 0, before believing the grid."


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


KEYS = ("low", "high", "p_values", "p_rows", "p_cells")


def grid_table(grid: Json) -> pd.DataFrame:
    """One row per pair of layers: similarity, 95 % interval, p if picked from the grid, from its row, or named before."""
    values = np.asarray(grid["values"], float)
    rows = []
    for teacher, student in np.ndindex(values.shape):
        row: dict[str, Any] = {
            "teacher_layer": teacher,
            "student_layer": student,
            "similarity": values[teacher, student],
        }
        row |= {key: grid[key][teacher][student] for key in KEYS if grid.get(key) is not None}
        rows.append(row)
    return pd.DataFrame(rows)


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rho, -1..1, ties sharing their mean rank; NaN where one side is constant. scipy's takes a second to import."""
    one, other = (pd.Series(values).rank().to_numpy() for values in (x, y))
    apart_one, apart_other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((apart_one**2).sum() * (apart_other**2).sum()))
    return float((apart_one * apart_other).sum()) / scale if scale else float("nan")


def measures_table(grids: Mapping[str, Json], labels: Mapping[str, str]) -> pd.DataFrame:
    """One row per measure: its closest cell, noise level, share of cells closer than noise, rank correlation with the first."""
    from pkt_core.studies.comparison.figures import best_cell, closer_up, noise_level

    rows, first = [], None
    for name, grid in grids.items():
        values = np.asarray(grid["values"], float) * (1 if closer_up(grid) else -1)
        first = values if first is None else first
        both = np.isfinite(values) & np.isfinite(first)
        teacher, student, best = best_cell(grid)
        level = noise_level(grid)
        sign = 1 if closer_up(grid) else -1
        rows.append(
            {
                "measure": labels.get(name, name),
                "teacher_layer": teacher,
                "student_layer": student,
                "closest": best,
                "noise": level,
                "cells_closer_than_noise": None if level is None else float((values[both] > sign * level).mean()),
                "rank_correlation": rank_correlation(values[both], first[both]) if both.sum() > 2 else None,
            }
        )
    return pd.DataFrame(rows)


def outlier_table(facts: Json) -> pd.DataFrame:
    """One row per model and layer."""
    return pd.DataFrame(
        [
            {"model": side, "layer": layer, "top_share": share, "top3_share": three, "first_ratio": first}
            for side in ("teacher", "student")
            for layer, (share, three, first) in enumerate(
                zip(
                    facts[side]["top_share"],
                    facts[side]["top3_share"],
                    facts[side]["first_ratio"] or [None] * len(facts[side]["top_share"]),
                    strict=True,
                )
            )
        ]
    )


def recomposition_table(recomposition: Json, crossing: Json | None = None) -> pd.DataFrame:
    """One row per model, curve and layer; `crossing` is the teacher's states on the student's bases, by student layer."""
    rows = []
    sides = {**recomposition, "crossing": crossing} if crossing else recomposition
    for side, curves in sides.items():
        for curve, found in curves.items():
            if not isinstance(found, Mapping) or "mean" not in found:
                continue
            for layer, mean in enumerate(found["mean"]):
                low, high = found["low"][layer], found["high"][layer]
                rows.append({"model": side, "curve": curve, "layer": layer, "mean": mean, "low": low, "high": high})
    return pd.DataFrame(rows)


def attribution_table(attribution: Json | None, pairing: Sequence[int]) -> pd.DataFrame:
    """One row per teacher layer with its score and the student layers it teaches."""
    n = len(attribution["scores"]) if attribution else max(pairing, default=-1) + 1
    taught = [", ".join(str(s) for s, t in enumerate(pairing) if t == layer) for layer in range(n)]
    table = pd.DataFrame({"teacher_layer": range(n), "student_layers": taught})
    for key in ("scores", "low", "high"):
        if attribution and attribution.get(key) is not None:
            table[key] = list(attribution[key])
    return table


def cells_table(grid: Json, keys: tuple[str, ...]) -> pd.DataFrame:
    """One row per pair of layers with some of its fields."""
    shape = np.asarray(grid[keys[0]], float).shape
    return pd.DataFrame(
        [
            {"teacher_layer": i, "student_layer": j, **{key: grid[key][i][j] for key in keys}}
            for i, j in np.ndindex(shape)
        ]
    )


def change_table(change: Json) -> pd.DataFrame:
    """One row per pair of layers: similarity before and after, the difference with interval and corrected p."""
    return cells_table(change, ("before", "after", "difference", "low", "high", "p_values"))
