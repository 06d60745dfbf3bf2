"""The numbers behind a family's picture, as a table for CSV and one for the screen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from pkt_core.report import look
from pkt_core.report.figures_families import kind_of

Json = Mapping[str, Any]


def family_table(rows: Sequence[Json], controls: Collection[str]) -> pd.DataFrame:
    """One row per member and task: share right with interval and seeds, paired difference to the first member, cost."""
    keys = ("value", "low", "high", "difference", "difference_low", "difference_high", "p_value")
    return pd.DataFrame(
        [
            {
                "task": task,
                "member": row["label"],
                "kind": kind_of(place, row["label"], controls),
                **{key: score[key] for key in keys},
                "seeds": " ".join(f"{seed:.4f}" for seed in score["seeds"]),
                "bits_per_byte": mean(row["bits_per_byte"]),
                "training_seconds": mean(row["seconds"]),
                "runs": " ".join(row["runs"]),
            }
            for place, row in enumerate(rows)
            for task, score in row["tasks"].items()
        ]
    )


def family_shown(rows: Sequence[Json], controls: Collection[str], task: str) -> pd.DataFrame:
    """One task as text with sensible digits, one row per member in the order of `rows`."""
    return pd.DataFrame([shown(place, row, controls, task) for place, row in enumerate(rows)])


def shown(place: int, row: Json, controls: Collection[str], task: str) -> dict[str, Any]:
    score = row["tasks"].get(task)
    head = {"Member": row["label"], "Kind": kind_of(place, row["label"], controls), "Seeds": len(row["runs"])}
    tail = {
        "Bits per byte": look.number(mean(row["bits_per_byte"]), 3),
        "Training (s)": look.number(mean(row["seconds"]), 0),
    }
    if score is None:
        return {
            **head,
            "Right": "–",
            "95 %": "–",
            "Points to the first": "–",
            "95 % of points": "–",
            "p (Holm)": "–",
        } | tail
    told = {
        "Right": look.percent(score["value"], 1),
        "95 %": f"{100 * score['low']:.1f} to {100 * score['high']:.1f}",
    }
    if score["difference"] is None:
        return {**head, **told, "Points to the first": "–", "95 % of points": "–", "p (Holm)": "–"} | tail
    low, high = 100 * score["difference_low"], 100 * score["difference_high"]
    told["Points to the first"] = f"{100 * score['difference']:+.1f}".replace("-", "−")
    told["95 % of points"] = f"{low:+.1f} to {high:+.1f}".replace("-", "−")
    told["p (Holm)"] = look.p_value(score["p_value"]).removeprefix("= ")
    return {**head, **told, **tail}


def mean(values: Sequence[float | int]) -> float | None:
    return sum(values) / len(values) if values else None
