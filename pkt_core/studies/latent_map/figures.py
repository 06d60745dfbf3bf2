"""Latent maps as figures: both models' activations in one plot, and a chain of spaces in panels or overlaid."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from math import ceil
from textwrap import wrap
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pkt_core.studies.latent_map.record import ChainMap, DrawnSlice, LatentMap
from pkt_core.words import style

OVERLAP = "neighbour overlap"
FEW = 30  # picked prompts at most with large markers
Point = tuple[int, str, str, float]  # what a point carries: id, text, last token, shared neighbours
COLOURED_UP_TO = 9  # categories; the rest share one grey


def latent_figure(
    latent: LatentMap, *, colour: str = OVERLAP, linked: bool = False, picked: Collection[int] = ()
) -> go.Figure:
    """One point per prompt and model; `colour` is a label of the prompts, `model`, or `neighbour overlap` (0..1).

    Points carry the prompt's id first in their customdata, so that they can be selected; picked prompts get a ring.
    """
    places = {"teacher": np.asarray(latent.teacher_xy, float), "student": np.asarray(latent.student_xy, float)}
    texts = [style.text(t) for t in latent.texts]
    tokens = [style.text(t, 40) for t in latent.last_tokens]
    overlap = np.asarray(latent.neighbour_overlap, float)
    figure = go.Figure()
    if linked:
        figure.add_trace(links(places["teacher"], places["student"]))
    rows = list(zip(latent.ids, texts, tokens, overlap.tolist(), strict=True))
    if colour == OVERLAP:
        for side, xy in places.items():
            marker = {
                "color": overlap,
                "cmin": 0,
                "cmax": 1,
                "colorscale": style.SEQUENTIAL,
                "showscale": side == "teacher",
            }
            bar = {
                "title": {"text": "Shared neighbours (0..1)", "side": "right", "font": {"size": 14}},
                "thickness": 16,
                "outlinewidth": 0,
            }
            figure.add_trace(points(side, xy, rows, marker | {"colorbar": bar}, name=side))
        figure.update_traces(marker_line={"width": 0.8, "color": style.CONTROL}, selector={"mode": "markers"})
    elif colour == "model":
        for side, xy in places.items():
            figure.add_trace(
                points(side, xy, rows, {"color": style.TEACHER if side == "teacher" else style.BEFORE}, name=side)
            )
    else:
        add_by_label(figure, places, rows, [str(v) for v in latent.labels[colour]])
    for xy in places.values():
        figure.add_trace(rings(latent.ids, xy, picked, show=xy is places["teacher"]))
    style.finish(figure, height=660, x=axis_title(latent, 1), y=axis_title(latent, 2))
    figure.update_xaxes(zeroline=False, showticklabels=False, showgrid=False)
    figure.update_yaxes(zeroline=False, showticklabels=False, showgrid=False, scaleanchor="x", scaleratio=1)
    figure.add_annotation(
        text=printed(latent), xref="paper", yref="paper", x=0, y=0, yshift=-44, xanchor="left", yanchor="top",
        showarrow=False, align="left", font={"size": 13},
    )  # fmt: skip
    figure.update_layout(margin={"b": 104})
    return figure.update_layout(hovermode="closest", dragmode="lasso", clickmode="event+select")


def printed(latent: LatentMap) -> str:
    """Text below the plot: the held-out error with its control, and the fidelity of the projection."""
    fit = f"Held out, {latent.map} map: cosine {style.number(latent.map_cosine)} (control {style.number(latent.map_control)})"
    if latent.map_r2 is not None:
        fit += f", R² {style.number(latent.map_r2)} (control {style.number(latent.map_r2_control)})"
    trust = latent.trust
    fidelity = (
        f"The plot keeps {style.percent(trust.teacher)} of the teacher's and {style.percent(trust.student)} of the "
        f"student's 10 nearest neighbours; the full spaces share {style.percent(trust.overlap)} (chance {style.percent(trust.overlap_chance)})."
    )
    lines = [f"{fit}.", fidelity]
    if latent.shuffled:
        lines.append("<b>Null picture: drawn through the control map.</b>")
    return "<br>".join(lines)


def rings(ids: Sequence[int], xy: np.ndarray, picked: Collection[int], *, show: bool) -> go.Scatter:
    """A ring around each picked prompt; smaller where many are picked, to keep the points visible."""
    chosen = set(picked)
    rows = [r for r, number in enumerate(ids) if number in chosen]
    size, width = (14, 2.5) if len(rows) <= FEW else (9, 1.2)
    return go.Scatter(
        x=xy[rows, 0],
        y=xy[rows, 1],
        mode="markers",
        name="picked",
        legendgroup="picked",
        showlegend=show and bool(rows),
        marker={"symbol": "circle-open", "size": size, "color": style.ACCENT, "line": {"width": width}},
        legendrank=2000,
        unselected={"marker": {"opacity": 1}},
        hoverinfo="skip",
    )


def add_by_label(
    figure: go.Figure, places: dict[str, np.ndarray], rows: Sequence[Point], values: Sequence[str]
) -> None:
    """One legend entry per label value, the most frequent first; rarer ones share a grey."""
    counts = {value: values.count(value) for value in dict.fromkeys(values)}
    named = sorted(counts, key=lambda value: (-counts[value], value))[:COLOURED_UP_TO]
    groups = [
        (value, [i for i, v in enumerate(values) if v == value], style.CATEGORIES[k % 9])
        for k, value in enumerate(named)
    ]
    rest = [i for i, v in enumerate(values) if v not in named]
    if rest:
        groups.append((f"{len(counts) - len(named)} others", rest, style.CONTROL))
    for value, chosen, colour in groups:
        for side, xy in places.items():
            trace = points(side, xy[chosen], [rows[i] for i in chosen], {"color": colour}, name=style.text(value, 40))
            figure.add_trace(trace.update(legendgroup=value, showlegend=side == "teacher"))


def points(side: str, xy: np.ndarray, rows: Sequence[Point], marker: dict[str, Any], name: str) -> go.Scatter:
    """The points of one model: filled circles for the teacher, diamonds for the student."""
    return go.Scatter(
        x=xy[:, 0],
        y=xy[:, 1],
        mode="markers",
        name=name,
        customdata=list(rows),
        marker={"size": 8, "opacity": 0.85, "symbol": "circle" if side == "teacher" else "diamond"} | marker,
        unselected={"marker": {"opacity": 0.3}},
        hovertemplate=f"<b>{side}</b><br>%{{customdata[1]}}<br>prompt %{{customdata[0]}}, last token: %{{customdata[2]}}"
        "<br>shared neighbours %{customdata[3]:.2f}<extra></extra>",
    )


def links(teacher: np.ndarray, student: np.ndarray) -> go.Scatter:
    """A thin line from each prompt's teacher point to its student point."""
    gap = np.full(len(teacher), np.nan)
    x, y = (np.stack([teacher[:, axis], student[:, axis], gap], axis=1).ravel() for axis in (0, 1))
    return go.Scatter(
        x=x, y=y, mode="lines", line={"color": style.CONTROL, "width": 0.6}, hoverinfo="skip", name="same prompt"
    )


