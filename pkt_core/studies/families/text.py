"""A family of methods: headline, controls, captions and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from pkt_core.studies.families.record import FamilyTable, Kind, Row
from pkt_core.words import style
from pkt_core.words.style import p_value, percent, task_name

FAMILY = (
    "One panel per task, one row per member. Large marks are means over seeds with 95 % intervals over items; small marks are single seeds; "
    "the blue line is the first row. A rival right of the line does better on the same items. A control on the line or right of it refutes "
    "that the component it removes caused the result. So do seeds that vary more than two rows differ. Orange dots: the student before; grey "
    "dashes: the majority-answer baseline."
)


def winner(table: FamilyTable, task: str) -> str:
    """Headline: the best method of a task against the first one, and whether the difference is significant."""
    methods = table.of_kind("reference", "rival", task=task)
    if not methods:
        return f"No method is measured on {task_name(task)} yet."
    first, best = methods[0], max(methods, key=lambda row: row.tasks[task].value)
    score = best.tasks[task]
    name = f"On {task_name(task)}, "
    if len(methods) == 1:
        return f"{name}{best.label} answers {percent(score.value, 1)}; no rival has finished yet."
    if best is not first and score.difference is None:
        return f"{name}{best.label} is ahead with {percent(score.value, 1)}; not tested, as {first.label} answered different items."
    if best is not first:
        points = f"{100 * (score.difference or 0.0):+.1f} points"
        if score.sure:
            return f"{name}{best.label} beats {first.label} by {points} (p {p_value(score.p_value)})."
        return f"{name}no rival beats {first.label} significantly; {best.label} is ahead by {points} (p {p_value(score.p_value)})."
    beaten = [row.label for row in methods[1:] if row.tasks[task].sure]
    rest = [row.label for row in methods[1:] if row.label not in beaten]
    sentence = f"{name}{first.label} leads with {percent(score.value, 1)}"
    if beaten:
        sentence += f", significantly better than {listed(beaten)}"
    return f"{sentence}{f', not significantly better than {listed(rest)}' if rest else ''}."


def gained(table: FamilyTable, task: str) -> str:
    """Whether any row is better than the student before; empty where that is unknown."""
    before, scores = table.level(task).before, [row.tasks[task] for row in table.rows if task in row.tasks]
    if before is None or not scores:
        return ""
    better = any(score.above(before) for score in scores)
    return f" The student before: {percent(before, 1)}{'' if better else '; no row is significantly above that'}."


def explained(table: FamilyTable, task: str) -> str:
    """Which controls do as well as the first method, so that the component they remove is not shown to matter."""
    controls = table.of_kind("control", task=task)
    if not controls:
        return "No control has finished, so its mechanism is untested."
    as_good = [row.label for row in controls if row.tasks[task].no_worse]
    name = table.rows[0].label
    if not as_good:
        return f"{name} is significantly better than all of its controls ({len(controls)})."
    verb, they = ("is", "it removes") if len(as_good) == 1 else ("are", "they remove")
    return f"{len(as_good)} of {len(controls)} controls {verb} not significantly worse than {name}: {listed(as_good)}. On this task, what {they} is not shown to matter."


def listed(names: Sequence[str]) -> str:
    """Names as a list; joined by semicolons where one of them contains a comma."""
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
    score, columns = row.tasks.get(task), ("Right", "95 %", "Difference (points)", "95 % (difference)", "p (Holm)")
    cells = dict.fromkeys(columns, "–")
    if score is not None:
        cells["Right"] = percent(score.value, 1)
        cells["95 %"] = f"{100 * score.low:.1f} to {100 * score.high:.1f}"
    if score is not None and score.difference is not None:
        low, high = (100 * (end or 0.0) for end in (score.difference_low, score.difference_high))
        cells["Difference (points)"] = f"{100 * score.difference:+.1f}".replace("-", "−")
        cells["95 % (difference)"] = f"{low:+.1f} to {high:+.1f}".replace("-", "−")
        cells["p (Holm)"] = style.p_value(score.p_value).removeprefix("= ")
    return {
        "Member": row.label,
        "Kind": kind,
        "Seeds": len(row.runs),
        **cells,
        "Bits per byte": style.number(mean(row.bits_per_byte), 3),
        "Training (s)": style.number(mean(row.seconds), 0),
    }


def mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
