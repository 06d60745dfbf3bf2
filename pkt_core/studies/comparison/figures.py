"""The figures of a comparison: the heatmap of a grid, all measures side by side, outliers, recomposition, attribution, and the
change after a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from textwrap import wrap
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from pkt_core.alignment.record import CrossingCurves, LayerAttribution, RecompositionCurves
from pkt_core.similarity.grid import GridChange, SimilarityGrid
from pkt_core.studies.comparison.record import OutlierFacts, Sides
from pkt_core.words import style

SQUARE_UP_TO = 12  # student layers; wider grids take the width there is
WIDEST = 800  # pixels, which a page has on a laptop
RANGES: dict[str, tuple[float | None, float | None]] = {
    "debiased_linear_cka": (-0.2, 1.0),  # slightly below 0 is possible and must not look like agreement
    "procrustes": (0.0, float(np.pi / 2)),
    "linear_regression_r2": (None, 1.0),
}
"""Ends of the colour scale; 0 to 1 for other measures."""
WRITTEN_UP_TO = 150  # cells; larger grids show their numbers on hover only


def span(measure: str, values: NDArray[np.float64]) -> tuple[float, float]:
    """Ends of the colour scale: the range of the measure, or round numbers around the values where it has none."""
    low, high = RANGES.get(measure, (0.0, 1.0))
    down, up = float(np.floor(np.nanmin(values) * 10) / 10), float(np.ceil(np.nanmax(values) * 10) / 10)
    return (max(down, -1.0) if low is None else min(low, down)), (up if high is None else high)


def similarity_heatmap(
    grid: SimilarityGrid,
    *,
    label: str = "CKA (debiased, linear)",
    pairing: Sequence[int] | None = None,
    chosen: tuple[int, int] | None = None,
    pinned: tuple[int, int] | None = None,
) -> go.Figure:
    """Similarity of every teacher layer with every student layer; each cell can be clicked.

    The clickable points lie in a transparent trace named `cells`, whose customdata begins with teacher and student
    layer, because a heatmap trace itself reports no clicks to Streamlit. Where smaller is closer the scale is turned, so
    that dark always means close.
    """
    values = grid.values
    n_teacher, n_student = values.shape
    low, high = span(grid.measure, values)
    scale = style.around_zero(low, high) if low < 0 else style.SEQUENTIAL
    level = grid.noise_level
    step = 0.2 if high - low <= 1.5 else 0.5
    near = 0.06 * (high - low)
    ticks = [t for t in np.round(np.arange(0, high + 1e-9, step), 1).tolist() if level is None or abs(t - level) > near]
    ticks += [low] * (low < 0)
    names = [style.number(tick, 1) for tick in ticks]
    if level is not None and low <= level <= high:
        ticks, names = [*ticks, level], [*names, f"<b>◂ noise {style.number(level)}</b>"]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            zmin=low,
            zmax=high,
            colorscale=scale,
            reversescale=not grid.larger_is_closer,
            xgap=2,
            ygap=2,
            hoverinfo="skip",
            texttemplate="%{z:.2f}" if values.size <= WRITTEN_UP_TO else None,
            colorbar={
                "title": {"text": label, "side": "right", "font": {"size": 14}},
                "tickvals": ticks,
                "ticktext": names,
                "thickness": 16,
                "outlinewidth": 0,
            },
        )
    )
    figure.add_trace(cells(grid))
    paired = {"color": style.ACCENT, "width": 2, "dash": "dot"}
    for student, teacher in enumerate(pairing or ()):
        outline(figure, teacher, student, paired, "paired by the paper's rule" if student == 0 else None)
    if pinned is not None:
        outline(figure, *pinned, {"color": style.AFTER, "width": 4, "dash": "dash"}, "pinned")
    if chosen is not None:
        outline(figure, *chosen, {"color": style.BEFORE, "width": 4}, "chosen")
    style.finish(
        figure, height=min(760, max(380, 56 * n_teacher + 120)), x="Student layer (from 0)", y="Teacher layer (from 0)"
    )
    figure.update_layout(width=heatmap_width(n_student))
    step_x, step_y = max(1, n_student // 16), max(1, n_teacher // 16)
    figure.update_xaxes(
        tickmode="array",
        tickvals=list(range(0, n_student, step_x)),
        showgrid=False,
        zeroline=False,
        range=[-0.5, n_student - 0.5],
    )
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(range(0, n_teacher, step_y)),
        showgrid=False,
        zeroline=False,
        range=[-0.5, n_teacher - 0.5],
    )
    # With no limit on the hover distance the nearest cell centre answers, so a click anywhere in a cell is a click on it.
    return figure.update_layout(hoverdistance=-1, hovermode="closest", clickmode="event+select", dragmode=False)


def heatmap_width(n_student: int) -> int | None:
    """Pixels that keep the cells near square; None where the grid is wide and takes what there is."""
    return min(80 * n_student + 240, WIDEST) if n_student <= SQUARE_UP_TO else None


def outline(figure: go.Figure, teacher: int, student: int, line: Mapping[str, object], name: str | None) -> None:
    """A frame around one cell; with a name it has an entry in the legend."""
    box = {"x0": student - 0.47, "x1": student + 0.47, "y0": teacher - 0.45, "y1": teacher + 0.45}
    figure.add_shape(type="rect", line=line, name=name, showlegend=name is not None, **box)


def cells(grid: SimilarityGrid) -> go.Scatter:
    """The transparent points that carry hover text and clicks."""
    rows = []
    for teacher, student in np.ndindex(grid.values.shape):
        value, low, high, *p_values = (
            float(table[teacher, student])
            for table in (grid.values, grid.low, grid.high, grid.p_values, grid.p_rows, grid.p_cells)
        )
        interval = f"{style.number(low)} to {style.number(high)}" if low == low else "not measured"
        p = " / ".join(style.p_value(each) for each in p_values)
        rows.append([teacher, student, style.number(value, 3), interval, p])
    return clickable(
        rows,
        "teacher layer %{customdata[0]}, student layer %{customdata[1]}<br>similarity %{customdata[2]}"
        "<br>95 % interval %{customdata[3]}<br>p %{customdata[4]}<br>(picked from the grid / its row / named in advance)<extra></extra>",
    )


def clickable(rows: Sequence[Sequence[Any]], hover: str) -> go.Scatter:
    """Transparent squares, one per layer pair, whose rows begin with teacher and student layer; a heatmap reports no clicks."""
    return go.Scatter(
        x=[row[1] for row in rows],
        y=[row[0] for row in rows],
        customdata=rows,
        name="cells",
        mode="markers",
        marker={"symbol": "square", "size": 18, "opacity": 0},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        showlegend=False,
        hovertemplate=hover,
    )


COLUMNS = 4
TITLE_WIDTH = 20  # letters: what a quarter of a narrow window holds; no name then takes three lines


def small_grids(grids: Mapping[str, SimilarityGrid], labels: Mapping[str, str]) -> go.Figure:
    """One small heatmap per measure, each coloured over its own values, its most similar cell framed; bright is similar."""
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
        values = grid.values
        row, column = number // COLUMNS + 1, number % COLUMNS + 1
        figure.add_trace(
            go.Heatmap(
                z=values,
                colorscale=style.SEQUENTIAL,
                reversescale=not grid.larger_is_closer,
                showscale=False,
                xgap=1,
                ygap=1,
                hovertemplate="teacher layer %{y}, student layer %{x}<br>%{z:.3f}<extra></extra>",
            ),
            row,
            column,
        )
        teacher, student, _ = grid.best
        figure.add_shape(
            type="rect",
            x0=student - 0.48,
            x1=student + 0.48,
            y0=teacher - 0.48,
            y1=teacher + 0.48,
            line={"color": style.BEFORE, "width": 3},
            row=row,
            col=column,
        )
    figure.update_annotations(font_size=12)
    style.finish(figure, height=200 * rows + 120)
    figure.update_xaxes(showgrid=False, zeroline=False, tickfont={"size": 11}, dtick=max(1, values.shape[1] // 4))
    figure.update_yaxes(showgrid=False, zeroline=False, tickfont={"size": 11}, dtick=max(1, values.shape[0] // 3))
    return figure


def outlier_figure(facts: Sides[OutlierFacts]) -> go.Figure:
    """Left: variance share of the largest dimensions by layer; right: norm at position 0 over that of the others."""
    figure = make_subplots(cols=2, horizontal_spacing=0.15)  # room for the right axis' title in a narrow window
    looks = {"teacher": (style.TEACHER, "circle"), "student": (style.BEFORE, "diamond-open")}
    for side, of in facts.items():
        colour, symbol = looks[side]
        for shares, dash, name in (
            (of.top_share, "solid", "largest dimension"),
            (of.top3_share, "dash", "largest three"),
        ):
            figure.add_trace(
                go.Scatter(
                    y=shares,
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
                y=of.first_ratio,
                name=f"{side}, position 0",
                mode="lines+markers",
                line={"color": colour, "dash": "dot", "width": 2},
                marker={"symbol": symbol, "size": 8},
                hovertemplate=f"{side} layer %{{x}}<br>%{{y:.1f}} times the median norm<extra></extra>",
            ),
            1,
            2,
        )
    figure.add_hline(y=1, line={"color": style.CONTROL, "dash": "dash"}, row=1, col=2)
    style.finish(figure, height=400)
    figure.update_xaxes(title={"text": "Layer (from 0)"})
    figure.update_yaxes(title={"text": "Share of variance, 0..1"}, range=[0, 1.02], col=1)
    figure.update_yaxes(title={"text": "Norm at position 0 / median"}, rangemode="tozero", col=2)
    return figure


CURVES = {  # name in the result -> label, colour, dash
    "real": ("semantic bases", style.TEACHER, "solid"),
    "embedding_rows": ("input embeddings as bases", style.BEFORE, "dash"),
    "gaussian": ("random bases", style.CONTROL, "dot"),
    "permuted": ("vocabulary permuted", style.ACCENT, "dashdot"),
}


def recomposition_figure(
    recomposition: Sides[RecompositionCurves], crossing: CrossingCurves | None = None
) -> go.Figure:
    """Recomposition cosine by layer for both models and from teacher to student, with the control bases."""
    panels: dict[str, RecompositionCurves | CrossingCurves] = {
        "Teacher": recomposition.teacher,
        "Student": recomposition.student,
    }
    if crossing is not None:
        panels["Teacher into student"] = crossing
    figure = make_subplots(cols=len(panels), shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=list(panels))
    for column, panel in enumerate(panels.values(), 1):
        drawn = panel.curves
        for name, (label, colour, dash) in CURVES.items():
            if name not in drawn:
                continue
            curve = drawn[name]
            layers = list(range(len(curve.mean)))
            figure.add_trace(style.band(layers, curve.low, curve.high, colour), row=1, col=column)
            figure.add_trace(
                go.Scatter(
                    x=layers,
                    y=curve.mean,
                    name=label,
                    legendgroup=name,
                    showlegend=column == 1,
                    mode="lines+markers",
                    line={"color": colour, "dash": dash, "width": 3 if name == "real" else 2},
                    marker={"size": 8 if name == "real" else 5},
                    customdata=list(zip(curve.low, curve.high, strict=True)),
                    hovertemplate=f"layer %{{x}}<br>{label}: %{{y:.3f}}<br>95 % %{{customdata[0]:.3f}} to %{{customdata[1]:.3f}}<extra></extra>",
                ),
                row=1,
                col=column,
            )
        if isinstance(panel, RecompositionCurves):
            figure.add_hline(
                y=panel.closed_form,
                line={"color": style.CONTROL, "width": 1},
                row=1,
                col=column,
            )
            figure.add_annotation(  # above every curve, where it lies on none
                text=f"thin line: expected of random bases {style.number(panel.closed_form)}",
                font={"size": 12},
                showarrow=False,
                xref=f"x{column if column > 1 else ''} domain",
                yref="y domain",
                x=0,
                y=1,
                xanchor="left",
                yanchor="top",
            )
    style.finish(figure, height=400, x="Layer (from 0)")
    figure.update_layout(legend={"y": 1.12}, margin={"t": 84})
    figure.update_xaxes(dtick=max(1, max(len(panel.real.mean) for panel in panels.values()) // 12))
    if crossing is not None:
        figure.update_xaxes(title={"text": "Student layer (from 0)"}, col=len(panels))
    lowest = min(0.0, *(min(curve.low) for panel in panels.values() for curve in panel.curves.values()))
    figure.update_yaxes(range=[lowest - 0.05, 1.16])
    return figure.update_yaxes(title={"text": "Recomposition cosine (−1..1)"}, col=1)


def attribution_figure(
    attribution: LayerAttribution | None, pairing: Sequence[int], n_teacher: int, chosen: tuple[int, int] | None = None
) -> go.Figure:
    """Attribution of each teacher layer as bars, and the two stacks of layers joined by the pairing."""
    stacks = 1 if attribution is None else 2  # without attribution the pairing takes the full width
    figure = make_subplots(
        cols=stacks, shared_yaxes=True, column_widths=[0.62, 0.38][-stacks:], horizontal_spacing=0.03
    )
    layers, n_student = list(range(n_teacher)), len(pairing)
    if attribution is not None:
        scores, low, high = attribution.scores, attribution.low, attribution.high
        picked = chosen[0] if chosen else attribution.best
        figure.add_trace(
            go.Bar(
                x=scores,
                y=layers,
                orientation="h",
                marker={"color": [style.BEFORE if layer == picked else style.TEACHER for layer in layers]},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": high - scores,
                    "arrayminus": scores - low,
                    "color": style.CONTROL,
                },
                hovertemplate="teacher layer %{y}<br>attribution %{x:.3g}<extra></extra>",
                showlegend=False,
            ),
            row=1,
            col=1,
        )
    heights = [(student + 0.5) / n_student * n_teacher - 0.5 for student in range(n_student)]
    for student, teacher in enumerate(pairing):
        on = chosen is not None and (teacher, student) == tuple(chosen)
        line = {"color": style.BEFORE if on else style.CONTROL, "width": 4 if on else 1.5}
        figure.add_trace(
            go.Scatter(
                x=[0, 1], y=[teacher, heights[student]], mode="lines", line=line, hoverinfo="skip", showlegend=False
            ),
            row=1,
            col=stacks,
        )
    if chosen is not None and pairing[chosen[1]] != chosen[0]:  # chosen by hand, against the rule
        line = {"color": style.BEFORE, "width": 4, "dash": "dash"}
        ends = [chosen[0], heights[chosen[1]]]
        figure.add_trace(
            go.Scatter(x=[0, 1], y=ends, mode="lines", line=line, hoverinfo="skip", showlegend=False),
            row=1,
            col=stacks,
        )
    for x, ys, colour, side in ((0, layers, style.TEACHER, "teacher"), (1, heights, style.AFTER, "student")):
        names = [str(i) for i in range(len(ys))]
        figure.add_trace(
            go.Scatter(
                x=[x] * len(ys),
                y=ys,
                mode="markers+text" if len(ys) <= 48 else "markers",
                text=names,
                textposition="middle left" if x == 0 else "middle right",
                marker={"color": colour, "size": 12, "symbol": style.SYMBOLS["teacher" if x == 0 else "after"]},
                name=f"{side} layer",
                customdata=names,
                hovertemplate=f"{side} layer %{{customdata}}<extra></extra>",
            ),
            row=1,
            col=stacks,
        )
    style.finish(figure, height=min(760, max(340, 30 * n_teacher + 160)))
    figure.update_yaxes(
        title={"text": "Teacher layer (from 0)"},
        dtick=max(1, n_teacher // 16),
        range=[-0.7, n_teacher - 0.3],
        zeroline=False,
        col=1,
    )
    figure.update_yaxes(showgrid=False, zeroline=False, col=stacks)
    if attribution is not None:
        figure.update_xaxes(title={"text": "Attribution (nats, mean |Σ gradient × activation|)"}, col=1)
    return figure.update_xaxes(
        title={"text": "Pairing"},
        range=[-0.25, 1.25],
        tickvals=[0, 1],
        ticktext=["teacher", "student"],
        showgrid=False,
        zeroline=False,
        col=stacks,
    )


FAINT = 0.1  # smallest end of the colour scale, so that a change within noise stays pale
LINE = 15  # pixels from one line of small text to the next


PANELS = (1, 2, 3, 5)  # columns of the figure of changes


def change_figure(change: GridChange, trained: int | None = None) -> go.Figure:
    """The grid before, after, and after minus before; then the student's layers after with its layers before."""
    before, after, difference, itself = change.before, change.after, change.difference, change.own
    moved = change.moved
    low, high = span(change.measure, np.concatenate([before, after, itself]))
    reach = max(FAINT, float(np.nanmax(np.abs(difference))))
    titles = ["teacher, before", "teacher, after", "after − before", "student, after with before"]
    figure = make_subplots(  # the empty fourth column is room for the last panel's own axis
        cols=5,
        specs=[[{}, {}, {}, None, {}]],
        column_widths=[1, 1, 1, 0.3, 1],
        horizontal_spacing=0.025,
        subplot_titles=titles,
    )
    written = before.size <= WRITTEN_UP_TO
    for column, values in zip(PANELS, (before, after, difference, itself), strict=True):
        text = [[style.number(v) for v in row] for row in values]
        if column == 3:
            text = [
                [f"<b>{t}</b>" if m else t for t, m in zip(*both, strict=True)]
                for both in zip(text, moved, strict=True)
            ]
        figure.add_trace(
            go.Heatmap(
                z=values,
                coloraxis="coloraxis2" if column == 3 else "coloraxis",
                text=text,
                texttemplate="%{text}" if written else None,
                textfont={"size": 12},
                xgap=1,
                ygap=1,
                customdata=np.stack([change.low, change.high, change.p_values], -1) if column == 3 else None,
                hovertemplate="teacher layer %{y}, student layer %{x}<br>changed by %{z:.3f}, 95 % %{customdata[0]:.3f} to "
                "%{customdata[1]:.3f}<br>p %{customdata[2]:.3f} (corrected over the grid)<extra></extra>"
                if column == 3
                else f"{titles[PANELS.index(column)]}<br>row %{{y}}, student layer %{{x}}<br>%{{z:.3f}}<extra></extra>",
            ),
            1,
            column,
        )
    for i, j in np.argwhere(moved):
        figure.add_shape(
            type="rect",
            x0=j - 0.5,
            x1=j + 0.5,
            y0=i - 0.5,
            y1=i + 0.5,
            line={"color": style.ACCENT, "width": 2},
            row=1,
            col=3,
        )
    style.finish(figure, height=min(620, max(360, 40 * len(before) + 170)), x="Student layer (from 0)")
    bar = {"thickness": 12, "len": 0.4, "outlinewidth": 0}
    figure.update_layout(
        coloraxis={
            "colorscale": style.around_zero(low, high) if low < 0 else style.SEQUENTIAL,
            "cmin": low,
            "cmax": high,
            "reversescale": not change.larger_is_closer,
            "colorbar": {**bar, "y": 0.78, "title": "similarity"},
        },
        coloraxis2={
            "colorscale": style.around_zero(-reach, reach),
            "cmin": -reach,
            "cmax": reach,
            "colorbar": {**bar, "y": 0.22, "title": "difference"},
        },
    )
    if trained is not None:  # between the layers, where it crosses no number
        for column in PANELS:
            figure.add_vline(
                x=trained - 0.5, line={"color": style.BEFORE, "width": 3, "dash": "dot"}, row=1, col=column
            )
    figure.update_xaxes(dtick=max(1, before.shape[1] // 6), showgrid=False, zeroline=False)
    figure.update_yaxes(dtick=max(1, len(before) // 8), showgrid=False, zeroline=False)
    figure.update_annotations(font_size=13)
    figure.update_yaxes(title={"text": "Teacher layer (from 0)"}, col=1)
    for column in PANELS[1:3]:  # rows as in the first panel
        figure.update_yaxes(showticklabels=False, col=column)
    return figure.update_yaxes(
        title={"text": "Student layer after (from 0)", "standoff": 4}, dtick=max(1, len(itself) // 8), col=PANELS[-1]
    )
