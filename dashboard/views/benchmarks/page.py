"""Does it score differently where the field looks? Tasks of lm-evaluation-harness on a run's models, with what n can show."""

from __future__ import annotations

import streamlit as st

from dashboard import loaders, run_widgets, widgets
from dashboard.params import Param
from dashboard.views.benchmarks import form as benchmarks_form
from pkt_core.benchmarks import figures as benchmarks_figures
from pkt_core.benchmarks import text as benchmarks_text
from pkt_core.benchmarks.record import Board
from pkt_core.words import reported

COMMANDS = 3  # of the harness that are shown; the others differ in task and model alone


def show_board(board: Board) -> None:
    """The answer, the picture, the table, and how it was asked."""
    widgets.answer(benchmarks_text.headline(board))
    for sentence in benchmarks_text.cautions(board):
        st.caption(f":material/info: {widgets.plain(sentence)}")
    if benchmarks_figures.scored(board.lines):
        widgets.figure(
            benchmarks_figures.benchmark_figure(board.lines),
            benchmarks_text.BENCHMARKS,
            benchmarks_text.full(board),
            "benchmarks",
            alt="Share right by task: student before, student after, further runs, teacher, with 95 % intervals",
        )
    st.subheader("Measured here", anchor=False)
    leading = [line for line in board.lines if line.leads]
    st.dataframe(benchmarks_text.shown(leading), hide_index=True, alt="Scores by task and model", column_config=COLUMNS)
    st.caption(benchmarks_text.BENCHMARK_TABLE)
    if others := [line for line in board.lines if not line.leads]:
        with st.expander("Other metrics of these tasks"):
            table = benchmarks_text.shown(others).drop(columns="p (Holm)")
            table.insert(1, "Metric", [benchmarks_text.metric_of(line) for line in others])
            st.dataframe(table, hide_index=True, alt="Scores by other metrics")
    with st.expander("How it was asked, and the same with the harness's own command line"):
        st.dataframe(benchmarks_text.protocols(board), hide_index=True, alt="Protocol of each task")
        for asked in [one for one in board.asked if one.label == "student after"][:COMMANDS]:
            st.code(benchmarks_text.harness_command(board, asked), language="bash", wrap_lines=True)
        st.caption(benchmarks_text.BENCHMARK_PROTOCOL)
    turned(board)


COLUMNS = {
    "Detectable": st.column_config.TextColumn(
        help="The smallest change, in points, that McNemar's exact test finds with 80 % power at this n and share of changed answers."
    ),
    "Change": st.column_config.TextColumn(
        help="Points that this student has more than the student before, on the same items."
    ),
    "p (Holm)": st.column_config.TextColumn(help="McNemar's exact test, corrected over all changes in this table."),
    "To teacher": st.column_config.TextColumn(
        help="Points that the teacher has more than this model, on the same items."
    ),
}


def turned(board: Board) -> None:
    """Items that were wrong before and right after, and the other way."""
    items = benchmarks_text.turned(board)
    if not items:
        return
    st.subheader("Which items turned?", anchor=False)
    left, _ = st.columns([1, 2])
    with left:
        task = widgets.choice("Task", list(items), Param.BENCHMARK_TASK)
    for words, names in zip(("Right only after", "Right only before"), items[task], strict=True):
        shown = ", ".join(names[:60]) + (" …" if len(names) > 60 else "")
        st.markdown(f"**{words}** ({len(names)}): {widgets.plain(shown) or '–'}")


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
        against: list[str] = []
        if others:
            against = widgets.several(
                "Beside it, further runs of the pair",
                others,
                Param.BENCHMARK_AGAINST,
                default=[],
                help="Rivals, controls or other seeds; their students are asked too and stand in the picture one by one.",
            )
        benchmarks_form.progress(run.id)
        arguments = {"run": run.id, "against": against, "kept": benchmarks_form.kept()}
        board: Board | None = widgets.result(
            loaders.soon(loaders.ask("benchmark_board", arguments), 1.5),
            "Reading what was asked before",
            lambda: loaders.ask("benchmark_board", arguments, again=True),
        )
        if board and board.lines:
            show_board(board)
        elif board:
            widgets.empty(
                "Nothing was asked of these models yet", "Choose tasks below; the demo's take about a minute."
            )
        st.subheader("Ask", anchor=False)
        benchmarks_form.form(run.id, against)
        papers()


show()
