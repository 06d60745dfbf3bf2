"""The app's one clock: parts of a page that change by themselves are drawn again, and the page once what it waits for is there.

A fragment that Streamlit draws again by a timer of its own (`run_every`) asks for the page that its browser shows at that moment.
Where the server has just gone to another page, that asks for the former one, and Streamlit empties the new page: whatever is
drawn into it next ends in "Bad delta path", a white page for good. So no fragment here has a timer. One component at the foot of
the bar ticks in the browser (`pulse.js`); it holds still from a click until the page that it leads to has been drawn, and while
the app draws. A tick that was under way all the same is noticed below, and the page is drawn again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import state
from pkt_core.errors import PktError

PARTS = "parts"  # the name under which all parts are drawn again at once
SECONDS = 1.0  # between two ticks while the page waits for something or shows something at work
IDLE_SECONDS = 4.0  # while nothing but the foot of the bar may change
Over = Callable[[], bool]
clock = st.components.v2.component(
    "pkt-pulse",
    html="<span hidden></span>",
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
)


def begin() -> None:
    """Forget what the page waited for before; at the start of each drawing of the whole page."""
    state.waited_for().clear()


def until(over: Over) -> None:
    """Have the whole page drawn again once this is so."""
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
    """What a tick asks for: the page where something is over, else the parts of the present page."""
    if state.page_asked_for() == state.page_drawn() and not any_over():
        st.rerun(PARTS)


def any_over() -> bool:
    """Whether anything came to its end that the page waits for; what cannot be read says so where it is drawn."""
    for over in state.waited_for():
        with suppress(PktError):
            if over():
                return True
    return False


def end(here: str) -> None:
    """Start the clock, when all of the page is drawn; `here` is its name."""
    state.draws_page()
    first = True

    @st.fragment
    def ticks() -> None:
        nonlocal first
        if not first:  # a tick that asks for more than parts
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
