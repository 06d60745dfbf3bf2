"""Benchmark scores with intervals: a row per task, a mark per model, further runs one by one."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from pkt_core.benchmarks.record import Line
from pkt_core.benchmarks.text import name_of
from pkt_core.evaluation.statistics import Estimate
from pkt_core.words import style

KINDS = {  # role -> legend, colour, marker
    "before": ("student before", style.BEFORE, "diamond-open"),
    "after": ("student after", style.AFTER, "square"),
    "other": ("student of a further run", style.ACCENT, "circle"),
    "teacher": ("teacher", style.TEACHER, "circle"),
}
SPREAD = 0.62  # share of a row's height that its models occupy


def scored(lines: Sequence[Line]) -> list[Line]:
    """The lines of the figure: shares under each task's first metric, a group in place of its tasks."""
    shares = [line for line in lines if line.leads and line.share and line.score is not None]
    groups = {line.task for line in shares if line.tasks > 1}
    return [line for line in shares if line.tasks > 1 or line.group == line.task or line.group not in groups]


def benchmark_figure(lines: Sequence[Line]) -> go.Figure:
    """Share right (%) by task and model, Wilson's 95 % interval; each further run, such as another seed, is a separate point."""
    shown = scored(lines)
    rows = list(dict.fromkeys((line.settings, row_name(line)) for line in shown))
    place = {settings: i for i, (settings, _) in enumerate(rows)}
    figure = go.Figure()
    for role, (name, colour, symbol) in KINDS.items():
        points = [(line, line.score.times(100.0)) for line in shown if line.role == role and line.score is not None]
        if not points:
            continue
        figure.add_trace(
            go.Scatter(
                x=[score.value for _, score in points],
                y=[place[line.settings] + offset(line, shown) for line, _ in points],
                mode="markers",
                name=name,
                marker={"color": colour, "size": 11, "symbol": symbol, "line": {"width": 2, "color": colour}},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [score.high - score.value for _, score in points],
                    "arrayminus": [score.value - score.low for _, score in points],
                    "color": colour,
                    "thickness": 2,
                },
                customdata=[[style.text(hover(line, score), 300)] for line, score in points],
                hovertemplate="%{x:.1f} %<br>%{customdata[0]}<extra></extra>",
                cliponaxis=False,
            )
        )
    most = max((sum(line.settings == settings for line in shown) for settings, _ in rows), default=1)
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


def row_name(line: Line) -> str:
    return f"{name_of(line)}, n = {line.n:,}"


def offset(line: Line, shown: Sequence[Line]) -> float:
    """Models of one task below each other, in the order of the table; a share of a row's height around its middle."""
    same_task = [other for other in shown if other.settings == line.settings]
    if len(same_task) == 1:
        return 0.0
    return SPREAD * (same_task.index(line) / (len(same_task) - 1) - 0.5)


def hover(line: Line, score: Estimate) -> str:
    """The model with its interval, in percent, and its change."""
    interval = f"{line.label}: 95 % {score.low:.1f} to {score.high:.1f} %"
    return interval + (f"; {100 * line.gain.difference:+.1f} points from before" if line.gain else "")
