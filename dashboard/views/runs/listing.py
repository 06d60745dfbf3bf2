"""The list of runs: state and outcome of each as sortable numbers; ticked rows are opened and compared.

Not covered: the view of an opened run (`views/runs/page.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import loaders, run_widgets, state, widgets
from dashboard.params import Param

TABLE = "runs-table"
PAGE = 100  # runs in the table by default
OUTCOME = ("taught", "lost most", "bits per byte")


def listing(listed: list[Any]) -> pd.DataFrame:
    """One row per run: plan, state, and outcome as sortable numbers."""
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
    """A selected row opens its run; a second one is compared with it."""
    chosen = [ids[row] for row in state.selected_rows(TABLE) if row < len(ids)]
    if chosen:
        state.open_run(chosen[0])
    if len(chosen) > 1:
        state.open_run(chosen[1], Param.OTHER_RUN)


def runs_shown(listed: list[Any]) -> list[Any]:
    """The runs shown: all where they are few, else those that match the search, newest first."""
    if len(listed) <= PAGE:
        return listed
    left, right = st.columns([3, 1])
    with left:
        words = widgets.line(
            "Find runs", Param.FIND_RUN, placeholder="method, model, family, state or id",
            help="Runs whose id, state, plan or family contains all of these words.",
        )  # fmt: skip
    with right:
        rows = widgets.amount("Maximum rows", Param.ROWS, low=PAGE, high=100_000, default=PAGE, step=PAGE)
    matching = [run for run in listed if holds(run, words.lower().split())]
    which = f"of {len(matching):,} runs that match “{words}”" if words else f"of {len(listed):,} runs"
    st.caption(widgets.plain(f"{min(rows, len(matching)):,} {which}, newest first."))
    return matching[:rows]


def holds(run: Any, words: list[str]) -> bool:
    """Whether a run's id, state, plan and family contain all of these words."""
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
            help="Change in accuracy on the first task, which was taught, in percentage points.",
        ),
        "lost most": st.column_config.NumberColumn(
            "lost most",
            format="%+.1f",
            width=90,
            help="The largest loss in accuracy on any task, in percentage points; empty where there was none.",
        ),
        "bits per byte": st.column_config.NumberColumn(
            "bits per byte", format="%+.3f", width=90, help="Change on general text; positive is worse."
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
        "Tick a row to open that run, and a second one to compare the two. Numbers are changes, after − before: accuracy in percentage points, bits per byte on general text."
    )
