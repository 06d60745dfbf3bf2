"""What is taken away: a figure as a page that opens without a network, or as a picture, on white paper; its numbers as CSV."""

from __future__ import annotations

import functools
import importlib.util
import shutil
from csv import QUOTE_NONNUMERIC

import pandas as pd
import plotly.graph_objects as go

from pkt_core.words import style

WIDTH = 1100  # pixels of a figure that takes what there is
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Spreadsheets take a cell of text that begins so for a formula, and may carry it out."""


def csv(table: pd.DataFrame) -> str:
    """A table as CSV. Text that a spreadsheet would take for a formula gets an apostrophe before it, headings too; numbers stay."""
    safe = table.rename(columns=harmless)
    for place, dtype in enumerate(safe.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_datetime64_any_dtype(dtype):
            safe.isetitem(place, safe.iloc[:, place].astype(object).map(harmless).to_numpy())
    return str(safe.to_csv(index=False, quoting=QUOTE_NONNUMERIC))  # a bare carriage return would begin a row


def harmless(cell: object) -> object:
    """The cell; where it is text that begins like a formula, with an apostrophe before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def offline(shown: go.Figure, title: str, caption: str) -> str:
    """A figure with its caption as one HTML page on white paper."""
    width = shown.layout.width or WIDTH
    return style.captioned(shown, title, caption, width=width).to_html(include_plotlyjs=True, full_html=True)


@functools.cache
def can_draw() -> bool:
    """Whether pictures can be drawn here: that takes Kaleido (`pip install "semalign-pkt[pictures]"`) and a Chromium that it finds."""
    browsers = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return importlib.util.find_spec("kaleido") is not None and any(shutil.which(name) for name in browsers)


def picture(shown: go.Figure, format: str, title: str, caption: str) -> bytes:
    """A figure with its caption as a picture file on white paper, at twice the size for print."""
    width = shown.layout.width or WIDTH
    made = style.captioned(shown, title, caption, width=width)
    return made.to_image(format=format, width=width, height=made.layout.height, scale=2)
