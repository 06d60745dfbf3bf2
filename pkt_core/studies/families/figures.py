"""A family as a figure: a panel per task, a row per member, each seed as a point below the mean and its interval."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pkt_core.studies.families.record import FamilyTable, Kind, Row, Score
from pkt_core.words import style

WIDE = 30  # points: values further apart than this are shown on the whole scale of a share
ACROSS = 3  # panels side by side; more go below
KINDS: dict[Kind, tuple[str, str, str]] = {  # kind -> legend, colour, marker
    "reference": ("reference method", style.TEACHER, "diamond"),
    "rival": ("rival method", style.BEFORE, "circle"),
    "control": ("control: one component removed", style.CONTROL, "square-open"),
}


def family_figure(table: FamilyTable) -> go.Figure:
    """Share right (%) by member and task, 95 % interval over items; small marks are seeds; dashed is the majority-answer baseline."""
    rows, names = table.rows, table.asked
    across = 2 if len(names) == 4 else min(ACROSS, max(1, len(names)))
    down = -(-len(names) // across) or 1
    height = 26 * len(rows) + 60
    figure = make_subplots(
        rows=down,
        cols=across,
        shared_yaxes=True,
        horizontal_spacing=0.06,  # the last number of one panel and the first of the next
        vertical_spacing=min(0.2, 90 / (down * (height + 90))),
        subplot_titles=[style.text(style.task_name(task), 30) for task in names],
    )
    for i, task in enumerate(names):
        panel = {"row": i // across + 1, "col": i % across + 1}
        add_levels(figure, table, task, panel)
        for kind in KINDS:
            mine = [(place, row) for place, row in enumerate(rows) if table.kind(row) == kind and task in row.tasks]
            add_rows(figure, mine, task, kind, panel, shown=i == 0)
    style.finish(figure, height=down * (height + 90) + 60)
    figure.update_layout(margin={"t": 100})
    figure.update_layout(legend={"y": 1 + 46 / (down * (height + 90))})
    low, high = reach(table)
    figure.update_xaxes(range=[low, high], showgrid=True, ticksuffix=" %", nticks=4)  # the same in every panel
    if high - low > WIDE:
        figure.update_xaxes(range=[-3, 103], tickvals=[0, 25, 50, 75, 100], ticktext=["0 %", "", "50 %", "", "100 %"])
    figure.update_xaxes(title={"text": "Answered right (% of items)"}, row=down)
    return figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[
            f"<b>{style.text(row.label, 40)}</b>" if place == 0 else style.text(row.label, 40)
            for place, row in enumerate(rows)
        ],
        range=[len(rows) - 0.5, -0.5],
        zeroline=False,
        showgrid=False,
    )


def reach(table: FamilyTable) -> list[float]:
    """Lowest and highest value over all panels, in per cent, with a margin."""
    scores = [score for row in table.rows for score in row.tasks.values()]
    shown = [value for score in scores for value in (score.low, score.high, *score.seeds)]
    levels = [level for task in table.asked for level in (table.level(task).before, table.level(task).prior)]
    shown += [level for level in levels if level is not None]
    if not shown:
        return [0.0, 100.0]
    room = 0.06 * (max(shown) - min(shown)) + 0.005
    return [100 * (min(shown) - room), 100 * (max(shown) + room)]


def add_levels(figure: go.Figure, table: FamilyTable, task: str, panel: dict[str, int]) -> None:
    """Reference lines: the reference's mean, the student before, and the majority-answer baseline."""
    rows, level = table.rows, table.level(task)
    first = rows[0].tasks.get(task) if rows else None
    lines = (
        ("reference", None if first is None else first.value, style.TEACHER, "solid", 1),
        ("student before", level.before, style.BEFORE, "dot", 2),
        ("majority-answer baseline", level.prior, style.CONTROL, "dash", 2),
    )
    for name, value, colour, dash, width in lines:
        if value is None:
            continue
        figure.add_trace(
            go.Scatter(
                x=[100 * value] * 2,
                y=[-0.5, len(rows) - 0.5],
                mode="lines",
                name=name,
                legendgroup=name,
                showlegend=panel == {"row": 1, "col": 1} and name != "reference",
                line={"color": colour, "dash": dash, "width": width},
                hovertemplate=f"{name} %{{x:.1f}} %<extra></extra>",
            ),
            **panel,
        )


def add_rows(
    figure: go.Figure, mine: Sequence[tuple[int, Row]], task: str, kind: Kind, panel: dict[str, int], *, shown: bool
) -> None:
    """Members of one kind: seeds as small points a little below, the mean with its interval."""
    name, colour, symbol = KINDS[kind]
    if not mine:
        return
    scores = [(place, row, row.tasks[task]) for place, row in mine]
    figure.add_trace(
        go.Scatter(
            x=[100 * seed for _, _, score in scores for seed in score.seeds],
            y=[place + 0.24 for place, _, score in scores for _ in score.seeds],
            mode="markers",
            name="one seed",
            legendgroup="one seed",
            showlegend=shown and kind == "reference",
            marker={"color": colour, "size": 6, "symbol": "circle", "opacity": 0.75},
            hovertemplate="one seed %{x:.1f} %<extra></extra>",
            cliponaxis=False,
        ),
        **panel,
    )
    figure.add_trace(
        go.Scatter(
            x=[100 * score.value for _, _, score in scores],
            y=[place for place, _, _ in scores],
            mode="markers",
            name=name,
            legendgroup=kind,
            showlegend=shown,
            marker={"color": colour, "size": 11, "symbol": symbol, "line": {"width": 2, "color": colour}},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [100 * (score.high - score.value) for _, _, score in scores],
                "arrayminus": [100 * (score.value - score.low) for _, _, score in scores],
                "color": colour,
                "thickness": 2,
            },
            customdata=[
                [style.text(row.label, 60), 100 * score.low, 100 * score.high, away(score)] for _, row, score in scores
            ],
            hovertemplate="%{customdata[0]}: %{x:.1f} %<br>95 % %{customdata[1]:.1f} to %{customdata[2]:.1f} %"
            "%{customdata[3]}<extra></extra>",
            cliponaxis=False,
        ),
        **panel,
    )


def away(score: Score) -> str:
    """The difference to the reference, for the hover; empty for the reference itself."""
    if score.difference is None:
        return ""
    return f"<br>{100 * score.difference:+.1f} points, p {style.p_value(score.p_value)} (Holm)"
