"""The picked prompts in detail: next tokens of both models, and neighbours at one pair of layers.

Not covered: continuations by a run's models (`dashboard/views/behaviour/writing.py`).
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import loaders, selection, state, widgets
from pkt_core.studies.generations import text as generations_text
from pkt_core.studies.generations.record import PickedCell, PickedTokens

MOST = 200  # picked prompts shown one by one; further ones are left out


def request(ids: list[int]) -> dict[str, Any]:
    return {**selection.pair_request(), **selection.prompts_request(), "ids": ids[:MOST]}


def answered(function: str, arguments: dict[str, Any], what: str) -> Any:
    """The engine's record about picked prompts; None while it is not there."""
    task = loaders.ask(function, arguments)
    return widgets.result(task, what, lambda: loaders.ask(function, arguments, again=True))


def tokens() -> None:
    """Next tokens that both models predict after the picked prompts; a hint where none is picked."""
    st.subheader("Predicted next tokens", anchor=False)
    ids = state.picked()
    if not ids:
        st.caption("Pick prompts in the map or the table to see both models' next tokens.")
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
    """The same where prompts are picked; pairs that are not bundled may be large, so they run on request."""
    ids = state.picked()
    if not ids:
        return
    ships = loaders.ships(selection.pair_name())
    if ships or loaders.known("picked_tokens", request(ids)) is not None:
        tokens()
        return
    st.subheader("Predicted next tokens", anchor=False)
    st.button(
        "Run both models",
        on_click=begin_tokens,
        args=(ids,),
        key="ask-tokens",
        icon=":material/chat:",
    )


def begin_tokens(ids: list[int]) -> None:
    """Run both models; for callbacks."""
    loaders.ask("picked_tokens", request(ids))


def cell(teacher: int, student: int, measure: str, label: str) -> None:
    """The picked prompts at the chosen cell of the heatmap; nothing where none is picked."""
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
            "overlap": st.column_config.ProgressColumn("Shared neighbours", min_value=0, max_value=1, format="%.1f"),
        },
        alt="Neighbour overlap of each picked prompt at the chosen pair of layers",
    )
    st.caption(generations_text.PICKED_CELL)
