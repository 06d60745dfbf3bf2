"""Factors in words: what predicts a transfer's gain, what the runs so far cannot show, and the numbers behind the pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from pkt_core.studies.factors.record import Correlation, Factor, Group, correlated
from pkt_core.words import style
from pkt_core.words.style import number, p_value, task_name

FACTORS = (
    "One row per factor, taken from the student as it was before, on prompts that nothing was trained on. Right of 0: the more alike two "
    "layers were, the more was gained between them. Whiskers are 95 % intervals (bootstrap over pairs of layers), the grey bar is what "
    "95 of 100 shuffles of whole layers reach: a mark inside it is chance. A measure that lies no further out than depth alone (grey "
    "squares) would refute that likeness adds anything to knowing how deep the layers are."
)
FACTOR_POINTS = (
    "A mark is a pair of layers, the mean over its seeds; small marks are single seeds. A cloud without slope, or a slope that one mark "
    "makes, would refute the correlation. Click a mark for its run."
)
FACTOR_BESIDE = (
    "Left, what a transfer between the two layers gained (empty: not tried); right, the factor there before. The two pictures would be "
    "alike in shape if this factor eased the transfer; a left picture made of stripes says that one side's depth decides instead."
)


def eases(factors: Sequence[Factor], task: str) -> str:
    """The factor that goes with the gain beyond chance, or that none does, and how strong it would have had to be."""
    shown = correlated(factors)
    name = f"Gain in {task_name(task)}: "
    if not shown:
        return f"{name}nothing can be said; all pairs of layers gained the same, or too few were tried."
    best, strongest = shown[0]
    figures = (
        f"rank correlation {number(strongest.rho)}, 95 % {number(strongest.low)} to {number(strongest.high)}, "
        f"over {best.n} pairs of layers"
    )
    sure = [(factor, found) for factor, found in shown if found.sure]
    if not sure:
        return (
            f"{name}no factor is told from chance after correction for {len(shown)} factors. {best.label} comes nearest ({figures}, "
            f"p {p_value(strongest.p_value)} alone, p {p_value(strongest.p_corrected)} corrected)."
        )
    first, found = sure[0]
    way = "the more" if found.rho > 0 else "the less"
    beyond = "" if first is best else further(best, strongest)
    return (
        f"{name}{way} {in_words(first)}, the more was gained ({figures if first is best else number(found.rho)}, "
        f"p {p_value(found.p_corrected)} corrected){beyond}."
    )


def further(best: Factor, strongest: Correlation) -> str:
    """What lies further out than the factor told from chance: where shuffles of layers reach far, that is no proof."""
    return (
        f"; {best.label} lies further out ({number(strongest.rho)}), but so do shuffles of whole layers there "
        f"(p {p_value(strongest.p_corrected)} corrected)"
    )


def in_words(factor: Factor) -> str:
    return f"of `{factor.label}`" if factor.kind == "depth" else f"alike by {factor.label}"


def cannot(factors: Sequence[Factor]) -> str:
    """What these points cannot support."""
    shown = correlated(factors)
    if not shown:
        return ""
    n, visible = shown[0][0].n, sorted(found.visible for _, found in shown)
    low, high = (f"±{number(value)}" for value in (visible[0], visible[-1]))
    reach = low if low == high else f"{low} to {high}, depending on the factor,"
    words = [
        f"With these {n} pairs of layers, chance alone goes beyond rank correlations of {reach} 5 times in 100; one nearer to 0 says nothing."
    ]
    depths = [(factor, found) for factor, found in shown if factor.kind == "depth"]
    if depths:
        alone, reached = max(depths, key=lambda one: abs(one[1].rho))
        beyond = [
            (factor, found) for factor, found in shown if factor.kind != "depth" and abs(found.rho) > abs(reached.rho)
        ]
        words.append(
            f"{alone.label} alone, without a look at any state, reaches {number(reached.rho)}; "
            + (
                f"{beyond[0][0].label} goes further, with {number(beyond[0][1].rho)}."
                if beyond
                else "no measure of likeness goes further, so nothing here shows that likeness matters beyond it."
            )
        )
    words.append(
        "A correlation over layers of one pair of models says nothing yet of other pairs, and none says that likeness causes the gain."
    )
    return " ".join(words)


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
                "Visible from": style.number(factor.visible),
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
