"""One layer pair as a scatter of pairs of prompts, and two of them side by side on the same axes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pkt_core.studies.layer_pair.record import CloserLook
from pkt_core.words import style

FEW = 30  # picked prompts at most whose pairs are marked
TENTHS = 10
LETTERS = 60  # of a prompt on hover


def closer_figure(
    looks: Sequence[CloserLook], *, names: Sequence[str] = ("",), picked: Collection[int] = ()
) -> go.Figure:
    """Cosine similarity of two prompts in the student layer (x) and in the teacher layer (y), one panel per layer pair.

    Points carry the ids of both prompts first in their customdata. Pairs with one of at most 30 picked prompts are marked.
    """
    titles = (
        [f"<b>{name}</b>: {layers(one)}" for name, one in zip(names, looks, strict=True)] if len(looks) > 1 else None
    )
    figure = make_subplots(cols=len(looks), shared_yaxes=False, horizontal_spacing=0.11, subplot_titles=titles)
    for column, one in enumerate(looks, 1):
        for trace in traces(one, picked if len(picked) <= FEW else (), show=column == 1):
            figure.add_trace(trace, 1, column)
        figure.update_xaxes(title={"text": f"Cosine in student layer {one.student_layer} (−1 to 1)"}, col=column)
        figure.update_yaxes(title={"text": f"Cosine in teacher layer {one.teacher_layer} (−1 to 1)"}, col=column)
    style.finish(figure, height=470)
    figure.update_layout(margin={"t": 84, "l": 60, "r": 12}, legend={"y": 1.1})
    figure.update_annotations(font={"size": 14}, yshift=2)
    figure.update_xaxes(range=reach(looks, "student"), zeroline=True, zerolinecolor=style.CONTROL, zerolinewidth=1)
    figure.update_yaxes(range=reach(looks, "teacher"), zeroline=True, zerolinecolor=style.CONTROL, zerolinewidth=1)
    return figure.update_layout(clickmode="event+select", dragmode=False, hovermode="closest")


def layers(one: CloserLook) -> str:
    return f"teacher layer {one.teacher_layer}, student layer {one.student_layer}"


def reach(looks: Sequence[CloserLook], side: Literal["teacher", "student"]) -> list[float]:
    """Ends of an axis that covers the points of all panels."""
    values = np.concatenate([np.asarray(getattr(one.pairs, side), float) for one in looks])
    return [float(values.min()) - 0.05, float(values.max()) + 0.05]


def traces(one: CloserLook, picked: Collection[int], show: bool) -> list[go.Scatter]:
    """All drawn pairs, those with a picked prompt, and the median of each tenth."""
    ids, texts = one.ids, [style.text(text, LETTERS) for text in one.texts]
    pairs = one.pairs
    x, y = np.asarray(pairs.student, float), np.asarray(pairs.teacher, float)
    rows: list[list[Any]] = [
        [ids[i], ids[j], texts[i], texts[j]] for i, j in zip(pairs.first, pairs.second, strict=True)
    ]
    marked = np.array([row[0] in picked or row[1] in picked for row in rows], bool)
    groups = [
        ("two prompts", ~marked, {"color": style.TEACHER, "size": 5, "opacity": 0.35}),
        ("one of them picked", marked, {"color": style.BEFORE, "size": 8, "symbol": "diamond", "opacity": 0.9}),
    ]
    drawn = [
        points(name, x[chosen], y[chosen], rows, chosen, marker, show)
        for name, chosen, marker in groups
        if chosen.any()
    ]
    across, up = medians(x, y)
    line = {"color": style.ACCENT, "width": 3}
    drawn.append(go.Scatter(x=across, y=up, mode="lines+markers", line=line, marker={"size": 7}, name="median of each tenth", showlegend=show, hoverinfo="skip"))  # fmt: skip
    return drawn


def points(
    name: str,
    x: np.ndarray,
    y: np.ndarray,
    rows: Sequence[Sequence[Any]],
    chosen: np.ndarray,
    marker: dict[str, Any],
    show: bool,
) -> go.Scatter:
    """Points whose rows begin with the ids of both prompts."""
    return go.Scatter(
        x=x,
        y=y,
        customdata=[row for row, here in zip(rows, chosen, strict=True) if here],
        mode="markers",
        name=name,
        showlegend=show,
        marker=marker,
        selected={"marker": {"opacity": 1.0}},
        unselected={"marker": {"opacity": marker["opacity"]}},
        hovertemplate="%{customdata[0]}: %{customdata[2]}<br>%{customdata[1]}: %{customdata[3]}<br>student %{x:.2f}, teacher %{y:.2f}"
        "<extra></extra>",
    )


def medians(x: np.ndarray, y: np.ndarray) -> tuple[list[float], list[float]]:
    """Median of both in each tenth of the points by x."""
    parts = [part for part in np.array_split(np.argsort(x, kind="stable"), TENTHS) if len(part)]
    return [float(np.median(x[part])) for part in parts], [float(np.median(y[part])) for part in parts]
