"""Parts of the page Behaviour: the table of changes, controls, what got worse, which items turned, and other seeds of the same plan."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import figure_cache as figures
from dashboard import loaders, widgets
from dashboard.params import Param
from pkt_core.errors import PromptError
from pkt_core.evaluation.record import Answers, Behaviour, TaskChange
from pkt_core.runs.results import RunResults
from pkt_core.studies.behaviour import figures as behaviour_figures
from pkt_core.studies.behaviour import text as behaviour_text
from pkt_core.studies.behaviour.record import Controls, TaskTests
from pkt_core.words import style

FORGOTTEN, NEW, BOTH = behaviour_text.FORGOTTEN, behaviour_text.NEWLY_RIGHT, "both"
ALL_TASKS = "all tasks"


def tests(run: Any) -> TaskTests | None:
    """Corrected p, minimum detectable effect and gap to the teacher for each task, from the engine; None until it answers."""
    task = loaders.ask("task_tests", {"run": run.id, "finished": run.status().finished})
    beside: TaskTests | None = widgets.result(
        loaders.soon(task), "The tests", lambda: loaders.ask("task_tests", task.arguments, again=True)
    )
    return beside


def changes_table(changes: dict[str, TaskChange], beside: TaskTests | None) -> None:
    """Gain over the student and gap to the teacher, with each test's minimum detectable effect."""
    shown = behaviour_text.changes_shown(changes, None if beside is None else beside.tests)
    st.dataframe(
        shown,
        hide_index=True,
        alt="Paired changes by task: gain, gap to the teacher, p-values, minimum detectable effect",
    )
    st.caption(behaviour_text.CHANGES)


def controls(run: Any, results: RunResults) -> None:
    """The run and its controls on one axis, the gain beyond each control, and missing controls."""
    st.subheader("Would a control have gained as much?", anchor=False)
    if not results.right:
        st.caption(
            "This run's answers per item are not stored. Evaluate it again with `pkt evaluate` to compare it with controls."
        )
        return
    others = sum(one.state == "done" for one in loaders.runs())
    arguments = {"run": run.id, "finished": run.status().finished, "others": others}
    task = loaders.soon(loaders.ask("run_controls", arguments))
    record: Controls | None = widgets.result(
        task, "The controls", lambda: loaders.ask("run_controls", arguments, again=True)
    )
    if record is None:
        return
    st.markdown(f"**{widgets.plain(behaviour_text.controls(record))}**")
    table = behaviour_text.controls_table(record)
    if record.carried_out:
        widgets.figure(
            behaviour_figures.controls_figure(results.changes, record), behaviour_text.AGAINST, table, "controls",
            alt="Change by task of this run and of its controls, with 95 % intervals around zero",
        )  # fmt: skip
    if record.controls:
        with st.expander("Every control, task by task", icon=":material/table:"):
            st.dataframe(table, hide_index=True, alt="Controls: what each removes, its run, the remaining gain")
            st.caption("Run missing controls on the page Transfer: one under Control, or all of them as a family.")
    st.page_link(
        "views/families/page.py", label="All controls with several seeds: Families", icon=":material/leaderboard:"
    )


def seeds(run: Any, changes: dict[str, TaskChange], beside: TaskTests | None) -> None:
    """Every seed of the same plan, where the run belongs to a family."""
    if beside is None or (spread := beside.seeds) is None:
        return
    st.markdown(widgets.plain(behaviour_text.seeds(spread)))
    widgets.figure(
        figures.seeds_figure(spread, changes, run.id), behaviour_text.SEEDS, behaviour_text.seeds_table(spread), "seeds",
        alt="Accuracy by task, one point per seed, beside the student before",
    )  # fmt: skip


def side_effects(results: RunResults, behaviour: Behaviour, beside: TaskTests | None) -> None:
    """What got worse, ranked; then all measures on general text."""
    st.subheader("What did it cost elsewhere?", anchor=False)
    table = behaviour_text.worsened(results, None if beside is None else beside.tests)
    st.markdown(f"**{widgets.plain(behaviour_text.worse(table))}**")
    if len(table):
        st.dataframe(behaviour_text.worsened_shown(table), hide_index=True, alt="What got worse, worst first")
        st.caption(behaviour_text.WORSE)
    st.dataframe(
        behaviour_text.general_shown(behaviour),
        hide_index=True,
        alt="Side effects: before, after, teacher with 95 % intervals",
    )
    bits = behaviour.after.bits_per_byte
    st.caption(
        f"95 % bootstrap intervals over {bits and bits.texts} texts. Lower bits per byte is better. Lower KL and higher agreement mean closer to the teacher."
    )


def turned(run: Any, right: dict[str, Answers]) -> None:
    """The items that were right before and wrong after, and the reverse; `right` has the answers by task."""
    st.subheader("What did it forget?", anchor=False)
    if not right:
        st.caption("This run's answers per item are not stored. Evaluate it again with `pkt evaluate` to see them.")
        return
    st.markdown(f"**{widgets.plain(behaviour_text.turned(right))}**")
    st.dataframe(behaviour_text.turned_counts(right), hide_index=True, alt="Items forgotten and newly right by task")
    left, other = st.columns(2, vertical_alignment="bottom")
    with left:
        way = widgets.switch("Show", [FORGOTTEN, NEW, BOTH], Param.TURNED, default=FORGOTTEN)
    with other:
        labels = {ALL_TASKS: ALL_TASKS, **{style.task_name(name): name for name in right}}
        task = labels[widgets.choice("Of", list(labels), Param.TURNED_TASK)]
    plan = run.plan()
    selected = {name: answers for name, answers in right.items() if task in (ALL_TASKS, name)}
    items: dict[str, list[tuple[str, str]]] = {}
    for name in list(selected):
        try:
            items[name] = loaders.task_items(name, plan.get("n_task_items"), plan.get("seed", 0))
        except PromptError as error:
            items[name] = []
            st.info(widgets.plain(str(error)))
        if len(items[name]) != len(right[name].after):  # the file has changed since
            st.info(
                widgets.plain(
                    f"The items of {style.task_name(name)} have changed since the evaluation and are left out."
                )
            )
            del selected[name]
    table = behaviour_text.turned_table(selected, items, (FORGOTTEN, NEW) if way == BOTH else (way,))
    if table.empty:
        st.caption("None.")
        return
    names = {"turned": "Turned", "task": "Task", "item": "Item", "prompt": "Prompt", "answer": "Answer"}
    st.dataframe(
        table.rename(columns=names),
        hide_index=True,
        height=260,
        alt="Items whose answer changed between right and wrong",
    )
    st.caption(f"{len(table):,} items. Right: greedy decoding produces the whole answer.")
