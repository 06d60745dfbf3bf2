"""Benchmark scores as points with their intervals: a row per task, a mark per model, further runs one by one.

Takes the lines of a board in JSON form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from pkt_core.benchmarks.text import name_of
from pkt_core.words import style

Json = Mapping[str, Any]
KINDS = {  # role -> legend, colour, marker
    "before": ("student before", style.BEFORE, "diamond-open"),
    "after": ("student after", style.AFTER, "square"),
    "other": ("student of a further run", style.ACCENT, "circle"),
    "teacher": ("teacher", style.TEACHER, "circle"),
}
SPREAD = 0.62  # of a row's height that its models take


def scored(lines: Sequence[Json]) -> list[Json]:
    """The lines a picture can show: shares by each task's first metric, a group in place of its tasks."""
    found = [line for line in lines if line["leads"] and line["share"] and line["score"]]
    groups = {line["task"] for line in found if line["tasks"] > 1}
    return [line for line in found if line["tasks"] > 1 or line["group"] == line["task"] or line["group"] not in groups]


def benchmark_figure(lines: Sequence[Json]) -> go.Figure:
    """Share right (%) by task and model, Wilson's 95 % interval; each further run, such as another seed, is a point of its own."""
    shown = scored(lines)
    rows = list(dict.fromkeys((line["settings"], row_name(line)) for line in shown))
    place = {settings: i for i, (settings, _) in enumerate(rows)}
    figure = go.Figure()
    for role, (name, colour, symbol) in KINDS.items():
        mine = [line for line in shown if line["role"] == role]
        if not mine:
            continue
        figure.add_trace(
            go.Scatter(
                x=[100 * line["score"]["value"] for line in mine],
                y=[place[line["settings"]] + offset(line, shown) for line in mine],
                mode="markers",
                name=name,
                marker={"color": colour, "size": 11, "symbol": symbol, "line": {"width": 2, "color": colour}},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [100 * (line["score"]["high"] - line["score"]["value"]) for line in mine],
                    "arrayminus": [100 * (line["score"]["value"] - line["score"]["low"]) for line in mine],
                    "color": colour,
                    "thickness": 2,
                },
                customdata=[[style.text(hover(line), 300)] for line in mine],
                hovertemplate="%{x:.1f} %<br>%{customdata[0]}<extra></extra>",
                cliponaxis=False,
            )
        )
    most = max((len([1 for line in shown if line["settings"] == settings]) for settings, _ in rows), default=1)
    style.finish(figure, height=110 + max(70, 22 * most) * max(1, len(rows)), x="Answered right (% of items)")
    figure.update_xaxes(range=[-2, 102], ticksuffix=" %", zeroline=False)
    figure.update_layout(margin={"l": 24})
    return figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[style.text(name, 48) for _, name in rows],
        range=[len(rows) - 0.5, -0.5],
        zeroline=False,
        showgrid=False,
        automargin=True,
    )


def row_name(line: Json) -> str:
    return f"{name_of(line)}, n = {line['n']:,}"


def offset(line: Json, shown: Sequence[Json]) -> float:
    """Models of one task below each other, in the order of the table."""
    mine = [other for other in shown if other["settings"] == line["settings"]]
    if len(mine) == 1:
        return 0.0
    return SPREAD * (mine.index(line) / (len(mine) - 1) - 0.5)


def hover(line: Json) -> str:
    low, high = (100 * line["score"][end] for end in ("low", "high"))
    said = f"{line['label']}: 95 % {low:.1f} to {high:.1f} %"
    if line["gain"]:
        said += f"; {100 * line['gain']['difference']:+.1f} points to before"
    return said
