"""Where do they agree? The layer x layer heatmap by any measure with its noise, what may fake it, and which layer should teach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from dashboard import closer_look, loaders, picked_prompts, selection, state, widgets
from dashboard import figure_cache as figures
from dashboard import recorded as dashboard_recorded
from dashboard.params import Param
from pkt_core.studies.comparison import text as comparison_text
from pkt_core.studies.layer_pair import text as layer_pair_text

HEATMAP = "alignment-heatmap"
DEFAULT = selection.MEASURE


def picked() -> None:
    """A click on a cell chooses its pair of layers, on every page."""
    if (cell := state.clicked_cell(f"figure-{HEATMAP}")) is not None:
        state.choose_layers(*cell)


def measure_choice() -> str:
    """The measure of the grid; its record is the help."""
    known = dashboard_recorded.measures()
    return widgets.choice(
        "Measure",
        list(known),
        Param.MEASURE,
        default=DEFAULT,
        help="How alike two layers' activations are. Each measure sees something else; look where they disagree.",
    )


def how_measured(grid: dict[str, Any], record: dict[str, Any]) -> str:
    """The measure's claims and the recipe of this very grid."""
    recipe = grid["recipe"]
    closer = "larger is closer" if record["larger_is_closer"] else "smaller is closer"
    said = (
        f"{record['label']}, {closer}. {comparison_text.by_chance(grid, record['chance'])} Unchanged by: {', '.join(record['invariant_to']) or 'nothing'}. "
        f"{recipe['part']} over {grid['n']} samples, pooled by {recipe['pooling']}, outlier rule {recipe['outliers']}"
        f"{', position 0 left out' if recipe['skip_first'] else ''}, {recipe['permutations']} permutations of prompts, seed {recipe['seed']}; "
        f"interval: {recipe['interval']}."
    )
    if recipe.get("repeats"):
        said += f" {comparison_text.repeats(recipe['repeats'])}"
    if recipe.get("too_short"):
        said += f" {recipe['too_short']} prompts have too few pieces that both tokenizers cut alike and are left out."
    if "block" in recipe:
        said += (
            f" Estimated in mini-batches of {recipe['block']}, which moves no cell by more than "
            f"{recipe['block_difference']:.4f} from the full-sample value on the first 512 samples."
        )
    return said


def disagreement(found: dict[str, Any], recorded: bool) -> None:
    """All measures that are there already, beside each other."""
    grids = {DEFAULT: found["grid"], **(dashboard_recorded.grids() if recorded else {})}
    for name in dashboard_recorded.measures():
        if name not in grids:
            task = loaders.known("similarity", {**selection.comparison_request(), "measure": name})
            if task is not None and task.status == "done":
                grids[name] = task.result
    st.subheader("Do other measures say the same?", anchor=False)
    if len(grids) < 2:
        st.caption("Only one measure was computed so far. Choose others above; each then stands here beside it.")
        return
    table = comparison_text.measures_table(
        grids, {name: record["label"] for name, record in dashboard_recorded.measures().items()}
    )
    widgets.figure(
        figures.small_grids(grids, {name: record["label"] for name, record in dashboard_recorded.measures().items()}),
        comparison_text.MEASURES,
        table,
        "measures",
        alt="Small heatmaps of the same grid by each measure",
    )
    with st.expander("As a table", icon=":material/table:"):
        st.dataframe(table, hide_index=True)


def this_pair(found: dict[str, Any], grid: dict[str, Any] | None, measure: str) -> None:
    """The chosen pair of layers closer, and what the picked prompts say of it."""
    chosen, label = selection.layers(found), dashboard_recorded.measures()[measure]["label"]
    closer_look.show(found, grid, label, chosen)
    picked_prompts.cell(*chosen, measure, label)
    picked_prompts.tokens_if_picked()