def axis_title(latent: LatentMap, axis: int) -> str:
    """Title of an axis: PCA axes have a unit, UMAP axes have none."""
    if latent.method == "pca":
        return f"Principal component {axis} (student activation units)"
    return f"UMAP {axis} (no unit: only neighbourhoods count)"


COLUMNS = 3
WIDTH = 120  # letters a line
BAR = 0.33  # where the colour bar begins, 0..1: right of its title, and left of the figure's buttons
MODELS = {
    "teacher": (style.TEACHER, "circle"),
    "student": (style.BEFORE, "diamond"),
    "before": (style.BEFORE, "diamond"),
    "after": (style.AFTER, "square"),
}


def chain_figure(
    chain: ChainMap, *, colour: str = OVERLAP, picked: Collection[int] = (), overlay: bool = False, links: bool = True
) -> go.Figure:
    """One point per prompt and slice; points one can select carry the prompt's id first in their customdata.

    `colour` is a label of the prompts, `model`, or `neighbour overlap` (0..1). Picked prompts get a ring in every panel.
    """
    places = [np.asarray(xy, float) for xy in chain.xy]
    count = len(places)
    columns = 1 if overlay else min(COLUMNS, count) if count != 4 else 2
    rows = 1 if overlay else ceil(count / columns)
    titles = None if overlay else [panel_title(one) for one in chain.slices]
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
        figure.add_trace(rings(chain.ids, xy, picked, show=i == 0), row, column)
    shape = same_axes(figure, chain, places, rows, columns)
    height = round(840 * shape if overlay else 860 / columns * shape * rows + 80 * (rows - 1)) + 190
    style.finish(figure, height=height)
    figure.add_annotation(
        text=chain_printed(chain), xref="paper", yref="paper", x=0, y=0, yshift=-42, xanchor="left", yanchor="top",
        showarrow=False, align="left", font={"size": 13},
    )  # fmt: skip
    figure.update_annotations(yshift=4, selector={"yanchor": "bottom"})
    down = 34 if overlay or colour != OVERLAP else 4  # where there is a legend, it has the first line
    top = down + (44 if colour == OVERLAP else 0) + (8 if overlay else 48)
    figure.update_layout(margin={"l": 40, "r": 16, "t": top, "b": 96})
    figure.update_layout(legend={"x": 0, "y": 1, "yref": "container", "yanchor": "top"})
    figure.update_layout(hovermode="closest", dragmode="lasso", clickmode="event+select")
    if colour == OVERLAP:
        figure.update_layout(coloraxis=overlap_axis(chain.overlap_chance, 1 - down / height))
        figure.add_annotation(
            text="Shared neighbours (0..1)", xref="paper", yref="paper", x=0, y=1, xanchor="left",
            yanchor="top", yshift=top - down, showarrow=False, font={"size": 13},
        )  # fmt: skip
    return figure


