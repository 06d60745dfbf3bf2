"""Common style of all figures: colours for colour-blind readers and both themes, axes, number formats, escaping.

Colours are those of Okabe and Ito (2008), slightly darkened for white paper. Colour is never the only cue: teacher, before,
after and control also differ in marker or dash.

Not covered: the content of a figure.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import PurePath
from textwrap import wrap
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from pkt_core.data.examples import TITLES
from pkt_core.data.row_files import shown

TEACHER, BEFORE, AFTER, CONTROL, ACCENT = "#2f7fc1", "#d9730d", "#0f9d76", "#8b8f98", "#c2569b"
CATEGORIES = [
    "#2f7fc1",
    "#d9730d",
    "#0f9d76",
    "#c2569b",
    "#b59a00",
    "#5aa9dd",
    "#9c3d10",
    "#6f6fd0",
    "#8b8f98",
    "#3b3b3b",
]
NO_BREAK = "\u00a0"
GRID = "rgba(128,132,145,0.25)"
SYMBOLS = {"teacher": "circle", "before": "diamond-open", "after": "square", "control": "x-thin-open"}

# Cividis (Nunez, Anderton, Renslow 2018): uniform in lightness, legible with and without colour blindness. Its two ends
# are left out, because they have no contrast on dark or white pages.
SEQUENTIAL = sample_colorscale("Cividis", [0.18 + 0.76 * i / 15 for i in range(16)])
# Orange to blue through neutral grey: after Brewer's PuOr and Blues, distinguishable under all common colour blindness.
DIVERGING = ["#7f3b08", "#b35806", "#f1a340", "#fee0b6", "#f4f4f4", "#c6dbef", "#6baed6", "#2171b5", "#08306b"]


def around_zero(low: float, high: float) -> list[list[Any]]:
    """A colour scale over low..high (low < 0 < high) with neutral grey exactly at zero, equally steep on both sides."""
    reach = max(-low, high)
    values = sorted({*np.linspace(low, high, 33).tolist(), 0.0})
    colours = sample_colorscale(DIVERGING, [(value / reach + 1) / 2 for value in values])
    return [[(value - low) / (high - low), colour] for value, colour in zip(values, colours, strict=True)]


def text(value: object, limit: int = 160) -> str:
    """Text of a model, prompt or file, escaped for a figure, which would otherwise interpret tags."""
    shown = one_line(value)
    shown = shown if len(shown) <= limit else shown[: limit - 1] + "…"
    return html.escape(shown)


def one_line(value: object) -> str:
    """Text without line ends and repeated spaces; non-breaking spaces are kept."""
    return NO_BREAK.join(" ".join(part.split()) for part in str(value).split(NO_BREAK) if part.strip())


def task_name(task: str) -> str:
    """Display name of a task: the title of a bundled one, the name of a file without its folders."""
    task = shown(task)
    return TITLES.get(task) or (PurePath(task).name if PurePath(task).suffix else task)


def visible(token: object, limit: int = 14) -> str:
    """A token with visible white space: spaces as middle dots, line ends and tabs as symbols."""
    shown = str(token).replace(" ", "·").replace("\n", "⏎").replace("\t", "⇥").replace("\r", "␍")
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def token(value: object, limit: int = 14) -> str:
    """The same, escaped for a figure."""
    return html.escape(visible(value, limit))


def number(value: float | None, digits: int = 2) -> str:
    """A number as text: fixed digits, a proper minus sign, a dash for None or NaN."""
    if value is None or value != value:
        return "–"
    shown = f"{value:.{digits}f}"
    return shown.replace("-", "−" if float(shown) else "")


def percent(value: float | None, digits: int = 0) -> str:
    """A share 0..1 in per cent, with a non-breaking space."""
    return "–" if value is None else f"{100 * value:.{digits}f}{NO_BREAK}%".replace("-", "−")


def p_value(value: float | None) -> str:
    """A p-value with its sign: `= 0.03`, or `< 0.001`."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"= {value:.3f}" if value < 0.1 else f"= {value:.2f}"


def memory(gib: float) -> str:
    """An amount of memory in GiB or MiB."""
    return f"{gib:.2f} GiB" if gib >= 0.1 else f"{1024 * gib:.1f} MiB"


def finish(figure: go.Figure, *, height: int, x: str | None = None, y: str | None = None) -> go.Figure:
    """Common layout of every figure: size, axis titles, legend above, transparent background for the page's theme."""
    figure.update_layout(
        height=height,
        margin={"l": 64, "r": 24, "t": 48, "b": 56},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "xanchor": "left", "x": 0, "title": None},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"align": "left"},
        font={"size": 14},
    )
    figure.update_xaxes(gridcolor=GRID, tickfont={"size": 14}, title_font={"size": 14})
    figure.update_yaxes(gridcolor=GRID, tickfont={"size": 14}, title_font={"size": 14})
    if x is not None:
        figure.update_xaxes(title={"text": x})
    if y is not None:
        figure.update_yaxes(title={"text": y})
    return figure


def on_paper(figure: go.Figure) -> go.Figure:
    """The same figure in black on white, independent of the page's theme and the default template."""
    shown = go.Figure(figure).update_layout(template="plotly_white", paper_bgcolor="white", plot_bgcolor="white")
    return shown.update_xaxes(automargin=True).update_yaxes(automargin=True)


def captioned(figure: go.Figure, title: str, caption: str, *, width: int) -> go.Figure:
    """The same figure on white with its title and caption below it, for slides. width: of the drawing, pixels."""
    shown = on_paper(figure)
    letters = max(30, round(width / 6.6))  # per line at 12 px
    lines = [f"<b>{text(part, 400)}</b>" for part in wrap(one_line(title), letters - 8)]
    lines += [text(part, 400) for part in wrap(one_line(caption).replace("`", ""), letters)]
    margin = shown.layout.margin.to_plotly_json()
    below = margin.get("b") or 80
    room = 17 * len(lines) + 16
    shown.update_layout(height=(shown.layout.height or 500) + room, margin={**margin, "b": below + room})
    return shown.add_annotation(
        text="<br>".join(lines),
        xref="paper",
        yref="paper",
        x=0,
        y=0,
        xanchor="left",
        yanchor="top",
        align="left",
        xshift=-(margin.get("l") or 80) + 12,
        yshift=-below - 4,
        showarrow=False,
        font={"size": 12},
        name="caption",
    )


def band(x: Sequence[float] | Sequence[int], low: Sequence[float], high: Sequence[float], colour: str) -> go.Scatter:
    """A 95 % interval as a pale band without legend and hover."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return go.Scatter(
        x=[*x, *reversed(x)],
        y=[*high, *reversed(low)],
        mode="lines",
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},0.18)",
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )


WHO = {
    "before": ("student before", BEFORE),
    "after": ("student after", AFTER),
    "teacher": ("teacher", TEACHER),
}
