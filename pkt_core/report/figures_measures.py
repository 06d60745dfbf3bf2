"""The same grid by every measure side by side, and what could own all of them: large dimensions, the first position.

Every function takes JSON forms. Layers are counted from 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from textwrap import wrap
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pkt_core.report import look
from pkt_core.report.figures_similarity import best_cell, closer_up

Json = Mapping[str, Any]
COLUMNS = 4
TITLE_WIDTH = 20  # letters: what a quarter of a narrow window holds; no name then takes three lines


def small_grids(grids: Mapping[str, Json], labels: Mapping[str, str]) -> go.Figure:
    """One small heatmap per measure, each coloured over its own values with its closest cell framed; bright is close."""
    rows = ceil(len(grids) / COLUMNS)
    columns = min(COLUMNS, len(grids))
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=["<br>".join(wrap(labels.get(name, name), TITLE_WIDTH)) for name in grids],
        horizontal_spacing=0.06,
        vertical_spacing=0.38 / max(1, rows),
        x_title="Student layer (from 0)",
        y_title="Teacher layer (from 0)",
    )
    for number, grid in enumerate(grids.values()):
        values = np.asarray(grid["values"], float)
        row, column = number // COLUMNS + 1, number % COLUMNS + 1
        figure.add_trace(
            go.Heatmap(
                z=values,
                colorscale=look.SEQUENTIAL,
                reversescale=not closer_up(grid),
                showscale=False,
                xgap=1,
                ygap=1,
                hovertemplate="teacher layer %{y}, student layer %{x}<br>%{z:.3f}<extra></extra>",
            ),
            row,
            column,
        )
        teacher, student, _ = best_cell(grid)
        figure.add_shape(
            type="rect",
            x0=student - 0.48,
            x1=student + 0.48,
            y0=teacher - 0.48,
            y1=teacher + 0.48,
            line={"color": look.BEFORE, "width": 3},
            row=row,
            col=column,
        )
    figure.update_annotations(font_size=12)
    look.finish(figure, height=200 * rows + 120)
    figure.update_xaxes(showgrid=False, zeroline=False, tickfont={"size": 11}, dtick=max(1, values.shape[1] // 4))
    figure.update_yaxes(showgrid=False, zeroline=False, tickfont={"size": 11}, dtick=max(1, values.shape[0] // 3))
    return figure


def outlier_figure(facts: Json) -> go.Figure:
    """Left the variance share of the largest dimensions by layer, right the length at position 0 over that of the others."""
    figure = make_subplots(cols=2, horizontal_spacing=0.15)  # room for the right axis' title in a narrow window
    for side, colour, symbol in (("teacher", look.TEACHER, "circle"), ("student", look.BEFORE, "diamond-open")):
        for key, dash, name in (("top_share", "solid", "largest dimension"), ("top3_share", "dash", "largest three")):
            figure.add_trace(
                go.Scatter(
                    y=facts[side][key],
                    name=f"{side}, {name}",
                    mode="lines+markers",
                    line={"color": colour, "dash": dash, "width": 2},
                    marker={"symbol": symbol, "size": 8},
                    hovertemplate=f"{side} layer %{{x}}<br>%{{y:.1%}} of the variance<extra></extra>",
                ),
                1,
                1,
            )
        figure.add_trace(
            go.Scatter(
                y=facts[side]["first_ratio"],
                name=f"{side}, position 0",
                mode="lines+markers",
                line={"color": colour, "dash": "dot", "width": 2},
                marker={"symbol": symbol, "size": 8},
                hovertemplate=f"{side} layer %{{x}}<br>%{{y:.1f}} times the median length<extra></extra>",
            ),
            1,
            2,
        )
    figure.add_hline(y=1, line={"color": look.CONTROL, "dash": "dash"}, row=1, col=2)  # type: ignore[arg-type]
    look.finish(figure, height=400)
    figure.update_xaxes(title={"text": "Layer (from 0)"})
    figure.update_yaxes(title={"text": "Share of variance, 0..1"}, range=[0, 1.02], col=1)
    figure.update_yaxes(title={"text": "Length at position 0 / median"}, rangemode="tozero", col=2)
    return figure