def panel_title(one: DrawnSlice) -> str:
    """The space of a panel, and the share of it that the projection keeps."""
    kept = f"keeps {style.percent(one.fidelity)} of neighbours"
    if one.explained is not None:
        kept += f", {style.percent(one.explained)} of variance"
    return f"<b>{style.text(one.title)}</b><br><span style='font-size:11px'>{kept}</span>"


def chain_printed(chain: ChainMap) -> str:
    """Text below the plot, up to three lines: shared neighbours, method, null."""
    names = [one.short for one in chain.slices]
    shared = ", ".join(f"{names[i]} to {names[i + 1]} {style.percent(step)}" for i, step in enumerate(chain.steps))
    lines = [f"Neighbours shared in the full spaces: {shared} (chance {style.percent(chain.overlap_chance)})."]
    if chain.method == "umap":
        method = f"AlignedUMAP, cosine, alignment regularisation {chain.regularisation}, seed {chain.seed}"
    else:
        method = "PCA of each space, rotated onto the previous one (orthogonal Procrustes)"
    lines.append(f"{method}, {len(chain.ids)} prompts.")
    if chain.shuffled:
        lines.append("<b>Null picture: prompts are paired at random.</b>")
    return "<br>".join(part if "<b>" in line else style.text(part, 400) for line in lines for part in wrap(line, WIDTH))


