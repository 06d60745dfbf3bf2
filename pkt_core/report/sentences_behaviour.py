"""What got worse, what turned, and how much seeds scatter, in a sentence each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pkt_core.report.look import percent, task_name
from pkt_core.report.tables_behaviour import worse_by

Json = Mapping[str, Any]


def worse(table: pd.DataFrame) -> str:
    """How much got worse, and the worst of it by name."""
    sure = table[table["sure"]]
    if table.empty:
        return "Nothing that was measured got worse."
    if sure.empty:
        return (
            f"Nothing got worse beyond chance; {len(table)} of the measured things are lower or dearer within chance."
        )
    first = sure.iloc[0]
    more = f", and {len(sure) - 1} more" if len(sure) > 1 else ""
    return f"Worse beyond chance: {first['what']} {worse_by(first['share'])}{more}."


def repeated(task: str, repeats: int, n: int) -> str:
    """That a task asks items more than once."""
    return (
        f"{repeats:,} of the {n:,} items of {task_name(task)} repeat an earlier one word for word and count as items of their own, "
        "so its interval and p-value are surer than they should be."
    )


def turned(found: Mapping[str, Mapping[str, Sequence[int]]], right: Mapping[str, Mapping[str, str]]) -> str:
    """How many items that were right before were forgotten, and how many are newly right."""
    lost = sum(len(ways["forgotten"]) for ways in found.values())
    won = sum(len(ways["newly right"]) for ways in found.values())
    had = sum(right[task]["before"].count("1") for task in found)
    share = f" ({percent(lost / had, 1)} of them)" if had else ""
    return f"Of {had:,} items that were right before, {lost:,} were forgotten{share}; {won:,} are newly right."


def seeds(found: Json) -> str:
    """How many seeds there are of this plan, and how far they scatter at most."""
    n = len(found["seeds"])
    if n < 2:
        return f"One seed of {found['label']} alone: how far another seed would fall from it is not known."
    rates: dict[str, list[float]] = {}
    for one in found["seeds"]:
        for task, rate in one["tasks"].items():
            rates.setdefault(task, []).append(rate)
    widest = max(rates, key=lambda task: max(rates[task]) - min(rates[task]))
    low, high = min(rates[widest]), max(rates[widest])
    return (
        f"{n} seeds of {found['label']} in the family {found['family']}; they scatter most on {task_name(widest)}, "
        f"{percent(low, 1)} to {percent(high, 1)}."
    )
