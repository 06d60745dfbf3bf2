"""Alignment: the layer x layer heatmap by any measure with its noise level, outlier checks, and which teacher layer to use."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from dashboard import closer_look, loaders, picked_prompts, selection, state, widgets
from dashboard import figure_cache as figures
from dashboard import recorded as dashboard_recorded
from dashboard.params import Param
from pkt_core.similarity.facts import MeasureFacts
from pkt_core.similarity.grid import SimilarityGrid
from pkt_core.studies.comparison import text as comparison_text
from pkt_core.studies.comparison.record import Comparison
from pkt_core.studies.layer_pair import text as layer_pair_text

HEATMAP = "alignment-heatmap"
DEFAULT = selection.MEASURE


def picked() -> None:
    """A click on a cell chooses its pair of layers, on every page."""
    if (cell := state.clicked_cell(f"figure-{HEATMAP}")) is not None:
        state.choose_layers(*cell)


def measure_choice() -> str:
    """The measure of the grid."""
    known = dashboard_recorded.measures()
    return widgets.choice(
        "Measure",
        list(known),
        Param.MEASURE,
        default=DEFAULT,
        help="Similarity of two layers' activations. Measures differ in what they are sensitive to; compare them under Other measures.",
    )


def how_measured(grid: SimilarityGrid, measure: MeasureFacts) -> str:
    """The measure's properties and the recipe of this grid."""
    recipe = grid.recipe
    closer = "larger is more similar" if measure.larger_is_closer else "smaller is more similar"
    words = (
        f"{measure.label}, {closer}. {comparison_text.by_chance(grid, measure.chance)} Invariant to: {', '.join(measure.invariant_to) or 'nothing'}. "
        f"{recipe.part} over {grid.n} samples, pooled by {recipe.pooling}, outlier rule {recipe.outliers}"
        f"{', position 0 left out' if recipe.skip_first else ''}, {recipe.permutations} permutations of prompts, seed {recipe.seed}; "
        f"interval: {recipe.interval}."
    )
    if recipe.repeats:
        words += f" {comparison_text.repeats(recipe.repeats)}"
    if recipe.too_short:
        words += f" {recipe.too_short} prompts have too few spans shared by both tokenizers and are left out."
    if recipe.block is not None and recipe.block_difference is not None:
        words += (
            f" Estimated in mini-batches of {recipe.block}; on the first 512 samples, no cell differs from the full-sample value by more than "
            f"{recipe.block_difference:.4f}."
        )
    return words


def disagreement(comparison: Comparison, recorded: bool) -> None:
    """All measures computed so far, side by side."""
    grids = {DEFAULT: comparison.grid, **(dashboard_recorded.grids() if recorded else {})}
    for name in dashboard_recorded.measures():
        if name not in grids:
            task = loaders.known("similarity", {**selection.comparison_request(), "measure": name})
            if task is not None and task.status == "done":
                grids[name] = task.record
    st.subheader("Do other measures agree?", anchor=False)
    if len(grids) < 2:
        st.caption("Only one measure has been computed. Choose another above to see it here beside the first.")
        return
    labels = {name: measure.label for name, measure in dashboard_recorded.measures().items()}
    table = comparison_text.measures_table(grids, labels)
    widgets.figure(
        figures.small_grids(grids, labels),
        comparison_text.MEASURES,
        table,
        "measures",
        alt="Small heatmaps of the same grid by each measure",
    )
    with st.expander("As a table", icon=":material/table:"):
        st.dataframe(table, hide_index=True)


def this_pair(comparison: Comparison, grid: SimilarityGrid | None, measure: str) -> None:
    """The chosen pair of layers in detail, also for the picked prompts alone."""
    chosen, label = selection.layers(comparison), dashboard_recorded.measures()[measure].label
    closer_look.show(comparison, grid, label, chosen)
    picked_prompts.cell(*chosen, measure, label)
    picked_prompts.tokens_if_picked()


