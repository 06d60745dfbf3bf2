"""The map of the pinned pair of layers, below the chosen one: same prompts, colours and settings, other layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard import closer_look, state, widgets
from dashboard.views.latent_map import panel as latent_map_panel
from pkt_core.studies.comparison.record import Comparison
from pkt_core.studies.latent_map import text as latent_map_text
from pkt_core.studies.latent_map.figures import chain_figure, latent_figure

Picture = TypeVar("Picture")
"""The record of a map: of both spaces or of a chain."""


def joint(comparison: Comparison, arguments: dict[str, Any], method: str, colour: str, links: bool) -> None:
    """Both models joined by a map at the pinned layers; nothing where none are pinned."""
    below(
        comparison, "latent_map", arguments, method, latent_map_text.LATENT, latent_map_text.latent, latent_map_text.latent_table,
        lambda picture: latent_figure(picture, colour=colour, linked=links, picked=state.picked()),
    )  # fmt: skip


def chain(comparison: Comparison, arguments: dict[str, Any], method: str, colour: str, overlay: bool) -> None:
    """The chain of spaces at the pinned layers; nothing where none are pinned."""
    below(
        comparison, "chain_map", arguments, method, latent_map_text.CHAIN, latent_map_text.chain, latent_map_text.chain_table,
        lambda picture: chain_figure(picture, colour=colour, picked=state.picked(), overlay=overlay),
    )  # fmt: skip


def below(
    comparison: Comparison,
    function: str,
    arguments: dict[str, Any],
    method: str,
    caption: str,
    sentence: Callable[[Picture], str],
    table: Callable[[Picture], pd.DataFrame],
    drawn: Callable[[Picture], go.Figure],
) -> None:
    """The same figure at the pinned layers."""
    kept = closer_look.pinned(comparison)
    if kept is None or kept == (arguments["teacher_layer"], arguments["student_layer"]):
        return
    st.subheader(f"Pinned: teacher layer {kept[0]} and student layer {kept[1]}", anchor=False)
    layers = {"teacher_layer": kept[0], "student_layer": kept[1]}
    picture: Picture | None = latent_map_panel.shown_picture(
        function, {**arguments, **layers}, method, " of the pinned pair"
    )
    if picture is None:
        return
    name = f"{function.replace('_', '-')}-pinned"
    st.markdown(widgets.plain(sentence(picture)))
    widgets.figure(
        drawn(picture),
        f"The figure above at other layers. Each layout is computed separately, so compare neighbours, not positions. {caption}",
        table(picture),
        name,
        zoom=True,
        on_select=lambda: latent_map_panel.pick_from_picture(name),
        select=latent_map_panel.SELECT,
        alt=f"The same prompts at teacher layer {kept[0]} and student layer {kept[1]}",
    )
