"""Every seed of the same plan as a point of its own, task by task, beside the student before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from pkt_core.report import look

Json = Mapping[str, Any]


def seeds_figure(found: Json, changes: Json, run: str) -> go.Figure:
    """Share right after the transfer of each seed; the large square is the run that is looked at, the diamond the student before."""
    tasks = list(changes)
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=[100 * changes[task]["before"] for task in tasks],
            y=list(range(len(tasks))),
            mode="markers",
            name="student before",
            marker={"symbol": look.SYMBOLS["before"], "size": 13, "color": look.BEFORE, "line": {"width": 3, "color": look.BEFORE}},
            hovertemplate="before %{x:.1f} %<extra></extra>",
        )
    )  # fmt: skip
    for one in found["seeds"]:
        mine = one["run"] == run
        figure.add_trace(
            go.Scatter(
                x=[100 * one["tasks"][task] for task in tasks if task in one["tasks"]],
                y=[i for i, task in enumerate(tasks) if task in one["tasks"]],
                mode="markers",
                name=f"seed {one['seed']}{' (this run)' if mine else ''}",
                cliponaxis=False,
                marker={
                    "symbol": "square" if mine else "square-open",
                    "size": 15 if mine else 11,
                    "color": look.AFTER,
                    "line": {"width": 2, "color": look.AFTER},
                },
                hovertemplate=f"seed {one['seed']}: %{{x:.1f}} %<extra></extra>",
            )
        )
    look.finish(figure, height=max(240, 52 * len(tasks) + 130), x="Answered right (% of items)")
    figure.update_xaxes(range=[-2, 102], ticksuffix=" %")
    return figure.update_yaxes(
        tickvals=list(range(len(tasks))),
        ticktext=[look.text(look.task_name(task), 40) for task in tasks],
        autorange="reversed",
        zeroline=False,
        showgrid=False,
    )
