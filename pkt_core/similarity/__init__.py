"""How alike two sets of activations of the same prompts are, with what chance alone would give."""

from pkt_core.similarity.grid import GridFitter, SimilarityGrid
from pkt_core.similarity.measures import MEASURES, measure

__all__ = ["MEASURES", "GridFitter", "SimilarityGrid", "measure"]
