"""How similar two sets of activations of the same prompts are, beside a permutation null.

`records` lists the measures, each a record of what it claims (range, direction, chance, invariances, source) and the functions that
compute it; the maths stands in `cka`, `cca`, `kernels`, `neighbours`, `geometry`, `regression`, `reading`; `grid` holds the records of
a grid (no torch), `fitter` and `pairwise` fill one, teacher layers down, student layers across; `null` gives its chance level, `interval` its uncertainty over prompts and its change by training.

To add a measure: its functions in a file of its own or beside its relatives, a `Measure` in `records.py`, and its hand-computed value in
`tests/test_measures_values.py`. Every claim of the record is then tested, and menus, CLI and captions know it.

Called as a function it is `pkt_core.similarity(pair)`.
Names are found when they are used.
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
