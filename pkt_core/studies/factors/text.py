"""Factors in words: what predicts a transfer's gain, what the runs so far cannot show, and the numbers behind the pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from pkt_core.studies.factors.record import Factor, Group, correlated
from pkt_core.words import style
from pkt_core.words.style import number, p_value, percent, task_name

FACTORS = (
    "One row per factor, measured on the student before the transfer. Correlations are within each student layer, after removing a linear "
    "and a quadratic trend over teacher layers from gain and factor: right of 0, a pair that is more similar than its depth suggests "
    "gained more. Whiskers are 95 % intervals; the grey bar covers 95 of 100 random rotations of the factor among teacher layers, so a mark "
    "inside it is no evidence. A mark outside it at a corrected p below 0.05 would refute that depth is all that matters."
)
FACTOR_POINTS = (
    "A mark is a pair of layers, the mean over its seeds; small marks are single seeds. A cloud without slope, or a slope that one mark "
    "makes, would refute the correlation. Click a mark for its run."
)
FACTOR_BESIDE = (
    "Left, what a transfer between the two layers gained (empty: not tried); right, the factor there before. The two pictures would be "
    "alike in shape if this factor eased the transfer; a left picture made of stripes says that one side's depth decides instead."
)


def eases(factors: Sequence[Factor], task: str, depth: float | None) -> str:
    """Whether a factor goes with the gain beyond the depth of the layers, in one sentence of two numbers."""
    shown = correlated(factors)
    gain = f"the gain in {task_name(task)}"
    if not shown:
        return f"Nothing beyond depth can be tested for {gain}: too few teacher layers, or no variation."
    alone = "" if depth is None else f" Depth explains {percent(depth)} of it."
    sure = [(factor, found) for factor, found in shown if found.sure]
    if not sure:
        nearest = min(found.p_corrected for _, found in shown)
        return f"No measure predicts {gain} beyond depth (smallest corrected p {p_value(nearest)}).{alone}"
    factor, found = sure[0]
    way = "More" if found.rho > 0 else "Less"
    return f"{way} {factor.label} than depth suggests goes with more {gain.removeprefix('the ')} (corrected p {p_value(found.p_corrected)}).{alone}"


def cannot(factors: Sequence[Factor]) -> str:
    """What these points cannot show."""
    shown = correlated(factors)
    if not shown:
        return ""
    n, visible = shown[0][0].n, sorted(found.visible for _, found in shown)
    low, high = (f"±{number(value)}" for value in (visible[0], visible[-1]))
    reach = low if low == high else f"{low} to {high}, depending on the factor"
    return (
        f"With these {n} layer pairs a correlation beyond depth is detectable from {reach}; a smaller one is not evidence of no relation. "
        f"All {len(shown)} factors are corrected for together (Holm). Results for one pair of models need not hold for others, and a "
        "correlation does not show that similarity causes the gain."
    )


def factors_table(factors: Sequence[Factor]) -> pd.DataFrame:
    """One row per factor."""
    keys = ("name", "label", "rho", "low", "high", "p_value", "p_corrected", "visible", "n")
    return pd.DataFrame([{key: getattr(factor, key) for key in keys} for factor in factors], columns=list(keys))


def factors_shown(factors: Sequence[Factor]) -> pd.DataFrame:
    """The same as text with sensible digits."""
    return pd.DataFrame(
        [
            {
                "Factor (before)": factor.label,
                "Correlation beyond depth": style.number(factor.rho),
                "95 %": "–" if factor.rho is None else f"{style.number(factor.low)} to {style.number(factor.high)}",
                "p": style.p_value(factor.p_value).removeprefix("= "),
                "p (Holm)": style.p_value(factor.p_corrected).removeprefix("= "),
                "Detectable from": style.number(factor.visible),
                "Pairs of layers": factor.n,
            }
            for factor in factors
        ]
    )


def points_table(groups: Sequence[Group], factor: Factor, task: str, names: Mapping[str, str]) -> pd.DataFrame:
    """One row per run: where it carried from and to, the factor there, what it gained."""
    return pd.DataFrame(
        [
            {
                "group": names.get(group.key, group.key),
                "teacher_layer": point.teacher,
                "student_layer": point.student,
                factor.name: factor.values[group.key][point.teacher][point.student],
                "gain": gain,
                "run": run,
            }
            for group in groups
            if group.key in factor.values
            for point in group.points
            for run, gain in zip(point.runs, point.gains.get(task, []), strict=False)
        ]
    )
