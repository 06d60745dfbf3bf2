"""The numbers behind the pictures of factors, for CSV and for the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pkt_core.report import look

Json = Mapping[str, Any]


def factors_table(factors: Sequence[Json]) -> pd.DataFrame:
    """One row per factor."""
    keys = ("name", "label", "rho", "low", "high", "p_value", "p_corrected", "visible", "n")
    return pd.DataFrame([{key: factor[key] for key in keys} for factor in factors], columns=list(keys))


def factors_shown(factors: Sequence[Json]) -> pd.DataFrame:
    """The same as text with sensible digits."""
    return pd.DataFrame(
        [
            {
                "Factor (before)": factor["label"],
                "Rank correlation": look.number(factor["rho"]),
                "95 %": "–"
                if factor["rho"] is None
                else f"{look.number(factor['low'])} to {look.number(factor['high'])}",
                "p": look.p_value(factor["p_value"]).removeprefix("= "),
                "p (Holm)": look.p_value(factor["p_corrected"]).removeprefix("= "),
                "Visible from": look.number(factor["visible"]),
                "Pairs of layers": factor["n"],
            }
            for factor in factors
        ]
    )


def points_table(groups: Sequence[Json], factor: Json, task: str, names: Mapping[str, str]) -> pd.DataFrame:
    """One row per run: where it carried from and to, the factor there, what it gained."""
    return pd.DataFrame(
        [
            {
                "group": names.get(group["key"], group["key"]),
                "teacher_layer": point["teacher"],
                "student_layer": point["student"],
                factor["name"]: factor["values"][group["key"]][point["teacher"]][point["student"]],
                "gain": gain,
                "run": run,
            }
            for group in groups
            if group["key"] in factor["values"]
            for point in group["points"]
            for run, gain in zip(point["runs"], point["gains"].get(task, []), strict=False)
        ]
    )
