"""What both kinds of map share: the request, selection in the picture, colour, and PCA until the UMAP is there."""

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
    """What colours the points; a distance on the page is never offered."""
    return widgets.choice(
        "Colour",
        [OVERLAP, MODEL, *labels],
        Param.MAP_COLOUR,
        default=next(iter(labels), OVERLAP),
        help="neighbour overlap is counted in the full spaces, so it does not depend on the picture.",
    )


def shown_picture(function: str, arguments: dict[str, Any], method: str, of: str = "") -> Any:
    """The picture asked for, `of` something where there is another; while a UMAP is computed, its progress and the PCA, which takes no time."""

    def task(name: str, again: bool = False) -> Any:
        return loaders.ask(function, {**arguments, "method": name}, again=again)

    picture = widgets.result(task("pca"), f"The PCA{of}", lambda: task("pca", True))
    if picture is None or method == "pca":
        return picture
    # Only now: two processes that start at once would both be late, and the UMAP finds the activations already stored.
    umap = widgets.result(task(method), f"The UMAP{of}", lambda: task(method, True))
    if umap is not None:
        return umap
    st.caption("Until it is there, this is the PCA of the same prompts.")
    return picture


def amount() -> int:
    """How many prompts are drawn."""
    return widgets.amount("Prompts shown", Param.MAP_POINTS, low=50, high=1000, default=300, step=50)


def null_toggle() -> bool:
    """Whether the null picture is drawn instead."""
    return widgets.toggle(
        "Null picture",
        Param.MAP_SHUFFLED,
        help="The same picture with the meaning of the pairing removed. Order that you still see is not correspondence.",
    )


def not_shown(ids: Sequence[int]) -> None:
    """A word where picked prompts are not among those in the picture."""
    picked = state.picked()
    if missing := len(set(picked) - set(ids)):
        st.caption(
            f"{missing} of {len(picked)} picked prompts are not in this picture, which shows a sample of {len(ids)}; raise Prompts shown to see more."
        )
