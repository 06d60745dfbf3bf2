"""Figures of what the API returns, as Plotly figures: they show themselves in a notebook, `.write_html(path)` keeps them.

Imported on first use of `pkt.figures`, because Plotly is heavy.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import plotly.graph_objects as go

from pkt_core.errors import StoreError
from pkt_core.similarity.grid import SimilarityGrid
from pkt_core.studies.alignment_maps.figures import maps_figure
from pkt_core.studies.alignment_maps.record import MapComparison
from pkt_core.studies.behaviour.figures import behaviour_figure, training_figure
from pkt_core.studies.comparison.figures import attribution_figure, recomposition_figure, similarity_heatmap
from pkt_core.studies.comparison.record import Comparison
from pkt_core.studies.latent_map.figures import OVERLAP, latent_figure
from pkt_core.studies.latent_map.record import LatentMap
from pkt_core.studies.layer_pair.figures import closer_figure
from pkt_core.studies.layer_pair.record import CloserLook
from pkt_core.words.style import on_paper

__all__ = ["attribution", "behaviour", "closer_look", "heatmap", "latent_map", "maps", "recomposition", "training"]


def heatmap(comparison: Comparison | SimilarityGrid) -> go.Figure:
    """Similarity of every teacher layer with every student layer, of a `Comparison` or a `SimilarityGrid`.

    pkt.figures.heatmap(pkt.compare(pair))
    """
    from pkt_core.similarity.measures import MEASURES

    if isinstance(comparison, SimilarityGrid):
        return on_paper(similarity_heatmap(comparison, label=MEASURES[comparison.measure].label))
    label = MEASURES[comparison.grid.measure].label
    return on_paper(
        similarity_heatmap(comparison.grid, label=label, pairing=comparison.pairing, chosen=comparison.chosen)
    )


def recomposition(comparison: Comparison) -> go.Figure:
    """How well each model's vocabulary recomposes its states, of a `Comparison`.

    pkt.figures.recomposition(pkt.compare(pair))
    """
    return on_paper(recomposition_figure(comparison.recomposition, comparison.crossing))


def attribution(comparison: Comparison) -> go.Figure:
    """Attribution of each teacher layer, and the pairing of both stacks of layers, of a `Comparison`.

    pkt.figures.attribution(pkt.compare(pair))
    """
    return on_paper(
        attribution_figure(comparison.attribution, comparison.pairing, comparison.teacher.n_layers, comparison.chosen)
    )


def latent_map(
    latent: LatentMap, *, colour: str = OVERLAP, linked: bool = False, picked: Collection[int] = ()
) -> go.Figure:
    """One point per prompt and model, of a `LatentMap`; colour: a label of the prompts, `model` or `neighbour overlap`.

    pkt.figures.latent_map(pkt.latent_map(pair, teacher_layer=5, student_layer=2), colour="model")
    """
    return on_paper(latent_figure(latent, colour=colour, linked=linked, picked=picked))


def closer_look(look: CloserLook) -> go.Figure:
    """Similarity of each pair of prompts in the student's and in the teacher's layer, of a `CloserLook`.

    pkt.figures.closer_look(pkt.closer_look(pair, teacher_layer=5, student_layer=2))
    """
    return on_paper(closer_figure([look]))


def maps(scores: MapComparison) -> go.Figure:
    """Every alignment map beside its control, of a `MapComparison`.

    pkt.figures.maps(pkt.maps(pair, teacher_layer=5, student_layer=2))
    """
    return on_paper(maps_figure(scores))


def behaviour(run: Any) -> go.Figure:
    """Share of each task answered right before and after, and by the teacher, of a `Run` or its results.

        pkt.figures.behaviour(pkt.runs()[0])

    Raises StoreError for a run that was not measured.
    """
    results = run.results() if hasattr(run, "results") else run
    if results is None or results.behaviour is None:
        raise StoreError("This run has no measured behaviour yet. Let it finish, or measure it with pkt.evaluate(run).")
    return on_paper(behaviour_figure(results.behaviour, results.changes))


def training(run: Any) -> go.Figure:
    """Loss terms, and what was measured on the way, by step, of a `Run`.

        pkt.figures.training(pkt.runs()[0])

    Raises StoreError for a run without a training step.
    """
    steps = run.steps()
    if not steps:
        raise StoreError(f"Run {run.id} has no training step to show. Choose a run that trained.")
    return on_paper(training_figure(steps))
