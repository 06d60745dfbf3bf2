"""A closer look at the chosen pair of layers: all pairs of prompts, prompts with different neighbours, and a pinned pair beside it.

Not covered: the picked prompts alone (`dashboard/picked_prompts.py`).
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import exports, loaders, selection, state, widgets
from dashboard.params import Param
from pkt_core.similarity.grid import SimilarityGrid
from pkt_core.studies.comparison.record import Comparison
from pkt_core.studies.layer_pair import text as captions
from pkt_core.studies.layer_pair import text as sentences
from pkt_core.studies.layer_pair import text as tables
from pkt_core.studies.layer_pair.figures import closer_figure
from pkt_core.studies.layer_pair.record import CloserLook

Layers = tuple[int, int]
FIGURE, TABLE = "closer", "closer-prompts"
SHOWN_ROWS = 200
FURTHER = (
    ("latent_map", "See it on the latent map", ":material/scatter_plot:"),
    ("maps", "Map its states", ":material/swap_horiz:"),
    ("inspector", "What does it encode?", ":material/search:"),
    ("transfer", "Run a transfer", ":material/moving:"),
)


def pinned(comparison: Comparison) -> Layers | None:
    """The pinned pair of layers, where this pair of models has it."""
    layers = state.pinned()
    fits = layers and layers[0] < comparison.teacher.n_layers and layers[1] < comparison.student.n_layers
    return layers if fits else None


def request(layers: Layers) -> dict[str, Any]:
    return {**selection.comparison_request(), "teacher_layer": layers[0], "student_layer": layers[1]}


def asked_for(layers: Layers) -> bool:
    """Whether to compute it: layers, prompts or a pin were chosen, or the result exists already."""
    named = any(
        str(state.value(param, state.AUTO)) != state.AUTO for param in (Param.TEACHER_LAYER, Param.STUDENT_LAYER)
    )
    return named or bool(state.pinned() or state.picked()) or loaders.known("closer_look", request(layers)) is not None


def look(layers: Layers, what: str) -> CloserLook | None:
    """The record from the engine, or its progress; quick where the states are stored."""
    arguments = request(layers)
    task = loaders.soon(loaders.ask("closer_look", arguments), 1.5)
    record: CloserLook | None = widgets.result(task, what, lambda: loaders.ask("closer_look", arguments, again=True))
    return record


def show(comparison: Comparison, grid: SimilarityGrid | None, label: str, chosen: Layers) -> None:
    """The section; nothing is computed until it is requested."""
    st.subheader(f"A closer look at teacher layer {chosen[0]} and student layer {chosen[1]}", anchor=False)
    if not asked_for(chosen):
        st.caption(
            "Click a cell above, or open this one: similarity of all pairs of prompts in both layers, and prompts whose neighbours differ. "
            "The first time, both models read the prompts, which takes seconds for small models."
        )
        st.button(
            "Look at these two layers", on_click=state.choose_layers, args=chosen, key="look-closer", icon=":material/zoom_in:"
        )  # fmt: skip
        return
    kept = pinned(comparison)
    pins(chosen, kept)
    here = look(chosen, "The closer look")
    other = look(kept, "The pinned pair") if here is not None and kept is not None and kept != chosen else None
    if here is None:
        return
    if other is None:
        alone(here)
    else:
        beside(here, other, grid, label)
    for place, (page, words, icon) in zip(st.columns([6, 6, 5, 4]), FURTHER, strict=True):
        place.page_link(f"views/{page}/page.py", label=words, icon=icon)


def pins(chosen: Layers, kept: Layers | None) -> None:
    """Pin, swap and unpin."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if kept != chosen:
            st.button(
                "Pin this pair of layers", key="pin-layers", icon=":material/keep:", on_click=state.pin, args=(chosen,),
                help="Keeps it in the link and shows every other pair you choose beside it.",
            )  # fmt: skip
        if kept is None:
            return
        if kept != chosen:
            st.button(
                "Swap", key="swap-layers", icon=":material/swap_horiz:", on_click=state.swap_pinned, args=(chosen,)
            )
        st.button("Unpin", key="unpin-layers", icon=":material/keep_off:", on_click=state.pin, args=(None,))
        sentence = f"Pinned: teacher layer {kept[0]}, student layer {kept[1]}."
        st.caption(f"{sentence} Click another cell to compare." if kept == chosen else sentence)


