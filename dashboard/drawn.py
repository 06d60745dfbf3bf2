"""The project's figures, each drawn once: a page that is drawn again after a click takes what did not change as it was.

Plotly spends more time on building a figure of many panels than all else on a page together. A figure is named by what it was
drawn from, value by value, so that nothing stale is ever shown. Use it in place of `pkt_core.report.figures`.

Not covered: figures that change every second (training), which would only push the others out.
"""

from __future__ import annotations

import functools
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go

from pkt_core.report import figures

KEPT = 96  # figures; some tens of kilobytes each
_drawn: OrderedDict[str, go.Figure] = OrderedDict()
_lock = threading.Lock()


def __getattr__(name: str) -> Any:
    """What `pkt_core.report.figures` has under this name; a function that draws is asked once for the same values."""
    found = getattr(figures, name)
    return once(found) if callable(found) and name.endswith(("_figure", "_grids", "_heatmap")) else found


def once(draw: Callable[..., go.Figure]) -> Callable[..., go.Figure]:
    """The same function, which gives a figure that it drew of the same values before. Nobody may change what it gives."""

    @functools.wraps(draw)
    def given(*args: Any, **options: Any) -> go.Figure:
        told = json.dumps([draw.__qualname__, args, options], default=repr)
        key = hashlib.sha256(told.encode()).hexdigest()
        with _lock:
            if key in _drawn:
                _drawn.move_to_end(key)
                return _drawn[key]
        made = draw(*args, **options)
        with _lock:
            _drawn[key] = made
            while len(_drawn) > KEPT:
                _drawn.popitem(last=False)
        return made

    return given
