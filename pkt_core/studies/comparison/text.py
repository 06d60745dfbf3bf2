"""A comparison: headline, captions of its figures, and the tables behind them.

Names of models and tasks are not escaped here; the caller escapes.
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
    "Each cell compares one teacher layer with one student layer on the same prompts. `noise` on the colour bar is the 95 % quantile of the "
    "best cell under shuffled prompts: a best cell within it refutes any agreement. Hover shows the interval, and p for a cell picked from the "
    "grid, picked from its row, or named in advance."
)
MEASURES = (
    "The same activations under every measure computed so far; colours span each measure's own values, the frame marks its most similar "
    "cell. Measures of global geometry (CKA, RSA, Procrustes) and of nearest neighbours often favour different layers. A layer pair "
    "favoured by only one measure is weak ground for a transfer."
)
OUTLIERS = (
    "Left: share of a layer's variance in its largest dimension (solid) and its largest three (dashed). At 1, a single dimension "
    "determines the similarity. Right: activation norm at position 0 over the median of the other positions; 1 is typical. If the grid "
    "changes much under another outlier rule or without position 0 (sidebar), trust neither alone."
)
RECOMPOSITION = (
    "Left and middle: cosine of a layer's activations with their recomposition from the semantic bases. Read the distance between the solid "
    "line and the controls, not its height: equally many random bases also score high. A solid line at or below the random one refutes that "
    "the vocabulary is a special basis for this layer. With the vocabulary permuted between decomposition and recomposition, the cosine must "
    "fall to about 0. Right: the teacher's state recomposed on the student's bases, compared with the student's own state. A solid line inside "
    "the permuted band refutes that token meaning is mapped; the band's height above 0 comes from the mean of all bases."
)


ATTRIBUTION = (
    "Attribution of the answer's loss to each teacher layer (gradient times activation; whiskers are 95 % bootstrap intervals over "
    "examples). Lines show which student layer learns from which teacher layer. Orange is the chosen pair; the pairing may move it to the "
    "nearest deeper layer instead of the highest bar. If whiskers overlap, these examples do not support the choice of the highest bar."
)


STACKS = (
    "Lines: which teacher layer teaches which student layer; grey by the method's rule, orange once drawn by hand. Drag from "
    "one layer to a layer of the other stack, or press one and then the other; press a line to remove it. By keyboard: arrows "
    "move, Enter joins, Delete removes. Bars, where the pair was compared: attribution in nats, whiskers 95 % intervals. If they overlap, "
    "these examples do not determine the teacher layer."
)


CHANGE = (
    "Similarity with the teacher before and after the run, and the difference with a paired interval. The prompts may include training "
    "prompts. Framed cells changed at p < 0.05, corrected over the grid. Layers left of the dotted line lie below the trained one and cannot "
    "change: they show no effect. Right: similarity of the student's layers after and before (the diagonal is 1 where nothing changed). A "
    "student that departs from its former self without approaching the teacher was changed, not taught."
)


def agreement(grid: SimilarityGrid) -> str:
    """The most similar layer pair, with the noise level and p of the grid's best cell."""
    teacher, student, value = grid.best
    sentence = f"The most similar are teacher layer {teacher} and student layer {student} (similarity {number(value)}"
    if grid.noise_level is None:
        return f"{sentence}; no null was measured)."
    return f"{sentence}, noise {number(grid.noise_level)}, p {p_value(float(grid.p_values[teacher, student]))})."


def compatible(comparison: Comparison) -> str:
    """Headline: whether two models have enough in common to transfer between them; then the most similar layers."""
    vocabulary, grid = comparison.vocabulary, comparison.grid
    beyond = grid.beyond_noise
    shared = (
        f"they share all {vocabulary.n:,} tokens"
        if vocabulary.share >= 0.9995
        else f"they share {vocabulary.n:,} tokens ({percent(vocabulary.share)} of the smaller vocabulary)"
    )
    if beyond is not None and not beyond.any():
        return f"Hardly: {shared}, but no layer pair is more similar than noise. {agreement(grid)}"
    if not vocabulary.same_tokenizer:
        return (
            f"Partly: {shared} but tokenise differently. Positions are matched only where both tokenizers have consumed the same "
            f"characters. {agreement(grid)}"
        )
    return f"Yes: {shared}. {agreement(grid)}"


def by_chance(grid: SimilarityGrid, claim: str) -> str:
    """The value of a measure between unrelated samples, `claim` by its record. Pieces of one prompt are dependent: there the
    permutation null gives it."""
    if grid.recipe.pooling != "tokens":
        return f"By chance: {claim}."
    means = grid.null_mean[np.isfinite(grid.null_mean)] if grid.null_mean is not None else np.array([])
    level = f": {number(float(means.mean()))} on average over all cells" if means.size else ""
    return f"By chance: {claim} for independent samples. Pieces of one prompt are not independent, so the permutation null applies{level}."


def spread(grid: SimilarityGrid) -> str:
    """Headline: how many layer pairs are more similar than noise; then the most similar pair."""
    beyond = grid.beyond_noise
    if beyond is None:
        return agreement(grid)
    return (
        f"{beyond.sum()} of {np.isfinite(grid.values).sum()} layer pairs are more similar than noise. {agreement(grid)}"
    )


