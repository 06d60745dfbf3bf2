"""Which method wins in a family, and which of its controls explain that, as one answer per task."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pkt_core.report.figures_families import kind_of
from pkt_core.report.look import p_value, percent, task_name

Json = Mapping[str, Any]
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
