"""Continuations of picked or typed prompts by the three models, side by side: greedy or sampled, streamed, changes marked.

A dozen picked prompts are continued at once with greedy decoding, because that is quick; the button continues all of them with the
settings above it.

Not covered: the generations that a run recorded (`views/behaviour/page.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import exports, loaders, picked_prompts, pulse, run_widgets, selection, state, widgets
from dashboard.engine.client import Task
from dashboard.params import Param
from pkt_core.base.records import from_json
from pkt_core.studies.generations.record import PickedContinuations, Writing, Written
from pkt_core.studies.generations.text import Marked, marked_words

GREEDY, SAMPLED = "greedy", "sampled"
SHOWN = 24  # prompts in full; the download has all
FIRST = 8  # prompts of the set that are continued where none is picked or typed


def request(run_id: str) -> dict[str, Any]:
    """The request to the engine: typed prompts, else the picked ones, else the first of the set in the sidebar."""
    arguments: dict[str, Any] = {"run": run_id, "new_tokens": state.whole(Param.WRITE_TOKENS, 24, 1, 512)}
    typed = str(state.value(Param.WRITE_AFTER, "") or "").strip()
    arguments |= (
        {"lines": typed} if typed else {**selection.prompts_request(), "ids": state.picked() or list(range(FIRST))}
    )
    if state.one_of(Param.WRITE_HOW, (GREEDY, SAMPLED), GREEDY) == SAMPLED:
        arguments |= {
            "temperature": number(Param.WRITE_HEAT, 0.8, 0.05, 10.0),
            "top_p": number(Param.WRITE_TOP_P, 0.95, 0.01, 1.0),
        }
        arguments["seed"] = state.whole(Param.WRITE_SEED, 0, 0, 10**6)
    return arguments


def number(param: Param, default: float, low: float, high: float) -> float:
    """The value of a control; the default where the link's value is invalid."""
    try:
        held = float(state.value(param, default))
    except (TypeError, ValueError):
        return default
    return held if low <= held <= high else default


def controls() -> None:
    """Controls for prompts and decoding."""
    left, right = st.columns([3, 2])
    with left:
        st.text_area(
            "Prompts to continue, one per line",
            key=Param.WRITE_AFTER.value,
            bind=widgets.BIND,
            max_chars=6000,
            height=104,
            placeholder=f"empty: the picked prompts, else the first {FIRST} of the set in the sidebar",
            help="At most 64.",
        )
    with right:
        how = widgets.switch(
            "Decoding",
            [GREEDY, SAMPLED],
            Param.WRITE_HOW,
            default=GREEDY,
            help="Sampling uses common random numbers: all three models get the same draw at each prompt and step.",
        )
        widgets.amount("Tokens to generate", Param.WRITE_TOKENS, low=1, high=512, default=24, step=8)
    if how == SAMPLED:
        one, two, three = st.columns(3)
        for place, label, param, low, high, default in (
            (one, "Temperature", Param.WRITE_HEAT, 0.05, 10.0, 0.8),
            (two, "Top-p", Param.WRITE_TOP_P, 0.01, 1.0, 0.95),
        ):
            place.number_input(label, low, high, default, 0.05, key=param.value, bind=widgets.BIND)
        with three:
            widgets.amount("Seed", Param.WRITE_SEED, low=0, high=10**6, default=0)


def marked(runs: Marked, colour: str) -> str:
    """Words as literal Markdown; words unique to one text on a coloured background."""
    return " ".join(
        f":{colour}-background[{widgets.plain(words)}]" if unique else widgets.plain(words) for unique, words in runs
    )


