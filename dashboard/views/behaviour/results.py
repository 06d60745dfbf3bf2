"""Parts of the page Behaviour: the table of changes, what got worse, which items turned, and other seeds of the same plan."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import figure_cache as figures
from dashboard import loaders, widgets
from dashboard.params import Param
from pkt_core.errors import PromptError
from pkt_core.studies.behaviour import text as behaviour_text
from pkt_core.words import style

FORGOTTEN, NEW, BOTH = "forgotten", "newly right", "both"
ALL_TASKS = "all tasks"


def tests(run: Any) -> dict[str, Any] | None:
    """Corrected p, what n can show and the gap for each task, asked of the engine; None until it answers."""
    task = loaders.ask("task_tests", {"run": run.id, "finished": run.status().finished})
    return widgets.result(
        loaders.soon(task), "The tests", lambda: loaders.ask("task_tests", task.arguments, again=True)
    )


def changes_table(changes: dict[str, Any], told: dict[str, Any] | None) -> None:
    """Gain over the student and gap to the teacher, with what each test could see."""
    shown = behaviour_text.changes_shown(changes, told and told["tests"])
    st.dataframe(
        shown, hide_index=True, alt="Paired changes by task: gain, gap to the teacher, p-values, what n can show"
    )
    st.caption(behaviour_text.CHANGES)


def seeds(run: Any, changes: dict[str, Any], told: dict[str, Any] | None) -> None:
    """Every seed of the same plan, where the run belongs to a family."""
    if not told or not (found := told["seeds"]):
        return
    st.markdown(widgets.plain(behaviour_text.seeds(found)))
    widgets.figure(
        figures.seeds_figure(found, changes, run.id), behaviour_text.SEEDS, behaviour_text.seeds_table(found), "seeds",
        alt="Share of answers right by task, one point per seed, beside the student before",
    )  # fmt: skip


def side_effects(results: dict[str, Any], told: dict[str, Any] | None) -> None:
    """What got worse, ranked and named; then general text in full."""
    st.subheader("What did it cost elsewhere?", anchor=False)
    table = behaviour_text.worsened(results, told and told["tests"])
    st.markdown(f"**{widgets.plain(behaviour_text.worse(table))}**")
    if len(table):
        st.dataframe(behaviour_text.worsened_shown(table), hide_index=True, alt="What got worse, worst first")
        st.caption(behaviour_text.WORSE)
    behaviour = results["behaviour"]
    st.dataframe(
        behaviour_text.general_shown(behaviour),
        hide_index=True,
        alt="Side effects: before, after, teacher with 95 % intervals",
    )
    n = (behaviour["after"].get("bits_per_byte") or {}).get("n_texts")
    st.caption(
        f"95 % bootstrap intervals over {n} texts. Lower bits per byte is better; lower KL and higher agreement are nearer to the teacher."
    )


def turned(run: Any, results: dict[str, Any]) -> None:
    """The items that were right before and wrong after, and the reverse."""
    st.subheader("What did it forget?", anchor=False)
    right = results.get("right") or {}
    if not right:
        st.caption("This run did not keep its single answers; measure it again with `pkt evaluate` to see them.")
        return
    found = {task: behaviour_text.turned_items(answers["before"], answers["after"]) for task, answers in right.items()}
    st.markdown(f"**{widgets.plain(behaviour_text.turned(found, right))}**")
    st.dataframe(
        behaviour_text.turned_counts(found, right), hide_index=True, alt="Items forgotten and newly right by task"
    )
    left, other = st.columns(2, vertical_alignment="bottom")
    with left:
        way = widgets.switch("Show", [FORGOTTEN, NEW, BOTH], Param.TURNED, default=FORGOTTEN)
    with other:
        labels = {ALL_TASKS: ALL_TASKS, **{style.task_name(name): name for name in found}}
        task = labels[widgets.choice("Of", list(labels), Param.TURNED_TASK)]
    plan = run.plan()
    wanted = {name: ways for name, ways in found.items() if task in (ALL_TASKS, name)}
    items: dict[str, list[tuple[str, str]]] = {}
    for name in list(wanted):
        try:
            items[name] = loaders.task_items(name, plan.get("n_task_items"), plan.get("seed", 0))
        except PromptError as error:
            items[name] = []
            st.info(widgets.plain(str(error)))
        if len(items[name]) != len(right[name]["before"]):  # the file was changed since
            st.info(
                widgets.plain(f"The items of {style.task_name(name)} are not those that were asked; they are left out.")
            )
            del wanted[name]
    shown = {name: {w: numbers for w, numbers in ways.items() if way in (BOTH, w)} for name, ways in wanted.items()}
    table = behaviour_text.turned_table(shown, items)
    if table.empty:
        st.caption("None.")
        return
    names = {"turned": "Turned", "task": "Task", "item": "Item", "prompt": "Prompt", "answer": "Answer"}
    st.dataframe(table.rename(columns=names), hide_index=True, height=260, alt="Items that turned")
    st.caption(f"{len(table):,} items. Right: greedy decoding gives the whole answer.")
