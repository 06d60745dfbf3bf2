"""Downloads: a figure as an offline HTML page or as a picture, on white paper; its numbers as CSV."""

from __future__ import annotations

import functools
import importlib.util
import shutil
from csv import QUOTE_NONNUMERIC

import pandas as pd
import plotly.graph_objects as go

from pkt_core.words import style

WIDTH = 1100  # pixels of a figure without a fixed width
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""A spreadsheet reads text that begins with one of these as a formula, and may run it."""


def csv(table: pd.DataFrame) -> str:
    """A table as CSV. Text that a spreadsheet would read as a formula gets a leading apostrophe, also in headings; numbers are unchanged."""
    safe = table.rename(columns=harmless)
    for place, dtype in enumerate(safe.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_datetime64_any_dtype(dtype):
            safe.isetitem(place, safe.iloc[:, place].astype(object).map(harmless).to_numpy())
    return str(safe.to_csv(index=False, quoting=QUOTE_NONNUMERIC))  # a bare carriage return would begin a row


def harmless(cell: object) -> object:
    """The cell, with a leading apostrophe where it is text that begins like a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def offline(shown: go.Figure, title: str, caption: str) -> str:
    """A figure with its caption as one HTML page on white paper."""
    width = shown.layout.width or WIDTH
    return style.captioned(shown, title, caption, width=width).to_html(include_plotlyjs=True, full_html=True)


@functools.cache
def can_draw() -> bool:
    """Whether pictures can be drawn here: requires Kaleido (`pip install "semalign-pkt[pictures]"`) and Chromium on the path."""
    browsers = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return importlib.util.find_spec("kaleido") is not None and any(shutil.which(name) for name in browsers)


def picture(shown: go.Figure, format: str, title: str, caption: str) -> bytes:
    """A figure with its caption as a picture file on white paper, at twice the size for print."""
    width = shown.layout.width or WIDTH
    made = style.captioned(shown, title, caption, width=width)
    return made.to_image(format=format, width=width, height=made.layout.height, scale=2)
