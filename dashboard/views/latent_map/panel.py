"""Shared by both kinds of map: the request, selection in the figure, colour, and PCA until the UMAP is ready."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from dashboard import loaders, selection, state, widgets
from dashboard.params import Param
from pkt_core.studies.latent_map.figures import OVERLAP

MODEL = "model"
SELECT = ("points", "box", "lasso")


def request() -> dict[str, Any]:
    """Models, prompts and how they are read."""
    chosen = selection.comparison_request()
    return {
        **selection.pair_request(),
        **selection.prompts_request(),
        "pooling": "mean" if chosen["pooling"] == "tokens" else chosen["pooling"],
        "seed": chosen["seed"],
    }


def pick_from_picture(name: str) -> None:
    """A click, box or lasso in the figure of that name picks prompts on every page; an empty one clears them."""
    ids = state.selected_ids(f"figure-{name}")
    if ids is not None:
        state.pick(ids)


def colour_choice(labels: Mapping[str, Any]) -> str:
    """The colouring of points; distances on the page are never offered."""
    return widgets.choice(
        "Colour",
        [OVERLAP, MODEL, *labels],
        Param.MAP_COLOUR,
        default=next(iter(labels), OVERLAP),
        help="neighbour overlap is computed in the full spaces, so it does not depend on the projection.",
    )


def shown_picture(function: str, arguments: dict[str, Any], method: str, of: str = "") -> Any:
    """The requested figure's record; `of` completes its name. While a UMAP is computed: its progress and the PCA, which is quick."""

    def task(name: str, again: bool = False) -> Any:
        return loaders.ask(function, {**arguments, "method": name}, again=again)

    picture = widgets.result(task("pca"), f"The PCA{of}", lambda: task("pca", True))
    if picture is None or method == "pca":
        return picture
    # Only now: two processes starting at once would both be slow, and the UMAP can use the stored activations.
    umap = widgets.result(task(method), f"The UMAP{of}", lambda: task(method, True))
    if umap is not None:
        return umap
    st.caption("Until the UMAP is ready, this is the PCA of the same prompts.")
    return picture


def amount() -> int:
    """The number of prompts drawn."""
    return widgets.amount("Prompts shown", Param.MAP_POINTS, low=50, high=1000, default=300, step=50)


def null_toggle() -> bool:
    """Whether the null is drawn instead."""
    return widgets.toggle(
        "Null picture",
        Param.MAP_SHUFFLED,
        help="The same figure with the pairing permuted. Order that remains visible is not correspondence.",
    )


def not_shown(ids: Sequence[int]) -> None:
    """A notice where picked prompts are not in the figure."""
    picked = state.picked()
    if missing := len(set(picked) - set(ids)):
        st.caption(
            f"{missing} of {len(picked)} picked prompts are not in this figure, which shows a sample of {len(ids)}. Raise Prompts shown to see more."
        )
