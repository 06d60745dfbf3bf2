"""How alike two sets of activations of the same prompts are, with what chance alone would give.

`grid.py` holds the records, which need no torch; all else computes them. Names are found when they are used.
"""

import sys
from importlib import import_module
from typing import Any

from pkt_core.base.rooms import CallableRoom

_PLACES = {
    "GridFitter": "fitter",
    "Head": "record",
    "MEASURES": "measures",
    "Measure": "record",
    "Reading": "record",
    "SimilarityGrid": "grid",
    "grid_of": "pairwise",
    "measure": "measures",
    "null_of": "pairwise",
}
__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


sys.modules[__name__].__class__ = CallableRoom