def cell(grid: SimilarityGrid, teacher: int, student: int) -> str:
    """One layer pair: value, interval, p, noise level."""
    at = teacher, student
    value = float(grid.values[at])
    if value != value:
        return f"Teacher layer {teacher} and student layer {student}: undefined, because one of them is constant over these prompts or has ties."
    sentence = f"Teacher layer {teacher} and student layer {student}: similarity {number(value, 3)}"
    if grid.low[at] == grid.low[at]:
        sentence += f", 95 % interval {number(grid.low[at], 3)} to {number(grid.high[at], 3)}"
    sentence += f", p {p_value(float(grid.p_values[at]))} (family-wise)"
    if (beyond := grid.beyond_noise) is not None and grid.noise_level is not None:
        sentence += (
            f". {'Closer than' if beyond[at] else 'No closer than'} the noise level {number(grid.noise_level, 3)}"
        )
    return sentence + "."


def reached(curve: Curve) -> str:
    """Range of a curve over layers."""
    low, high = number(min(curve.mean)), number(max(curve.mean))
    return low if low == high else f"{low} to {high}"


def recomposition(curves: Sides[RecompositionCurves]) -> str:
    """For each model, whether its vocabulary vectors reconstruct its states better than equally many random ones."""
    sentences = []
    for side, of in curves.items():
        n, above = len(of.real.mean), of.special_layers
        cosines = f"cosine {reached(of.real)} vs {reached(of.gaussian)}"
        if not above:
            verdict = f"no better than random vectors at any of {n} layers ({cosines})"
        elif len(above) == n:
            verdict = f"better than random vectors at all {n} layers ({cosines})"
        else:
            verdict = (
                f"better than random vectors at {len(above)} of {n} layers ({', '.join(map(str, above))}; {cosines})"
            )
        sentences.append(f"The {side}'s vocabulary vectors reconstruct its hidden states {verdict}.")
    return " ".join(sentences)


def repeats(n: int) -> str:
    """That prompts were repeated; duplicates count as one sample."""
    return f"{n:,} {'prompt repeats' if n == 1 else 'prompts repeat'} another exactly; duplicates count as one sample."


MUCH = 0.3  # of a layer's variance in one dimension
MASSIVE = 20.0  # times the norm at other positions


def outliers(facts: Sides[OutlierFacts], recipe: GridRecipe) -> str | None:
    """A warning where one dimension or the first position can dominate a similarity; None where not."""
    warnings = []
    for side, of in facts.items():
        share, first = of.top_share, of.first_ratio
        if share and max(share) > MUCH and recipe.outliers not in ("drop_top", "standardise"):
            warnings.append(
                f"one dimension of {side} layer {share.index(max(share))} has {percent(max(share))} of its variance"
            )
        if first and max(first) > MASSIVE and not recipe.skip_first:
            warnings.append(
                f"position 0 of {side} layer {first.index(max(first))} has {number(max(first), 0)} times the norm of other positions"
            )
    if not warnings:
        return None
    joined = "; ".join(warnings)
    return f"{joined[0].upper()}{joined[1:]}. Try another outlier rule, or skip position 0, before trusting the grid."


def change(of: GridChange) -> str:
    """How many cells changed, in which direction, and the largest change."""
    moved = of.moved
    if not moved.any():
        return f"No layer pair of {moved.size} changed significantly."
    closer = of.difference if of.larger_is_closer else -of.difference
    up, down = int((moved & (closer > 0)).sum()), int((moved & (closer < 0)).sum())
    i, j = divmod(int(np.where(moved, np.abs(of.difference), 0).argmax()), moved.shape[1])
    return (
        f"Of {moved.size} layer pairs, {up} came closer to the teacher and {down} moved away. The largest change: teacher layer {i} "
        f"and student layer {j}, {number(of.before[i, j])} to {number(of.after[i, j])} "
        f"(95 % interval of the difference {number(of.low[i, j], 3)} to {number(of.high[i, j], 3)})."
    )


def cells_table(tables: Mapping[str, Sequence[Sequence[float | None]] | NDArray[np.float64]]) -> pd.DataFrame:
    """One row per layer pair, one column per table `[L_T, L_S]`, named by its key."""
    columns = {name: np.asarray(values, float) for name, values in tables.items()}
    teacher, student = np.indices(next(iter(columns.values())).shape)
    flat = {name: values.ravel() for name, values in columns.items()}
    return pd.DataFrame({"teacher_layer": teacher.ravel(), "student_layer": student.ravel(), **flat})


def grid_table(grid: SimilarityGrid) -> pd.DataFrame:
    """One row per layer pair: similarity, 95 % interval, p if picked from the grid, from its row, or named in advance."""
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
    """Spearman's rho, -1..1, ties share their mean rank; NaN where one side is constant. Not scipy's, whose import takes a second."""
    one, other = (pd.Series(values).rank().to_numpy() for values in (x, y))
    centred, other_centred = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((centred**2).sum() * (other_centred**2).sum()))
    return float((centred * other_centred).sum()) / scale if scale else float("nan")


def measures_table(grids: Mapping[str, SimilarityGrid], labels: Mapping[str, str]) -> pd.DataFrame:
    """One row per measure: its most similar cell, noise level, share of cells beyond noise, rank correlation with the first."""
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
    """One row per layer pair: similarity before and after, the difference with interval and corrected p."""
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
