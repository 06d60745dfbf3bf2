"""What predicts transfer gain, as pictures: every factor's correlation with its chance band, the points behind one, gain beside similarity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pkt_core.studies.factors.record import GENERAL, Factor, Group, correlated
from pkt_core.words import style

WRITTEN_UP_TO = 150  # cells


def factors_figure(factors: Sequence[Factor]) -> go.Figure:
    """Correlation of each factor with the gain beyond depth, 95 % intervals, the strongest on top; grey: what chance reaches.

    The factor that is known without looking at states (relative depth) is drawn as a control.
    """
    shown = correlated(factors)[::-1]
    figure = go.Figure()
    for place, (_, correlation) in enumerate(shown):
        reach = correlation.visible
        figure.add_shape(
            type="rect", x0=-reach, x1=reach, y0=place - 0.4, y1=place + 0.4, line_width=0, fillcolor="rgba(139,143,152,0.22)", layer="below",
        )  # fmt: skip
    for kind, name, colour, symbol in (
        ("likeness", "similarity measure", style.AFTER, "circle"),
        ("depth", "relative depth", style.CONTROL, "square-open"),
    ):
        mine = [(i, factor, found) for i, (factor, found) in enumerate(shown) if factor.kind == kind]
        figure.add_trace(
            go.Scatter(
                x=[found.rho for _, _, found in mine],
                y=[i for i, _, _ in mine],
                mode="markers",
                name=name,
                marker={"color": colour, "symbol": symbol, "size": 11, "line": {"width": 2}},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [found.high - found.rho for _, _, found in mine],
                    "arrayminus": [found.rho - found.low for _, _, found in mine],
                    "thickness": 2,
                    "color": colour,
                },
                customdata=[
                    [style.text(factor.label), f"{style.number(found.low)} to {style.number(found.high)}", style.p_value(found.p_value), style.p_value(found.p_corrected), factor.n]
                    for _, factor, found in mine
                ],
                hovertemplate="%{customdata[0]}<br>correlation beyond depth %{x:.2f}, 95 % %{customdata[1]}<br>p %{customdata[2]}, "
                "corrected %{customdata[3]}, %{customdata[4]} pairs of layers<extra></extra>",
            )
        )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=[None], y=[None], mode="markers", name="95 % of random rotations",
            marker={"color": "rgba(139,143,152,0.4)", "symbol": "square", "size": 13},
        )
    )  # fmt: skip
    style.finish(
        figure,
        height=34 * len(shown) + 130,
        x="Correlation with the gain beyond depth (above 0: more similar, more gain)",
    )
    figure.update_xaxes(range=[-1.05, 1.05], zeroline=True, zerolinecolor=style.CONTROL, zerolinewidth=1)
    return figure.update_yaxes(
        tickvals=list(range(len(shown))),
        ticktext=[style.text(factor.label, 40) for factor, _ in shown],
        showgrid=False,
        zeroline=False,
    )


def points_figure(groups: Sequence[Group], factor: Factor, task: str, names: Mapping[str, str]) -> go.Figure:
    """Gain against one factor, a mark per pair of layers and a small one per seed; colour and marker tell groups apart.

    The clickable marks have teacher and student layer and the first run in their customdata. `names` says what a group is.
    """
    figure = go.Figure()
    unit, scale = ("bits per byte saved", 1.0) if task == GENERAL else ("points", 100.0)
    for place, group in enumerate(groups):
        grid = factor.values.get(group.key)
        points = [point for point in group.points if task in point.gains]
        if grid is None or not points:
            continue
        colour = style.CATEGORIES[place % len(style.CATEGORIES)]
        at = [grid[point.teacher][point.student] for point in points]
        seeds = [
            (x, scale * gain)
            for x, point in zip(at, points, strict=True)
            for gain in point.gains[task]
            if len(point.gains[task]) > 1
        ]
        if seeds:
            figure.add_trace(
                go.Scatter(
                    x=[x for x, _ in seeds], y=[y for _, y in seeds], mode="markers", hoverinfo="skip", showlegend=False,
                    marker={"color": colour, "size": 5, "opacity": 0.5},
                )
            )  # fmt: skip
        figure.add_trace(
            go.Scatter(
                x=at,
                y=[scale * float(np.mean(point.gains[task])) for point in points],
                mode="markers",
                name=style.text(names.get(group.key, group.key), 60),
                showlegend=len(groups) > 1,
                marker={"color": colour, "size": 12, "symbol": place % 8, "line": {"width": 1, "color": "white"}},
                customdata=[[point.teacher, point.student, point.runs[0], len(point.runs)] for point in points],
                hovertemplate=f"teacher layer %{{customdata[0]}} to student layer %{{customdata[1]}}<br>gain %{{y:.2f}} {unit}, "
                "factor %{x:.3f}<br>%{customdata[3]} runs, click to open one<extra></extra>",
            )
        )
    style.finish(figure, height=430, x=style.text(f"{factor.label}, before the transfer"), y=f"Gain ({unit})")
    figure.update_layout(clickmode="event+select", dragmode=False, hovermode="closest")
    return figure.update_yaxes(zeroline=True, zerolinecolor=style.CONTROL, zerolinewidth=1)


def beside_figure(group: Group, factor: Factor, task: str) -> go.Figure:
    """Gain at every pair of layers beside the factor there: two heatmaps with the same layers, one scale each."""
    unit, scale = ("bits per byte saved", 1.0) if task == GENERAL else ("points", 100.0)
    grid = np.asarray(factor.values[group.key], float)
    gain = np.full(grid.shape, np.nan)
    for point in group.points:
        if task in point.gains:
            gain[point.teacher, point.student] = scale * np.mean(point.gains[task])
    figure = make_subplots(
        cols=2,
        shared_yaxes=True,
        horizontal_spacing=0.2,
        subplot_titles=["gained", style.text(f"{factor.label}, before", 40)],
    )
    reach = float(np.nanmax(np.abs(gain))) or 1.0
    low, high = min(float(np.nanmin(gain)), -0.02 * reach), max(float(np.nanmax(gain)), 0.02 * reach)
    scales = (
        (gain, style.around_zero(low, high), low, high, f"Gain ({unit})", 0.40, ".1f" if scale > 1 else ".3f"),
        (grid, style.SEQUENTIAL, float(grid.min()), float(grid.max()), "Factor (larger: more alike)", 1.0, ".2f"),
    )
    for column, (values, colours, least, most, title, at, digits) in enumerate(scales, 1):
        figure.add_trace(
            go.Heatmap(
                z=values, colorscale=colours, zmin=least, zmax=most, xgap=2, ygap=2,
                texttemplate=f"%{{z:{digits}}}" if values.size <= WRITTEN_UP_TO else None,
                colorbar={"x": at, "thickness": 14, "title": {"text": title, "side": "right"}},
                hovertemplate=f"teacher layer %{{y}}, student layer %{{x}}: %{{z:{digits}}}<extra></extra>",
            ), 1, column,
        )  # fmt: skip
    n_teacher, n_student = grid.shape
    style.finish(figure, height=min(760, max(360, 46 * n_teacher + 150)), x="Student layer (from 0)")
    figure.update_layout(margin={"t": 60}, width=None if n_student > 12 else min(1400, 240 * n_student + 320))
    figure.update_xaxes(dtick=max(1, n_student // 12), showgrid=False, zeroline=False)
    figure.update_yaxes(dtick=max(1, n_teacher // 12), showgrid=False, zeroline=False)
    return figure.update_yaxes(title={"text": "Teacher layer (from 0)"}, col=1)
