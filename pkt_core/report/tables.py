"""The numbers behind each figure as tables, for the screen and for CSV.

Shares stay shares (0..1) here; only figures and sentences turn them into per cent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

Json = Mapping[str, Any]


KEYS = ("low", "high", "p_values", "p_rows", "p_cells")


def grid_table(grid: Json) -> pd.DataFrame:
    """One row per pair of layers: similarity, 95 % interval, p if picked from the grid, from its row, or named before."""
    values = np.asarray(grid["values"], float)
    rows = []
    for teacher, student in np.ndindex(values.shape):
        row: dict[str, Any] = {
            "teacher_layer": teacher,
            "student_layer": student,
            "similarity": values[teacher, student],
        }
        row |= {key: grid[key][teacher][student] for key in KEYS if grid.get(key) is not None}
        rows.append(row)
    return pd.DataFrame(rows)


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rho, -1..1, ties sharing their mean rank; NaN where one side is constant. scipy's takes a second to import."""
    one, other = (pd.Series(values).rank().to_numpy() for values in (x, y))
    apart_one, apart_other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((apart_one**2).sum() * (apart_other**2).sum()))
    return float((apart_one * apart_other).sum()) / scale if scale else float("nan")


def measures_table(grids: Mapping[str, Json], labels: Mapping[str, str]) -> pd.DataFrame:
    """One row per measure: its closest cell, noise level, share of cells closer than noise, rank correlation with the first."""
    from pkt_core.report.figures_similarity import best_cell, closer_up, noise_level

    rows, first = [], None
    for name, grid in grids.items():
        values = np.asarray(grid["values"], float) * (1 if closer_up(grid) else -1)
        first = values if first is None else first
        both = np.isfinite(values) & np.isfinite(first)
        teacher, student, best = best_cell(grid)
        level = noise_level(grid)
        sign = 1 if closer_up(grid) else -1
        rows.append(
            {
                "measure": labels.get(name, name),
                "teacher_layer": teacher,
                "student_layer": student,
                "closest": best,
                "noise": level,
                "cells_closer_than_noise": None if level is None else float((values[both] > sign * level).mean()),
                "rank_correlation": rank_correlation(values[both], first[both]) if both.sum() > 2 else None,
            }
        )
    return pd.DataFrame(rows)


def outlier_table(facts: Json) -> pd.DataFrame:
    """One row per model and layer."""
    return pd.DataFrame(
        [
            {"model": side, "layer": layer, "top_share": share, "top3_share": three, "first_ratio": first}
            for side in ("teacher", "student")
            for layer, (share, three, first) in enumerate(
                zip(
                    facts[side]["top_share"],
                    facts[side]["top3_share"],
                    facts[side]["first_ratio"] or [None] * len(facts[side]["top_share"]),
                    strict=True,
                )
            )
        ]
    )


def recomposition_table(recomposition: Json, crossing: Json | None = None) -> pd.DataFrame:
    """One row per model, curve and layer; `crossing` is the teacher's states on the student's bases, by student layer."""
    rows = []
    sides = {**recomposition, "crossing": crossing} if crossing else recomposition
    for side, curves in sides.items():
        for curve, found in curves.items():
            if not isinstance(found, Mapping) or "mean" not in found:
                continue
            for layer, mean in enumerate(found["mean"]):
                low, high = found["low"][layer], found["high"][layer]
                rows.append({"model": side, "curve": curve, "layer": layer, "mean": mean, "low": low, "high": high})
    return pd.DataFrame(rows)


def attribution_table(attribution: Json | None, pairing: Sequence[int]) -> pd.DataFrame:
    """One row per teacher layer with its score and the student layers it teaches."""
    n = len(attribution["scores"]) if attribution else max(pairing, default=-1) + 1
    taught = [", ".join(str(s) for s, t in enumerate(pairing) if t == layer) for layer in range(n)]
    table = pd.DataFrame({"teacher_layer": range(n), "student_layers": taught})
    for key in ("scores", "low", "high"):
        if attribution and attribution.get(key) is not None:
            table[key] = list(attribution[key])
    return table


