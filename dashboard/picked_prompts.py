"""The picked prompts looked at closely: next tokens of both models, one pair of layers.

Not covered: what a run's models write after them (`dashboard/views/behaviour/writing.py`).
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import loaders, selection, state, widgets
from pkt_core.studies.generations import text as generations_text
from pkt_core.studies.generations.record import PickedCell, PickedTokens

MOST = 200  # more picked prompts than these are not looked at one by one


def request(ids: list[int]) -> dict[str, Any]:
    return {**selection.pair_request(), **selection.prompts_request(), "ids": ids[:MOST]}


def answered(function: str, arguments: dict[str, Any], what: str) -> Any:
    """The record of what was asked about picked prompts; None while it is not there."""
    task = loaders.ask(function, arguments)
    return widgets.result(task, what, lambda: loaders.ask(function, arguments, again=True))


def tokens() -> None:
    """What both models would say next after the picked prompts; what to do where none is picked."""
    st.subheader("What would they say next?", anchor=False)
    ids = state.picked()
    if not ids:
        st.caption("Pick prompts in the map or the table, and both models' next tokens for them appear here.")
        return
    record: PickedTokens | None = answered("picked_tokens", request(ids), "The next tokens")
    if record is None:
        return
    st.dataframe(
        generations_text.next_token_table(record),
        hide_index=True,
        column_config={
            "prompt": st.column_config.NumberColumn("Prompt", width="small"),
            "text": st.column_config.TextColumn("Text", width="medium"),
            "last_token": "Last token",
            "teacher_next": st.column_config.TextColumn("Teacher's next, top 3", width="medium"),
            "student_next": st.column_config.TextColumn("Student's next, top 3", width="medium"),
            "js_bits": st.column_config.ProgressColumn("JS (bits)", min_value=0, max_value=1, format="%.2f"),
        },
        alt="Next tokens of both models for the picked prompts",
    )
    st.caption(f"{len(record.rows)} of {len(ids)} picked prompts. {generations_text.PICKED_TOKENS}")


def tokens_if_picked() -> None:
    """The same where prompts are picked; a pair that does not come with the project, and may be large, is asked when wanted."""
    ids = state.picked()
    if not ids:
        return
    ships = bool(loaders.pair_names().get(selection.pair_name(), {}).get("bundled"))
    if ships or loaders.known("picked_tokens", request(ids)) is not None:
        tokens()
        return
    st.subheader("What would they say next?", anchor=False)
    st.button(
        "Ask both models",
        on_click=begin_tokens,
        args=(ids,),
        key="ask-tokens",
        icon=":material/chat:",
    )


def begin_tokens(ids: list[int]) -> None:
    """Ask both models; for callbacks."""
    loaders.ask("picked_tokens", request(ids))


def cell(teacher: int, student: int, measure: str, label: str) -> None:
    """The chosen cell of the heatmap by the picked prompts; nothing where none is picked."""
    ids = state.picked()
    if not ids:
        return
    st.subheader("The picked prompts at this pair of layers", anchor=False)
    arguments = {**selection.comparison_request(), **request(ids), "measure": measure}
    arguments |= {"teacher_layer": teacher, "student_layer": student}
    record: PickedCell | None = answered("picked_cell", arguments, "The picked prompts")
    if record is None:
        return
    st.markdown(widgets.plain(generations_text.picked_cell(record, label)))
    table = pd.DataFrame(record.rows)
    st.dataframe(
        table,
        hide_index=True,
        height=min(300, 38 * (len(table) + 1)),
        column_config={
            "id": st.column_config.NumberColumn("Prompt", width="small"),
            "text": st.column_config.TextColumn("Text", width="large"),
            "overlap": st.column_config.ProgressColumn(
                "Neighbours both layers share", min_value=0, max_value=1, format="%.1f"
            ),
        },
        alt="Neighbour overlap of each picked prompt at the chosen pair of layers",
    )
    st.caption(generations_text.PICKED_CELL)
