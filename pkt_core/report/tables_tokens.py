"""Sentences ranked by what changed, their tokens, and calibration, as tables for the screen and for CSV.

Functions take the JSON form of a `TokenChange` or parts of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pkt_core.report.look import number, percent

Json = Mapping[str, Any]
VERDICTS = {
    (False, True): "newly right",
    (True, False): "forgotten",
    (True, True): "right before and after",
    (False, False): "wrong before and after",
}


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def flips(sentence: Json) -> int:
    """Tokens at which the most likely next token is another than before."""
    same = sentence["apart"]["before_after"]["same_top"]
    return len(same) - sum(same)


def verdict(sentence: Json) -> str:
    """Whether greedy decoding gives the answer before and after; empty for plain text."""
    right = sentence["right"]
    return VERDICTS[right["before"], right["after"]] if right else ""


def ranked(found: Json) -> pd.DataFrame:
    """One row per sentence, most changed first (mean KL(before ‖ after) per token)."""
    rows = []
    for one in found["sentences"]:
        models, apart = one["models"], one["apart"]
        row: dict[str, Any] = {
            "sentence": one["id"],
            "text": one["text"],
            "verdict": verdict(one),
            "change": mean(apart["before_after"]["kl"]),
            "bits": mean(models["after"]["bits"]) - mean(models["before"]["bits"]),
        }
        if "teacher_after" in apart:
            row["teacher"] = mean(apart["teacher_after"]["kl"]) - mean(apart["teacher_before"]["kl"])
        elif one["spans"]:
            row["teacher_bits"] = sum(span[2] for span in one["spans"]) / len(one["spans"])
        row |= {
            "flips": flips(one),
            "tokens": len(models["after"]["bits"]),
            "task": one["group"],
        }
        rows.append(row)
    return pd.DataFrame(rows).sort_values("change", ascending=False, kind="stable", ignore_index=True)


def tokens_table(sentence: Json) -> pd.DataFrame:
    """One row per predicted token: bits, probability, rank and entropy of each model, divergences between them."""
    rows = []
    for i, (text, start, end) in enumerate(sentence["tokens"][1:]):
        row: dict[str, Any] = {"token": i + 1, "text": text, "start": start, "end": end}
        for who, read in sentence["models"].items():
            row |= {f"{key}_{who}": read[key][i] for key in ("bits", "entropy", "rank")}
            row[f"probability_{who}"] = 2 ** -read["bits"][i]
            row[f"top_{who}"] = " ".join(f"{name!r}:{p:.4f}" for name, p in read["top"][i])
        for pair, values in sentence["apart"].items():
            row |= {f"{key}_{pair}": values[key][i] for key in ("kl", "js", "agreement", "same_top")}
        rows.append(row)
    return pd.DataFrame(rows)


def next_table(sentence: Json, token: int) -> pd.DataFrame:
    """What each model held most likely at one token."""
    return pd.DataFrame(
        [
            {"model": who, "place": place, "token": name, "probability": p}
            for who, read in sentence["models"].items()
            for place, (name, p) in enumerate(read["top"][token - 1], 1)
        ]
    )


def spans_table(sentence: Json) -> pd.DataFrame:
    """Bits for each piece of text that both tokenizers cut alike."""
    return pd.DataFrame(
        [
            {"piece": sentence["text"][a:b], "start": a, "teacher": teacher, "before": before, "after": after, "change": after - before}
            for a, b, teacher, before, after in sentence["spans"] or []
        ]
    )  # fmt: skip


def layers_table(found: Json) -> pd.DataFrame:
    """The top semantic token of each student layer before and after a run at one token, changed ones first."""
    before, after = found["student"]["own"], found["after"]["own"]
    asked = next((i for i, one in enumerate(found["followed"]) if "asked for" in one["why"]), None)
    rows = []
    for layer, (old, new) in enumerate(zip(before["top"], after["top"], strict=True)):
        row: dict[str, Any] = {"layer": layer, "changed": old[0][0] != new[0][0]}
        row |= {"before": old[0][0], "before_cosine": old[0][1], "after": new[0][0], "after_cosine": new[0][1]}
        if asked is not None and before["ranks"][asked] is not None:
            row |= {"rank_before": before["ranks"][asked][layer], "rank_after": after["ranks"][asked][layer]}
        rows.append(row)
    return pd.DataFrame(rows).sort_values("changed", ascending=False, kind="stable", ignore_index=True)


def calibration_table(found: Mapping[str, Json]) -> pd.DataFrame:
    """One row per model and bin of equal number."""
    return pd.DataFrame([{"model": who, **one} for who, told in found.items() for one in told["curve"]])


def calibration_shown(found: Mapping[str, Json]) -> pd.DataFrame:
    """One row per model, as text with sensible digits."""
    names = {"before": "Student before", "after": "Student after", "teacher": "Teacher"}
    return pd.DataFrame(
        [
            {
                "Model": names[who],
                "Mean confidence": percent(told["confidence"], 1),
                "Right": percent(told["rate"], 1),
                "ECE, equal number": number(told["ece_mass"], 3),
                "ECE, equal width": number(told["ece_width"], 3),
                "Brier": number(told["brier"], 3),
                "Predictions": f"{told['n']:,}",
            }
            for who, told in ((who, found[who]) for who in names if who in found)
        ]
    )
