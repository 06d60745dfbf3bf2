"""The numbers behind the pictures of what states mean, and the table of ways to make bases.

Not covered: pictures (figures_semantics.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pkt_core.report.figures_semantics import spaces
from pkt_core.report.look import number, percent, visible

Json = Mapping[str, Any]


def reading_table(found: Json) -> pd.DataFrame:
    """One row per reading, layer and place."""
    return pd.DataFrame(
        [
            {"reading": name, "layer": layer, "place": place, "token": text, "coefficient": value}
            for name, (_, space, _) in spaces(found).items()
            for layer, row in enumerate(space["top"])
            for place, (text, value) in enumerate(row, 1)
        ]
    )


def lens_table(found: Json) -> pd.DataFrame:
    """One row per layer: what each model would say next if this layer were its last."""
    columns = {
        who.capitalize(): [
            ", ".join(f"{visible(text)} {number(p)}" for text, p in row[:3]) for row in reversed(found[who]["lens"])
        ]
        for who in ("teacher", "student", "after")
        if found[who] and found[who]["lens"]
    }
    depth = max(map(len, columns.values()), default=0)
    layers = {f"{who} layer": [*map(str, reversed(range(len(rows))))] for who, rows in columns.items()}
    both = {
        key: value for who in columns for key, value in ((f"{who} layer", layers[f"{who} layer"]), (who, columns[who]))
    }
    return pd.DataFrame({key: [*value, *[""] * (depth - len(value))] for key, value in both.items()})


def trajectory_table(found: Json) -> pd.DataFrame:
    """One row per reading, followed token and layer."""
    return pd.DataFrame(
        [
            {"reading": name, "layer": layer, "token": one["name"], "why": one["why"], "rank": rank, "coefficient": cosine}
            for name, (_, space, _) in spaces(found).items()
            for one, of_ranks, cosines in zip(found["followed"], space["ranks"], space["cosines"], strict=True)
            if of_ranks is not None
            for layer, (rank, cosine) in enumerate(zip(of_ranks, cosines, strict=True))
        ]
    )  # fmt: skip


def difference_table(found: Json) -> pd.DataFrame:
    """One row per token, largest difference first."""
    table = pd.DataFrame(found["crossing"]["differences"])
    return table.assign(difference=table["carried"] - table["own"])


def at(option: Json, key: str, layers: tuple[int, int]) -> float | None:
    """A grid of an option at a pair of layers."""
    return None if option[key] is None else option[key][layers[0]][layers[1]]


def options_table(found: Json, layers: tuple[int, int]) -> pd.DataFrame:
    """One row per way of making bases, all numbers; the map's at a pair of layers."""
    sides = ("condition_number", "solved_condition_number", "residual", "recomposition", "top1")
    return pd.DataFrame(
        [
            {key: option[key] for key in ("gain", "norm", "ridge")}
            | {f"{who}_{key}": (option[who] or {}).get(key) for key in sides for who in ("teacher", "student")}
            | {key: at(option, key, layers) for key in ("cosine", "control", "control_spread")}
            | {"refused": option["refused"]}
            for option in found["options"]
        ]
    )


def small(value: float) -> str:
    """A residual: digits where they say something, else the power of ten."""
    return number(value, 4) if value >= 1e-3 else f"{value:.0e}".replace("e-0", "e-").replace("-", "−")


def options_shown(found: Json, chosen: Json, layers: tuple[int, int]) -> pd.DataFrame:
    """The same for the screen, teacher / student in one cell, the chosen row in bold (Markdown)."""
    rows = []
    for option in found["options"]:
        sides = [option["teacher"], option["student"]]
        row = {
            "Gain": "folded in" if option["gain"] else "left out",
            "Final norm": "applied" if option["norm"] else "not applied",
            "Ridge": f"{option['ridge']:g}",
        }
        if option["refused"]:
            row["Condition"] = "rank too small, needs a ridge"
        else:
            row |= {
                "Condition": " / ".join(number(side["solved_condition_number"], 1) for side in sides),
                "Residual": " / ".join(small(side["residual"]) for side in sides),
                "Recomposition": " / ".join(number(side["recomposition"], 3) for side in sides),
                "Names the prediction": " / ".join(percent(side["top1"]) for side in sides),
                "Map cosine": number(at(option, "cosine", layers), 3),
                "Control": " ± ".join(number(at(option, key, layers), 3) for key in ("control", "control_spread")),
            }
        bold = all(option[key] == chosen[key] for key in ("gain", "norm", "ridge"))
        rows.append({key: f"**{value}**" if bold else value for key, value in row.items()})
    return pd.DataFrame(rows).fillna("")
