"""A comparison in words: its answer, the captions of its figures, and the tables behind them.

Names of models and tasks are taken as they are; whoever shows a sentence escapes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pkt_core.alignment.record import CrossingCurves, Curve, LayerAttribution, RecompositionCurves
from pkt_core.similarity.grid import GridChange, GridRecipe, SimilarityGrid
from pkt_core.studies.comparison.record import Comparison, OutlierFacts, Sides
from pkt_core.words.style import number, p_value, percent

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


def agreement(grid: SimilarityGrid) -> str:
    """Where the grid is closest, beside what its closest cell reaches by chance."""
    teacher, student, value = grid.best
    where = f"most alike are teacher layer {teacher} and student layer {student} (similarity {number(value)}"
    if grid.noise_level is None:
        return f"{where}; no null was measured)"
    return f"{where}, noise {number(grid.noise_level)}, p {p_value(float(grid.p_values[teacher, student]))})"


def compatible(comparison: Comparison) -> str:
    """Whether two models have enough in common to transfer between them."""
    words, grid = comparison.vocabulary, comparison.grid
    beyond = grid.beyond_noise
    shared = (
        f"they share all {words.n:,} tokens"
        if words.share >= 0.9995
        else f"they share {words.n:,} tokens ({percent(words.share)} of the smaller vocabulary)"
    )
    if beyond is not None and not beyond.any():
        return f"Hardly: {shared}, but no pair of layers is more alike than noise ({agreement(grid)})."
    if not words.same_tokenizer:
        return f"In part: {shared} but cut text differently, so a transfer meets only where both have read the same characters; {agreement(grid)}."
    return f"Yes: {shared}, and {agreement(grid)}."


def by_chance(grid: SimilarityGrid, claim: str) -> str:
    """What a measure gives where nothing corresponds, from the words of its record: pieces of one prompt resemble each other, which
    those do not know and the permutation null does."""
    if grid.recipe.pooling != "tokens":
        return f"By chance: {claim}."
    means = grid.null_mean[np.isfinite(grid.null_mean)] if grid.null_mean is not None else np.array([])
    level = f": {number(float(means.mean()))} on average over all cells" if means.size else ""
    return (
        f"By chance: {claim}; but that is for independent samples, which the pieces of one prompt are not. "
        f"Here it is what the permutation null gives{level}."
    )


def spread(grid: SimilarityGrid) -> str:
    """How much of the grid is closer than noise, and where it is closest."""
    beyond = grid.beyond_noise
    if beyond is None:
        return f"{agreement(grid)[0].upper()}{agreement(grid)[1:]}."
    return (
        f"{beyond.sum()} of {np.isfinite(grid.values).sum()} pairs of layers agree more than noise; {agreement(grid)}."
    )


def cell(grid: SimilarityGrid, teacher: int, student: int) -> str:
    """One pair of layers: value, interval, p, against the noise level."""
    at = teacher, student
    value = float(grid.values[at])
    if value != value:
        return f"Teacher layer {teacher} and student layer {student}: not computable: one of them does not vary over these prompts, or ties would decide."
    words = f"Teacher layer {teacher} and student layer {student}: similarity {number(value, 3)}"
    if grid.low[at] == grid.low[at]:
        words += f", 95 % interval {number(grid.low[at], 3)} to {number(grid.high[at], 3)}"
    words += f", p {p_value(float(grid.p_values[at]))} (family-wise)"
    if (beyond := grid.beyond_noise) is not None and grid.noise_level is not None:
        words += f". {'Closer than' if beyond[at] else 'No closer than'} the noise level {number(grid.noise_level, 3)}"
    return words + "."


def reached(curve: Curve) -> str:
    """From the lowest to the highest of a curve over layers."""
    low, high = number(min(curve.mean)), number(max(curve.mean))
    return low if low == high else f"{low} to {high}"


def recomposition(curves: Sides[RecompositionCurves]) -> str:
    """For each model, whether its own bases recompose its states better than as many random ones, and what follows."""
    sentences = []
    for side, of in curves.items():
        n, above = len(of.real.mean), of.special_layers
        numbers = f"{reached(of.real)} against {reached(of.gaussian)}"
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
        sentences.append(f"The {side}'s own bases {verdict}.")
    return " ".join(sentences)


def repeats(n: int) -> str:
    """That prompts were repeated and are no samples of their own."""
    return (
        f"{n:,} {'prompt repeats' if n == 1 else 'prompts repeat'} another word for word; equal texts are one sample."
    )


MUCH = 0.3  # of a layer's variance in one dimension
MASSIVE = 20.0  # times as long as other positions


def outliers(facts: Sides[OutlierFacts], recipe: GridRecipe) -> str | None:
    """A warning where one dimension or the first position is large enough to own a similarity; None where not."""
    warnings = []
    for side, of in facts.items():
        share, first = of.top_share, of.first_ratio
        if share and max(share) > MUCH and recipe.outliers not in ("drop_top", "standardise"):
            warnings.append(
                f"one dimension of {side} layer {share.index(max(share))} holds {percent(max(share))} of its variance"
            )
        if first and max(first) > MASSIVE and not recipe.skip_first:
            warnings.append(
                f"position 0 of {side} layer {first.index(max(first))} is {number(max(first), 0)} times as long as others"
            )
    if not warnings:
        return None
    joined = "; ".join(warnings)
    return f"{joined[0].upper()}{joined[1:]}. Try another outlier rule, or skip position 0, before believing the grid."


def change(of: GridChange) -> str:
    """How many cells moved, which way, and the one that moved most."""
    moved = of.moved
    if not moved.any():
        return f"No pair of layers moved by more than the choice of prompts could explain (of {moved.size})."
    closer = of.difference if of.larger_is_closer else -of.difference
    up, down = int((moved & (closer > 0)).sum()), int((moved & (closer < 0)).sum())
    i, j = divmod(int(np.where(moved, np.abs(of.difference), 0).argmax()), moved.shape[1])
    return (
        f"{up} pairs of layers came closer to the teacher and {down} went away, of {moved.size}; most moved teacher layer {i} "
        f"and student layer {j}, {number(of.before[i, j])} to {number(of.after[i, j])} "
        f"(95 % interval of the difference {number(of.low[i, j], 3)} to {number(of.high[i, j], 3)})."
    )


def cells_table(tables: Mapping[str, Sequence[Sequence[float | None]] | NDArray[np.float64]]) -> pd.DataFrame:
    """One row per pair of layers with what each of the tables `[L_T, L_S]` holds of it, by the name of its column."""
    columns = {name: np.asarray(values, float) for name, values in tables.items()}
    teacher, student = np.indices(next(iter(columns.values())).shape)
    flat = {name: values.ravel() for name, values in columns.items()}
    return pd.DataFrame({"teacher_layer": teacher.ravel(), "student_layer": student.ravel(), **flat})


def grid_table(grid: SimilarityGrid) -> pd.DataFrame:
    """One row per pair of layers: similarity, 95 % interval, p if picked from the grid, from its row, or named before."""
    return cells_table(
        {
            "similarity": grid.values,
            "low": grid.low,
            "high": grid.high,
            "p_values": grid.p_values,
            "p_rows": grid.p_rows,
            "p_cells": grid.p_cells,
        }
    )


def rank_correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Spearman's rho, -1..1, ties sharing their mean rank; NaN where one side is constant. scipy's takes a second to import."""
    one, other = (pd.Series(values).rank().to_numpy() for values in (x, y))
    apart_one, apart_other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((apart_one**2).sum() * (apart_other**2).sum()))
    return float((apart_one * apart_other).sum()) / scale if scale else float("nan")


