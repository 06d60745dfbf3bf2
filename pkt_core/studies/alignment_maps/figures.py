"""Alignment maps as figures: which maps a state best, and the cost for the student that continues from it."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pkt_core.evaluation.statistics import Estimate
from pkt_core.studies.alignment_maps.record import MapComparison, StitchedGrid
from pkt_core.studies.comparison.figures import LINE, SQUARE_UP_TO, WRITTEN_UP_TO, clickable, outline
from pkt_core.words import style

SCORES = {  # field of a MapScore -> axis title
    "cosine": "Cosine (−1..1)",
    "r2": "R² (up to 1)",
    "round_trip": "R², round trip",
    "bits_per_byte": "Stitched loss (bits/byte)",
}


def maps_figure(found: MapComparison) -> go.Figure:
    """One row per kind of map: the map and its control on held-out texts, in four scores."""
    figure = make_subplots(cols=4, shared_yaxes=True, horizontal_spacing=0.035)
    kinds = list(found.maps)[::-1]
    for column, score in enumerate(SCORES, 1):
        for role, scores, name, colour, symbol in (
            ("controls", found.controls, "control: meaning removed", style.CONTROL, "x-thin-open"),
            ("maps", found.maps, "map", style.TEACHER, "circle"),
        ):
            values: list[Estimate] = [getattr(scores[kind], score) for kind in kinds]
            figure.add_trace(
                go.Scatter(
                    x=[v.value for v in values],
                    y=kinds,
                    name=name,
                    legendgroup=role,
                    showlegend=column == 1,
                    mode="markers",
                    marker={"color": colour, "symbol": symbol, "size": 11, "line": {"width": 2, "color": colour}},
                    error_x={
                        "type": "data",
                        "symmetric": False,
                        "array": [v.high - v.value for v in values],
                        "arrayminus": [v.value - v.low for v in values],
                        "color": colour,
                        "thickness": 1.5,
                        "width": 4,
                    },
                    customdata=[[v.low, v.high, v.n] for v in values],
                    hovertemplate=f"%{{y}}, {name}<br>%{{x:.3f}}, 95 % %{{customdata[0]:.3f}} to %{{customdata[1]:.3f}}"
                    "<br>over %{customdata[2]} held-out texts<extra></extra>",
                ),
                1,
                column,
            )
    for column, value, label, dash, line in (
        (1, 0.0, "", "solid", 0),
        (2, 0.0, "", "solid", 0),
        (3, 0.0, "", "solid", 0),
        (3, found.bound, "best possible", "dot", 0),
        (4, found.own.value, "student alone", "solid", 1),  # the two may lie near each other
        (4, found.constant.value, "mean state", "dot", 0),
    ):
        figure.add_vline(
            x=value,
            line={"color": style.CONTROL, "width": 1.5, "dash": dash},
            annotation={"text": label, "font": {"size": 12}, "yanchor": "bottom", "yshift": LINE * line},
            annotation_position="top",
            row=1,
            col=column,
        )
    style.finish(figure, height=130 + 54 * len(kinds))
    for column, title in enumerate(SCORES.values(), 1):
        figure.update_xaxes(title={"text": title}, zeroline=False, col=column)
    figure.update_layout(legend={"y": 1, "yref": "container", "yanchor": "top"}, margin={"t": 84, "l": 120})
    figure.update_yaxes(range=[-0.6, len(kinds) - 0.4])
    return figure.update_yaxes(title={"text": "Alignment map"}, col=1)


def stitching_figure(grid: StitchedGrid, chosen: tuple[int, int] | None = None) -> go.Figure:
    """Cost of stitching in bits per byte over the student alone, at every layer pair, and that of the control.

    The clickable points lie in a transparent trace named `cells`, whose customdata begins with teacher and student layer.
    """
    alone = grid.own.value
    values, control = np.asarray(grid.values, float) - alone, np.asarray(grid.control, float) - alone
    low = min(-0.05, float(np.floor(np.nanmin(values) * 10) / 10))
    high = max(0.1, float(np.ceil(np.nanmax([np.nanmax(values), np.nanmax(control)]) * 10) / 10))
    n_teacher, n_student = values.shape
    figure = make_subplots(
        cols=2,
        shared_yaxes=True,
        horizontal_spacing=0.05,
        subplot_titles=["through the map", "control: meaning removed"],
    )
    for column, shown in enumerate((values, control), 1):
        figure.add_trace(
            go.Heatmap(
                z=shown,
                coloraxis="coloraxis",
                xgap=2,
                ygap=2,
                hoverinfo="skip",
                texttemplate="%{z:.2f}" if values.size <= WRITTEN_UP_TO else None,
            ),
            1,
            column,
        )
        figure.add_trace(stitched_cells(grid), 1, column)
    if chosen is not None:
        outline(figure, *chosen, {"color": style.BEFORE, "width": 4}, "chosen")
    style.finish(figure, height=min(760, max(380, 50 * n_teacher + 150)), x="Student layer (from 0)")
    wide = n_student > SQUARE_UP_TO
    figure.update_layout(
        width=None if wide else min(1500, 220 * n_student + 320),
        coloraxis={
            "colorscale": [[1 - at, colour] for at, colour in style.around_zero(-high, -low)[::-1]],
            "cmin": low,
            "cmax": high,
            "colorbar": {
                "title": {"text": "Extra bits per byte over the student alone", "side": "right"},
                "thickness": 16,
            },
        },
        hoverdistance=-1,
        hovermode="closest",
        clickmode="event+select",
        dragmode=False,
        margin={"t": 72},
        legend={"y": 1.08},
    )
    figure.update_xaxes(dtick=max(1, n_student // 12), showgrid=False, zeroline=False)
    figure.update_yaxes(dtick=max(1, n_teacher // 12), showgrid=False, zeroline=False)
    return figure.update_yaxes(title={"text": "Teacher layer (from 0)"}, col=1)


def stitched_cells(grid: StitchedGrid) -> go.Scatter:
    """The transparent points that carry hover text and clicks."""
    rows = []
    for i, j in np.ndindex(np.asarray(grid.values).shape):
        values = [style.number(cells[i][j], 3) for cells in (grid.values, grid.control, grid.round_trip)]
        rows.append([i, j, *values, f"{style.number(grid.low[i][j], 3)} to {style.number(grid.high[i][j], 3)}"])
    return clickable(
        rows,
        "teacher layer %{customdata[0]} into student layer %{customdata[1]}<br>%{customdata[2]} bits per byte, "
        "95 % %{customdata[5]}<br>control %{customdata[3]}, round-trip R² %{customdata[4]}<extra></extra>",
    )
