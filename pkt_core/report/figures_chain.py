"""A chain of latent spaces of the same prompts: panels side by side on the same axes, or all in one with lines between.

Colour is a label, the model, or the overlap of neighbours in the full spaces; never a distance on the page.

Not covered: how the places were found (projection/aligned.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from math import ceil
from textwrap import wrap
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pkt_core.report import look
from pkt_core.report.figures_latent import COLOURED_UP_TO, FEW, OVERLAP, rings

Json = Mapping[str, Any]
COLUMNS = 3
WIDTH = 120  # letters a line
BAR = 0.33  # where the colour bar begins, 0..1: right of its title, and left of the figure's buttons
MODELS = {
    "teacher": (look.TEACHER, "circle"),
    "student": (look.BEFORE, "diamond"),
    "before": (look.BEFORE, "diamond"),
    "after": (look.AFTER, "square"),
}


def chain_figure(
    chain: Json, *, colour: str = OVERLAP, picked: Collection[int] = (), overlay: bool = False, links: bool = True
) -> go.Figure:
    """One point per prompt and slice; points one can select carry the prompt's id first in their customdata.

    `colour` is a label of the prompts, `model`, or `neighbour overlap` (0..1). Picked prompts get a ring in every panel.
    """
    places = [np.asarray(xy, float) for xy in chain["xy"]]
    count = len(places)
    columns = 1 if overlay else min(COLUMNS, count) if count != 4 else 2
    rows = 1 if overlay else ceil(count / columns)
    titles = None if overlay else [panel_title(one) for one in chain["slices"]]
    figure = make_subplots(
        rows=rows, cols=columns, subplot_titles=titles, horizontal_spacing=0.02, vertical_spacing=0.2 / max(1, rows)
    )
    groups = grouped(chain, colour)
    if overlay and (links or picked):
        add_links(figure, chain, places, picked, links)
    for i, xy in enumerate(places):
        row, column = (1, 1) if overlay else (i // columns + 1, i % columns + 1)
        for trace in slice_traces(chain, i, xy, colour, groups, overlay):
            figure.add_trace(trace, row, column)
        figure.add_trace(rings(chain["ids"], xy, picked, show=i == 0), row, column)
    shape = same_axes(figure, chain, places, rows, columns)
    height = round(840 * shape if overlay else 860 / columns * shape * rows + 80 * (rows - 1)) + 190
    look.finish(figure, height=height)
    figure.add_annotation(
        text=printed(chain), xref="paper", yref="paper", x=0, y=0, yshift=-42, xanchor="left", yanchor="top",
        showarrow=False, align="left", font={"size": 13},
    )  # fmt: skip
    figure.update_annotations(yshift=4, selector={"yanchor": "bottom"})
    down = 34 if overlay or colour != OVERLAP else 4  # where there is a legend, it has the first line
    top = down + (44 if colour == OVERLAP else 0) + (8 if overlay else 48)
    figure.update_layout(margin={"l": 40, "r": 16, "t": top, "b": 96})
    figure.update_layout(legend={"x": 0, "y": 1, "yref": "container", "yanchor": "top"})
    figure.update_layout(hovermode="closest", dragmode="lasso", clickmode="event+select")
    if colour == OVERLAP:
        figure.update_layout(coloraxis=overlap_axis(chain["overlap_chance"], 1 - down / height))
        figure.add_annotation(
            text="Shared neighbours (0..1)", xref="paper", yref="paper", x=0, y=1, xanchor="left",
            yanchor="top", yshift=top - down, showarrow=False, font={"size": 13},
        )  # fmt: skip
    return figure


def panel_title(one: Json) -> str:
    """Which space a panel shows, and how much of it the picture keeps."""
    said = f"keeps {look.percent(one['fidelity'])} of neighbours"
    if one.get("explained") is not None:
        said += f", {look.percent(one['explained'])} of variance"
    return f"<b>{look.text(one['name'])}, layer {one['layer']}</b><br><span style='font-size:11px'>{said}</span>"


def printed(chain: Json) -> str:
    """What a reader of the bare picture has to know, as up to three lines."""
    names = [f"{one['name']} {one['layer']}" for one in chain["slices"]]
    shared = ", ".join(f"{names[i]} to {names[i + 1]} {look.percent(step)}" for i, step in enumerate(chain["steps"]))
    lines = [f"Neighbours shared in the full spaces: {shared} (by chance {look.percent(chain['overlap_chance'])})."]
    if chain["method"] == "umap":
        made = f"AlignedUMAP, cosine, alignment regularisation {chain['regularisation']}, seed {chain['seed']}"
    else:
        made = "PCA of each space, each turned onto the one before (orthogonal Procrustes)"
    lines.append(f"{made}, {len(chain['ids'])} prompts.")
    if chain["shuffled"]:
        lines.append("<b>Null picture: partners were dealt out at random.</b>")
    return "<br>".join(part if "<b>" in line else look.text(part, 400) for line in lines for part in wrap(line, WIDTH))


def overlap_axis(chance: float, height: float) -> dict[str, Any]:
    """The scale of shared neighbours, 0 to 1, with chance marked; `height` is where its top is, 0..1 of the figure."""
    ticks = [t for t in (0, 0.2, 0.4, 0.6, 0.8, 1.0) if abs(t - chance) > 0.11]
    return {
        "cmin": 0,
        "cmax": 1,
        "colorscale": look.SEQUENTIAL,
        "colorbar": {
            "tickvals": [*ticks, chance],
            "ticktext": [*(look.number(t, 1) for t in ticks), "<b>chance</b>"],
            "orientation": "h",
            "x": BAR,
            "xanchor": "left",
            "len": 0.4,
            "y": height,
            "yref": "container",
            "yanchor": "top",
            "ypad": 0,
            "thickness": 12,
            "outlinewidth": 0,
        },
    }


def grouped(chain: Json, colour: str) -> list[tuple[str, list[int], str]]:
    """For a label: its values, the rows that have them, and a colour, the most frequent first; rare ones share a grey."""
    if colour in (OVERLAP, "model"):
        return []
    values = [str(v) for v in chain["labels"][colour]]
    counts = {value: values.count(value) for value in dict.fromkeys(values)}
    named = sorted(counts, key=lambda value: (-counts[value], value))[:COLOURED_UP_TO]
    found = [(v, [i for i, other in enumerate(values) if other == v], look.CATEGORIES[k]) for k, v in enumerate(named)]
    if rest := [i for i, v in enumerate(values) if v not in named]:
        found.append((f"{len(counts) - len(named)} others", rest, look.CONTROL))
    return found


def slice_traces(
    chain: Json, i: int, xy: np.ndarray, colour: str, groups: Sequence[tuple[str, list[int], str]], overlay: bool
) -> list[go.Scatter]:
    """The points of one slice, in as many traces as the colouring asks for."""
    one = chain["slices"][i]
    own, symbol = MODELS.get(one["model"], (look.CONTROL, "circle"))
    several = sum(other["model"] == one["model"] for other in chain["slices"]) > 1
    shades = layer_opacity(i, len(chain["slices"])) if overlay and several else 0.85
    base = {"size": 6 if len(xy) > 400 else 8, "symbol": symbol, "opacity": shades}
    everyone = list(range(len(xy)))
    if colour == OVERLAP:
        marker = base | {"color": chain["overlap"][i], "coloraxis": "coloraxis"}
        marker |= {"line": {"width": 0.4, "color": look.CONTROL}}
        return [points(chain, i, xy, everyone, marker, name=f"{one['name']}, layer {one['layer']}", legend=overlay)]
    if colour == "model":
        name = f"{one['name']}, layer {one['layer']}" if overlay else one["name"]
        first = overlay or i == next(j for j, s in enumerate(chain["slices"]) if s["name"] == one["name"])
        return [points(chain, i, xy, everyone, base | {"color": own}, name=name, legend=first, group=name)]
    return [
        points(chain, i, xy, rows, base | {"color": shade}, name=look.text(value, 40), legend=i == 0, group=value)
        for value, rows, shade in groups
    ]


def layer_opacity(i: int, count: int) -> float:
    """Later slices are drawn more strongly, where the model alone does not tell them apart."""
    return 0.35 + 0.55 * i / max(1, count - 1)


def points(
    chain: Json,
    i: int,
    xy: np.ndarray,
    rows: Sequence[int],
    marker: dict[str, Any],
    *,
    name: str,
    legend: bool,
    group: str = "",
) -> go.Scatter:
    """Points that can be selected: customdata holds id, text, last token, shared neighbours."""
    one = chain["slices"][i]
    data = [
        [chain["ids"][r], look.text(chain["texts"][r]), look.text(chain["last_tokens"][r], 40), chain["overlap"][i][r]]
        for r in rows
    ]
    return go.Scatter(
        x=xy[list(rows), 0],
        y=xy[list(rows), 1],
        mode="markers",
        name=name,
        legendgroup=group or name,
        showlegend=legend,
        customdata=data,
        marker=marker,
        unselected={"marker": {"opacity": 0.3}},
        hovertemplate=f"<b>{look.text(one['name'])}, layer {one['layer']}</b><br>%{{customdata[1]}}"
        "<br>prompt %{customdata[0]}, last token: %{customdata[2]}<br>shared neighbours %{customdata[3]:.2f}<extra></extra>",
    )


def add_links(
    figure: go.Figure, chain: Json, places: Sequence[np.ndarray], picked: Collection[int], links: bool
) -> None:
    """From slice to slice: thin lines for all, arrows for picked prompts. In the null picture they join false partners."""
    everyone = range(len(chain["ids"]))
    wanted = set(picked)
    chosen = [r for r in everyone if chain["ids"][r] in wanted]
    for i, (here, there) in enumerate(itertools.pairwise(places)):
        order = chain["partners"][i] if chain["partners"] else list(everyone)
        if links:
            line = {"color": look.CONTROL, "width": 0.6}
            figure.add_trace(joined(here, there, list(everyone), order, mode="lines", line=line, opacity=0.35))
        if chosen and len(chosen) <= FEW:
            head: dict[str, Any] = {
                "symbol": "arrow",
                "angleref": "previous",
                "color": look.ACCENT,
                "size": [0, 14, 0] * len(chosen),
            }
            head |= {"standoff": 7}
            line = {"color": look.ACCENT, "width": 1.8}
            figure.add_trace(joined(here, there, chosen, order, mode="lines+markers", line=line, marker=head))
        elif chosen:
            line = {"color": look.ACCENT, "width": 0.8}
            figure.add_trace(joined(here, there, chosen, order, mode="lines", line=line, opacity=0.6))


def joined(here: np.ndarray, there: np.ndarray, rows: list[int], order: Sequence[int], **look_of: Any) -> go.Scatter:
    """One trace of many separate lines."""
    ends = [order[r] for r in rows]
    gap = np.full(len(rows), np.nan)
    x, y = (np.stack([here[rows, axis], there[ends, axis], gap], axis=1).ravel() for axis in (0, 1))
    return go.Scatter(x=x, y=y, hoverinfo="skip", showlegend=False, name="same prompt", **look_of)


def same_axes(figure: go.Figure, chain: Json, places: Sequence[np.ndarray], rows: int, columns: int) -> float:
    """Every panel shows the same rectangle of the plane, height over width returned; axes of a UMAP have no unit and say so."""
    every = np.concatenate(places)
    low, high = every.min(0), every.max(0)
    middle, reach = (low + high) / 2, (high - low) * 0.55 + 1e-9
    reach = np.maximum(reach, reach[::-1] * [1.0, 0.75])  # no panel is a ribbon
    names = (
        ("UMAP 1 (no unit)", "UMAP 2 (no unit)")
        if chain["method"] == "umap"
        else ("Component 1 (of each space's size)", "Component 2 (of each space's size)")
    )
    plain: dict[str, Any] = {
        "showticklabels": False,
        "showgrid": False,
        "zeroline": False,
        "mirror": True,
        "showline": True,
    }
    plain |= {"linecolor": look.GRID, "constrain": "range"}
    for row, column in np.ndindex(rows, columns):
        number = row * columns + column + 1
        place = {"row": row + 1, "col": column + 1}
        x_range, y_range = ([middle[axis] - reach[axis], middle[axis] + reach[axis]] for axis in (0, 1))
        figure.update_xaxes(range=x_range, title={"text": names[0], "standoff": 10}, **plain, **place)
        figure.update_yaxes(range=y_range, title={"text": "" if column else names[1], "standoff": 10}, **plain, **place)
        # Panels are of one size, so where the window's shape asks for more of the plane, all of them show the same more.
        figure.update_yaxes(scaleanchor=f"x{number if number > 1 else ''}", **place)
    return float(reach[1] / reach[0])
