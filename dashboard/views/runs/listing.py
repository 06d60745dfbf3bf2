"""The list of runs: how each stands and what it came to, in numbers that can be sorted; ticked rows are opened and compared.

Not covered: what is shown of an opened run (`views/runs/page.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import loaders, run_widgets, state, widgets
from dashboard.params import Param

TABLE = "runs-table"
PAGE = 100  # runs in the table unless more are asked for
OUTCOME = ("taught", "lost most", "bits per byte")


def listing(listed: list[Any]) -> pd.DataFrame:
    """One row per run: what it is, how it stands, and what it came to in numbers that can be sorted."""
    rows = []
    for run in listed:
        done = run.recorded and run.state == "done"
        rows.append(
            {
                "run": run.id,
                "state": "recorded" if done else run_widgets.STATES[run.state][1],
                **dict.fromkeys(OUTCOME),
                **loaders.outcome(run.id, run.folder),
                "when": datetime.fromtimestamp(run.created, UTC),
                "plan": run_widgets.describe(run.plan) if run.plan else run.message,
            }
        )
    return pd.DataFrame(rows).astype(dict.fromkeys(OUTCOME, float))


def opened_by_click(ids: list[str]) -> None:
    """A selected row opens its run; a second one is set beside it."""
    chosen = [ids[row] for row in state.selected_rows(TABLE) if row < len(ids)]
    if chosen:
        state.open_run(chosen[0])
    if len(chosen) > 1:
        state.open_run(chosen[1], Param.OTHER_RUN)


def runs_shown(listed: list[Any]) -> list[Any]:
    """The runs that are shown: all where they are few, else those that hold the words looked for, the newest of them first."""
    if len(listed) <= PAGE:
        return listed
    left, right = st.columns([3, 1])
    with left:
        words = widgets.line(
            "Find runs", Param.FIND_RUN, placeholder="method, model, family, state or id",
            help="Runs that hold all of these words in their id, state, plan or family.",
        )  # fmt: skip
    with right:
        rows = widgets.amount("Rows, at most", Param.ROWS, low=PAGE, high=100_000, default=PAGE, step=PAGE)
    matching = [run for run in listed if holds(run, words.lower().split())]
    which = f"of {len(matching):,} runs that hold “{words}”" if words else f"of {len(listed):,} runs"
    st.caption(widgets.plain(f"{min(rows, len(matching)):,} {which}, newest first."))
    return matching[:rows]


def holds(run: Any, words: list[str]) -> bool:
    """Whether a run says all of these words of itself."""
    if not words:
        return True
    plan = run_widgets.describe(run.plan) if run.plan else run.message
    text = f"{run.id} {run_widgets.STATES[run.state][1]} {plan} {' '.join(map(str, run.family.model_dump().values())) if run.family else ''}".lower()
    return all(word in text for word in words)


def show(listed: list[Any]) -> None:
    """The table."""
    listed = runs_shown(listed)
    if not listed:
        return
    config = {
        "run": st.column_config.TextColumn("run", width=190),
        "state": st.column_config.TextColumn("state", width=80),
        "taught": st.column_config.NumberColumn(
            "taught",
            format="%+.1f",
            width=90,
            help="Change of the share right on the first task, which is what was taught, in percentage points.",
        ),
        "lost most": st.column_config.NumberColumn(
            "lost most",
            format="%+.1f",
            width=90,
            help="The largest loss on any task, in percentage points; empty where nothing was lost.",
        ),
        "bits per byte": st.column_config.NumberColumn(
            "bits per byte", format="%+.3f", width=90, help="Change on general text; above 0 is worse."
        ),
        "when": st.column_config.DatetimeColumn("when (UTC)", format="MM-DD HH:mm", width=90),
    }
    ids = [run.id for run in listed]
    st.dataframe(
        listing(listed),
        hide_index=True,
        column_config=config,
        key=TABLE,
        on_select=lambda: opened_by_click(ids),
        selection_mode="multi-row",
        alt="Runs, newest first, with what each changed",
    )
    st.caption(
        "Tick a row to open that run, and a second one to compare the two. Numbers are changes, after − before, of the share right (points) and on general text."
    )
