"""What two latent spaces look like: both models' activations in one picture, teacher mapped into the student's space.

Not covered: how the picture was made (the projection) and how far to trust it (the scores it carries).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from pkt_core.report import look

Json = Mapping[str, Any]
OVERLAP = "neighbour overlap"
FEW = 30  # picked prompts that are marked strongly
COLOURED_UP_TO = 9  # categories; the rest share one grey


def latent_figure(
    latent: Json, *, colour: str = OVERLAP, linked: bool = False, picked: Collection[int] = ()
) -> go.Figure:
    """One point per prompt and model; `colour` is a label of the prompts, `model`, or `neighbour overlap` (0..1).

    Points carry the prompt's id first in their customdata, so that they can be selected; picked prompts get a ring.
    """
    places = {"teacher": np.asarray(latent["teacher_xy"], float), "student": np.asarray(latent["student_xy"], float)}
    texts = [look.text(t) for t in latent["texts"]]
    tokens = [look.text(t, 40) for t in latent["last_tokens"]]
    overlap = np.asarray(latent["neighbour_overlap"], float)
    figure = go.Figure()
    if linked:
        figure.add_trace(links(places["teacher"], places["student"]))
    rows = list(zip(latent["ids"], texts, tokens, overlap.tolist(), strict=True))
    if colour == OVERLAP:
        for side, xy in places.items():
            marker = {
                "color": overlap,
                "cmin": 0,
                "cmax": 1,
                "colorscale": look.SEQUENTIAL,
                "showscale": side == "teacher",
            }
            bar = {
                "title": {"text": "Shared neighbours (0..1)", "side": "right", "font": {"size": 14}},
                "thickness": 16,
                "outlinewidth": 0,
            }
            figure.add_trace(points(side, xy, rows, marker | {"colorbar": bar}, name=side))
        figure.update_traces(marker_line={"width": 0.8, "color": look.CONTROL}, selector={"mode": "markers"})
    elif colour == "model":
        for side, xy in places.items():
            figure.add_trace(
                points(side, xy, rows, {"color": look.TEACHER if side == "teacher" else look.BEFORE}, name=side)
            )
    else:
        add_by_label(figure, places, rows, [str(v) for v in latent["labels"][colour]])
    for xy in places.values():
        figure.add_trace(rings(latent["ids"], xy, picked, show=xy is places["teacher"]))
    look.finish(figure, height=660, x=axis_title(latent, 1), y=axis_title(latent, 2))
    figure.update_xaxes(zeroline=False, showticklabels=False, showgrid=False)
    figure.update_yaxes(zeroline=False, showticklabels=False, showgrid=False, scaleanchor="x", scaleratio=1)
    figure.add_annotation(
        text=printed(latent), xref="paper", yref="paper", x=0, y=0, yshift=-44, xanchor="left", yanchor="top",
        showarrow=False, align="left", font={"size": 13},
    )  # fmt: skip
    figure.update_layout(margin={"b": 104})
    return figure.update_layout(hovermode="closest", dragmode="lasso", clickmode="event+select")


def printed(latent: Json) -> str:
    """What a reader of the bare picture has to know: the held-out error beside its control's, and how far to trust it."""
    said = f"Held out, {latent['map']} map: cosine {look.number(latent['map_cosine'])} (control {look.number(latent['map_control'])})"
    if latent.get("map_r2") is not None:
        said += f", R² {look.number(latent['map_r2'])} (control {look.number(latent['map_r2_control'])})"
    trust = latent["trust"]
    kept = (
        f"The picture keeps {look.percent(trust['teacher'])} of the teacher's and {look.percent(trust['student'])} of the "
        f"student's 10 nearest neighbours; the full spaces share {look.percent(trust['overlap'])} (by chance {look.percent(trust['overlap_chance'])})."
    )
    lines = [f"{said}.", kept]
    if latent["shuffled"]:
        lines.append("<b>Null picture: drawn through the control map.</b>")
    return "<br>".join(lines)


def rings(ids: Sequence[int], xy: np.ndarray, picked: Collection[int], *, show: bool) -> go.Scatter:
    """A ring around each picked prompt; smaller where many are picked, so that the points stay visible."""
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
        marker={"symbol": "circle-open", "size": size, "color": look.ACCENT, "line": {"width": width}},
        legendrank=2000,
        unselected={"marker": {"opacity": 1}},
        hoverinfo="skip",
    )


def add_by_label(
    figure: go.Figure, places: dict[str, np.ndarray], rows: Sequence[tuple], values: Sequence[str]
) -> None:
    """One legend entry per label value, the most frequent first; rarer ones share a grey."""
    counts = {value: values.count(value) for value in dict.fromkeys(values)}
    named = sorted(counts, key=lambda value: (-counts[value], value))[:COLOURED_UP_TO]
    groups = [
        (value, [i for i, v in enumerate(values) if v == value], look.CATEGORIES[k % 9])
        for k, value in enumerate(named)
    ]
    rest = [i for i, v in enumerate(values) if v not in named]
    if rest:
        groups.append((f"{len(counts) - len(named)} others", rest, look.CONTROL))
    for value, chosen, colour in groups:
        for side, xy in places.items():
            trace = points(side, xy[chosen], [rows[i] for i in chosen], {"color": colour}, name=look.text(value, 40))
            figure.add_trace(trace.update(legendgroup=value, showlegend=side == "teacher"))


def points(side: str, xy: np.ndarray, rows: Sequence[tuple], marker: dict[str, Any], name: str) -> go.Scatter:
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
        x=x, y=y, mode="lines", line={"color": look.CONTROL, "width": 0.6}, hoverinfo="skip", name="same prompt"
    )


def axis_title(latent: Json, axis: int) -> str:
    """PCA axes have a meaning and a unit, those of UMAP have none and say so."""
    if latent["method"] == "pca":
        return f"Principal component {axis} (student activation units)"
    return f"UMAP {axis} (no unit: only who is near whom counts)"
