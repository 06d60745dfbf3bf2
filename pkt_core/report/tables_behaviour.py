"""What got worse, what each test could see, and which items turned, as tables.

Functions take parts of a run's results.json; `tests` is what `evaluation.tasks` says beside each task, None while it is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pkt_core.report import look

Json = Mapping[str, Any]
SIDE_EFFECTS = {  # name -> label, whether more is worse
    "bits_per_byte": ("Bits per byte (general text)", True),
    "kl_to_teacher": ("KL to the teacher (general text, bits per token)", True),
    "top1_agreement": ("Same most likely token as the teacher (general text)", False),
}
SURE = 0.05


def points(value: float | None, *, sign: bool = True) -> str:
    """A share as percentage points."""
    return "–" if value is None else f"{100 * value:{'+' if sign else ''}.1f}".replace("-", "−")


def changes_shown(changes: Json, tests: Json | None = None) -> pd.DataFrame:
    """Paired changes as text with sensible digits: gain over the student, gap to the teacher, raw and corrected p, what n can show."""
    rows = []
    for task, c in changes.items():
        row = {
            "Task": look.task_name(task),
            "Prior": look.percent(c.get("prior"), 1),
            "Before": look.percent(c["before"], 1),
            "After": look.percent(c["after"], 1),
            "Gain (points)": f"{points(c['difference'])} [{points(c['low'])}, {points(c['high'])}]",
        }
        if tests is not None and (t := tests.get(task)):
            interval = "" if t["gap"] is None else f" [{points(t['gap_low'])}, {points(t['gap_high'])}]"
            row["Gap to teacher"] = points(t["gap"]) + interval
            row["p"] = look.p_value(c["p_value"]).removeprefix("= ")
            row["p (Holm)"] = look.p_value(t["p_holm"]).removeprefix("= ")
            row["n"] = f"{c['n']:,}"
            row["n can show"] = (
                "nothing" if t["detectable"] is None else f"{points(t['detectable'], sign=False)} points"
            )
        else:
            row |= {"p": look.p_value(c["p_value"]).removeprefix("= "), "n": f"{c['n']:,}"}
        rows.append(row)
    return pd.DataFrame(rows)


def general_shown(behaviour: Json) -> pd.DataFrame:
    """Side effects on general text as text: one row per measure; before, after and teacher with their 95 % intervals."""
    rows = []
    for key, (label, _) in SIDE_EFFECTS.items():
        row: dict[str, Any] = {"Measure": label}
        for who in ("before", "after", "teacher"):
            found = (behaviour.get(who) or {}).get(key)
            interval = found and " to ".join(look.number(found[end], 3) for end in ("low", "high"))
            row[who.capitalize()] = f"{look.number(found['value'], 3)} ({interval})" if found else "–"
        rows.append(row)
    return pd.DataFrame(rows)


def worsened(results: Json, tests: Json | None = None) -> pd.DataFrame:
    """Everything that is worse after than before, tasks and general text alike, worst first: loss as a share of what was there.

    `sure`: for a task, p corrected over tasks below 0.05; for general text, intervals that do not touch.
    """
    rows: list[dict[str, Any]] = []
    for task, c in results["changes"].items():
        if c["difference"] < 0:
            p = tests[task]["p_holm"] if tests and task in tests else c["p_value"]
            said = {"what": f"Answers to {look.task_name(task)}", "before": c["before"], "after": c["after"]}
            rows.append({**said, "share": -c["difference"] / c["before"], "sure": p < SURE, "unit": "% right"})
    for key, (label, more_is_worse) in SIDE_EFFECTS.items():
        old, new = ((results["behaviour"].get(who) or {}).get(key) for who in ("before", "after"))
        if not old or not new or (new["value"] > old["value"]) != more_is_worse or not old["value"]:
            continue
        apart = new["low"] > old["high"] if more_is_worse else new["high"] < old["low"]
        share = abs(new["value"] - old["value"]) / old["value"]
        unit = "" if more_is_worse else "% of tokens"
        rows.append({"what": label, "before": old["value"], "after": new["value"], "share": share, "sure": apart, "unit": unit})  # fmt: skip
    columns = ["what", "before", "after", "share", "sure", "unit"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        ["sure", "share"], ascending=False, kind="stable", ignore_index=True
    )


def outcome(results: Json) -> dict[str, float]:
    """What a run came to, as changes: `taught` and `lost most` in percentage points, `bits per byte`; only what was measured."""
    found: dict[str, float] = {}
    if changes := [100 * change["difference"] for change in (results.get("changes") or {}).values()]:
        found["taught"] = changes[0]
        if min(changes) < 0:
            found["lost most"] = min(changes)
    before, after = (
        ((results.get("behaviour") or {}).get(who) or {}).get("bits_per_byte") for who in ("before", "after")
    )
    if before and after:
        found["bits per byte"] = after["value"] - before["value"]
    return found


def worse_by(share: float) -> str:
    """A loss as a share of what was there, in words: as a factor from twice as much on."""
    return f"by {look.percent(share, 1)} of what it was" if share < 1 else f"rose to {times(1 + share)} what it was"


def times(factor: float) -> str:
    """`7.0 times`: two digits, or all before the point."""
    return f"{look.number(factor, 1 if factor < 9.95 else 0)} times"


def worsened_shown(table: pd.DataFrame) -> pd.DataFrame:
    """The same as text."""

    def said(value: float, unit: str) -> str:
        return f"{100 * value:.1f} {unit}" if unit else look.number(value, 3)

    return pd.DataFrame(
        {
            "What got worse": table["what"],
            "Before": [said(v, u) for v, u in zip(table["before"], table["unit"], strict=True)],
            "After": [said(v, u) for v, u in zip(table["after"], table["unit"], strict=True)],
            "Worse by, of what it was": [
                look.percent(v, 1) if v < 1 else f"now {times(1 + v)}" for v in table["share"]
            ],
            "Beyond chance": ["yes" if sure else "no" for sure in table["sure"]],
        }
    )


def turned(before: str, after: str) -> dict[str, Sequence[int]]:
    """Numbers of the items that were `forgotten` (right before, wrong after) and `newly right`, in order."""
    pairs = list(enumerate(zip(before, after, strict=True)))
    return {
        "forgotten": [i for i, pair in pairs if pair == ("1", "0")],
        "newly right": [i for i, pair in pairs if pair == ("0", "1")],
    }


def turned_table(turned: Mapping[str, Mapping[str, Sequence[int]]], items: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """One row per item that turned: task, number, prompt, answer, and whether it was forgotten or is newly right."""
    rows = [
        {"turned": way, "task": look.task_name(task), "item": i, "prompt": items[task][i][0], "answer": items[task][i][1].strip()}
        for task, ways in turned.items()
        for way, numbers in ways.items()
        for i in numbers
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["turned", "task", "item", "prompt", "answer"])


def turned_counts(
    turned: Mapping[str, Mapping[str, Sequence[int]]], right: Mapping[str, Mapping[str, str]]
) -> pd.DataFrame:
    """One row per task: how many items were right before, how many of them were forgotten, how many are newly right."""
    return pd.DataFrame(
        [
            {
                "Task": look.task_name(task),
                "Right before": f"{right[task]['before'].count('1'):,}",
                "Forgotten": f"{len(ways['forgotten']):,}",
                "Newly right": f"{len(ways['newly right']):,}",
                "Items": f"{len(right[task]['before']):,}",
            }
            for task, ways in turned.items()
        ]
    )  # fmt: skip


def seeds_table(found: Json) -> pd.DataFrame:
    """One row per seed and task."""
    return pd.DataFrame(
        [
            {"label": found["label"], "run": one["run"], "seed": one["seed"], "task": task, "after": rate}
            for one in found["seeds"]
            for task, rate in one["tasks"].items()
        ]
    )
