"""A family in words: which method wins, which controls explain that, and the numbers behind its picture."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from pkt_core.studies.families.figures import kind_of
from pkt_core.words import style
from pkt_core.words.style import p_value, percent, task_name

Json = Mapping[str, Any]


FAMILY = (
    "One panel per task, one row per member; the large mark is the mean over seeds with its 95 % interval over items, small marks are "
    "single seeds, the blue line is the level of the first row. Compare along that line: a rival right of it does better on the "
    "same items. A control on the line, or right of it, would refute that what it takes away did the work, and so would seeds that "
    "scatter wider than the distance between two rows. Orange dots: the student before; grey dashes: the prior."
)


SURE = 0.05


def winner(rows: Sequence[Json], controls: Collection[str], task: str) -> str:
    """The best method of a task against the first one, beyond chance or not."""
    methods = [
        row
        for place, row in enumerate(rows)
        if kind_of(place, row["label"], controls) != "control" and task in row["tasks"]
    ]
    if not methods:
        return f"On {task_name(task)}, nothing is measured yet."
    first, best = methods[0], max(methods, key=lambda row: row["tasks"][task]["value"])
    score = best["tasks"][task]
    name = f"On {task_name(task)}, "
    if len(methods) == 1:
        return f"{name}{best['label']} answers {percent(score['value'], 1)}, with no rival beside it yet."
    if best is not first:
        verb = "wins" if score["p_value"] < SURE else "is ahead, but not beyond chance,"
        return (
            f"{name}{best['label']} {verb} with {percent(score['value'], 1)}, {100 * score['difference']:+.1f} points against "
            f"{first['label']} (p {p_value(score['p_value'])})."
        )
    beaten = [row["label"] for row in methods[1:] if row["tasks"][task]["p_value"] < SURE]
    rest = [row["label"] for row in methods[1:] if row["label"] not in beaten]
    said = f"{name}{first['label']} leads with {percent(score['value'], 1)}"
    if beaten:
        said += f", better than {listed(beaten)}"
    return f"{said}{f', no better beyond chance than {listed(rest)}' if rest else ''}."


def gained(rows: Sequence[Json], task: str, before: float | None) -> str:
    """Whether anybody did better than the student did before; empty where that is not known."""
    scores = [row["tasks"][task] for row in rows if task in row["tasks"]]
    if before is None or not scores:
        return ""
    better = any(score["low"] > before for score in scores)
    return (
        f" The student had {percent(before, 1)} before{'' if better else ', and no row is above that beyond chance'}."
    )


def explained(rows: Sequence[Json], controls: Collection[str], task: str) -> str:
    """Which controls are not told apart from the first method or beat it, so that nothing shows that what they lack matters."""
    found = [row for row in rows[1:] if row["label"] in controls and task in row["tasks"]]
    if not found:
        return "No control has finished, so nothing yet speaks for its mechanism."
    as_good = [
        row["label"] for row in found if row["tasks"][task]["difference"] >= 0 or row["tasks"][task]["p_value"] >= SURE
    ]
    name = rows[0]["label"]
    if not as_good:
        return f"{name} is better than each of its {len(found)} controls."
    verb, who = ("is", "it lacks") if len(as_good) == 1 else ("are", "they lack")
    return f"{len(as_good)} of {len(found)} controls {verb} no worse than {name} beyond chance: {listed(as_good)}. On this task, then, nothing shows that what {who} is needed."


def listed(names: Sequence[str]) -> str:
    """Names in a row; joined by semicolons where one of them holds a comma."""
    if len(names) == 1:
        return names[0]
    comma, last = ("; ", "; and ") if any("," in name for name in names) else (", ", " and ")
    return f"{comma.join(names[:-1])}{last}{names[-1]}"


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
        "Bits per byte": style.number(mean(row["bits_per_byte"]), 3),
        "Training (s)": style.number(mean(row["seconds"]), 0),
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
        "Right": style.percent(score["value"], 1),
        "95 %": f"{100 * score['low']:.1f} to {100 * score['high']:.1f}",
    }
    if score["difference"] is None:
        return {**head, **told, "Points to the first": "–", "95 % of points": "–", "p (Holm)": "–"} | tail
    low, high = 100 * score["difference_low"], 100 * score["difference_high"]
    told["Points to the first"] = f"{100 * score['difference']:+.1f}".replace("-", "−")
    told["95 % of points"] = f"{low:+.1f} to {high:+.1f}".replace("-", "−")
    told["p (Holm)"] = style.p_value(score["p_value"]).removeprefix("= ")
    return {**head, **told, **tail}


def mean(values: Sequence[float | int]) -> float | None:
    return sum(values) / len(values) if values else None
