"""Factors: transfer gain against every alignment measure, over all pairs of layers that were tried, each point with its run.

Before spending a GPU on a transfer, the user learns which similarity measure predicts the gain when choosing layers, and how strong the
evidence from the runs so far is.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import figure_cache as figures
from dashboard import loaders, recorded, run_widgets, state, widgets
from dashboard.params import Param
from dashboard.views.factors import sweep_form
from pkt_core.studies.factors import text as factors_text
from pkt_core.studies.factors.record import Factor, Factors, correlated
from pkt_core.words.style import task_name

POINTS = "factor-points"


def name_of(plan: dict[str, Any]) -> str:
    """A group of runs, described by the plan that they share."""
    return run_widgets.describe({**plan, "seed": 0}).removesuffix(", seed 0")


def task_choice(record: Factors) -> str:
    """The task whose gain is shown."""
    labels = {task_name(task): task for task in record.factors}
    return labels[widgets.switch("Gain in", list(labels), Param.FACTOR_TASK, default=next(iter(labels)))]


def factor_choice(factors: list[Factor]) -> Factor:
    """The factor shown; the strongest unless another was chosen."""
    comparable = [factor for factor, _ in correlated(factors)]
    labels = [factor.label for factor in comparable]
    picked = widgets.choice("Factor", [state.AUTO, *labels], Param.FACTOR, help="auto: the strongest correlation.")
    return comparable[0] if picked == state.AUTO else comparable[labels.index(picked)]


def opened(key: str) -> None:
    """Select the run of the clicked point."""
    run = state.clicked_text(key, 2)
    if run is not None and run in {one.id for one in loaders.runs()}:
        state.open_run(run)
        state.tell(run, POINTS)


def shown(record: Factors) -> None:
    task = task_choice(record)
    factors = record.factors[task]
    groups = record.groups_used
    names = {group.key: name_of(group.plan) for group in groups}
    widgets.answer(factors_text.eases(factors, task, record.depth.get(task)))
    st.caption(widgets.plain(factors_text.cannot(factors)))
    if not correlated(factors):
        return
    widgets.figure(
        figures.factors_figure(factors), factors_text.FACTORS, factors_text.factors_table(factors), "factors",
        alt="Correlation of each alignment factor with the gain beyond depth, with 95 % intervals and the permutation null",
    )  # fmt: skip
    factor = factor_choice(factors)
    widgets.figure(
        figures.points_figure(groups, factor, task, names), factors_text.FACTOR_POINTS, factors_text.points_table(groups, factor, task, names), POINTS,
        alt=f"Gain of each pair of layers against {factor.label}", on_select=lambda: opened(f"figure-{POINTS}"),
    )  # fmt: skip
    if run := state.told(POINTS):
        st.markdown(widgets.plain(f"Chosen: {run}"))
        st.page_link("views/behaviour/page.py", label="See this run's behaviour", icon=":material/quiz:")
    whole = [group for group in groups if len(group.points) > 1 and group.key in factor.values]
    group = whole[0]
    if len(whole) > 1:
        labels = {f"{names[one.key]} ({len(one.points)} pairs of layers)": one for one in whole}
        group = labels[widgets.choice("Runs shown below", list(labels), Param.FACTOR_GROUP)]
    st.subheader("Gain and similarity by pair of layers", anchor=False)
    widgets.figure(
        figures.beside_figure(group, factor, task), factors_text.FACTOR_BESIDE, factors_text.points_table([group], factor, task, names), "factor-beside",
        alt="Heatmap of the gain at each pair of layers beside a heatmap of the factor",
    )  # fmt: skip
    with st.expander("All factors as a table, and the runs behind them"):
        st.dataframe(
            factors_text.factors_shown(factors), hide_index=True, alt="Factors with correlation, interval and p"
        )
        for one in record.groups:
            why = (
                ""
                if one.key in record.used
                else ": a control, left out"
                if one.control
                else ": too few pairs of layers"
            )
            runs = sum(len(point.runs) for point in one.points)
            st.caption(widgets.plain(f"{name_of(one.plan)}: {runs} runs at {len(one.points)} pairs of layers{why}."))


def of_the_store() -> Factors | str | None:
    """The factors from this store's runs, from the engine, or why the runs are too few.

    None while the result is not there, or there are no runs.
    """
    over = {run.id: run.finished for run in loaders.runs() if run.state == "done" and not run.recorded}
    if not over:
        return None
    every = widgets.toggle("All measures", Param.FACTOR_ALL, help="All eighteen; this takes minutes for large models.")
    request = {"finished": over, "measures": list(recorded.measures()) if every else None}
    task = loaders.soon(loaders.ask("factors", request))
    if task.status == "failed" and not task.fault:  # too few runs: a sentence, not a failure
        return str(task.error)
    record: Factors | None = widgets.result(task, "The factors", lambda: loaders.ask("factors", request, again=True))
    return record


def show() -> None:
    widgets.head(
        "What predicts transfer gain?",
        "Gain against the similarity of the two layers before transfer, over every pair of layers tried.",
        words=("correlation beyond depth", "Holm", "reworded", "95 % interval", "CKA", "logit lens"),
    )
    with widgets.errors():
        result = of_the_store()
        if result is None and any(run.state == "done" and not run.recorded for run in loaders.runs()):
            return
        if isinstance(result, Factors):
            shown(result)
        else:
            kept = recorded.factors()
            if kept is None:
                widgets.empty("No factor can be compared yet", result or "Try every pair of layers below.")
            else:
                st.badge("recorded", icon=":material/inventory_2:", color="gray")
                st.caption(
                    widgets.plain(
                        f"A sweep of the demo pair, made by {kept.command}. Your own runs replace it once they cover five teacher layers "
                        "and differ only in their layers: try every pair of layers below."
                    )
                )
                shown(kept)
        sweep_form.draw()


show()
