"""How alike two sets of activations of the same prompts are, with what chance alone would give."""

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
