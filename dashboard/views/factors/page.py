"""What eases it? Gain against every alignment factor, over all pairs of layers that were tried, each point with its run.

The user wants to know, before spending a GPU on a transfer, which measure of likeness to look at when choosing layers, and how
far the runs so far can be trusted to say so.
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
    """A group of runs in words: what they share."""
    return run_widgets.describe({**plan, "seed": 0}).removesuffix(", seed 0")


def task_choice(found: Factors) -> str:
    """Which gain is asked about."""
    labels = {task_name(task): task for task in found.factors}
    return labels[widgets.switch("Gain in", list(labels), Param.FACTOR_TASK, default=next(iter(labels)))]


def factor_choice(factors: list[Factor]) -> Factor:
    """The factor that is looked at; the strongest unless another was chosen."""
    comparable = [factor for factor, _ in correlated(factors)]
    labels = [factor.label for factor in comparable]
    picked = widgets.choice("Factor", [state.AUTO, *labels], Param.FACTOR, help="auto: the strongest.")
    return comparable[0] if picked == state.AUTO else comparable[labels.index(picked)]


def opened(key: str) -> None:
    """Go to the run of the point that was clicked."""
    run = state.clicked_text(key, 2)
    if run is not None and run in {one.id for one in loaders.runs()}:
        state.open_run(run)
        state.tell(run, POINTS)


def shown(found: Factors) -> None:
    task = task_choice(found)
    factors = found.factors[task]
    groups = found.groups_used
    names = {group.key: name_of(group.plan) for group in groups}
    widgets.answer(factors_text.eases(factors, task))
    st.caption(widgets.plain(factors_text.cannot(factors)))
    if not correlated(factors):
        return
    widgets.figure(
        figures.factors_figure(factors), factors_text.FACTORS, factors_text.factors_table(factors), "factors",
        alt="Rank correlation of each alignment factor with the gain, with 95 % intervals and the band of chance",
    )  # fmt: skip
    factor = factor_choice(factors)
    widgets.figure(
        figures.points_figure(groups, factor, task, names), factors_text.FACTOR_POINTS, factors_text.points_table(groups, factor, task, names), POINTS,
        alt=f"Gain of each pair of layers against {factor.label}", on_select=lambda: opened(f"figure-{POINTS}"),
    )  # fmt: skip
    if run := state.told(POINTS):
        st.markdown(widgets.plain(f"Chosen: {run}"))
        st.page_link("views/behaviour/page.py", label="What did this run change?", icon=":material/quiz:")
    whole = [group for group in groups if len(group.points) > 1 and group.key in factor.values]
    group = whole[0]
    if len(whole) > 1:
        labels = {f"{names[one.key]} ({len(one.points)} pairs of layers)": one for one in whole}
        group = labels[widgets.choice("Runs shown below", list(labels), Param.FACTOR_GROUP)]
    st.subheader("Where was it gained, and where were they alike?", anchor=False)
    widgets.figure(
        figures.beside_figure(group, factor, task), factors_text.FACTOR_BESIDE, factors_text.points_table([group], factor, task, names), "factor-beside",
        alt="Heatmap of the gain at each pair of layers beside a heatmap of the factor",
    )  # fmt: skip
    with st.expander("All factors as a table, and the runs behind them"):
        st.dataframe(
            factors_text.factors_shown(factors), hide_index=True, alt="Factors with correlation, interval and p"
        )
        for one in found.groups:
            why = (
                "" if one.key in found.used else ": a control, left out" if one.control else ": too few pairs of layers"
            )
            runs = sum(len(point.runs) for point in one.points)
            st.caption(widgets.plain(f"{name_of(one.plan)}: {runs} runs at {len(one.points)} pairs of layers{why}."))


def of_the_store() -> Factors | str | None:
    """The answer from this store's runs, asked of the engine, or why they are too few for one.

    None while it is not there, or there is nothing to ask about.
    """
    over = {run.id: run.finished for run in loaders.runs() if run.state == "done" and not run.recorded}
    if not over:
        return None
    every = widgets.toggle("All measures", Param.FACTOR_ALL, help="All eighteen; takes minutes for large models.")
    request = {"finished": over, "measures": list(recorded.measures()) if every else None}
    task = loaders.soon(loaders.ask("factors", request))
    if task.status == "failed" and not task.fault:  # too few runs: a sentence, and no failure
        return str(task.error)
    found: Factors | None = widgets.result(task, "The factors", lambda: loaders.ask("factors", request, again=True))
    return found


def show() -> None:
    widgets.head(
        "What eases it?",
        "Whether transfers gained more between layers that were more alike before, over every pair of layers tried.",
        words=("noise", "Holm", "rank correlation", "reworded", "95 % interval", "CKA", "logit lens"),
    )
    with widgets.errors():
        found = of_the_store()
        if found is None and any(run.state == "done" and not run.recorded for run in loaders.runs()):
            return
        if isinstance(found, Factors):
            shown(found)
        else:
            kept = recorded.factors()
            if kept is None:
                widgets.empty("No factor can be compared yet", found or "Try every pair of layers below.")
            else:
                st.badge("recorded", icon=":material/inventory_2:", color="gray")
                st.caption(
                    widgets.plain(
                        f"A sweep of the demo pair, made by {kept.command}. It gives way to your own runs once four of them differ "
                        "in their layers alone: try every pair of layers below."
                    )
                )
                shown(kept)
        sweep_form.draw()


show()
