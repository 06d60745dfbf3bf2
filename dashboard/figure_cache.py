"""The project's figures, each drawn once: after a click, unchanged figures come from this cache.

Building a Plotly figure of many panels takes longer than everything else on a page. A figure's key is a digest of all its inputs,
so that nothing stale is ever shown. Pages draw through this module.

Not covered: figures that change every second (training), which would only evict the others.
"""

from __future__ import annotations

import functools
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from pkt_core.studies.alignment_maps import figures as alignment_maps
from pkt_core.studies.behaviour import figures as behaviour
from pkt_core.studies.comparison import figures as comparison
from pkt_core.studies.factors import figures as factors
from pkt_core.studies.families import figures as families
from pkt_core.studies.inspection import figures as inspection
from pkt_core.studies.latent_map import figures as latent_map
from pkt_core.studies.token_change import figures as token_change

KEPT = 96  # figures; some tens of kilobytes each
_drawn: OrderedDict[str, go.Figure] = OrderedDict()
_lock = threading.Lock()


def values(drawn: Any) -> Any:
    """All values of a record or an array, for a figure's key: the repr of a large array omits its middle."""
    if is_dataclass(drawn):
        return [type(drawn).__qualname__, {one.name: getattr(drawn, one.name) for one in fields(drawn)}]
    if isinstance(drawn, np.ndarray):
        return [drawn.shape, str(drawn.dtype), hashlib.sha256(drawn.tobytes()).hexdigest()]
    return repr(drawn)


def once(draw: Callable[..., go.Figure]) -> Callable[..., go.Figure]:
    """The same function, cached by the values of its arguments. Callers must not change the figure."""

    @functools.wraps(draw)
    def given(*args: Any, **options: Any) -> go.Figure:
        content = json.dumps([draw.__qualname__, args, options], default=values)
        key = hashlib.sha256(content.encode()).hexdigest()
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


maps_figure = once(alignment_maps.maps_figure)
stitching_figure = once(alignment_maps.stitching_figure)
behaviour_figure = once(behaviour.behaviour_figure)
comparison_figure = once(behaviour.comparison_figure)
seeds_figure = once(behaviour.seeds_figure)
training_figure = once(behaviour.training_figure)
similarity_heatmap = once(comparison.similarity_heatmap)
small_grids = once(comparison.small_grids)
outlier_figure = once(comparison.outlier_figure)
recomposition_figure = once(comparison.recomposition_figure)
attribution_figure = once(comparison.attribution_figure)
change_figure = once(comparison.change_figure)
factors_figure = once(factors.factors_figure)
points_figure = once(factors.points_figure)
beside_figure = once(factors.beside_figure)
family_figure = once(families.family_figure)
reading_figure = once(inspection.reading_figure)
trajectory_figure = once(inspection.trajectory_figure)
difference_figure = once(inspection.difference_figure)
latent_figure = once(latent_map.latent_figure)
chain_figure = once(latent_map.chain_figure)
sentence_figure = once(token_change.sentence_figure)
next_figure = once(token_change.next_figure)
reliability_figure = once(token_change.reliability_figure)
heatmap_width = comparison.heatmap_width
COLOURINGS = token_change.COLOURINGS
