"""The user's own task, answered by a run's three models: a file by upload or path, scores, confidence, and changed items.

Not covered: the plan's own tasks (`dashboard/views/behaviour/results.py`).
"""

from __future__ import annotations

import shlex
from typing import Any

import streamlit as st

from dashboard import figure_cache as figures
from dashboard import loaders, run_widgets, state, widgets
from dashboard.params import Param
from pkt_core.errors import PktError
from pkt_core.studies.behaviour import text as behaviour_text
from pkt_core.studies.behaviour.record import UserTask
from pkt_core.studies.token_change import text as token_change_text
from pkt_core.words import style

UPLOAD = "uploaded-task"
NAME = "your task"


def show(run: Any) -> None:
    """The section; a notice where the trained weights are not stored."""
    st.subheader("Your own task", anchor=False)
    if not run_widgets.keeps_student(run.folder):
        st.caption(
            "This run's trained weights are not stored, so it cannot answer a new task. Runs started on this machine store theirs."
        )
        return
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        st.file_uploader(
            "Upload a task", type=["jsonl", "csv"], key=UPLOAD, on_change=keep, max_upload_size=20,
            help="Fields prompt, answer and, for multiple choice, choices: a list in .jsonl, separated by | in .csv. Spaces count: an answer usually begins with one.",
        )  # fmt: skip
    with right:
        named = widgets.line("or its path", Param.OWN_TASK, placeholder="task.jsonl", help="On the machine where the app runs, or a bundled task such as demo/known-seen.")  # fmt: skip
    if sentence := state.told(UPLOAD):
        st.error(widgets.plain(sentence), icon=":material/error:")
    if not named:
        return
    try:
        arguments = {"run": run.id, "task": loaders.task_as_it_is(named)}
    except PktError as error:
        st.error(widgets.plain(str(error)), icon=":material/error:")
        return
    task = loaders.ask("user_task", arguments)
    record: UserTask | None = widgets.result(
        loaders.soon(task), "Your task", lambda: loaders.ask("user_task", arguments, again=True)
    )
    if record is not None:
        result(record)
        widgets.command(shlex.join(["pkt", "evaluate", run.id, "--task", named]))


def keep() -> None:
    """Store the uploaded task and select it; for the callback."""
    state.keep_upload(UPLOAD, Param.OWN_TASK, loaders.keep_task)


def result(record: UserTask) -> None:
    """Scores by each scoring, confidence by the first of them, and the items whose answer changed."""
    blind = "chance: a random choice" if len(record.scored) > 1 else "chance: majority-answer baseline"
    widgets.figure(
        figures.behaviour_figure(record.behaviour, record.changes, blind), behaviour_text.OWN_TASK, behaviour_text.behaviour_table(record.behaviour), "own-task",
        alt="Accuracy by scoring: student before, student after, teacher, chance",
    )  # fmt: skip
    shown = behaviour_text.changes_shown(record.changes, record.tests).rename(
        columns={"Task": "Scoring", "Prior": "Chance"}
    )
    st.dataframe(shown, hide_index=True, alt="Paired changes by scoring")
    st.caption(f"{record.n:,} items. {behaviour_text.CHANGES}")
    if record.repeats:
        st.caption(widgets.plain(behaviour_text.repeated(record.task, record.repeats, record.n)))
    first = record.scored[0]
    table = behaviour_text.turned_table({NAME: first.answers}, {NAME: record.items}).drop(columns=["task"])
    if len(table):
        st.dataframe(
            table,
            hide_index=True,
            height=min(260, 38 * (len(table) + 1)),
            alt="Items whose answer changed between right and wrong",
        )
        st.caption(widgets.plain(f"{len(table)} items changed between right and wrong ({first.scoring})."))
    with st.expander("Calibration: does confidence match accuracy?"):
        widgets.figure(
            figures.reliability_figure(first.calibration, "confidence"), behaviour_text.ITEMS_RELIABILITY,
            token_change_text.calibration_table(first.calibration), "own-reliability", alt="Accuracy against confidence",
        )  # fmt: skip
        st.dataframe(
            token_change_text.calibration_shown(first.calibration), hide_index=True, alt="Calibration over items"
        )
        st.caption(widgets.plain(f"Scoring: {first.scoring}; {style.task_name(record.task)}."))
