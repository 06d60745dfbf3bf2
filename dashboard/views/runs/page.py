"""Runs: open one, compare two, download results."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import exports, loaders, run_widgets, state, widgets
from dashboard import figure_cache as figures
from dashboard.params import Param
from dashboard.views.runs import listing as runs_listing
from pkt_core.errors import PktError, StoreError
from pkt_core.evaluation.record import TaskChange
from pkt_core.report import citing
from pkt_core.runs.results import RunResults, results_json
from pkt_core.studies.behaviour import text as behaviour_text

NOT_USED = "not used"


def command_of(run: Any) -> str:
    """The command that made a run, from its results, else from its plan."""
    from pkt_core.transfer.plan import TransferPlan

    try:
        results = run.results()
        return (
            results.command
            if results and results.command
            else loaders.command_of(TransferPlan.read(run.plan(), run.folder))
        )
    except PktError:
        return "unreadable"


def opened(run_id: str) -> None:
    """One run: status, the command that made it, and downloads."""
    run = loaders.run(run_id)
    status = run.status()
    run_widgets.live_status(run_id)
    widgets.command(command_of(run), "Command")
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")  # wraps in a narrow window
    row.page_link("views/behaviour/page.py", label="See its behaviour", icon=":material/quiz:")
    results = run.results()
    download(
        row,
        "Report (HTML)",
        lambda: loaders.report_page(run_id, status.updated, sum(one.state == "done" for one in loaders.runs())),
        f"{run_id}.html",
        "text/html",
        results is not None and results.behaviour is not None,
    )
    download(
        row,
        "Results (JSON)",
        lambda: json.dumps(results and results_json(results), indent=1),
        f"{run_id}.json",
        "application/json",
        results is not None,
    )
    steps = run.steps()
    download(
        row,
        "Steps (CSV)",
        lambda: exports.csv(behaviour_text.steps_table(steps)),
        f"{run_id}-steps.csv",
        "text/csv",
        bool(steps),
    )
    student = run.folder / "student"
    download(
        row,
        "Student (zip)",
        lambda: loaders.student_archive(run_id, status.updated),
        f"{run_id}-student.zip",
        "application/zip",
        student.is_dir(),
    )
    cite(run.plan(), results)


def cite(plan: dict[str, Any], results: RunResults | None) -> None:
    """A paragraph for a methods section and the papers behind it."""
    if results is None or results.behaviour is None or results.layers is None or results.examples is None:
        return
    if not {"method", "teacher", "student"} <= set(plan):
        return
    with st.expander("Cite: methods paragraph and BibTeX"):
        st.code(citing.paragraph(plan, results), language=None, wrap_lines=True)
        st.code(citing.bibtex(plan), language=None)


def download(place: Any, label: str, data: Any, name: str, mime: str, there: bool) -> None:
    place.download_button(
        label,
        data,
        name,
        mime,
        key=f"get-{label}",
        on_click="ignore",
        disabled=not there,
        icon=":material/download:",
    )


def compare(listed: list[Any], first: str) -> None:
    """The chosen run beside another."""
    st.subheader("Compare with another run", anchor=False)
    others = ["none", *(run.id for run in listed if run.id != first and run.state in ("done", "stopped"))]
    if str(state.value(Param.OTHER_RUN, "none")) not in others:
        state.forget(Param.OTHER_RUN)
    second = widgets.choice("Other run", others, Param.OTHER_RUN)
    if second == "none":
        st.caption(
            "Choose another finished run to see both changes on one axis, for example a transfer and its control."
        )
        return
    both: dict[str, dict[str, TaskChange]] = {}
    for run_id in (first, second):
        run = loaders.run(run_id)
        results = run.results()
        if results is None or not results.changes:
            st.info(widgets.plain(f"{run_id} has no measured behaviour, so it cannot be compared. Choose another run."))
            return
        both[f"{run_id} ({run_widgets.describe(run.plan()).split(':')[0]})"] = results.changes
    table = pd.concat([behaviour_text.changes_table(changes).assign(run=name) for name, changes in both.items()])
    widgets.figure(
        figures.comparison_figure(both),
        behaviour_text.COMPARISON,
        table,
        "two-runs",
        alt="Change by task for two runs, with 95 % intervals",
    )
    st.dataframe(plans_apart(first, second), hide_index=True, alt="Settings in which the two runs differ")


def plans_apart(first: str, second: str) -> pd.DataFrame:
    """Only the settings in which the plans of two runs differ; "not used" where a run's method lacks a setting."""
    one, two = (settings_of(run_id) for run_id in (first, second))
    keys = [key for key in {**one, **two} if one.get(key, NOT_USED) != two.get(key, NOT_USED)]
    rows = [{"setting": key, first: str(one.get(key, NOT_USED)), second: str(two.get(key, NOT_USED))} for key in keys]
    return pd.DataFrame(rows or [{"setting": "no difference", first: "", second: ""}])


def settings_of(run_id: str) -> dict[str, Any]:
    """The settings of a run's method, whichever version wrote them; the stored plan where it cannot be read."""
    from pkt_core.transfer.plan import TransferPlan

    run = loaders.run(run_id)
    try:
        return TransferPlan.read(run.plan(), run.folder).model_dump(mode="json")
    except StoreError:
        return run.plan()


def show() -> None:
    widgets.head(
        "Runs",
        "Every run with its state and command. Open one, compare two, download the trained student.",
        words=("recall", "reworded", "95 % interval", "control"),
    )
    with widgets.errors():
        listed = loaders.runs()
        if not listed:
            widgets.empty("No run yet", "Start one on the page Transfer. Runs are listed here, also after a restart.")
            st.page_link("views/transfer/page.py", label="Run a transfer", icon=":material/moving:")
            return
        states = pd.Series([run.state for run in listed]).value_counts()
        words = ", ".join(f"{count} {run_widgets.STATES[str(name)][1]}" for name, count in states.items())
        widgets.answer(
            f"{len(listed)} runs: {words}; {sum(run.recorded for run in listed)} were recorded with the project."
        )
        runs_listing.show(listed)
        chosen = run_widgets.run_choice("Open", Param.RUN)
        if chosen is None:
            return
        try:
            opened(chosen)
            compare(listed, chosen)
        except StoreError as error:
            st.error(widgets.plain(f"{chosen} cannot be read: {error}"), icon=":material/broken_image:")


show()
