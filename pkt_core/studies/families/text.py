"""A family in words: which method wins, which controls explain that, and the numbers behind its picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from pkt_core.studies.families.record import FamilyTable, Kind, Row
from pkt_core.words import style
from pkt_core.words.style import p_value, percent, task_name

FAMILY = (
    "One panel per task, one row per member; the large mark is the mean over seeds with its 95 % interval over items, small marks are "
    "single seeds, the blue line is the level of the first row. Compare along that line: a rival right of it does better on the "
    "same items. A control on the line, or right of it, would refute that what it takes away did the work, and so would seeds that "
    "scatter wider than the distance between two rows. Orange dots: the student before; grey dashes: the prior."
)


def winner(table: FamilyTable, task: str) -> str:
    """The best method of a task against the first one, beyond chance or not."""
    methods = table.of_kind("reference", "rival", task=task)
    if not methods:
        return f"On {task_name(task)}, nothing is measured yet."
    first, best = methods[0], max(methods, key=lambda row: row.tasks[task].value)
    score = best.tasks[task]
    name = f"On {task_name(task)}, "
    if len(methods) == 1:
        return f"{name}{best.label} answers {percent(score.value, 1)}, with no rival beside it yet."
    if best is not first and score.difference is None:
        return f"{name}{best.label} is ahead with {percent(score.value, 1)}, without a test: {first.label} was asked other items."
    if best is not first:
        verb = "wins" if score.sure else "is ahead, but not beyond chance,"
        return (
            f"{name}{best.label} {verb} with {percent(score.value, 1)}, {100 * (score.difference or 0.0):+.1f} points against "
            f"{first.label} (p {p_value(score.p_value)})."
        )
    beaten = [row.label for row in methods[1:] if row.tasks[task].sure]
    rest = [row.label for row in methods[1:] if row.label not in beaten]
    said = f"{name}{first.label} leads with {percent(score.value, 1)}"
    if beaten:
        said += f", better than {listed(beaten)}"
    return f"{said}{f', no better beyond chance than {listed(rest)}' if rest else ''}."


def gained(table: FamilyTable, task: str) -> str:
    """Whether anybody did better than the student did before; empty where that is not known."""
    before, scores = table.level(task).before, [row.tasks[task] for row in table.rows if task in row.tasks]
    if before is None or not scores:
        return ""
    better = any(score.above(before) for score in scores)
    return (
        f" The student had {percent(before, 1)} before{'' if better else ', and no row is above that beyond chance'}."
    )


def explained(table: FamilyTable, task: str) -> str:
    """Which controls are not told apart from the first method or beat it, so that nothing shows that what they lack matters."""
    controls = table.of_kind("control", task=task)
    if not controls:
        return "No control has finished, so nothing yet speaks for its mechanism."
    as_good = [row.label for row in controls if row.tasks[task].no_worse]
    name = table.rows[0].label
    if not as_good:
        return f"{name} is better than each of its {len(controls)} controls."
    verb, who = ("is", "it lacks") if len(as_good) == 1 else ("are", "they lack")
    return f"{len(as_good)} of {len(controls)} controls {verb} no worse than {name} beyond chance: {listed(as_good)}. On this task, then, nothing shows that what {who} is needed."


def listed(names: Sequence[str]) -> str:
    """Names in a row; joined by semicolons where one of them holds a comma."""
    if len(names) == 1:
        return names[0]
    comma, last = ("; ", "; and ") if any("," in name for name in names) else (", ", " and ")
    return f"{comma.join(names[:-1])}{last}{names[-1]}"


def family_table(table: FamilyTable) -> pd.DataFrame:
    """One row per member and task: share right with interval and seeds, paired difference to the first member, cost."""
    return pd.DataFrame(
        [
            {
                "task": task,
                "member": row.label,
                "kind": table.kind(row),
                **{name: value for name, value in vars(score).items() if name != "seeds"},
                "seeds": " ".join(f"{seed:.4f}" for seed in score.seeds),
                "bits_per_byte": mean(row.bits_per_byte),
                "training_seconds": mean(row.seconds),
                "runs": " ".join(row.runs),
            }
            for row in table.rows
            for task, score in row.tasks.items()
        ]
    )


def family_shown(table: FamilyTable, task: str) -> pd.DataFrame:
    """One task as text with sensible digits, one row per member in the order of the table."""
    return pd.DataFrame([shown(row, table.kind(row), task) for row in table.rows])


def shown(row: Row, kind: Kind, task: str) -> dict[str, Any]:
    score, columns = row.tasks.get(task), ("Right", "95 %", "Points to the first", "95 % of points", "p (Holm)")
    told = dict.fromkeys(columns, "–")
    if score is not None:
        told["Right"] = percent(score.value, 1)
        told["95 %"] = f"{100 * score.low:.1f} to {100 * score.high:.1f}"
    if score is not None and score.difference is not None:
        low, high = (100 * (end or 0.0) for end in (score.difference_low, score.difference_high))
        told["Points to the first"] = f"{100 * score.difference:+.1f}".replace("-", "−")
        told["95 % of points"] = f"{low:+.1f} to {high:+.1f}".replace("-", "−")
        told["p (Holm)"] = style.p_value(score.p_value).removeprefix("= ")
    return {
        "Member": row.label,
        "Kind": kind,
        "Seeds": len(row.runs),
        **told,
        "Bits per byte": style.number(mean(row.bits_per_byte), 3),
        "Training (s)": style.number(mean(row.seconds), 0),
    }


def mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
