"""How alike every teacher layer is to every student layer: the heatmap that one can click, its noise and its best cell.

Every function takes the JSON form of a SimilarityGrid. Layers are counted from 0; teacher layers run upwards, student
layers rightwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from pkt_core.report import look

Json = Mapping[str, Any]
SQUARE_UP_TO = 12  # student layers; wider grids take the width there is
WIDEST = 800  # pixels, which a page has on a laptop
RANGES: dict[str, tuple[float | None, float | None]] = {
    "debiased_linear_cka": (-0.2, 1.0),  # a little below 0 is possible and must not look like agreement
    "procrustes": (0.0, float(np.pi / 2)),
    "linear_regression_r2": (None, 1.0),
}
"""Ends of the colour scale; 0 to 1 where none are named."""
WRITTEN_UP_TO = 150  # cells; larger grids show their numbers on hover only


def closer_up(grid: Json) -> bool:
    """Whether larger values are closer."""
    return bool(grid.get("larger_is_closer", True))


def noise_level(grid: Json) -> float | None:
    """What the closest cell of a grid without any agreement reaches in 5 of 100 permutations; None where not measured."""
    null = grid.get("null_max")
    if null is None or not len(null):
        return None
    return float(np.quantile(np.asarray(null, float), 0.95 if closer_up(grid) else 0.05))


def best_cell(grid: Json) -> tuple[int, int, float]:
    """Teacher layer, student layer and value of the closest cell."""
    values = np.asarray(grid["values"], float)
    place = np.nanargmax(values) if closer_up(grid) else np.nanargmin(values)
    teacher, student = np.unravel_index(int(place), values.shape)
    return int(teacher), int(student), float(values[teacher, student])


def span(grid: Json, values: np.ndarray) -> tuple[float, float]:
    """Ends of the colour scale: the measure's own range, or round numbers around the values where it has none."""
    low, high = RANGES.get(str(grid.get("measure")), (0.0, 1.0))
    down, up = float(np.floor(np.nanmin(values) * 10) / 10), float(np.ceil(np.nanmax(values) * 10) / 10)
    return (max(down, -1.0) if low is None else min(low, down)), (up if high is None else high)


def similarity_heatmap(
    grid: Json,
    *,
    label: str = "CKA (debiased, linear)",
    pairing: Sequence[int] | None = None,
    chosen: tuple[int, int] | None = None,
    pinned: tuple[int, int] | None = None,
) -> go.Figure:
    """Similarity of every teacher layer with every student layer; each cell is a point one can click.

    The clickable points lie in a transparent trace named `cells`, whose customdata begins with teacher and student
    layer, because a heatmap trace itself reports no clicks to Streamlit. Where smaller is closer the scale is turned, so
    that dark always means close.
    """
    values = np.asarray(grid["values"], float)
    n_teacher, n_student = values.shape
    low, high = span(grid, values)
    scale = look.around_zero(low, high) if low < 0 else look.SEQUENTIAL
    level = noise_level(grid)
    step = 0.2 if high - low <= 1.5 else 0.5
    near = 0.06 * (high - low)
    ticks = [t for t in np.round(np.arange(0, high + 1e-9, step), 1).tolist() if level is None or abs(t - level) > near]
    ticks += [low] * (low < 0)
    names = [look.number(tick, 1) for tick in ticks]
    if level is not None and low <= level <= high:
        ticks, names = [*ticks, level], [*names, f"<b>◂ noise {look.number(level)}</b>"]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            zmin=low,
            zmax=high,
            colorscale=scale,
            reversescale=not closer_up(grid),
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
    if pinned is not None:
        outline(figure, *pinned, {"color": look.AFTER, "width": 4, "dash": "dash"}, "pinned")
    if chosen is not None:
        outline(figure, *chosen, {"color": look.BEFORE, "width": 4}, "chosen")
    look.finish(
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


def outline(figure: go.Figure, teacher: int, student: int, line: dict[str, Any], name: str | None) -> None:
    """A frame around one cell; with a name it has an entry in the legend."""
    box = {"x0": student - 0.47, "x1": student + 0.47, "y0": teacher - 0.45, "y1": teacher + 0.45}
    figure.add_shape(type="rect", line=line, name=name, showlegend=name is not None, **box)


def cells(grid: Json, values: np.ndarray) -> go.Scatter:
    """The transparent points that carry hover text and clicks."""
    rows = []
    for teacher, student in np.ndindex(values.shape):
        low, high, whole, row, alone = (
            grid[key][teacher][student] if grid.get(key) is not None else None
            for key in ("low", "high", "p_values", "p_rows", "p_cells")
        )
        interval = f"{look.number(low)} to {look.number(high)}" if low is not None else "not measured"
        p = " / ".join(look.p_value(each) for each in (whole, row, alone) if each is not None)
        rows.append([teacher, student, look.number(float(values[teacher, student]), 3), interval, p])
    return clickable(
        rows,
        "teacher layer %{customdata[0]}, student layer %{customdata[1]}<br>similarity %{customdata[2]}"
        "<br>95 % interval %{customdata[3]}<br>p %{customdata[4]}<br>(picked from the grid / its row / named before)<extra></extra>",
    )


def clickable(rows: Sequence[Sequence[Any]], hover: str) -> go.Scatter:
    """Transparent squares, one a pair of layers, whose rows begin with teacher and student layer; a heatmap reports no clicks."""
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
