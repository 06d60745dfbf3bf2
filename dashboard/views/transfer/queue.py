"""The queue on a page: running runs, waiting runs in order, and buttons that change the order for all visitors."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import jobs, loaders, run_actions, run_widgets, state, widgets
from pkt_core.errors import PktError
from pkt_core.runs import queue as run_queue

PLACE = "queue"
TALL = 8  # waiting runs that are shown without scrolling


def seen() -> tuple[bool, list[str]]:
    """Whether there is a queue to show, and which runs are running: the page is redrawn when either changes."""
    at_work = [run.id for run in running()]
    return bool(at_work or run_queue.waiting()), at_work


def draw() -> None:
    """Running and waiting runs, redrawn repeatedly; nothing where there are none."""
    order, now = run_queue.waiting(), running()
    if sentence := state.told(PLACE):
        st.info(widgets.plain(sentence))
    if not order and not now:
        return
    st.subheader(f"Queue: {len(now)} running, {len(order)} waiting", anchor=False)
    for run in now:
        at_work(run)
    if any(run_widgets.label_of(run_id) for run_id in [*order, *(run.id for run in now)]):
        st.page_link("views/families/page.py", label="See the family's table", icon=":material/leaderboard:")
    if order:
        waits(order, bool(now))


def running() -> list[Any]:
    """Summaries of the running runs in this machine's store."""
    return [run for run in loaders.runs() if run.state == "running"]


def at_work(run: Any) -> None:
    words = f"{run_widgets.label_of(run.id)}{run_widgets.describe(run.plan)}"
    st.progress(run.fraction, text=widgets.plain(f"{words} · {run.message or 'running'}"))


def waits(order: list[str], busy: bool) -> None:
    """The waiting runs with buttons; where no worker is running, a button to start one."""
    if not busy and not jobs.worker_lives():
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(":material/warning: No worker is processing this queue; its worker was ended.", width="content")
            st.button("Start the worker", key="work", icon=":material/play_arrow:", on_click=jobs.work)
    with st.container(height=46 * TALL if len(order) > TALL else "content", border=len(order) > TALL):
        for place, run_id in enumerate(order):
            line(place, run_id, len(order))
    if len(order) > 1:
        st.button(
            f"Remove all {len(order)}",
            key="queue-clear",
            type="tertiary",
            icon=":material/playlist_remove:",
            on_click=change,
            args=("remove", order),
        )


def line(place: int, run_id: str, n: int) -> None:
    words, *buttons = st.columns([6, 1, 1.2, 1.4], vertical_alignment="center")
    try:
        label = f"{place + 1}. {run_widgets.label_of(run_id)}{run_widgets.describe(loaders.run(run_id).plan())}"
    except PktError:
        label = f"{place + 1}. {run_id} cannot be read"
    words.markdown(widgets.plain(label))
    kinds = (("Up", "arrow_upward", place == 0), ("Down", "arrow_downward", place == n - 1), ("Remove", "close", False))
    for column, (word, icon, off) in zip(buttons, kinds, strict=True):
        column.button(
            word,
            key=f"queue-{word.lower()}-{run_id}",
            icon=f":material/{icon}:",
            type="tertiary",
            disabled=off,
            on_click=change,
            args=(word.lower(), [run_id]),
        )


def change(what: str, run_ids: list[str]) -> None:
    """Carry out a click; an error is shown where it came too late."""
    for run_id in run_ids:
        try:
            if what == "remove":
                run_actions.take_out(run_id)
            else:
                run_actions.shift(run_id, -1 if what == "up" else 1)
        except PktError as error:
            state.tell(str(error), PLACE)
