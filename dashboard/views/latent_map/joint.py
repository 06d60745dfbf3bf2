"""Both models in one figure: the teacher mapped into the student's space by an alignment map, then one PCA or UMAP."""

from __future__ import annotations

import streamlit as st

from dashboard import figure_cache as figures
from dashboard import selection, state, widgets
from dashboard.params import Param
from dashboard.views.latent_map import panel as latent_map_panel
from dashboard.views.latent_map import pinned as latent_map_pinned
from pkt_core.studies.comparison.record import Comparison
from pkt_core.studies.latent_map import text as latent_map_text
from pkt_core.studies.latent_map.record import LatentMap

FIGURE = "latent-map"
MAPS = ("semantic", "logit-preserving", "ridge", "procrustes")


def show(comparison: Comparison) -> bool:
    """The controls and the figure; returns whether there was a figure."""
    one, two, three, four = st.columns([2, 2, 2, 1.5], vertical_alignment="bottom")
    with one:
        kind = widgets.choice(
            "Alignment map", MAPS, Param.MAP_KIND,
            help="semantic and logit-preserving are computed from the two vocabularies; nothing is fitted. ridge and procrustes are fitted on the half of the prompts that is not shown.",
        )  # fmt: skip
    with two:
        method = widgets.switch(
            "Projection", ("pca", "umap"), Param.MAP_METHOD, default="pca",
            help="UMAP is computed in the background. The first one after a start also compiles, which may take a minute.",
        )  # fmt: skip
    with four:
        n = latent_map_panel.amount()
    answer, toggles, place = st.container(), st.container(horizontal=True), st.container()
    with toggles:
        shuffled = latent_map_panel.null_toggle()
        links = widgets.toggle("Join both points of each prompt", Param.MAP_LINKS)
    teacher, student = selection.layers(comparison)
    layers = {"teacher_layer": teacher, "student_layer": student}
    arguments = {**latent_map_panel.request(), **layers, "map": kind, "n_prompts": n, "shuffled": shuffled}
    with answer:
        picture: LatentMap | None = latent_map_panel.shown_picture("latent_map", arguments, method)
    if picture is None:
        return False
    with three:
        colour = latent_map_panel.colour_choice(picture.labels)
    with answer:
        widgets.answer(latent_map_text.latent(picture))
    with place:
        widgets.figure(
            figures.latent_figure(picture, colour=colour, linked=links, picked=state.picked()),
            latent_map_text.LATENT,
            latent_map_text.latent_table(picture),
            FIGURE,
            zoom=True,
            on_select=lambda: latent_map_panel.pick_from_picture(FIGURE),
            select=latent_map_panel.SELECT,
            alt="Scatter of both models' states of the same prompts",
        )
        latent_map_panel.not_shown(picture.ids)
        if picture.shuffled:
            st.info(
                "This is the control: the map uses a permuted correspondence. Structure that remains visible is not alignment."
            )
        latent_map_pinned.joint(comparison, arguments, method, colour, links)
    return True
