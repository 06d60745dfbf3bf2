"""Where two models agree: the layer x layer heatmap, recomposition curves, attribution with the pairing drawn beside it.

Every function takes the JSON form of a result. Layers are counted from 0; teacher layers run upwards, student layers
rightwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pkt_core.report import look

Json = Mapping[str, Any]
SQUARE_UP_TO = 12  # student layers; wider grids take the width there is
WRITTEN_UP_TO = 150  # cells; larger grids show their numbers on hover only


def noise_level(grid: Json) -> float | None:
    """What the largest cell of a grid without any agreement stays below 95 times in 100; None where it was not measured."""
    null = grid.get("null_max")
    return float(np.quantile(np.asarray(null, float), 0.95)) if null is not None and len(null) else None


def best_cell(grid: Json) -> tuple[int, int, float]:
    """Teacher layer, student layer and value of the largest cell."""
    values = np.asarray(grid["values"], float)
    teacher, student = np.unravel_index(int(np.nanargmax(values)), values.shape)
    return int(teacher), int(student), float(values[teacher, student])


def similarity_heatmap(
    grid: Json,
    *,
    label: str = "Debiased linear CKA",
    pairing: Sequence[int] | None = None,
    chosen: tuple[int, int] | None = None,
) -> go.Figure:
    """Similarity of every teacher layer with every student layer; each cell is a point one can click.

    The clickable points lie in a transparent trace named `cells`, whose customdata begins with teacher and student
    layer, because a heatmap trace itself reports no clicks to Streamlit.
    """
    values = np.asarray(grid["values"], float)
    n_teacher, n_student = values.shape
    negative = bool(np.nanmin(values) < 0) or "debiased" in str(grid.get("measure", ""))
    low = min(-0.2, float(np.floor(np.nanmin(values) * 10) / 10)) if negative else 0.0
    scale = look.around_zero(low, 1.0) if negative else look.SEQUENTIAL
    level = noise_level(grid)
    ticks = [
        tick for tick in np.round(np.arange(0, 1.01, 0.2), 1).tolist() if level is None or abs(tick - level) > 0.06
    ]
    ticks += [low] * (low < 0)
    names = [look.number(tick, 1) for tick in ticks]
    if level is not None:
        ticks, names = [*ticks, level], [*names, f"<b>◂ noise {look.number(level)}</b>"]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            zmin=low,
            zmax=1.0,
            colorscale=scale,
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
    figure.add_trace(cells(grid, values))
    paired = {"color": look.ACCENT, "width": 2, "dash": "dot"}
    for student, teacher in enumerate(pairing or ()):
        outline(figure, teacher, student, paired, "paired by the paper's rule" if student == 0 else None)
    if chosen is not None:
        outline(figure, *chosen, {"color": look.BEFORE, "width": 4}, "chosen")
    look.finish(
        figure, height=min(760, max(380, 56 * n_teacher + 120)), x="Student layer (from 0)", y="Teacher layer (from 0)"
    )
    figure.update_layout(width=min(1500, 110 * n_student + 260) if n_student <= SQUARE_UP_TO else None)
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


def outline(figure: go.Figure, teacher: int, student: int, line: dict[str, Any], name: str | None) -> None:
    """A frame around one cell; with a name it has an entry in the legend."""
    box = {"x0": student - 0.47, "x1": student + 0.47, "y0": teacher - 0.45, "y1": teacher + 0.45}
    figure.add_shape(type="rect", line=line, name=name, showlegend=name is not None, **box)


def cells(grid: Json, values: np.ndarray) -> go.Scatter:
    """The transparent points that carry hover text and clicks."""
    rows = []
    for teacher, student in np.ndindex(values.shape):
        low, high, p = (
            grid[key][teacher][student] if grid.get(key) is not None else None for key in ("low", "high", "p_values")
        )
        interval = f"{look.number(low)} to {look.number(high)}" if low is not None else "not measured"
        rows.append([teacher, student, look.number(float(values[teacher, student]), 3), interval, look.p_value(p)])
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
        hovertemplate="teacher layer %{customdata[0]}, student layer %{customdata[1]}<br>similarity %{customdata[2]}"
        "<br>95 % interval %{customdata[3]}<br>p %{customdata[4]} (family-wise)<extra></extra>",
    )


CURVES = {  # name in the result -> label, colour, dash
    "real": ("own semantic bases", look.TEACHER, "solid"),
    "embedding_rows": ("input embeddings as bases", look.BEFORE, "dash"),
    "gaussian": ("random bases", look.CONTROL, "dot"),
}


def recomposition_figure(recomposition: Json) -> go.Figure:
    """Recomposition cosine by layer for both models, with what the same computation gives on meaningless bases."""
    figure = make_subplots(cols=2, shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=["Teacher", "Student"])
    for column, side in enumerate(("teacher", "student"), 1):
        curves = recomposition[side]
        for name, (label, colour, dash) in CURVES.items():
            if curves.get(name) is None:
                continue
            mean, low, high = (np.asarray(curves[name][key], float).tolist() for key in ("mean", "low", "high"))
            layers = list(range(len(mean)))
            figure.add_trace(look.band(layers, low, high, colour), row=1, col=column)
            figure.add_trace(
                go.Scatter(
                    x=layers,
                    y=mean,
                    name=label,
                    legendgroup=name,
                    showlegend=column == 1,
                    mode="lines+markers",
                    line={"color": colour, "dash": dash, "width": 3 if name == "real" else 2},
                    marker={"size": 8 if name == "real" else 5},
                    customdata=list(zip(low, high, strict=True)),
                    hovertemplate=f"layer %{{x}}<br>{label}: %{{y:.3f}}<br>95 % %{{customdata[0]:.3f}} to %{{customdata[1]:.3f}}<extra></extra>",
                ),
                row=1,
                col=column,
            )
        if curves.get("closed_form") is not None:
            figure.add_hline(
                y=float(curves["closed_form"]),
                line={"color": look.CONTROL, "width": 1},
                annotation_position="top left",
                annotation={
                    "text": f"expected of random {look.number(float(curves['closed_form']))}",
                    "font": {"size": 12},
                },
                row=1,
                col=column,
            )
    look.finish(figure, height=400, x="Layer (from 0)")
    figure.update_layout(legend={"y": 1.12}, margin={"t": 84})
    figure.update_xaxes(
        dtick=max(1, max(len(recomposition[side]["real"]["mean"]) for side in ("teacher", "student")) // 12)
    )
    return figure.update_yaxes(title={"text": "Recomposition cosine (0..1)"}, col=1)


def attribution_figure(
    attribution: Json | None, pairing: Sequence[int], n_teacher: int, chosen: tuple[int, int] | None = None
) -> go.Figure:
    """Attribution of each teacher layer as bars, and beside them the two stacks of layers joined by the pairing."""
    figure = make_subplots(cols=2, shared_yaxes=True, column_widths=[0.62, 0.38], horizontal_spacing=0.03)
    layers, n_student = list(range(n_teacher)), len(pairing)
    if attribution is not None:
        scores = np.asarray(attribution["scores"], float)
        low, high = (np.asarray(attribution.get(key, scores), float) for key in ("low", "high"))
        picked = chosen[0] if chosen else int(attribution["best"])
        figure.add_trace(
            go.Bar(
                x=scores,
                y=layers,
                orientation="h",
                marker={"color": [look.BEFORE if layer == picked else look.TEACHER for layer in layers]},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": high - scores,
                    "arrayminus": scores - low,
                    "color": look.CONTROL,
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
        line = {"color": look.BEFORE if on else look.CONTROL, "width": 4 if on else 1.5}
        figure.add_trace(
            go.Scatter(
                x=[0, 1], y=[teacher, heights[student]], mode="lines", line=line, hoverinfo="skip", showlegend=False
            ),
            row=1,
            col=2,
        )
    if chosen is not None and pairing[chosen[1]] != chosen[0]:  # picked by hand, off the rule
        line = {"color": look.BEFORE, "width": 4, "dash": "dash"}
        ends = [chosen[0], heights[chosen[1]]]
        figure.add_trace(
            go.Scatter(x=[0, 1], y=ends, mode="lines", line=line, hoverinfo="skip", showlegend=False), row=1, col=2
        )
    for x, ys, colour, side in ((0, layers, look.TEACHER, "teacher"), (1, heights, look.AFTER, "student")):
        names = [str(i) for i in range(len(ys))]
        figure.add_trace(
            go.Scatter(
                x=[x] * len(ys),
                y=ys,
                mode="markers+text" if len(ys) <= 48 else "markers",
                text=names,
                textposition="middle left" if x == 0 else "middle right",
                marker={"color": colour, "size": 12, "symbol": look.SYMBOLS["teacher" if x == 0 else "after"]},
                name=f"{side} layer",
                customdata=names,
                hovertemplate=f"{side} layer %{{customdata}}<extra></extra>",
            ),
            row=1,
            col=2,
        )
    look.finish(figure, height=min(760, max(340, 30 * n_teacher + 160)))
    figure.update_yaxes(
        title={"text": "Teacher layer (from 0)"},
        dtick=max(1, n_teacher // 16),
        range=[-0.7, n_teacher - 0.3],
        zeroline=False,
        col=1,
    )
    figure.update_yaxes(showgrid=False, zeroline=False, col=2)
    figure.update_xaxes(title={"text": "Attribution (nats, mean |Σ gradient × activation|)"}, col=1)
    return figure.update_xaxes(
        title={"text": "Pairing"},
        range=[-0.25, 1.25],
        tickvals=[0, 1],
        ticktext=["teacher", "student"],
        showgrid=False,
        zeroline=False,
        col=2,
    )
