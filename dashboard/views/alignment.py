"""Where do they agree? The layer x layer heatmap with its noise, and what attribution and the vocabulary say of the layers."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import loaders, selection, state, widgets
from pkt_core.report import captions, figures, sentences, tables

HEATMAP = "alignment-heatmap"


def picked() -> None:
    """A click on a cell chooses its pair of layers, on every page."""
    if (cell := state.clicked_cell(f"figure-{HEATMAP}")) is not None:
        state.choose_layers(*cell)


def how_measured(found: dict[str, Any]) -> str:
    grid = found["grid"]
    return (
        f"Debiased linear CKA (0 for unrelated, 1 for equal up to rotation and scale; it can fall a little below 0) of {found['part']} over "
        f"{grid['n']} samples, pooled by {found['pooling']}; {len(grid['null_max'])} permutations. Plain CKA would show 0.9 and more for noise when "
        "samples are fewer than dimensions, which is why it is not used."
    )


def show() -> None:
    widgets.head(
        "Where do they agree?",
        "Every layer of the teacher against every layer of the student. Click a cell to choose a pair of layers for all pages.",
    )
    with widgets.errors():
        found, recorded = selection.comparison()
        if found is None:
            return
        grid = found["grid"]
        widgets.answer(sentences.where(found), recorded=recorded)
        narrow = found["student"]["n_layers"] <= figures.SQUARE_UP_TO
        picture, words = st.columns([3, 2], gap="large") if narrow else (st.container(), st.container())
        with words:
            teacher, student = selection.layers(found)
            st.markdown(widgets.plain(sentences.cell(grid, teacher, student)))
            st.caption(how_measured(found))
        with picture:
            widgets.figure(
                figures.similarity_heatmap(grid, pairing=found["pairing"], chosen=(teacher, student)),
                captions.HEATMAP,
                tables.grid_table(grid),
                HEATMAP,
                on_select=picked,
                alt=f"Heatmap of similarity by teacher and student layer; highest at {figures.best_cell(grid)[:2]}",
            )
        st.subheader("Which layer should teach which?", anchor=False)
        if found["attribution"] is None:
            st.caption(
                "This pair has no examples with answers, so there is no attribution; only the pairing by depth is drawn."
            )
        widgets.figure(
            figures.attribution_figure(found["attribution"], found["pairing"], found["teacher"]["n_layers"], (teacher, student)),
            captions.ATTRIBUTION, tables.attribution_table(found["attribution"], found["pairing"]), "attribution",
            alt="Bars of attribution by teacher layer, joined by lines to the student layers they teach",
        )  # fmt: skip
        st.subheader("Do the layers speak the vocabulary's language?", anchor=False)
        widgets.figure(
            figures.recomposition_figure(found["recomposition"]), captions.RECOMPOSITION, tables.recomposition_table(found["recomposition"]),
            "recomposition", alt="Recomposition cosine by layer for teacher and student, with controls",
        )  # fmt: skip
    loaders.engine().warm()


show()
