"""Does it score differently where the field looks? Tasks of lm-evaluation-harness on a run's models, with what n can show."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import loaders, run_widgets, widgets
from dashboard.params import Param
from dashboard.views.benchmarks import form as benchmarks_form
from pkt_core.benchmarks import figures as benchmarks_figures
from pkt_core.benchmarks import text as benchmarks_text
from pkt_core.words import reported

Json = dict[str, Any]
COMMANDS = 3  # of the harness that are shown; the others differ in task and model alone


def show_board(told: Json) -> None:
    """The answer, the picture, the table, and how it was asked."""
    widgets.answer(benchmarks_text.headline(told))
    for sentence in benchmarks_text.cautions(told):
        st.caption(f":material/info: {widgets.plain(sentence)}")
    if benchmarks_figures.scored(told["lines"]):
        widgets.figure(
            benchmarks_figures.benchmark_figure(told["lines"]), benchmarks_text.BENCHMARKS, benchmarks_text.full(told), "benchmarks",
            alt="Share right by task: student before, student after, further runs, teacher, with 95 % intervals",
        )  # fmt: skip
    st.subheader("Measured here", anchor=False)
    leading = [line for line in told["lines"] if line["leads"]]
    st.dataframe(benchmarks_text.shown(leading), hide_index=True, alt="Scores by task and model", column_config=COLUMNS)
    st.caption(benchmarks_text.BENCHMARK_TABLE)
    if others := [line for line in told["lines"] if not line["leads"]]:
        with st.expander("Other metrics of these tasks"):
            table = benchmarks_text.shown(others).drop(columns="p (Holm)")
            table.insert(1, "Metric", [benchmarks_text.metric_of(line) for line in others])
            st.dataframe(table, hide_index=True, alt="Scores by other metrics")
    with st.expander("How it was asked, and the same with the harness's own command line"):
        st.dataframe(benchmarks_text.protocols(told), hide_index=True, alt="Protocol of each task")
        for one in [asked for asked in told["asked"] if asked["label"] == "student after"][:COMMANDS]:
            st.code(benchmarks_text.harness_command(told, one), language="bash", wrap_lines=True)
        st.caption(benchmarks_text.BENCHMARK_PROTOCOL)
    turned(told)


COLUMNS = {
    "Seen from": st.column_config.TextColumn(
        help="The smallest change that McNemar's exact test finds four times in five on so many items, of which as many differ as here."
    ),
    "Change": st.column_config.TextColumn(
        help="Points that this student has more than the student before, on the same items."
    ),
    "p (Holm)": st.column_config.TextColumn(help="McNemar's exact test, corrected over all changes in this table."),
    "To teacher": st.column_config.TextColumn(
        help="Points that the teacher has more than this model, on the same items."
    ),
}


def turned(told: Json) -> None:
    """Items that were wrong before and right after, and the other way."""
    found = benchmarks_text.turned(told)
    if not found:
        return
    st.subheader("Which items turned?", anchor=False)
    left, _ = st.columns([1, 2])
    with left:
        picked = widgets.choice("Task", list(found), Param.BENCHMARK_TASK)
    right, wrong = found[picked]
    for words, items in (("Right only after", right), ("Right only before", wrong)):
        shown = ", ".join(items[:60]) + (" …" if len(items) > 60 else "")
        st.markdown(f"**{words}** ({len(items)}): {widgets.plain(shown) or '–'}")


def papers() -> None:
    with st.expander(f"What the paper reports ({reported.SOURCE})"):
        wide = {"Model or method": st.column_config.TextColumn(width=230)}
        st.dataframe(
            reported.table(),
            hide_index=True,
            height="content",
            column_config=wide,
            alt="Reported figures, not measured here",
        )
        st.caption(f"In per cent, as printed; none of it was measured here. {reported.CAUTION}")


def show() -> None:
    widgets.head(
        "Does it score differently where the field looks?",
        "The benchmarks of lm-evaluation-harness on the student before and after, the teacher, and further runs.",
        words=("95 % interval", "McNemar", "Holm"),
    )
    with widgets.errors():
        run = run_widgets.finished_run()
        if run is None:
            return
        if not run_widgets.keeps_student(run.folder):
            widgets.empty(
                "This run keeps no trained student", "Choose a run that finished here, or carry its plan out again."
            )
            papers()
            return
        others = benchmarks_form.students(run.id)
        against = (
            widgets.several(
                "Beside it, further runs of the pair", others, Param.BENCHMARK_AGAINST, default=[],
                help="Rivals, controls or other seeds; their students are asked too and stand in the picture one by one.",
            )
            if others
            else []
        )  # fmt: skip
        benchmarks_form.progress(run.id)
        asked = {"run": run.id, "against": against, "kept": benchmarks_form.kept()}
        task = loaders.soon(loaders.ask("benchmark_board", asked), 1.5)
        told = widgets.result(
            task, "Reading what was asked before", lambda: loaders.ask("benchmark_board", asked, again=True)
        )
        if told and told["lines"]:
            show_board(told)
        elif told:
            widgets.empty(
                "Nothing was asked of these models yet", "Choose tasks below; the demo's take about a minute."
            )
        st.subheader("Ask", anchor=False)
        benchmarks_form.form(run.id, against)
        papers()


show()
