"""The app's only clock: parts of a page that change by themselves are redrawn, and the whole page once a result that it waits for exists.

A fragment with Streamlit's own timer (`run_every`) requests the page that its browser shows at that moment. If the server has just
switched pages, this is the previous one, and Streamlit empties the new page: the next element drawn into it fails with "Bad delta
path", and the page stays white. So no fragment here has a timer. One component at the foot of the sidebar ticks in the browser
(`pulse.js`); it pauses from a click until the next page has been drawn, and while the app draws. A tick that was already on its way
is detected below, and the page is drawn again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import state
from pkt_core.errors import PktError

PARTS = "parts"  # the shared key under which all parts are redrawn at once
SECONDS = 1.0  # between two ticks while the page waits for a result or shows progress
IDLE_SECONDS = 4.0  # while only the foot of the sidebar may change
Over = Callable[[], bool]
clock = st.components.v2.component(
    "pkt-pulse",
    html="<span hidden></span>",
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
)


def begin() -> None:
    """Clear what the page waited for; called at the start of each full drawing."""
    state.waited_for().clear()


def until(over: Over) -> None:
    """Redraw the whole page once `over` returns True."""
    state.waited_for().append(over)


def live(draw: Callable[[], Any], over: Over) -> None:
    """Draw a part now, and with every tick until `over`; then the whole page once."""
    until(over)
    part(draw, over)


@st.fragment(key=PARTS)
def part(draw: Callable[[], Any], over: Over | None = None) -> None:
    """A part that is drawn again with every tick, as long as the page is there; it always draws the same number of elements."""
    if over is not None and over():
        st.rerun()
    draw()


def tick() -> None:
    """Redraw the page where something is over, else the parts of the current page."""
    if state.page_asked_for() == state.page_drawn() and not any_over():
        st.rerun(PARTS)


def any_over() -> bool:
    """Whether anything that the page waits for is over; an unreadable run is reported where it is drawn."""
    for over in state.waited_for():
        with suppress(PktError):
            if over():
                return True
    return False


def end(here: str) -> None:
    """Start the clock once the whole page is drawn; `here` is its name."""
    state.draws_page()
    first = True

    @st.fragment
    def ticks() -> None:
        nonlocal first
        if not first:  # a tick that redraws more than parts
            if state.page_asked_for() != state.page_drawn():
                state.go(here)
            st.rerun()
        first = False
        clock(
            key="pulse",
            data={"seconds": SECONDS if state.waited_for() else IDLE_SECONDS},
            on_tick_change=tick,
        )

    with st.sidebar:
        ticks()
