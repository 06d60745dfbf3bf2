"""What predicts transfer gain: headline, limits, captions and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from pkt_core.studies.factors.record import Correlation, Factor, Group, correlated
from pkt_core.words import style
from pkt_core.words.style import number, p_value, task_name

FACTORS = (
    "One row per factor, measured on the student before the transfer. Above 0, more similar layers gained more. Whiskers are 95 % intervals "
    "(bootstrap over layer pairs). The grey bar covers 95 % of the permutation null (shuffles of whole layers); a mark inside it is within noise. "
    "A measure no further from 0 than depth alone (grey squares) adds nothing to layer depth."
)
FACTOR_POINTS = (
    "Each large mark is a layer pair (mean over seeds); small marks are single seeds. A cloud without slope, or a slope due to a single mark, "
    "refutes the correlation. Click a mark for its run."
)
FACTOR_BESIDE = (
    "Left: gain of a transfer between the two layers (empty: not run); right: the factor before the transfer. If this factor predicts the gain, "
    "the two patterns match. Stripes on the left mean that the depth of one side determines the gain."
)


def eases(factors: Sequence[Factor], task: str) -> str:
    """Headline: the measure that correlates with the gain beyond chance and more strongly than depth alone, or that none does."""
    shown = correlated(factors)
    gain = f"gain in {task_name(task)}"
    if not shown:
        return f"The {gain} cannot be predicted: all layer pairs gained the same, or too few were run."
    n = shown[0][0].n
    depth = strongest_depth(shown)
    measures = [
        (factor, found)
        for factor, found in shown
        if factor.kind != "depth" and (depth is None or abs(found.rho) > abs(depth[1].rho))
    ]
    best = next(((factor, found) for factor, found in measures if found.sure), None)
    if best is not None:
        factor, found = best
        return f"{factor.label} predicts the {gain} (rank correlation {number(found.rho)}, corrected p {p_value(found.p_corrected)})."
    than = "beyond chance" if depth is None else "better than depth alone"
    p = f", corrected p {p_value(min(found.p_corrected for _, found in measures))}" if measures else ""
    return f"No measure predicts the {gain} {than} ({n} layer pairs{p})."


def strongest_depth(shown: Sequence[tuple[Factor, Correlation]]) -> tuple[Factor, Correlation] | None:
    """The depth factor with the largest absolute correlation; None where there is none."""
    return max((one for one in shown if one[0].kind == "depth"), key=lambda one: abs(one[1].rho), default=None)


def cannot(factors: Sequence[Factor]) -> str:
    """The strongest and the significant correlations, and what these layer pairs cannot support."""
    shown = correlated(factors)
    if not shown:
        return ""
    best, strongest = shown[0]
    sentences = [
        f"Strongest: {best.label} (rank correlation {number(strongest.rho)}, 95 % {number(strongest.low)} to {number(strongest.high)}, "
        f"p {p_value(strongest.p_value)}, corrected for {len(shown)} factors p {p_value(strongest.p_corrected)})."
    ]
    sure = [
        f"{factor.label} ({number(found.rho)}, p {p_value(found.p_corrected)})" for factor, found in shown if found.sure
    ]
    sentences.append(f"Significant after correction: {', '.join(sure) if sure else 'none'}.")
    noise = sorted(found.visible for _, found in shown)
    low, high = (f"±{number(value)}" for value in (noise[0], noise[-1]))
    reach = low if low == high else f"{low} to {high}, depending on the factor"
    sentences.append(f"Noise level: 5 % of shuffles of whole layers exceed a rank correlation of {reach}.")
    depth = strongest_depth(shown)
    if depth is not None:
        alone, reached = depth
        beyond = next((one for one in shown if one[0].kind != "depth" and abs(one[1].rho) > abs(reached.rho)), None)
        sentences.append(
            f"{alone.label} alone reaches {number(reached.rho)}; "
            + (
                "no similarity measure exceeds it."
                if beyond is None
                else f"{beyond[0].label} reaches {number(beyond[1].rho)}, a difference that is not tested."
            )
        )
    sentences.append("These correlations cover one model pair and do not show that similarity causes the gain.")
    return " ".join(sentences)


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
                "Rank correlation": style.number(factor.rho),
                "95 %": "–" if factor.rho is None else f"{style.number(factor.low)} to {style.number(factor.high)}",
                "p": style.p_value(factor.p_value).removeprefix("= "),
                "p (Holm)": style.p_value(factor.p_corrected).removeprefix("= "),
                "Noise level (±)": style.number(factor.visible),
                "Layer pairs": factor.n,
            }
            for factor in factors
        ]
    )


def points_table(groups: Sequence[Group], factor: Factor, task: str, names: Mapping[str, str]) -> pd.DataFrame:
    """One row per run: teacher and student layer, the factor there, the gain."""
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