def who_teaches(found: dict[str, Any]) -> None:
    """Attribution of the teacher's layers and the pairing that follows from it."""
    st.subheader("Which layer should teach which?", anchor=False)
    if found["attribution"] is None:
        st.caption(
            "The teacher reads too few tokens at once for the examples, so there is no attribution; only the pairing by depth is drawn."
        )
    widgets.figure(
        figures.attribution_figure(found["attribution"], found["pairing"], found["teacher"]["n_layers"], selection.layers(found)),
        comparison_text.ATTRIBUTION, comparison_text.attribution_table(found["attribution"], found["pairing"]), "attribution",
        alt="Bars of attribution by teacher layer, joined by lines to the student layers they teach",
    )  # fmt: skip


def outliers(found: dict[str, Any]) -> None:
    """What may fake likeness: single dimensions, and the first token."""
    st.subheader("Does one dimension, or the first token, own the picture?", anchor=False)
    widgets.figure(
        figures.outlier_figure(found["outliers"]), comparison_text.OUTLIERS, comparison_text.outlier_table(found["outliers"]), "outliers",
        alt="Per layer, the variance share of the largest dimensions, and the length of the first position",
    )  # fmt: skip


def vocabulary(found: dict[str, Any]) -> None:
    """Whether the vocabulary's bases are a special frame for the layers."""
    st.subheader("Do the layers speak the vocabulary's language?", anchor=False)
    st.markdown(widgets.plain(comparison_text.recomposition(found["recomposition"])))
    widgets.figure(
        figures.recomposition_figure(found["recomposition"], found.get("crossing")), comparison_text.RECOMPOSITION,
        comparison_text.recomposition_table(found["recomposition"], found.get("crossing")), "recomposition", alt="Recomposition cosine by layer for teacher and student, with controls",
    )  # fmt: skip


def show() -> None:
    widgets.head(
        "Where do they agree?",
        "Every layer of the teacher against every layer of the student. Click a cell to choose a pair of layers for all pages.",
        words=(
            "CKA",
            "noise",
            "95 % interval",
            "pairing",
            "attribution",
            "semantic basis",
            "recomposition",
            "Procrustes",
            "rank correlation",
            "control",
        ),
    )
    with widgets.errors():
        found, recorded = selection.comparison()
        if found is None:
            return
        holder = st.container()
        picture, words = widgets.beside(figures.heatmap_width(found["student"]["n_layers"]))
        with words:
            measure = measure_choice()
        with picture:
            grid = selection.grid(found, recorded, measure)
        pinned = closer_look.pinned(found)
        if grid is not None:
            record = dashboard_recorded.measures()[measure]
            with holder:
                widgets.answer(f"{comparison_text.spread(grid)}", recorded=recorded)
            with words:
                teacher, student = selection.layers(found)
                st.markdown(widgets.plain(comparison_text.cell(grid, teacher, student)))
                st.caption(widgets.plain(how_measured(grid, record)))
                if warning := comparison_text.outliers(
                    found["outliers"], grid["recipe"]["outliers"], grid["recipe"].get("skip_first", False)
                ):
                    st.warning(widgets.plain(warning), icon=":material/priority_high:")
            with picture:
                widgets.figure(
                    figures.similarity_heatmap(
                        grid, label=record["label"], pairing=found["pairing"], chosen=(teacher, student), pinned=pinned
                    ),
                    comparison_text.HEATMAP + (layer_pair_text.PINNED if pinned else ""),
                    comparison_text.grid_table(grid),
                    HEATMAP,
                    on_select=picked,
                    alt=f"Heatmap of similarity by teacher and student layer; closest at {figures.best_cell(grid)[:2]}",
                )
        parts: dict[str, Callable[[], None]] = {
            "This pair of layers": lambda: this_pair(found, grid, measure),
            "Other measures": lambda: disagreement(found, recorded),
            "Which should teach": lambda: who_teaches(found),
            "Outliers": lambda: outliers(found),
            "Vocabulary": lambda: vocabulary(found),
        }
        for tab, draw in zip(widgets.tabs(list(parts), Param.ALIGNMENT_TAB), parts.values(), strict=True):
            if tab.open:
                with tab:
                    draw()
    loaders.engine().warm()


show()
