"""Pair: the chosen teacher, student and prompts, whether they are compatible, and a first similarity grid."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import device, loaders, own_models, run_widgets, selection, widgets
from dashboard import figure_cache as figures
from dashboard.views.pair import vocabulary as pair_vocabulary
from pkt_core.runs.results import RunResults
from pkt_core.studies.behaviour import text as behaviour_text
from pkt_core.studies.comparison import text as comparison_text
from pkt_core.studies.comparison.record import ModelFacts, Sides
from pkt_core.words import style


def about() -> None:
    """The chosen pair, in words."""
    facts = loaders.pair_names().get(selection.pair_name())
    words = f"{facts.title}. {facts.note}" if facts else "Two custom models."
    st.caption(f"{widgets.plain(words)} Choose another pair, or other prompts, in the sidebar.")


def facts_table(models: Sides[ModelFacts]) -> pd.DataFrame:
    def column(facts: ModelFacts) -> dict[str, str]:
        return {
            "Name": facts.name,
            "Layers": str(facts.n_layers),
            "Width": f"{facts.d_model:,}",
            "Parameters": f"{facts.n_parameters / 1e6:,.1f} M",
            "Vocabulary": f"{facts.vocabulary:,}",
            "Longest input": f"{facts.context:,}",
            "Head tied": "yes" if facts.tied else "no",
            "Weights": style.memory(facts.memory_gib),
            "Precision": facts.dtype,
            "Device": facts.device,
        }

    return pd.DataFrame({side: column(facts) for side, facts in models.items()})


def memory() -> None:
    free, total = device.memory_gib()
    known = loaders.pair_names().get(selection.pair_name())
    needs = known.needs_gib if known else 0.0
    needed = f" This pair needs about {needs:g} GiB with one layer in training." if needs else ""
    st.caption(f"Memory of this machine: {total:.0f} GiB, {free:.0f} GiB free.{needed}")


def beside_its_control(shipped: Any, results: RunResults) -> None:
    """The gain of the same plan's recorded control."""
    plan = {**(shipped.plan or {}), "map": "permuted"}
    for other in loaders.runs():
        if other.recorded and other.plan == plan and (control := loaders.run(other.id).results()):
            named = ", ".join(run_widgets.taken_away(plan))
            st.markdown(widgets.plain(behaviour_text.beside_control(results.changes, control.changes, named)))


def recorded_run() -> None:
    """A finished transfer, for a first visit."""
    shipped = next((run for run in loaders.runs() if run.recorded and run.state == "done"), None)
    results = loaders.run(shipped.id).results() if shipped else None
    if not shipped or results is None or results.behaviour is None:
        return
    st.subheader("A recorded transfer of the demo pair", anchor=False)
    widgets.answer(behaviour_text.behaviour(results), recorded=True)
    beside_its_control(shipped, results)
    widgets.figure(
        figures.behaviour_figure(results.behaviour, results.changes), behaviour_text.BEHAVIOUR, behaviour_text.behaviour_table(results.behaviour),
        "recorded-behaviour", alt="Accuracy before and after the recorded transfer and of the teacher",
    )  # fmt: skip
    st.caption(f"Made by `{results.command or ''}`")


def show() -> None:
    widgets.head(
        "Two models side by side",
        "A large model (teacher) and a small one (student): their sizes, vocabularies, and how similar their latent spaces are.",
        words=("teacher and student", "latent space", "CKA", "noise", "reworded"),
    )
    about()
    with widgets.errors():
        comparison, recorded = selection.comparison(
            "Compare them to see layers, vocabularies and where the layers agree."
        )
        if comparison is None:
            return
        widgets.answer(comparison_text.compatible(comparison), recorded=recorded)
        picture, facts = widgets.beside(figures.heatmap_width(comparison.student.n_layers))
        with picture:
            widgets.figure(
                figures.similarity_heatmap(
                    comparison.grid, pairing=comparison.pairing, chosen=selection.layers(comparison)
                ),
                comparison_text.HEATMAP,
                comparison_text.grid_table(comparison.grid),
                "similarity",
                alt=f"Heatmap of similarity between {comparison.teacher.n_layers} teacher and {comparison.student.n_layers} student layers",
            )
        with facts:
            widgets.small_table(facts_table(comparison.models))
            pair_vocabulary.draw(comparison.vocabulary)
            memory()
            if warning := comparison_text.outliers(comparison.outliers, comparison.grid.recipe):
                st.warning(widgets.plain(warning), icon=":material/priority_high:")
        if selection.pair_name() == selection.DEMO:
            recorded_run()
        own_models.invite()
    loaders.engine().warm()


show()