def latent_table(latent: Json) -> pd.DataFrame:
    """One row per prompt: both places, labels, last token, shared neighbours."""
    teacher, student = (np.asarray(latent[key], float) for key in ("teacher_xy", "student_xy"))
    columns: dict[str, Any] = {
        "prompt": latent["ids"],
        "text": latent["texts"],
        "last_token": latent["last_tokens"],
        "neighbour_overlap": latent["neighbour_overlap"],
    }
    columns |= {f"label_{name}": values for name, values in latent["labels"].items()}
    columns |= {
        "teacher_x": teacher[:, 0],
        "teacher_y": teacher[:, 1],
        "student_x": student[:, 0],
        "student_y": student[:, 1],
    }
    return pd.DataFrame(columns)


def chain_table(chain: Json) -> pd.DataFrame:
    """One row per prompt and slice: place, labels, last token, neighbours shared with the slices beside it."""
    parts = []
    for one, xy, overlap in zip(chain["slices"], chain["xy"], chain["overlap"], strict=True):
        places = np.asarray(xy, float)
        columns = {"prompt": chain["ids"], "text": chain["texts"], "last_token": chain["last_tokens"]}
        columns |= {f"label_{name}": values for name, values in chain["labels"].items()}
        columns |= {"slice": one["name"], "layer": one["layer"], "x": places[:, 0], "y": places[:, 1]}
        parts.append(pd.DataFrame({**columns, "neighbour_overlap": overlap}))
    return pd.concat(parts, ignore_index=True)


def turnover_table(found: Json) -> pd.DataFrame:
    """One row per prompt, ranked as found: turnover, how much more than its neighbourhood, q, labels, neighbours as texts."""
    texts, labels = found["texts"], found["labels"]
    return pd.DataFrame(
        [
            {
                "prompt": row["id"],
                "text": row["text"],
                "beyond_neighbourhood": row["relative"],
                "q": row["q"],
                "turnover": row["turnover"],
                "neighbours_before": " | ".join(texts[str(i)] for i in row["before"]),
                "neighbours_after": " | ".join(texts[str(i)] for i in row["after"]),
                **{name: values[str(row["id"])] for name, values in labels.items()},
            }
            for row in found["rows"]
        ]
    )


def next_token_table(found: Json) -> pd.DataFrame:
    """One row per picked prompt: last token, both models' most likely next tokens with probabilities, divergence in bits."""

    def said(pairs: Sequence[Sequence[Any]]) -> str:
        return "  ".join(f"{' '.join(repr(str(token))[1:-1].split()) or '␣'} {100 * p:.0f} %" for token, p in pairs)

    return pd.DataFrame(
        [
            {
                "prompt": row["id"],
                "text": row["text"],
                "last_token": row["last_token"],
                "teacher_next": said(row["teacher"]),
                "student_next": said(row["student"]),
                "js_bits": row["js_bits"],
            }
            for row in found["rows"]
        ]
    )


def steps_table(steps: Sequence[Json]) -> pd.DataFrame:
    """One row per step: seconds, loss terms, alignment."""
    return pd.DataFrame(
        [{"step": s["step"], "seconds": s["seconds"], **s["terms"], "alignment": s.get("alignment")} for s in steps]
    )


def behaviour_table(behaviour: Json) -> pd.DataFrame:
    """One row per task and model: share right, interval, n."""
    rows = []
    for who in ("before", "after", "teacher"):
        for task, found in ((behaviour.get(who) or {}).get("tasks") or {}).items():
            rows.append(
                {"task": task, "model": who, **{key: found[key] for key in ("rate", "low", "high", "correct", "n")}}
            )
    return pd.DataFrame(rows)


def changes_table(changes: Json) -> pd.DataFrame:
    """One row per task: before, after, the paired difference with interval and p, n, prior."""
    keys = ("before", "after", "difference", "low", "high", "p_value", "n", "prior")
    return pd.DataFrame([{"task": task, **{key: change.get(key) for key in keys}} for task, change in changes.items()])


def divergence_table(behaviour: Json) -> pd.DataFrame:
    """Side effects: bits per byte, KL to the teacher, agreement of the most likely token, one row per measure and model."""
    rows = []
    for measure, direction in (
        ("bits_per_byte", "lower is better"),
        ("kl_to_teacher", "bits, lower is nearer"),
        ("top1_agreement", "higher is nearer"),
    ):
        for who in ("before", "after", "teacher"):
            found = (behaviour.get(who) or {}).get(measure)
            if found is not None:
                n = found.get("n", found.get("n_texts"))
                rows.append(
                    {
                        "measure": measure,
                        "model": who,
                        **{k: found[k] for k in ("value", "low", "high")},
                        "n": n,
                        "read": direction,
                    }
                )
    return pd.DataFrame(rows)