def measures_table(grids: Mapping[str, SimilarityGrid], labels: Mapping[str, str]) -> pd.DataFrame:
    """One row per measure: its closest cell, noise level, share of cells closer than noise, rank correlation with the first."""
    rows: list[dict[str, object]] = []
    first = next(iter(grids.values())).closeness if grids else np.array([])
    for name, grid in grids.items():
        both = np.isfinite(grid.values) & np.isfinite(first)
        teacher, student, best = grid.best
        beyond = grid.beyond_noise
        rows.append(
            {
                "measure": labels.get(name, name),
                "teacher_layer": teacher,
                "student_layer": student,
                "closest": best,
                "noise": grid.noise_level,
                "cells_closer_than_noise": None if beyond is None else float(beyond[both].mean()),
                "rank_correlation": rank_correlation(grid.closeness[both], first[both]) if both.sum() > 2 else None,
            }
        )
    return pd.DataFrame(rows)


def outlier_table(facts: Sides[OutlierFacts]) -> pd.DataFrame:
    """One row per model and layer."""
    tables = [
        pd.DataFrame(
            {
                "model": side,
                "layer": range(len(of.top_share)),
                "top_share": of.top_share,
                "top3_share": of.top3_share,
                "first_ratio": of.first_ratio or [float("nan")] * len(of.top_share),
            }
        )
        for side, of in facts.items()
    ]
    return pd.concat(tables, ignore_index=True)


def recomposition_table(
    recomposition: Sides[RecompositionCurves], crossing: CrossingCurves | None = None
) -> pd.DataFrame:
    """One row per model, curve and layer; `crossing` is the teacher's states on the student's bases, by student layer."""
    panels: dict[str, dict[str, Curve]] = {side: of.curves for side, of in recomposition.items()}
    if crossing is not None:
        panels["crossing"] = crossing.curves
    return pd.DataFrame(
        [
            {"model": side, "curve": name, "layer": layer, "mean": mean, "low": low, "high": high}
            for side, curves in panels.items()
            for name, curve in curves.items()
            for layer, (mean, low, high) in enumerate(zip(curve.mean, curve.low, curve.high, strict=True))
        ]
    )


def attribution_table(attribution: LayerAttribution | None, pairing: Sequence[int]) -> pd.DataFrame:
    """One row per teacher layer with its score and the student layers it teaches."""
    n = max(pairing, default=-1) + 1 if attribution is None else len(attribution.scores)
    taught = [", ".join(str(s) for s, t in enumerate(pairing) if t == layer) for layer in range(n)]
    table = pd.DataFrame({"teacher_layer": range(n), "student_layers": taught})
    if attribution is not None:
        table = table.assign(scores=attribution.scores, low=attribution.low, high=attribution.high)
    return table


def change_table(change: GridChange) -> pd.DataFrame:
    """One row per pair of layers: similarity before and after, the difference with interval and corrected p."""
    return cells_table(
        {
            "before": change.before,
            "after": change.after,
            "difference": change.difference,
            "low": change.low,
            "high": change.high,
            "p_values": change.p_values,
        }
    )
