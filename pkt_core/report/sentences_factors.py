"""What eases a transfer, and what the runs so far cannot tell, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pkt_core.report.figures_factors import SURE, told
from pkt_core.report.look import number, p_value, task_name

Json = Mapping[str, Any]


def eases(factors: Sequence[Json], task: str) -> str:
    """The factor that goes with the gain beyond chance, or that none does, and how strong it would have had to be."""
    shown = told(factors)
    name = f"Gain in {task_name(task)}: "
    if not shown:
        return f"{name}nothing can be said; all pairs of layers gained the same, or too few were tried."
    sure = [f for f in shown if f["p_corrected"] < SURE]
    best, n = shown[0], shown[0]["n"]
    said = f"rank correlation {number(best['rho'])}, 95 % {number(best['low'])} to {number(best['high'])}, over {n} pairs of layers"
    if not sure:
        return (
            f"{name}no factor is told from chance after correction for {len(shown)} factors. {best['label']} comes nearest ({said}, "
            f"p {p_value(best['p_value'])} alone, p {p_value(best['p_corrected'])} corrected)."
        )
    way = "More" if sure[0]["rho"] > 0 else "Less"
    first = sure[0]
    return (
        f"{name}{'the more' if way == 'More' else 'the less'} {in_words(first)}, the more was gained ({said if first is best else number(first['rho'])}, "
        f"p {p_value(first['p_corrected'])} corrected){further(best, first)}."
    )


def further(best: Json, first: Json) -> str:
    """What lies further out than the factor told from chance: where shuffles of layers reach far, that is no proof."""
    if best is first:
        return ""
    return (
        f"; {best['label']} lies further out ({number(best['rho'])}), but so do shuffles of whole layers there "
        f"(p {p_value(best['p_corrected'])} corrected)"
    )


def in_words(factor: Json) -> str:
    return f"of `{factor['label']}`" if factor["kind"] == "depth" else f"alike by {factor['label']}"


def cannot(factors: Sequence[Json]) -> str:
    """What these points cannot support."""
    shown = told(factors)
    if not shown:
        return ""
    n, visible = shown[0]["n"], sorted(f["visible"] for f in shown)
    low, high = (f"±{number(value)}" for value in (visible[0], visible[-1]))
    reach = low if low == high else f"{low} to {high}, depending on the factor,"
    words = [
        f"With these {n} pairs of layers, chance alone goes beyond rank correlations of {reach} 5 times in 100; one nearer to 0 says nothing."
    ]
    alone = max((f for f in shown if f["kind"] == "depth"), key=lambda f: abs(f["rho"]), default=None)
    if alone is not None:
        beyond = [f for f in shown if f["kind"] != "depth" and abs(f["rho"]) > abs(alone["rho"])]
        words.append(
            f"{alone['label']} alone, without a look at any state, reaches {number(alone['rho'])}; "
            + (
                f"{beyond[0]['label']} goes further, with {number(beyond[0]['rho'])}."
                if beyond
                else "no measure of likeness goes further, so nothing here shows that likeness matters beyond it."
            )
        )
    words.append(
        "A correlation over layers of one pair of models says nothing yet of other pairs, and none says that likeness causes the gain."
    )
    return " ".join(words)
