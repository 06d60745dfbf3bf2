"""Part of the page Behaviour: whether a control would have gained as much.

The user wants to know what the gain is due to, and is told which controls nobody carried out.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import loaders, widgets
from pkt_core.studies.behaviour import controls_text
from pkt_core.studies.behaviour import figures as behaviour_figures
from pkt_core.studies.behaviour import text as behaviour_text


def draw(run: Any, results: dict[str, Any]) -> None:
    """The run and its controls on one axis, what is left of its gain, and which controls are missing."""
    st.subheader("Would a control have gained as much?", anchor=False)
    if not results.get("right"):
        st.caption(
            "This run did not keep its single answers; measure it again with `pkt evaluate` to set controls beside it."
        )
        return
    others = sum(one.state == "done" for one in loaders.runs())
    asked = {"run": run.id, "finished": run.status().finished, "others": others}
    task = loaders.soon(loaders.ask("run_controls", asked))
    told = widgets.result(task, "The controls", lambda: loaders.ask("run_controls", asked, again=True))
    if told is None:
        return
    rows = told["controls"]
    st.markdown(f"**{widgets.plain(controls_text.sentence(rows))}**")
    if any(row["left"] for row in rows):
        widgets.figure(
            behaviour_figures.controls_figure(results["changes"], rows), behaviour_text.AGAINST, controls_text.table(rows), "controls",
            alt="Change by task of this run and of its controls, with 95 % intervals around zero",
        )  # fmt: skip
    if rows:
        with st.expander("Every control, task by task", icon=":material/table:"):
            st.dataframe(
                controls_text.table(rows), hide_index=True, alt="Controls: what each takes away, its run, what is left"
            )
            st.caption("Carry out what is missing on the page Transfer: Control, or all of them at once as a family.")
    st.page_link(
        "views/families/page.py", label="All controls with several seeds: families", icon=":material/leaderboard:"
    )
