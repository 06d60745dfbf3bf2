"""What does it look like? The same prompts in a chain of latent spaces, or both models joined by an alignment map."""

from __future__ import annotations

import streamlit as st

from dashboard import loaders, picked_prompts, selection, widgets
from dashboard.params import Param
from dashboard.views.latent_map import chain as latent_map_chain
from dashboard.views.latent_map import joint as latent_map_joint

CHAIN, JOINT = "chain of spaces", "joined by a map"


def show() -> None:
    widgets.head(
        "What does it look like?",
        "The same prompts in the latent spaces of both models. Pick some, and every page shows them.",
        words=("UMAP", "turnover", "noise"),
    )
    with widgets.errors():
        comparison, _ = selection.comparison("The map needs to know both models' layers.")
        if comparison is None:
            return
        kind = widgets.switch(
            "Picture",
            (CHAIN, JOINT),
            Param.MAP_PICTURE,
            default=CHAIN,
            help="A chain shows every space by itself, in frames that belong together; joined, the teacher is carried into the student's space by a linear map.",
        )
        shown = latent_map_chain.show(comparison) if kind == CHAIN else latent_map_joint.show(comparison)
        if shown:
            picked_prompts.tokens()
            st.caption(
                "Picked prompts are also shown on Alignment (at the chosen pair of layers) and on Behaviour, Answers (what a run's student writes after them)."
            )
            loaders.engine().warm_maps()


show()
