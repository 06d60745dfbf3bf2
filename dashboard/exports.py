"""A figure that is taken away: a page that opens without a network, or a picture, with its title and caption on white paper."""

from __future__ import annotations

import functools
import importlib.util
import shutil

import plotly.graph_objects as go

from pkt_core.report import look

WIDTH = 1100  # pixels of a figure that takes what there is


def offline(shown: go.Figure, title: str, caption: str) -> str:
    """A figure with its caption as one HTML page on white paper."""
    width = shown.layout.width or WIDTH
    return look.captioned(shown, title, caption, width=width).to_html(include_plotlyjs=True, full_html=True)


@functools.cache
def can_draw() -> bool:
    """Whether pictures can be drawn here: that takes Kaleido (`pip install "pkt[pictures]"`) and a Chromium that it finds."""
    browsers = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return importlib.util.find_spec("kaleido") is not None and any(shutil.which(name) for name in browsers)


def picture(shown: go.Figure, format: str, title: str, caption: str) -> bytes:
    """A figure with its caption as a picture file on white paper, at twice the size for print."""
    width = shown.layout.width or WIDTH
    made = look.captioned(shown, title, caption, width=width)
    return made.to_image(format=format, width=width, height=made.layout.height, scale=2)
