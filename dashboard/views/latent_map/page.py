"""Latent map: the same prompts in a chain of latent spaces, or both models joined by an alignment map."""

from __future__ import annotations

import streamlit as st

from dashboard import loaders, picked_prompts, selection, widgets
from dashboard.params import Param
from dashboard.views.latent_map import chain as latent_map_chain
from dashboard.views.latent_map import joint as latent_map_joint

CHAIN, JOINT = "chain of spaces", "joined by a map"


def show() -> None:
    widgets.head(
        "Both latent spaces in one picture",
        "The same prompts in the latent spaces of both models. Picked prompts are shown on every page.",
        words=("UMAP", "turnover", "noise"),
    )
    with widgets.errors():
        comparison, _ = selection.comparison("The map needs the comparison of both models' layers.")
        if comparison is None:
            return
        kind = widgets.switch(
            "Picture",
            (CHAIN, JOINT),
            Param.MAP_PICTURE,
            default=CHAIN,
            help="chain of spaces: each space in its own panel, in aligned coordinates. joined by a map: the teacher is mapped linearly into the student's space.",
        )
        shown = latent_map_chain.show(comparison) if kind == CHAIN else latent_map_joint.show(comparison)
        if shown:
            picked_prompts.tokens()
            st.caption(
                "Picked prompts are also shown on Alignment (at the chosen pair of layers) and on Behaviour, Answers (continuations by a run's student)."
            )
            loaders.engine().warm_maps()


show()
