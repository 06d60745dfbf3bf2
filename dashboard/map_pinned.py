"""The map of the pinned pair of layers below that of the chosen one: the same prompts, colours and settings, other layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard import closer_parts, map_parts, state, widgets
from pkt_core.report import captions, figures, sentences, tables


def joint(found: dict[str, Any], asked: dict[str, Any], method: str, colour: str, links: bool) -> None:
    """Both models joined by a map at the pinned layers; nothing where none are pinned."""
    below(
        found, "latent_map", asked, method, captions.LATENT, sentences.latent, tables.latent_table,
        lambda picture: figures.latent_figure(picture, colour=colour, linked=links, picked=state.picked()),
    )  # fmt: skip


def chain(found: dict[str, Any], asked: dict[str, Any], method: str, colour: str, overlay: bool) -> None:
    """The chain of spaces at the pinned layers; nothing where none are pinned."""
    below(
        found, "chain_map", asked, method, captions.CHAIN, sentences.chain, tables.chain_table,
        lambda picture: figures.chain_figure(picture, colour=colour, picked=state.picked(), overlay=overlay),
    )  # fmt: skip


def below(
    found: dict[str, Any],
    function: str,
    asked: dict[str, Any],
    method: str,
    caption: str,
    said: Callable[[dict[str, Any]], str],
    table: Callable[[dict[str, Any]], pd.DataFrame],
    drawn: Callable[[dict[str, Any]], go.Figure],
) -> None:
    """The same picture at the pinned layers."""
    kept = closer_parts.pinned(found)
    if kept is None or kept == (asked["teacher_layer"], asked["student_layer"]):
        return
    st.subheader(f"Pinned: teacher layer {kept[0]} and student layer {kept[1]}", anchor=False)
    layers = {"teacher_layer": kept[0], "student_layer": kept[1]}
    picture = map_parts.shown_picture(function, {**asked, **layers}, method, " of the pinned pair")
    if picture is None:
        return
    name = f"{function.replace('_', '-')}-pinned"
    st.markdown(widgets.plain(said(picture)))
    widgets.figure(
        drawn(picture),
        f"The picture above at other layers: each is laid out by itself, so compare who is near whom, not places. {caption}",
        table(picture),
        name,
        zoom=True,
        on_select=lambda: map_parts.pick_from_picture(name),
        select=map_parts.SELECT,
        alt=f"The same prompts at teacher layer {kept[0]} and student layer {kept[1]}",
    )
