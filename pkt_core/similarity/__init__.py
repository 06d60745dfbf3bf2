"""How alike two sets of activations of the same prompts are, with what chance alone would give.

`records` lists the measures, each a record of what it claims (range, direction, chance, invariances, source) and the functions that
compute it; the maths stands in `cka`, `cca`, `kernels`, `neighbours`, `geometry`, `regression`, `reading`; `grid` and `pairwise` fill
a grid, teacher layers down, student layers across; `null`, `interval`, `change` say what chance, other prompts and training do to it.

To add a measure: its functions in a file of its own or beside its relatives, a `Measure` in `records.py`, and its hand-computed value in
`tests/test_measures_values.py`. Every claim of the record is then tested, and menus, CLI and captions know it.

Called as a function it is `pkt_core.similarity(pair)`.
"""

import sys

from pkt_core.base.rooms import CallableRoom
from pkt_core.similarity.grid import GridFitter, SimilarityGrid
from pkt_core.similarity.measures import MEASURES, measure
from pkt_core.similarity.pairwise import grid_of, null_of
from pkt_core.similarity.record import Head, Measure, Reading

__all__ = [
    "MEASURES",
    "GridFitter",
    "Head",
    "Measure",
    "Reading",
    "SimilarityGrid",
    "grid_of",
    "measure",
    "null_of",
]

sys.modules[__name__].__class__ = CallableRoom
