"""How a run changed the similarity grid with the teacher, before and after, by any measure; computed when its tab is opened."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import figure_cache as figures
from dashboard import loaders, recorded, selection, widgets
from dashboard.params import Param
from pkt_core.runs.results import RunResults
from pkt_core.similarity.grid import GridChange
from pkt_core.studies.comparison import text as comparison_text

NO_MODEL_OF_ITS_OWN = ("pair", "teacher", "student", "device", "dtype", "prompts")


def request(run_id: str, measure: str) -> dict[str, Any]:
    """The run's own models and prompts, with the sidebar's settings for reading activations."""
    settings = {k: v for k, v in selection.comparison_request().items() if k not in NO_MODEL_OF_ITS_OWN}
    return {"run": run_id, "measure": measure, **settings}


def show(run: Any, results: RunResults) -> None:
    """Progress, then the figure; a notice where the trained weights are not stored."""
    st.subheader("Did the student's layers move towards the teacher's?", anchor=False)
    if not (run.folder / "student").is_dir():
        st.caption("This run's trained weights are not stored, so its layers cannot be read again.")
        return
    left, _ = st.columns([1, 2])
    with left:
        measure = widgets.choice(
            "Measure", list(recorded.measures()), Param.MEASURE, default=selection.MEASURE,
            help="No method here optimises CKA. semalign-v1 optimises the cosine to the mapped teacher state.",
        )  # fmt: skip
    arguments = request(run.id, measure)
    task = loaders.ask("similarity_change", arguments)
    moved: GridChange | None = widgets.result(
        task, "Reading all three models", lambda: loaders.ask("similarity_change", arguments, again=True)
    )
    if moved is None:
        return
    st.markdown(widgets.plain(comparison_text.change(moved)))
    lowest = min((pair.student for pair in results.layers.every), default=None) if results.layers else None
    trained = lowest if run.plan().get("scope", "layer") == "layer" else None
    widgets.figure(
        figures.change_figure(moved, trained), comparison_text.CHANGE, comparison_text.change_table(moved), "moved",
        alt="Similarity grids before and after the run, their difference, and the student against itself",
    )  # fmt: skip