def who_teaches(comparison: Comparison) -> None:
    """Attribution of the teacher's layers and the pairing derived from it."""
    st.subheader("Which layer should teach which?", anchor=False)
    if comparison.attribution is None:
        st.caption(
            "The examples are longer than the teacher's context, so there is no attribution. Only the pairing by depth is drawn."
        )
    widgets.figure(
        figures.attribution_figure(
            comparison.attribution, comparison.pairing, comparison.teacher.n_layers, selection.layers(comparison)
        ),
        comparison_text.ATTRIBUTION,
        comparison_text.attribution_table(comparison.attribution, comparison.pairing),
        "attribution",
        alt="Bars of attribution by teacher layer, joined by lines to the paired student layers",
    )


def outliers(comparison: Comparison) -> None:
    """What can inflate similarity: single dimensions, and the first token."""
    st.subheader("Does one dimension, or the first token, dominate?", anchor=False)
    widgets.figure(
        figures.outlier_figure(comparison.outliers),
        comparison_text.OUTLIERS,
        comparison_text.outlier_table(comparison.outliers),
        "outliers",
        alt="Per layer, the variance share of the largest dimensions, and the length of the first position",
    )


def vocabulary(comparison: Comparison) -> None:
    """Whether the vocabulary vectors reconstruct the layers' states better than random vectors."""
    st.subheader("Do vocabulary vectors reconstruct the layers' states?", anchor=False)
    st.markdown(widgets.plain(comparison_text.recomposition(comparison.recomposition)))
    widgets.figure(
        figures.recomposition_figure(comparison.recomposition, comparison.crossing),
        comparison_text.RECOMPOSITION,
        comparison_text.recomposition_table(comparison.recomposition, comparison.crossing),
        "recomposition",
        alt="Recomposition cosine by layer for teacher and student, with controls",
    )


def show() -> None:
    widgets.head(
        "Where do the layers agree?",
        "Similarity of every teacher layer with every student layer. Click a cell to choose a pair of layers for all pages.",
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
        comparison, recorded = selection.comparison()
        if comparison is None:
            return
        holder = st.container()
        picture, words = widgets.beside(figures.heatmap_width(comparison.student.n_layers))
        with words:
            measure = measure_choice()
        with picture:
            grid = selection.grid(comparison, recorded, measure)
        pinned = closer_look.pinned(comparison)
        if grid is not None:
            facts = dashboard_recorded.measures()[measure]
            with holder:
                widgets.answer(comparison_text.spread(grid), recorded=recorded)
            with words:
                teacher, student = selection.layers(comparison)
                st.markdown(widgets.plain(comparison_text.cell(grid, teacher, student)))
                st.caption(widgets.plain(how_measured(grid, facts)))
                if warning := comparison_text.outliers(comparison.outliers, grid.recipe):
                    st.warning(widgets.plain(warning), icon=":material/priority_high:")
            with picture:
                widgets.figure(
                    figures.similarity_heatmap(
                        grid, label=facts.label, pairing=comparison.pairing, chosen=(teacher, student), pinned=pinned
                    ),
                    comparison_text.HEATMAP + (layer_pair_text.PINNED if pinned else ""),
                    comparison_text.grid_table(grid),
                    HEATMAP,
                    on_select=picked,
                    alt=f"Heatmap of similarity by teacher and student layer; closest at {grid.best[:2]}",
                )
        parts: dict[str, Callable[[], None]] = {
            "This pair of layers": lambda: this_pair(comparison, grid, measure),
            "Other measures": lambda: disagreement(comparison, recorded),
            "Which should teach": lambda: who_teaches(comparison),
            "Outliers": lambda: outliers(comparison),
            "Vocabulary": lambda: vocabulary(comparison),
        }
        for tab, draw in zip(widgets.tabs(list(parts), Param.ALIGNMENT_TAB), parts.values(), strict=True):
            if tab.open:
                with tab:
                    draw()
    loaders.engine().warm()


show()
