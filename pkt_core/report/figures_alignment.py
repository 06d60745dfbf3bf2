"""What the layers are: recomposition curves with their controls, attribution with the pairing drawn beside it.

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

CURVES = {  # name in the result -> label, colour, dash
    "real": ("own semantic bases", look.TEACHER, "solid"),
    "embedding_rows": ("input embeddings as bases", look.BEFORE, "dash"),
    "gaussian": ("random bases", look.CONTROL, "dot"),
    "permuted": ("vocabulary permuted", look.ACCENT, "dashdot"),
}


def recomposition_figure(recomposition: Json, crossing: Json | None = None) -> go.Figure:
    """Recomposition cosine by layer for both models and from one into the other, with what meaningless bases give."""
    panels = {"Teacher": recomposition["teacher"], "Student": recomposition["student"]}
    if crossing is not None:
        panels["Teacher into student"] = crossing
    figure = make_subplots(cols=len(panels), shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=list(panels))
    for column, curves in enumerate(panels.values(), 1):
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
                row=1,
                col=column,
            )
            figure.add_annotation(  # above every curve, where it lies on none
                text=f"thin line: expected of random bases {look.number(float(curves['closed_form']))}",
                font={"size": 12},
                showarrow=False,
                xref=f"x{column if column > 1 else ''} domain",
                yref="y domain",
                x=0,
                y=1,
                xanchor="left",
                yanchor="top",
            )
    look.finish(figure, height=400, x="Layer (from 0)")
    figure.update_layout(legend={"y": 1.12}, margin={"t": 84})
    figure.update_xaxes(dtick=max(1, max(len(curves["real"]["mean"]) for curves in panels.values()) // 12))
    if crossing is not None:
        figure.update_xaxes(title={"text": "Student layer (from 0)"}, col=len(panels))
    lowest = min(
        0.0,
        *(min(curves[name]["low"]) for curves in panels.values() for name in CURVES if curves.get(name) is not None),
    )
    figure.update_yaxes(range=[lowest - 0.05, 1.16])
    return figure.update_yaxes(title={"text": "Recomposition cosine (−1..1)"}, col=1)


def attribution_figure(
    attribution: Json | None, pairing: Sequence[int], n_teacher: int, chosen: tuple[int, int] | None = None
) -> go.Figure:
    """Attribution of each teacher layer as bars, and beside them the two stacks of layers joined by the pairing."""
    stacks = 1 if attribution is None else 2  # without attribution the pairing has the page to itself
    figure = make_subplots(
        cols=stacks, shared_yaxes=True, column_widths=[0.62, 0.38][-stacks:], horizontal_spacing=0.03
    )
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
            col=stacks,
        )
    if chosen is not None and pairing[chosen[1]] != chosen[0]:  # picked by hand, off the rule
        line = {"color": look.BEFORE, "width": 4, "dash": "dash"}
        ends = [chosen[0], heights[chosen[1]]]
        figure.add_trace(
            go.Scatter(x=[0, 1], y=ends, mode="lines", line=line, hoverinfo="skip", showlegend=False),
            row=1,
            col=stacks,
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
            col=stacks,
        )
    look.finish(figure, height=min(760, max(340, 30 * n_teacher + 160)))
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
