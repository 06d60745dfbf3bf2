"""Every figure of the project in one place: pure functions from the JSON form of a result to a Plotly figure.

They are written in `figures_similarity`, `figures_maps`, `figures_measures`, `figures_alignment`, `figures_chain`,
`figures_factors`, `figures_families`, `figures_latent`, `figures_seeds`, `figures_semantics`, `figures_tokens` and `figures_transfer`; what they
share is in `look`.
"""

from pkt_core.report.figures_alignment import attribution_figure, recomposition_figure
from pkt_core.report.figures_chain import chain_figure
from pkt_core.report.figures_factors import beside_figure, factors_figure, points_figure
from pkt_core.report.figures_families import family_figure
from pkt_core.report.figures_latent import latent_figure
from pkt_core.report.figures_maps import change_figure, maps_figure, stitching_figure
from pkt_core.report.figures_measures import outlier_figure, small_grids
from pkt_core.report.figures_seeds import seeds_figure
from pkt_core.report.figures_semantics import difference_figure, reading_figure, trajectory_figure
from pkt_core.report.figures_similarity import best_cell, heatmap_width, noise_level, similarity_heatmap
from pkt_core.report.figures_tokens import COLOURINGS, next_figure, reliability_figure, sentence_figure
from pkt_core.report.figures_transfer import behaviour_figure, comparison_figure, training_figure

__all__ = [
    "COLOURINGS",
    "attribution_figure",
    "behaviour_figure",
    "beside_figure",
    "best_cell",
    "chain_figure",
    "change_figure",
    "comparison_figure",
    "difference_figure",
    "factors_figure",
    "family_figure",
    "heatmap_width",
    "latent_figure",
    "maps_figure",
    "next_figure",
    "noise_level",
    "outlier_figure",
    "points_figure",
    "reading_figure",
    "recomposition_figure",
    "reliability_figure",
    "seeds_figure",
    "sentence_figure",
    "similarity_heatmap",
    "small_grids",
    "stitching_figure",
    "training_figure",
    "trajectory_figure",
]