def overlap_axis(chance: float, height: float) -> dict[str, Any]:
    """The scale of shared neighbours, 0 to 1, with chance marked; `height` is where its top is, 0..1 of the figure."""
    ticks = [t for t in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0) if abs(t - chance) > 0.11]
    return {
        "cmin": 0,
        "cmax": 1,
        "colorscale": style.SEQUENTIAL,
        "colorbar": {
            "tickvals": [*ticks, chance],
            "ticktext": [*(style.number(t, 1) for t in ticks), "<b>chance</b>"],
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


def grouped(chain: ChainMap, colour: str) -> list[tuple[str, list[int], str]]:
    """For a label: its values, the rows that have them, and a colour, the most frequent first; rare ones share a grey."""
    if colour in (OVERLAP, "model"):
        return []
    values = [str(v) for v in chain.labels[colour]]
    counts = {value: values.count(value) for value in dict.fromkeys(values)}
    named = sorted(counts, key=lambda value: (-counts[value], value))[:COLOURED_UP_TO]
    groups = [
        (v, [i for i, other in enumerate(values) if other == v], style.CATEGORIES[k]) for k, v in enumerate(named)
    ]
    if rest := [i for i, v in enumerate(values) if v not in named]:
        groups.append((f"{len(counts) - len(named)} others", rest, style.CONTROL))
    return groups


def slice_traces(
    chain: ChainMap, i: int, xy: np.ndarray, colour: str, groups: Sequence[tuple[str, list[int], str]], overlay: bool
) -> list[go.Scatter]:
    """The points of one slice, one trace per colour group."""
    one = chain.slices[i]
    shade_of_model, symbol = MODELS.get(one.model, (style.CONTROL, "circle"))
    several = sum(other.model == one.model for other in chain.slices) > 1
    shades = layer_opacity(i, len(chain.slices)) if overlay and several else 0.85
    base: dict[str, Any] = {"size": 6 if len(xy) > 400 else 8, "symbol": symbol, "opacity": shades}
    every_row = list(range(len(xy)))
    if colour == OVERLAP:
        marker = base | {"color": chain.overlap[i], "coloraxis": "coloraxis"}
        marker |= {"line": {"width": 0.4, "color": style.CONTROL}}
        return [chain_points(chain, i, xy, every_row, marker, name=one.title, legend=overlay)]
    if colour == "model":
        name = one.title if overlay else one.name
        first = overlay or i == next(j for j, s in enumerate(chain.slices) if s.name == one.name)
        return [
            chain_points(chain, i, xy, every_row, base | {"color": shade_of_model}, name=name, legend=first, group=name)
        ]
    return [
        chain_points(
            chain, i, xy, rows, base | {"color": shade}, name=style.text(value, 40), legend=i == 0, group=value
        )
        for value, rows, shade in groups
    ]


def layer_opacity(i: int, count: int) -> float:
    """Later slices are drawn more strongly, where the model alone does not tell them apart."""
    return 0.35 + 0.55 * i / max(1, count - 1)


def chain_points(
    chain: ChainMap,
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
    one = chain.slices[i]
    data = [
        [
            chain.ids[r],
            style.text(chain.texts[r]),
            style.text(chain.last_tokens[r], 40),
            chain.overlap[i][r],
        ]
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
        hovertemplate=f"<b>{style.text(one.title)}</b><br>%{{customdata[1]}}"
        "<br>prompt %{customdata[0]}, last token: %{customdata[2]}<br>shared neighbours %{customdata[3]:.2f}<extra></extra>",
    )


def add_links(
    figure: go.Figure, chain: ChainMap, places: Sequence[np.ndarray], picked: Collection[int], links: bool
) -> None:
    """From slice to slice: thin lines for all, arrows for picked prompts. In the null picture they join random pairs."""
    every_row = range(len(chain.ids))
    wanted = set(picked)
    chosen = [r for r in every_row if chain.ids[r] in wanted]
    for i, (here, there) in enumerate(itertools.pairwise(places)):
        order = chain.partners[i] if chain.partners else list(every_row)
        if links:
            line = {"color": style.CONTROL, "width": 0.6}
            figure.add_trace(joined(here, there, list(every_row), order, mode="lines", line=line, opacity=0.35))
        if chosen and len(chosen) <= FEW:
            head: dict[str, Any] = {
                "symbol": "arrow",
                "angleref": "previous",
                "color": style.ACCENT,
                "size": [0, 14, 0] * len(chosen),
            }
            head |= {"standoff": 7}
            line = {"color": style.ACCENT, "width": 1.8}
            figure.add_trace(joined(here, there, chosen, order, mode="lines+markers", line=line, marker=head))
        elif chosen:
            line = {"color": style.ACCENT, "width": 0.8}
            figure.add_trace(joined(here, there, chosen, order, mode="lines", line=line, opacity=0.6))


def joined(here: np.ndarray, there: np.ndarray, rows: list[int], order: Sequence[int], **look_of: Any) -> go.Scatter:
    """One trace of many separate lines."""
    ends = [order[r] for r in rows]
    gap = np.full(len(rows), np.nan)
    x, y = (np.stack([here[rows, axis], there[ends, axis], gap], axis=1).ravel() for axis in (0, 1))
    return go.Scatter(x=x, y=y, hoverinfo="skip", showlegend=False, name="same prompt", **look_of)


def same_axes(figure: go.Figure, chain: ChainMap, places: Sequence[np.ndarray], rows: int, columns: int) -> float:
    """Give every panel the same range; returns height over width. UMAP axes are titled as without unit."""
    every = np.concatenate(places)
    low, high = every.min(0), every.max(0)
    middle, reach = (low + high) / 2, (high - low) * 0.55 + 1e-9
    reach = np.maximum(reach, reach[::-1] * [1.0, 0.75])  # no panel is a ribbon
    names = (
        ("UMAP 1 (no unit)", "UMAP 2 (no unit)")
        if chain.method == "umap"
        else ("Component 1 (scaled per space)", "Component 2 (scaled per space)")
    )
    plain: dict[str, Any] = {
        "showticklabels": False,
        "showgrid": False,
        "zeroline": False,
        "mirror": True,
        "showline": True,
    }
    plain |= {"linecolor": style.GRID, "constrain": "range"}
    for row, column in np.ndindex(rows, columns):
        number = row * columns + column + 1
        place = {"row": row + 1, "col": column + 1}
        x_range, y_range = ([middle[axis] - reach[axis], middle[axis] + reach[axis]] for axis in (0, 1))
        figure.update_xaxes(range=x_range, title={"text": names[0], "standoff": 10}, **plain, **place)
        figure.update_yaxes(range=y_range, title={"text": "" if column else names[1], "standoff": 10}, **plain, **place)
        # Panels have one size, so a different window shape extends the range of all of them equally.
        figure.update_yaxes(scaleanchor=f"x{number if number > 1 else ''}", **place)
    return float(reach[1] / reach[0])
