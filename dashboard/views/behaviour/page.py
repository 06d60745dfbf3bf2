"""What changed? A run's student before and after beside the teacher: tasks, side effects, generations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from dashboard import figure_cache as figures
from dashboard import run_actions, run_widgets, state, widgets
from dashboard.params import Param
from dashboard.views.behaviour import moved
from dashboard.views.behaviour import results as behaviour_results
from dashboard.views.behaviour import user_task as behaviour_user_task
from dashboard.views.behaviour import writing as behaviour_writing
from pkt_core.evaluation.record import Behaviour, Generation
from pkt_core.runs import queue as run_queue
from pkt_core.runs.results import RunResults
from pkt_core.studies.behaviour import text as behaviour_text
from pkt_core.studies.behaviour.record import TaskTests
from pkt_core.words import style


def generations(rows: list[Generation]) -> None:
    """What the three write after the same prompts, as plain text in a table."""
    if not rows:
        st.caption("This run wrote no generations.")
        return
    table = behaviour_text.generations_table(rows).map(lambda text: " ".join(str(text).split()))
    only = widgets.toggle("Only where before and after differ", Param.ONLY_DIFFERENT)
    if only:
        table = table[table["before"] != table["after"]]
    config = {name: st.column_config.TextColumn(name.capitalize(), width="medium") for name in table.columns}
    st.dataframe(table, hide_index=True, column_config=config, alt="Generations side by side")
    st.caption(f"{len(table)} of {len(rows)} prompts, greedy decoding. `Expected` is the answer that counts as right.")


def show_results(run: Any, results: RunResults, behaviour: Behaviour) -> None:
    """The page of a measured run; `behaviour` is that of its results."""
    changes = results.changes
    widgets.answer(behaviour_text.behaviour(results), recorded=run.recorded)
    if changes:
        widgets.figure(
            figures.behaviour_figure(behaviour, changes), behaviour_text.BEHAVIOUR, behaviour_text.behaviour_table(behaviour), "behaviour",
            alt="Share of answers right by task: student before, student after, teacher, prior",
        )  # fmt: skip
    beside = behaviour_results.tests(run)
    if changes:
        behaviour_results.changes_table(changes, beside)
        for name, repeats in results.repeats.items():
            st.caption(widgets.plain(behaviour_text.repeated(name, repeats, changes[name].n)))
    parts: dict[str, Callable[[], None]] = {
        "Controls": lambda: against(run, results, beside),
        "Costs": lambda: costs(run, results, behaviour, beside),
        "Layers": lambda: layers(run, results),
        "Answers": lambda: answers(run, results),
        "Your own task": lambda: behaviour_user_task.show(run),
        "How it was made": lambda: how_made(results),
    }
    first = "Answers" if state.picked() else "Controls"  # who picked prompts comes to see what is written after them
    for tab, draw in zip(widgets.tabs(list(parts), Param.BEHAVIOUR_TAB, default=first), parts.values(), strict=True):
        if tab.open:
            with tab:
                draw()


def against(run: Any, results: RunResults, beside: TaskTests | None) -> None:
    """What would refute it: controls, and other seeds."""
    behaviour_results.controls(run, results)
    if results.changes:
        behaviour_results.seeds(run, results.changes, beside)


def costs(run: Any, results: RunResults, behaviour: Behaviour, beside: TaskTests | None) -> None:
    """What got worse, and which items were forgotten."""
    behaviour_results.side_effects(results, behaviour, beside)
    behaviour_results.turned(run, results.right)


def layers(run: Any, results: RunResults) -> None:
    """Whether alignment moved, at the trained pair of layers and at all."""
    if results.alignment is not None:
        st.markdown(widgets.plain(behaviour_text.alignment(results.alignment)))
    moved.show(run, results)


def answers(run: Any, results: RunResults) -> None:
    """What the three models write."""
    st.subheader("What do they write?", anchor=False)
    generations(results.generations)
    behaviour_writing.show(run)


def how_made(results: RunResults) -> None:
    """Command, cost and versions."""
    if results.command:
        widgets.command(results.command, "The command that made it")
    st.write(widgets.plain(made(results)))
    st.json(results.versions, expanded=False)


def made(results: RunResults) -> str:
    """Layers, parameters, time and memory of a run."""
    layers, peak = results.layers, results.memory and results.memory.peak
    steps = "no step of training" if results.steps == 0 else f"{results.trained_parameters or 0:,} parameters trained"
    summary = f"{steps}; {widgets.spent(results.seconds.total)} in all"
    if layers is not None:
        pairs = ", ".join(f"{pair.teacher} to {pair.student}" for pair in layers.every)
        summary = f"Teacher to student layer: {pairs}, chosen by {layers.chosen_by}; {summary}"
    return f"{summary}; at most {style.memory(peak / 2**30)} of memory held." if peak else f"{summary}."


def not_yet(run: Any) -> None:
    """A run whose behaviour is not measured: at work, waiting, or ended early; only the last can be gone on with."""
    status = run.status()
    if run_actions.at_work(run, status):
        widgets.empty("This run is at work", widgets.plain(status.message or "Its behaviour is measured at its end."))
        st.page_link("views/transfer/page.py", label="Watch it", icon=":material/moving:")
        return
    if status.state == "queued" or run.id in run_queue.waiting():
        widgets.empty("This run waits in the queue", "Its behaviour is measured at its end.")
        st.page_link("views/transfer/page.py", label="Watch it", icon=":material/moving:")
        return
    word = run_widgets.STATES[status.state][1]
    trained = run_actions.only_measuring_is_left(run)
    kept = "Its student is trained and kept; only measuring is left." if trained else "Go on with it here."
    widgets.empty(f"This run's behaviour was not measured: it is {word}", widgets.plain(f"{status.message} {kept}"))
    if not run.recorded:
        label = "Measure its behaviour" if trained else "Go on with this run"
        args = (run_actions.resume, run.id)
        st.button(label, key="go-on", icon=":material/resume:", on_click=run_widgets.act, args=args)
        if sentence := state.told(run_widgets.PLACE):
            st.error(widgets.plain(sentence), icon=":material/error:")
        st.page_link("views/transfer/page.py", label="Watch it", icon=":material/moving:")
    if run_widgets.keeps_student(run.folder):
        widgets.command(f"pkt evaluate {run.id}")


def show() -> None:
    widgets.head(
        "What changed?",
        "The student before and after a transfer, beside the teacher: what it learnt, and what that cost elsewhere.",
        words=("recall", "reworded", "95 % interval", "McNemar", "Holm", "bits per byte", "KL"),
    )
    with widgets.errors():
        run = run_widgets.finished_run()
        if run is None:
            return
        results = run.results()
        if results is not None and results.behaviour is not None:
            show_results(run, results, results.behaviour)
        elif results is not None and results.unmeasured:
            widgets.empty("Trained, but not measured here", widgets.plain(results.unmeasured))
            widgets.command(f"pkt evaluate {run.id}", "Where the teacher is")
        else:
            not_yet(run)


show()
