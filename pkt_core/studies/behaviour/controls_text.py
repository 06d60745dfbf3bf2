"""A run beside its controls, in a sentence and as a table of what is left of its gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pkt_core.words import style

Json = Mapping[str, Any]


THIS = "this run"


def sentence(found: Sequence[Json]) -> str:
    """How many controls there are, how many were carried out, and whether a gain is left beyond every one of them."""
    if not found:
        return "There is no control of this run: its method has none, or its plan is of another version."
    done = [one for one in found if one["left"]]
    if not done:
        return f"None of this run's {len(found)} controls was carried out, so nothing says what its change is due to."
    tasks = list(dict.fromkeys(task for one in done for task in one["left"]))
    beyond = [t for t in tasks if all(better(one["left"].get(t)) for one in done)]
    they = "it" if len(done) == 1 else "each of them"
    kept = (
        f"better than {they} on {', '.join(map(style.task_name, beyond))}"
        if beyond
        else f"on no task better than {they}"
    )
    return f"{len(done)} of {len(found)} controls {'was' if len(done) == 1 else 'were'} carried out; the run is {kept} (p < 0.05, Holm)."


def better(change: Json | None) -> bool:
    """Whether the run is beyond a control on a task."""
    return change is not None and change["difference"] > 0 and change["p_value"] < 0.05


def table(found: Sequence[Json]) -> pd.DataFrame:
    """One row per control and task; a control that was not carried out has one row that says so."""
    rows: list[dict[str, Any]] = []
    for one in found:
        said = {"control": one["name"], "takes away": one["purpose"], "run": one["run"] or "not carried out"}
        rows += [said | numbers(task, change) for task, change in one["left"].items()] or [said]
    return pd.DataFrame(rows).fillna("–")


def numbers(task: str, change: Json) -> dict[str, Any]:
    """A difference as people read it."""
    points = [style.number(100 * value, 1) for value in (change["difference"], change["low"], change["high"])]
    return {
        "task": style.task_name(task),
        "right after the control": f"{100 * change['before']:.1f} %",
        "right after this run": f"{100 * change['after']:.1f} %",
        "left of it (points)": f"{points[0]} [{points[1]}, {points[2]}]",
        "p (Holm)": style.p_value(change["p_value"]).removeprefix("= "),
    }
