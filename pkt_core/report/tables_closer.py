"""The numbers of a closer look as tables: pairs of prompts, prompts by what they share, two looks beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pkt_core.report.look import number

Json = Mapping[str, Any]


def paired_difference(first: Json, second: Json) -> dict[str, float]:
    """First minus second with a paired 95 % interval: the same groups of prompts were left out of both (jackknife, Student's t)."""
    from scipy.stats import t as student_t  # takes half a second, which only two looks beside each other are worth

    without = np.asarray(first["left_out"], float) - np.asarray(second["left_out"], float)
    groups = len(without)
    value = first.get("value", first.get("mean")) - second.get("value", second.get("mean"))
    margin = float(student_t.ppf(0.975, groups - 1)) * float(
        np.sqrt((groups - 1) / groups * ((without - without.mean()) ** 2).sum())
    )
    return {"value": value, "low": value - margin, "high": value + margin}


def pairs_table(looks: Sequence[Json]) -> pd.DataFrame:
    """One row per drawn pair of prompts and pair of layers."""
    parts = []
    for look in looks:
        ids, texts, pairs = np.asarray(look["ids"]), np.asarray(look["texts"], object), look["pairs"]
        columns: dict[str, Any] = {"teacher_layer": look["teacher_layer"], "student_layer": look["student_layer"]}
        for which in ("first", "second"):
            columns |= {f"{which}_prompt": ids[pairs[which]], f"{which}_text": texts[pairs[which]]}
        columns |= {"student_cosine": pairs["student"], "teacher_cosine": pairs["teacher"]}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def overlap_table(look: Json) -> pd.DataFrame:
    """One row per prompt, the one that shares fewest neighbours first; its three nearest in each layer as texts."""
    text = dict(zip(look["ids"], look["texts"], strict=True))
    table = pd.DataFrame({"prompt": look["ids"], "text": look["texts"], "shared": look["overlap"]["values"]})
    for side in ("teacher", "student"):
        table[f"nearest_{side}"] = [" | ".join(text[i] for i in row) for row in look["near"][side]]
    return table.sort_values(["shared", "prompt"], kind="stable", ignore_index=True)


def beside_table(chosen: Json, pinned: Json) -> pd.DataFrame:
    """One row per prompt, the one whose share of common neighbours differs most between the two pairs of layers first."""
    other = dict(zip(pinned["ids"], pinned["overlap"]["values"], strict=True))
    found = overlap_table(chosen)
    table = pd.DataFrame({"prompt": found["prompt"], "text": found["text"], "chosen": found["shared"]})
    table["pinned"] = [other.get(i) for i in table["prompt"]]
    table["difference"] = (table["chosen"] - table["pinned"]).round(4)
    order = table["difference"].abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)


def summary_table(chosen: Json, pinned: Json, grid: Json, label: str) -> pd.DataFrame:
    """What both pairs of layers say and the difference, as text: the grid's similarity, rank correlation, shared neighbours."""

    def cell(look: Json) -> dict[str, float | None]:
        place = look["teacher_layer"], look["student_layer"]
        return {
            key: None if grid.get(name) is None else grid[name][place[0]][place[1]]
            for key, name in (("value", "values"), ("low", "low"), ("high", "high"))
        }

    sides = cell(chosen), cell(pinned)
    values = [side["value"] for side in sides]
    known = None not in values
    rows = [[label, *map(shown, sides), number(values[0] - values[1], 3) if known else "–"]]  # type: ignore[operator]
    for what, key in (("Rank correlation of cosines", "correlation"), ("Neighbours in common", "overlap")):
        told = [{**look[key], "value": look[key].get("value", look[key].get("mean"))} for look in (chosen, pinned)]
        rows.append([what, *map(shown, told), shown(paired_difference(chosen[key], pinned[key]))])
    return pd.DataFrame(rows, columns=["What", "Chosen", "Pinned", "Chosen − pinned"])


def shown(found: Json) -> str:
    """A value with its interval where it has one."""
    told = number(found["value"], 3)
    if found.get("low") is None:
        return told
    return f"{told} [{number(found['low'], 3)}, {number(found['high'], 3)}]"