def scatter(looks: list[CloserLook], names: tuple[str, ...], caption: str) -> None:
    """The scatter of one pair of layers, or of two."""
    notice = " ".join(part for part in (caption, sentences.sample(looks[0])) if part)
    if looks[0].pools_words:
        notice += captions.WORDS
    widgets.figure(
        closer_figure(looks, names=names, picked=state.picked()),
        notice,
        tables.pairs_table(looks),
        FIGURE,
        on_select=lambda: state.pick_clicked(f"figure-{FIGURE}"),
        alt="Scatter of pairs of prompts: cosine in the student's layer against cosine in the teacher's, for "
        + " and for ".join(sentences.name(one) for one in looks),
    )


def prompts(table: pd.DataFrame, name: str, columns: dict[str, Any], caption: str, alt: str) -> None:
    """A table of prompts; selected rows are picked on every page."""
    rows = table.head(SHOWN_ROWS)
    key = f"table-{name}"
    st.dataframe(
        rows,
        key=key,
        hide_index=True,
        on_select=lambda: state.pick(int(rows["prompt"].iloc[row]) for row in state.selected_rows(key)),
        selection_mode="multi-row",
        height=430,
        column_config={
            "prompt": st.column_config.NumberColumn("Prompt", width=60),
            "text": st.column_config.TextColumn("Text", width=165),
            **columns,
        },
        alt=alt,
    )
    st.caption(
        f"{caption} Showing the first {len(rows)} of {len(table)} prompts." if len(rows) < len(table) else caption
    )
    st.download_button(
        "CSV", lambda: exports.csv(table), f"{name}.csv", "text/csv", key=f"csv-{name}", on_click="ignore",
        type="tertiary", icon=":material/download:",
    )  # fmt: skip


def share(label: str) -> Any:
    """A column with the share of common neighbours."""
    return st.column_config.ProgressColumn(label, min_value=0, max_value=1, format="percent", width=110)


def alone(here: CloserLook) -> None:
    """One pair of layers: the scatter, and the prompts beside it."""
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(widgets.plain(sentences.correlation(here)))
        scatter([here], ("",), captions.SCATTER)
    with right:
        st.markdown(widgets.plain(sentences.overlap(here)))
        columns = {
            "shared": share("Shared"),
            "nearest_teacher": st.column_config.TextColumn("Nearest in the teacher's layer", width="large"),
            "nearest_student": st.column_config.TextColumn("Nearest in the student's layer", width="large"),
        }
        prompts(
            tables.overlap_table(here),
            TABLE,
            columns,
            captions.OVERLAP,
            "Prompts by the share of nearest neighbours common to both layers",
        )


def beside(here: CloserLook, other: CloserLook, grid: SimilarityGrid | None, label: str) -> None:
    """The chosen pair of layers and the pinned one."""
    st.markdown(widgets.plain(sentences.beside(here, other)))
    if grid is not None:
        st.dataframe(
            tables.summary_table(here, other, label, grid),
            hide_index=True,
            alt="Summary of both pairs of layers, with 95 % intervals",
        )
    scatter([here, other], ("Chosen", "Pinned"), f"{captions.SCATTER} {captions.BESIDE}")
    st.markdown("**Prompts whose shared neighbours differ most between the two pairs of layers**")
    columns = {
        "chosen": share("Shared, chosen"),
        "pinned": share("Shared, pinned"),
        "difference": st.column_config.NumberColumn("Difference", format="%+.1f", width=90),
    }
    prompts(
        tables.beside_table(here, other),
        "closer-beside",
        columns,
        captions.DIFFERENT,
        "Prompts by the difference in shared neighbours between the two pairs of layers",
    )
