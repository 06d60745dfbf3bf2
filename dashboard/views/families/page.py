"""Families: a family's progress, its figure and its table, each row with its runs."""

from __future__ import annotations

import streamlit as st

from dashboard import figure_cache as figures
from dashboard import loaders, pulse, run_actions, run_widgets, state, widgets
from dashboard import recorded as dashboard_recorded
from dashboard.params import Param
from pkt_core.studies.families import text as families_text
from pkt_core.studies.families.record import FamilyTable
from pkt_core.words.style import task_name

TABLE = "family-table"
CEILING = 0.995


def choose(families: list[run_actions.Family]) -> run_actions.Family:
    """The family that the link names; `auto` is the newest."""
    names = [state.AUTO, *(family.name for family in families)]
    if (held := str(state.value(Param.FAMILY, state.AUTO))) not in names:
        st.info(widgets.plain(f"There is no family {held[:80]} here. Showing {families[0].name}."))
        state.forget(Param.FAMILY)
    picked = st.selectbox(f"Family (auto is {families[0].name})", names, key=Param.FAMILY.value, bind=widgets.BIND)
    return next((family for family in families if family.name == picked), families[0])


def progress(name: str) -> None:
    """The number of runs done, failed and running, redrawn while any is active; the whole page when one ends."""
    shown = family_named(name)
    ended = len(shown.runs) - len(shown.among("queued", "running"))

    def one_ended() -> bool:
        now = family_named(name)
        return len(now.runs) - len(now.among("queued", "running")) != ended

    def draw() -> None:
        now = family_named(name)
        words = [f"{len(now.among('done'))} of {len(now.runs)} runs done"]
        words += [f"{len(some)} {word}" for word in ("failed", "stopped", "lost") if (some := now.among(word))]
        at_work = now.among("running")
        words += [f"now: {now.labels[run.id]}, seed {run.plan.get('seed')}" for run in at_work]
        if ended < len(now.runs):
            done = len(now.among("done")) + sum(run.fraction for run in at_work)
            st.progress(done / len(now.runs), text=widgets.plain("; ".join(words)))
            if not at_work:
                st.caption("No run of this family is running now; the queue is on the page Transfer.")
        else:
            st.caption(widgets.plain(f"{'; '.join(words)}."))

    if ended < len(shown.runs):
        pulse.live(draw, one_ended)
    else:
        draw()
    if broken := shown.among("failed", "stopped", "lost"):
        with st.expander(f"{len(broken)} runs did not finish: resume them on the page Runs"):
            for run in broken:
                opens(f"{shown.labels[run.id]}, seed {run.plan.get('seed')}: {run.message}", run.id)


def family_named(name: str) -> run_actions.Family:
    return next(family for family in run_actions.families() if family.name == name)


def table_of(family: run_actions.Family) -> FamilyTable | None:
    """The table of its finished runs, from the engine; None while it is not there."""
    over = [
        run for run in family.runs if run.state not in ("queued", "running") and run_widgets.has_results(run.folder)
    ]
    finished = {run.id: run.finished for run in over}
    if not finished:
        widgets.empty("No run of this family is done yet", "The table grows as runs finish; you can leave this page.")
        return None
    request = {"family": family.name, "finished": finished}
    task = loaders.soon(loaders.ask("family_table", request))
    table: FamilyTable | None = widgets.result(
        task, "The table", lambda: loaders.ask("family_table", request, again=True)
    )
    if table is not None and not table.rows:
        widgets.empty(
            "No run of this family has been evaluated yet",
            "Its runs were trained, but their behaviour was not measured; see the page Runs.",
        )
        return None
    return table


def telling(labels: dict[str, str], table: FamilyTable) -> str:
    """The first task below ceiling: at the ceiling the best methods cannot be distinguished."""
    best = {name: max(row.tasks[name].value for row in table.rows if name in row.tasks) for name in table.asked}
    open_tasks = [label for label, name in labels.items() if best[name] < CEILING]
    return next(iter(open_tasks or labels))


def shown(table: FamilyTable) -> None:
    rows = table.rows
    if rows[0].label != table.first:
        st.info(
            widgets.plain(
                f"{table.first} has not been evaluated yet; until then, the others are compared with {rows[0].label}."
            )
        )
    names = list(rows[0].tasks)
    task = names[0]
    if len(names) > 1:
        labels = {task_name(name): name for name in names}
        task = labels[widgets.switch("Task", list(labels), Param.FAMILY_TASK, default=telling(labels, table))]
    answer = f"{families_text.winner(table, task)}{families_text.gained(table, task)}"
    widgets.answer(f"{answer} {families_text.explained(table, task)}")
    widgets.figure(
        figures.family_figure(table), families_text.FAMILY, families_text.family_table(table), "family",
        alt="Accuracy by task and member of the family, with 95 % intervals, seeds and majority-answer baseline",
    )  # fmt: skip
    st.dataframe(
        families_text.family_shown(table, task),
        hide_index=True,
        key=TABLE,
        on_select="rerun",
        selection_mode="single-row",
        alt="Members of the family: accuracy, difference to the first, p, bits per byte, seconds",
    )
    st.caption(
        f"Task {widgets.plain(task_name(task))}. Differences are paired on the same items, averaged over seeds; p is Holm-corrected over "
        "all members and tasks of this family. Lower bits per byte on general text is better. Tick a row to see its runs."
    )
    for sentence in table.left_out:
        st.caption(widgets.plain(sentence))
    row = state.clicked_row(TABLE)
    there = {run.id for run in loaders.runs()}
    if row is not None and row < len(rows) and there.issuperset(rows[row].runs):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(widgets.plain(f"Runs of {rows[row].label}:"), width="content")
            for run_id in rows[row].runs:
                opens(run_id, run_id)


def opens(label: str, run_id: str) -> None:
    """A button that opens a run's behaviour."""
    if st.button(
        widgets.plain(label),
        key=f"open-{run_id}",
        type="tertiary",
        icon=":material/quiz:",
        on_click=state.open_run,
        args=(run_id,),
    ):
        state.go("behaviour" if run_widgets.has_results(loaders.run(run_id).folder) else "runs")


def recorded() -> None:
    """On a first visit: the recorded family, and how to run your own."""
    table = dashboard_recorded.family()
    if table is None:
        widgets.empty(
            "No family yet",
            "Plan a transfer on the page Transfer and click `Run as a family`. It runs with its rivals and controls, and the table appears here.",
        )
    else:
        st.badge("recorded", icon=":material/inventory_2:", color="gray")
        st.caption(widgets.plain(f"Made by {table.command}. Run your own family on the page Transfer."))
        shown(table)
    st.page_link("views/transfer/page.py", label="Run a transfer", icon=":material/moving:")


def show() -> None:
    widgets.head(
        "Compare methods",
        "One transfer with its rival methods and controls on the same data, with several seeds each.",
        words=("control", "reworded", "95 % interval", "Holm", "bits per byte", "LoRA", "Seeking", "LaTen"),
    )
    with widgets.errors():
        families = run_actions.families()
        if not families:
            recorded()
            return
        family = choose(families)
        st.caption(widgets.plain(run_widgets.describe(family.runs[0].plan)))
        progress(family.name)
        if (table := table_of(family)) is not None:
            shown(table)


show()
