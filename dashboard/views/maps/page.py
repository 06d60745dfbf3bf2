"""Alignment maps: every kind of map beside its control, and the student stitched onto the teacher."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import figure_cache as figures
from dashboard import loaders, selection, state, widgets
from dashboard import recorded as dashboard_recorded
from dashboard.params import Param
from pkt_core.studies.alignment_maps import text as alignment_maps_text
from pkt_core.studies.alignment_maps.record import MapComparison, StitchedGrid

KINDS = ("affine", "ridge", "procrustes", "logit-preserving", "semantic")
STITCHED = "stitching"


def picked() -> None:
    """A click on a cell chooses its pair of layers, on every page."""
    if (cell := state.clicked_cell(f"figure-{STITCHED}")) is not None:
        state.choose_layers(*cell)


def begin(request: dict[str, Any]) -> None:
    """Start stitching; for callbacks."""
    loaders.ask("stitching", request)


def side_by_side(request: dict[str, Any], teacher: int, student: int, kept: MapComparison | None) -> None:
    """All maps at the chosen pair of layers; `kept` is the recorded comparison at its own layers."""
    recorded = kept is not None and (kept.teacher_layer, kept.student_layer) == (teacher, student)
    maps = kept
    if not recorded:
        request = {**request, "teacher_layer": teacher, "student_layer": student}
        task = loaders.ask("alignment_maps", request)
        maps = widgets.result(task, "The maps", lambda: loaders.ask("alignment_maps", request, again=True))
    if maps is None:
        return
    widgets.answer(alignment_maps_text.maps(maps), recorded=recorded)
    st.caption(
        f"Teacher layer {teacher}, student layer {student}; fitted on {maps.n_fitted:,} tokens of one half of "
        f"{maps.n_texts} prompts, scored on {maps.n_held_out:,} tokens of the other."
        f"{alignment_maps_text.massive(maps.massive)}"
    )
    missing = [kind for kind in KINDS if kind not in maps.maps]
    if missing:
        st.info(f"Left out because the two vocabularies share too few tokens: {', '.join(missing)}.")
    widgets.figure(
        figures.maps_figure(maps), alignment_maps_text.MAPS, alignment_maps_text.maps_table(maps), "maps",
        alt="Scores of each alignment map and its control on held-out texts",
    )  # fmt: skip


def stitched(request: dict[str, Any], chosen: tuple[int, int], kept: dict[str, StitchedGrid]) -> None:
    """The stitched loss at every pair of layers through maps of one kind, from `kept` where it was recorded."""
    st.subheader("At which layers can the student be stitched onto the teacher?", anchor=False)
    kind = widgets.switch("Map", KINDS, Param.STITCH, default="affine")
    grid = kept.get(kind) or computed({**request, "kind": kind})
    if grid is None:
        return
    st.markdown(widgets.plain(alignment_maps_text.stitching(grid)))
    widgets.figure(
        figures.stitching_figure(grid, chosen), alignment_maps_text.STITCHING, alignment_maps_text.stitching_table(grid), STITCHED, on_select=picked,
        alt="Heatmaps of the stitched next-token loss by teacher and student layer, with control",
    )  # fmt: skip


def computed(request: dict[str, Any]) -> StitchedGrid | None:
    """Stitching from the engine; pairs that are not bundled run on request, because they may be large."""
    bundled = loaders.ships(selection.pair_name())
    task = loaders.ask("stitching", request) if bundled else loaders.known("stitching", request)
    if task is None:
        widgets.empty(
            "Not stitched yet",
            "Stitching runs every pair of layers over half of the prompts: minutes for large models.",
        )
        st.button(
            "Stitch every pair of layers", type="primary", key="stitch-now", icon=":material/play_arrow:",
            on_click=begin, args=(request,),
        )  # fmt: skip
        return None
    grid: StitchedGrid | None = widgets.result(task, "Stitching", lambda: loaders.ask("stitching", request, again=True))
    return grid


def show() -> None:
    widgets.head(
        "Mapping states from teacher to student",
        "Teacher states through each kind of alignment map: are they close to the student's, recoverable, and useful to the student?",
        words=("alignment map", "Procrustes", "stitching", "bits per byte", "95 % interval", "control"),
    )
    with widgets.errors():
        comparison, recorded = selection.comparison("Maps need the comparison of both models' layers.")
        if comparison is None:
            return
        request = {
            **selection.pair_request(),
            **selection.prompts_request(),
            "seed": selection.comparison_request()["seed"],
        }
        chosen = selection.layers(comparison)
        side_by_side(request, *chosen, dashboard_recorded.maps() if recorded else None)
        stitched(request, chosen, dashboard_recorded.stitching() if recorded else {})


show()
