"""Parts that pages share: page heads, controls bound to the link, the figure block, progress, and errors in one sentence."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard import exports, pulse, state
from dashboard.engine.client import Task
from dashboard.engine.registry import RECORDS
from dashboard.params import Param
from pkt_core.errors import PktError
from pkt_core.words import glossary, style

BIND: Final = "query-params"
WORDS = 310  # pixels of text beside a small figure on a laptop


def head(question: str, promise: str, *, words: Sequence[str] = ()) -> None:
    """The page's title, what it shows, and a glossary of its terms."""
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.title(question, anchor=False, width="content")
        if words:
            with st.popover("Glossary", icon=":material/dictionary:", type="tertiary"):
                for word, entry in glossary.entries(words):
                    st.markdown(f"**{word}** {plain(entry.meaning)}")
                    st.caption(plain(entry.source))
    st.caption(promise)


def answer(sentence: str, *, recorded: bool = False) -> None:
    """The headline: the result in one sentence; `recorded` labels a result that ships with the project."""
    with st.container(border=True):
        if recorded:
            st.badge("recorded", icon=":material/inventory_2:", color="gray")
        st.markdown(f"#### {plain(sentence)}")


@contextmanager
def errors() -> Iterator[None]:
    """Shows an error that the user can fix as one sentence; anything else is a fault and goes to the terminal's log."""
    try:
        yield
    except PktError as error:
        st.error(plain(str(error)), icon=":material/error:")


def plain(text: object) -> str:
    """Text of a model, file or user as Markdown that shows it literally: no links, images, HTML, colours or formulas."""
    marks = "\\`*_{}[]()<>#+-.!|$:~^"
    return "".join(f"\\{c}" if c in marks else c for c in style.one_line(text))


def small_table(frame: pd.DataFrame) -> None:
    """A few facts as a Markdown table, with its index where that has names. Streamlit's own tables load a megabyte of scripts on a first visit."""
    named = not isinstance(frame.index, pd.RangeIndex)
    rows = [["", *frame.columns] if named else [*frame.columns]]
    rows += [
        [index, *row] if named else [*row] for index, row in zip(frame.index, frame.to_numpy().tolist(), strict=True)
    ]
    first, *others = (f"| {' | '.join(plain(cell) for cell in row)} |" for row in rows)
    st.markdown("\n".join([first, "|---" * len(rows[0]) + "|", *others]))


def note_rejected(param: Param, accepted: Any) -> None:
    """A notice when the link set a value that the control does not accept."""
    given = state.rejected(param, accepted)
    if given is not None:
        st.info(
            plain(
                f"The link sets {param.value}={given[:60]}, which is not available here. Using {'nothing' if accepted == '' else accepted}."
            )
        )


def choice(
    label: str, options: Sequence[str], param: Param, *, default: str | None = None, help: str | None = None
) -> str:
    """A drop-down bound to the link."""
    index = list(options).index(default) if default is not None and default in options else 0
    picked = st.selectbox(label, options, index=index, key=param.value, bind=BIND, help=help)
    note_rejected(param, picked)
    return picked


def layer_choice(label: str, n: int | None, param: Param) -> None:
    """A layer from 0, or `auto`; `n` layers, or None where the number is not known yet and the link's value is accepted."""
    held = str(state.value(param, state.AUTO))
    known = [*map(str, range(n))] if n is not None else [held] * held.isdecimal()
    if held not in (state.AUTO, *known) and state.held(param):
        state.forget(param)  # a layer of a deeper model that was chosen before
    picked = st.selectbox(
        label,
        [state.AUTO, *known],
        key=param.value,
        bind=BIND,
        help="Counted from 0. Click a cell of the heatmap on Alignment to set both layers.",
    )
    note_rejected(param, picked)


def switch(
    label: str,
    options: Sequence[str],
    param: Param,
    *,
    default: str,
    help: str | None = None,
    on_change: Callable[[], Any] | None = None,
) -> str:
    """A few options side by side, bound to the link."""
    picked = st.segmented_control(
        label, options, default=default, required=True, key=param.value, bind=BIND, help=help, on_change=on_change
    )
    note_rejected(param, picked)
    return str(picked or default)


def tabs(labels: Sequence[str], param: Param, *, default: str | None = None) -> Sequence[Any]:
    """Tabs, bound to the link; the caller draws only the open one."""
    panes = st.tabs(labels, default=default, key=param.value, bind=BIND, on_change="rerun")
    note_rejected(param, next(label for label, tab in zip(labels, panes, strict=True) if tab.open))
    return panes


def amount(
    label: str, param: Param, *, low: int, high: int, default: int, step: int = 1, help: str | None = None
) -> int:
    """A whole number bound to the link."""
    picked = st.number_input(label, low, high, default, step, key=param.value, bind=BIND, help=help)
    note_rejected(param, picked)
    return int(picked if picked is not None else default)


def number(
    label: str, param: Param, *, low: float, high: float, auto: str, step: float, help: str | None = None
) -> Any:
    """A number bound to the link, or None while it is left to `auto`; whole where the bounds are."""
    picked = st.number_input(
        label, low, high, None, step, key=param.value, bind=BIND, help=help, placeholder=f"auto: {auto}"
    )
    note_rejected(param, state.AUTO if picked is None else picked)
    return picked


def several(
    label: str, options: Sequence[str], param: Param, *, default: Sequence[str], help: str | None = None
) -> list[str]:
    """A multiple choice bound to the link; values that are no longer options are dropped."""
    held = state.value(param)
    if state.held(param) and not set(held) <= set(options):
        state.forget(param)
    picked = st.multiselect(label, options, default=default, key=param.value, bind=BIND, help=help)
    if unknown := state.rejected_among(param, options, picked):
        named = ", ".join(one[:60] for one in unknown)
        st.info(plain(f"The link sets {param.value}={named}, which is not available here. Using the rest."))
    return picked