def rows_shown(rows: Sequence[Written], only: bool) -> None:
    """Prompt by prompt, changed ones first; words unique to before or after are marked."""
    ranked = sorted(rows, key=lambda row: not row.differs)
    changed = sum(row.differs for row in rows)
    shown = [row for row in ranked if row.differs or not only][:SHOWN]
    with st.container(border=True, gap="xsmall"):
        for place, name in zip(
            st.columns([4, 3, 3, 3]), ("Prompt", "Student before", "Student after", "Teacher"), strict=True
        ):
            place.markdown(f"**{name}**")
        for row in shown:
            before, after = marked_words(row.before, row.after)
            cells = (marked(before, "orange"), marked(after, "green"), widgets.plain(row.teacher))
            one, *others = st.columns([4, 3, 3, 3])
            one.caption(widgets.plain(row.text))
            for place, text in zip(others, cells, strict=True):
                place.markdown(text or "–")
    st.caption(
        f"Before and after differ for {changed} of {len(rows)} prompts, listed first{f'; {len(shown)} are shown' if len(shown) < len(ranked) else ''}. "
        "Orange: words only in the student's text before; green: only after."
    )


def rows_so_far(task: Task) -> list[Written]:
    """The rows so far."""
    return [from_json(Written, row, "A row of the writing") for row in task.rows]


def watch(task: Task, only: bool) -> None:
    """Rows as they arrive, with a button that stops the generation."""

    def draw() -> None:
        left, right = st.columns([5, 1], vertical_alignment="center")
        left.progress(task.fraction, text=widgets.plain(f"{task.stage}: {len(task.rows)} prompts so far"))
        right.button(
            "Stop",
            key="stop-writing",
            icon=":material/stop:",
            on_click=loaders.engine().stop,
            args=(task,),
            width="stretch",
        )
        if task.rows:
            rows_shown(rows_so_far(task), only)

    pulse.live(draw, lambda: task.over)


def begin(arguments: dict[str, Any]) -> None:
    """Start generating; for callbacks."""
    loaders.ask("writing", arguments, again=True)


def show(run: Any) -> None:
    """The section; a notice where the trained weights are not stored."""
    st.subheader("Continue picked prompts, or your own", anchor=False)
    if not run_widgets.keeps_student(run.folder):
        st.caption("This run's trained weights are not stored, so it cannot generate new text.")
        return
    controls()
    arguments = request(run.id)
    task = loaders.known("writing", arguments)
    left, right = st.columns([1, 3], vertical_alignment="center")
    with right:
        only = widgets.toggle("Only what changed", Param.WRITE_CHANGED)
    ended = task is not None and task.status == "failed"
    left.button(
        "Generate again" if ended else "Generate",
        key="write",
        type="primary",
        icon=":material/edit:",
        disabled=task is not None and not ended,
        on_click=begin,
        args=(arguments,),
    )
    if task is None:
        if "ids" in arguments and state.picked():
            picked_first(run.id, only)
        return
    if not task.over:
        watch(task, only)
        return
    if task.result is None:
        (st.info if task.rows else st.error)(
            widgets.plain(f"Stopped after {len(task.rows)} prompts. {task.error}" if task.rows else str(task.error))
        )
    writing: Writing | None = task.record if task.result else None
    if rows := writing.rows if writing else rows_so_far(task):
        rows_shown(rows, only)
        download(rows)


def picked_first(run_id: str, only: bool) -> None:
    """The first picked prompts, continued greedily at once; stored, so that they appear immediately the next time."""
    arguments = {**picked_prompts.request(state.picked()), "run": run_id}
    record: PickedContinuations | None = picked_prompts.answered("picked_continuations", arguments, "The continuations")
    if record is None:
        return
    rows_shown(record.rows, only)
    st.caption(
        f"{len(record.rows)} of {record.n_picked} picked prompts, {record.facts.decoding}. `Generate` continues all of them with the settings above."
    )
    download(record.rows)


def download(rows: Sequence[Written]) -> None:
    """The rows as CSV."""
    table = pd.DataFrame(rows)
    st.download_button(
        "CSV",
        lambda: exports.csv(table),
        "writing.csv",
        "text/csv",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
    )