def toggle(label: str, param: Param, *, default: bool = False, help: str | None = None) -> bool:
    """Yes or no, bound to the link."""
    picked = st.toggle(label, default, key=param.value, bind=BIND, help=help)
    note_rejected(param, picked)
    return bool(picked)


def advanced(*params: Param) -> Any:
    """A section for rarely used settings; open where the link sets one of them."""
    return st.expander("Advanced", expanded=state.named(*params))


def line(
    label: str, param: Param, *, placeholder: str = "", help: str | None = None, max_chars: int | None = 300
) -> str:
    """A short text bound to the link."""
    given = st.text_input(label, key=param.value, bind=BIND, max_chars=max_chars, placeholder=placeholder, help=help)
    note_rejected(param, given or "")
    return str(given or "").strip()


def place(label: str, param: Param, *, low: int = 0, auto: str, help: str) -> None:
    """A place in a text or list, bound to the link; empty while it is left to `auto`."""
    picked = st.number_input(label, low, value=None, placeholder=f"auto: {auto}", key=param.value, bind=BIND, help=help)
    note_rejected(param, state.AUTO if picked is None else picked)


def figure(
    shown: go.Figure,
    caption: str,
    table: pd.DataFrame,
    name: str,
    *,
    alt: str,
    on_select: Callable[[], None] | None = None,
    zoom: bool = False,
    select: Sequence[str] = ("points",),
) -> None:
    """A figure with its caption and its downloads: PNG and SVG where they can be rendered here, HTML that opens offline, CSV.

    `select` is what a visitor may select with, where `on_select` is given: points, box, lasso.
    """
    buttons = ["toImage", "zoom2d", "pan2d", "resetScale2d"] if zoom else ["toImage"]
    buttons += [f"{mode}2d".replace("box", "select") for mode in select if mode != "points"]
    config = {
        "displaylogo": False,
        "modeBarButtons": [buttons],
        "scrollZoom": zoom,
        "toImageButtonOptions": {"format": "svg", "filename": name},
    }
    extra: dict[str, Any] = {"on_select": on_select, "selection_mode": tuple(select)} if on_select else {}
    extra |= {"width": "content"} if shown.layout.width else {}
    st.plotly_chart(shown, key=f"figure-{name}", config=config, alt=alt, **extra)
    st.caption(caption)
    with st.container(horizontal=True, gap="small"):
        drawn: list[tuple[str, Callable[[], Any], str, str, str]] = [
            (
                end.upper(),
                functools.partial(exports.picture, shown, end, alt, caption),
                end,
                mime,
                f"This figure on a white background, as {end.upper()}.",
            )
            for end, mime in (("png", "image/png"), ("svg", "image/svg+xml"))
            if exports.can_draw()
        ]
        for label, make, end, mime, help in (
            *drawn,
            (
                "HTML",
                lambda: exports.offline(shown, alt, caption),
                "html",
                "text/html",
                "This figure as an HTML page that opens offline.",
            ),
            ("CSV", lambda: exports.csv(table), "csv", "text/csv", "The numbers behind this figure."),
        ):
            st.download_button(
                label,
                make,
                f"{name}.{end}",
                mime,
                key=f"{end}-{name}",
                on_click="ignore",
                type="tertiary",
                icon=":material/download:",
                help=help,
            )


def beside(width: int | None) -> tuple[Any, Any]:
    """Containers for a figure of that many pixels and for text beside it; below it where the figure takes the full width (None).

    Columns never wrap, so a small figure and its text get fixed widths, which wrap in a narrow window.
    """
    if width is None:
        return st.container(), st.container()
    row = st.container(horizontal=True, gap="small")
    return row.container(width=width), row.container(width=WORDS)


def left(seconds: float | None) -> str:
    """The time left, in words."""
    if seconds is None or seconds != seconds:
        return ""
    return f"about {spent(seconds)} left"


def spent(seconds: float) -> str:
    """A duration in words."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def waiting(task: Task, what: str) -> None:
    """Progress of a computation; the page is redrawn with its result when it is over."""

    def draw() -> None:
        words = [f"{time.monotonic() - task.began:.0f} s so far", left(task.left)]
        st.progress(task.fraction, text=plain(f"{what}: {task.stage} ({', '.join(w for w in words if w)})"))
        st.caption("You can leave this page; the computation continues and its result is stored.")

    pulse.live(draw, lambda: task.over)


def until_over(words: str, *tasks: Task) -> None:
    """A caption until the engine's tasks are over, when the page is redrawn; the rest of the page stays usable."""
    if all(task.over for task in tasks):
        return
    with st.container(key="until-over"):
        st.caption(words)
    pulse.until(lambda: all(task.over for task in tasks))


def result(task: Task, what: str, ask_again: Callable[[], Any]) -> Any:
    """The result of a computation, a record where its function has one; None while the page shows its progress or error."""
    if task.status == "done":
        return task.record if task.function in RECORDS else task.result
    if not task.over:
        waiting(task, what)
        return None
    if task.fault:
        st.error(plain(f"{what} failed because of a fault in the program: {task.error}"), icon=":material/error:")
    else:
        st.error(plain(task.error), icon=":material/error:")
    st.button("Try again", on_click=ask_again, key=f"again-{what}", icon=":material/refresh:")
    return None


def empty(what: str, do: str) -> None:
    """The empty state of a page: what is missing and what to do."""
    with st.container(border=True):
        st.markdown(f"#### {what}")
        st.write(do)


def command(text: str, label: str = "The same from a terminal") -> None:
    """A command to copy."""
    st.caption(label)
    st.code(text, language=None, wrap_lines=True)
