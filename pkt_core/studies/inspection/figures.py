"""What a state encodes: nearest tokens by layer, the rank of followed tokens through the layers, and where two states differ.

Layers are counted from 0 and run upwards or rightwards. A space in a token is shown as a middle dot.

Not covered: the numbers themselves as tables (`text.py`).
"""

from __future__ import annotations

from math import ceil, log10

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pkt_core.studies.inspection.record import Crossing, Followed, Inspection, Named, Space
from pkt_core.words import style

ROOMY_UP_TO = 12  # layers at most for a coefficient under the token
DARK = style.SEQUENTIAL[:11]  # white text stays legible on it
DASHES = ("solid", "dash", "dot", "dashdot")


def spaces(inspection: Inspection) -> dict[str, tuple[str, Space, int]]:
    """The spaces of an inspection: name -> title, space, chosen layer; in display order."""
    teacher, student = inspection.layers
    shown = {
        "teacher": ("Teacher", inspection.teacher.own, teacher),
        "student": ("Student", inspection.student.own, student),
    }
    if crossing := inspection.crossing:
        shown["carried"] = ("Teacher mapped into the student's space", crossing.carried, teacher)
        shown["permuted"] = ("Control: vocabulary permuted", crossing.permuted, teacher)
    if after := inspection.after:
        shown["after"] = (f"Student after {style.text(inspection.run, 40)}", after.own, student)
    return shown


def reading_figure(inspection: Inspection) -> go.Figure:
    """Nearest tokens per layer in each space, coloured by their coefficient."""
    shown = spaces(inspection)
    n_rows = (len(shown) + 1) // 2
    depth = max(len(space.top) for _, space, _ in shown.values())
    k = max(len(row) for _, space, _ in shown.values() for row in space.top)
    each = (38 if depth <= ROOMY_UP_TO else 22) * depth + 110
    figure = make_subplots(
        rows=n_rows,
        cols=2,
        horizontal_spacing=0.06,
        vertical_spacing=120 / (n_rows * each) if n_rows > 1 else 0,
        subplot_titles=[title for title, _, _ in shown.values()],
    )
    lenses = {who: reader.lens for who, reader in inspection.readers.items()}
    for i, (name, (_, space, chosen)) in enumerate(shown.items()):
        place = {"row": i // 2 + 1, "col": i % 2 + 1}
        figure.add_trace(cells(space.top, lenses.get(name), roomy=depth <= ROOMY_UP_TO), **place)
        frame = {"color": style.BEFORE, "width": 2.5}
        figure.add_shape(
            type="rect",
            x0=0.5,
            x1=k + 0.5,
            y0=chosen - 0.5,
            y1=chosen + 0.5,
            line=frame,
            row=place["row"],
            col=place["col"],
        )
    style.finish(figure, height=n_rows * each, x="Nearest tokens, nearest first")
    figure.update_yaxes(title={"text": "Layer (from 0)"}, col=1)
    figure.update_annotations(font={"size": 15})
    figure.update_xaxes(dtick=1, showgrid=False, zeroline=False, range=[0.5, k + 0.5])
    figure.update_yaxes(dtick=max(1, depth // 16), showgrid=False, zeroline=False)
    highest = max(row[0][1] for _, space, _ in shown.values() for row in space.top)
    top = min(1.0, ceil(5 * highest) / 5)  # on a scale to 1, all cells would have nearly one colour
    bar = {
        "title": {"text": f"Coefficient (cosine, 0..{top:g})", "side": "right", "font": {"size": 14}},
        "thickness": 16,
        "outlinewidth": 0,
    }
    return figure.update_layout(
        coloraxis={"colorscale": DARK, "cmin": 0, "cmax": top, "colorbar": bar}, margin={"r": 12}
    )


def cells(top: list[list[Named]], lens: list[list[Named]] | None, *, roomy: bool) -> go.Heatmap:
    """One space as a table of coloured tokens; hover shows the logit lens of the layer."""
    lenses = [
        ", ".join(f"{style.token(name)} {style.number(p)}" for name, p in lens[layer][:3]) if lens else ""
        for layer in range(len(top))
    ]
    return go.Heatmap(
        z=[[value for _, value in row] for row in top],
        x=list(range(1, len(top[0]) + 1)),
        text=[
            [style.token(name) + (f"<br>{style.number(value)}" if roomy else "") for name, value in row] for row in top
        ],
        texttemplate="%{text}",
        textfont={"size": 12, "color": "#ffffff"},
        customdata=[[(style.token(name, 60), lenses[layer]) for name, _ in row] for layer, row in enumerate(top)],
        hovertemplate="layer %{y}, rank %{x}<br><b>%{customdata[0]}</b> %{z:.3f}"
        + ("<br>logit lens: %{customdata[1]}" if lens else "")
        + "<extra></extra>",
        coloraxis="coloraxis",
        xgap=2,
        ygap=2,
    )


def trajectory_figure(inspection: Inspection) -> go.Figure:
    """Rank and coefficient of the followed tokens by layer, and the nearest token of each layer."""
    shown = {name: value for name, value in spaces(inspection).items() if name != "permuted"}
    titles = [title for title, _, _ in shown.values()]
    figure = make_subplots(
        rows=2,
        cols=len(shown),
        shared_yaxes=True,
        shared_xaxes=True,
        horizontal_spacing=0.03,
        vertical_spacing=0.07,
        subplot_titles=[{"Teacher mapped into the student's space": "Teacher, mapped"}.get(t, t) for t in titles],
    )
    for column, (_, space, _) in enumerate(shown.values(), 1):
        nearest_line(figure, space, column)
        for i, token in enumerate(inspection.followed):
            if space.ranks[i] is not None:
                followed_line(figure, space, token, i, column)
    style.finish(figure, height=620)
    most = max(space.n_tokens for _, space, _ in shown.values())
    deepest = max(len(space.top) for _, space, _ in shown.values())
    bottom = {f"y{len(shown) + i}" for i in range(1, len(shown) + 1)}
    figure.update_yaxes(type="log", autorange=False, range=[log10(most) + 0.1, -0.15], dtick=1, row=1)
    figure.update_yaxes(title={"text": "Rank (1 is nearest, log)"}, row=1, col=1)
    values = [v for one in figure.data if one.yaxis in bottom for v in one.y]
    figure.update_yaxes(range=[min(values) - 0.06, max(values) + 0.1], row=2)
    figure.update_yaxes(title={"text": "Coefficient (cosine, −1..1)"}, row=2, col=1)
    figure.update_xaxes(title={"text": "Layer (from 0)"}, dtick=max(1, deepest // 8), row=2)
    return figure.update_layout(legend={"y": 1.09}, margin={"t": 96})


def nearest_line(figure: go.Figure, space: Space, column: int) -> None:
    """The nearest token of each layer, and the expected nearest of equally many random bases."""
    layers = list(range(len(space.top)))
    nearest = [row[0] for row in space.top]
    figure.add_trace(
        go.Scatter(
            x=layers,
            y=[value for _, value in nearest],
            mode="lines+markers+text" if len(layers) <= ROOMY_UP_TO else "lines+markers",
            text=[style.token(name) for name, _ in nearest],
            textposition="top center",
            textfont={"size": 11},
            cliponaxis=False,
            name="nearest token",
            legendgroup="nearest",
            showlegend=column == 1,
            line={"color": style.CONTROL, "width": 1.5},
            marker={"size": 5},
            customdata=[style.token(name, 60) for name, _ in nearest],
            hovertemplate="layer %{x}<br>nearest: %{customdata} %{y:.3f}<extra></extra>",
        ),
        row=2,
        col=column,
    )
    for row, y, level in (
        (1, (space.n_tokens + 1) / 2, "middle rank"),
        (2, space.nearest_by_chance, "nearest of random bases"),
    ):
        figure.add_trace(
            go.Scatter(
                x=layers,
                y=[y] * len(layers),
                mode="lines",
                name="by chance",
                line={"color": style.CONTROL, "width": 1.5, "dash": "dot"},
                legendgroup="chance",
                showlegend=row == 2 and column == 1,
                hovertemplate=f"{level}, by chance: %{{y:.3~g}}<extra></extra>",
            ),
            row=row,
            col=column,
        )


def followed_line(figure: go.Figure, space: Space, token: Followed, i: int, column: int) -> None:
    """One followed token in one space."""
    layers, colour = list(range(len(space.top))), style.CATEGORIES[i % len(style.CATEGORIES)]
    for row, values, unit in ((1, space.ranks[i], "rank %{y}"), (2, space.cosines[i], "coefficient %{y:.3f}")):
        figure.add_trace(
            go.Scatter(
                x=layers,
                y=values,
                mode="lines+markers",
                name=f"{style.token(token.name)} ({style.text(token.why)})",
                legendgroup=f"followed {i}",
                showlegend=row == 1 and column == 1,
                line={"color": colour, "width": 2.5, "dash": DASHES[i % len(DASHES)]},
                marker={"size": 7, "symbol": i},
                hovertemplate=f"layer %{{x}}<br>{style.token(token.name, 60)}: {unit}<extra></extra>",
            ),
            row=row,
            col=column,
        )


def difference_figure(crossing: Crossing) -> go.Figure:
    """At the chosen layers: coefficients of mapped teacher, student and control; then the differences around zero."""
    rows = crossing.differences
    names, places = [style.token(row.name, 24) for row in rows], list(range(len(rows)))
    figure = make_subplots(
        cols=2,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        subplot_titles=["Coefficients", "Mapped teacher − student"],
    )
    marks = (
        ([row.carried for row in rows], "teacher, mapped", style.TEACHER, "circle"),
        ([row.own for row in rows], "student", style.BEFORE, "diamond-open"),
        ([row.after for row in rows], "student after", style.AFTER, "square"),
        ([row.permuted for row in rows], "control: vocabulary permuted", style.CONTROL, "x-thin-open"),
    )
    for values, label, colour, symbol in marks:
        if None in values:
            continue
        figure.add_trace(
            go.Scatter(
                x=values,
                y=places,
                mode="markers",
                name=label,
                marker={"color": colour, "size": 10, "symbol": symbol, "line": {"width": 2, "color": colour}},
                customdata=names,
                hovertemplate=f"%{{customdata}}<br>{label} %{{x:.3f}}<extra></extra>",
            ),
            row=1,
            col=1,
        )
    differences = [row.carried - row.own for row in rows]
    figure.add_trace(
        go.Bar(
            x=differences,
            y=places,
            orientation="h",
            marker={"color": [style.TEACHER if value > 0 else style.BEFORE for value in differences]},
            customdata=names,
            hovertemplate="%{customdata}<br>difference %{x:+.3f}<extra></extra>",
            showlegend=False,
        ),
        row=1,
        col=2,
    )
    figure.add_trace(
        go.Scatter(
            x=[row.permuted - row.own for row in rows],
            y=places,
            mode="markers",
            marker={"color": style.CONTROL, "size": 10, "symbol": "x-thin-open", "line": {"width": 2}},
            hovertemplate="control %{x:+.3f}<extra></extra>",
            showlegend=False,
        ),
        row=1,
        col=2,
    )
    style.finish(figure, height=30 * len(rows) + 150)
    # The tokens are chosen by the bars, not by the crosses; the lines mark the control's largest difference on any token.
    limit = crossing.control_reach
    figure.add_trace(
        go.Scatter(
            x=[-limit, -limit, None, limit, limit],
            y=[-0.6, len(rows) - 0.4, None, -0.6, len(rows) - 0.4],
            mode="lines",
            name="the control's largest difference",
            line={"color": style.CONTROL, "width": 1.5, "dash": "dot"},
            hoverinfo="skip",
        ),
        row=1,
        col=2,
    )
    reach = 1.1 * max(*map(abs, differences), limit)
    figure.update_yaxes(tickvals=places, ticktext=names, range=[len(rows) - 0.4, -0.6], zeroline=False)
    figure.update_yaxes(title={"text": "Token, largest difference first"}, col=1)
    figure.update_xaxes(
        title={"text": "Coefficient (cosine, −1..1)"}, zeroline=True, zerolinecolor=style.CONTROL, col=1
    )
    figure.update_xaxes(
        title={"text": "Difference of coefficients (0 is agreement)"},
        range=[-reach, reach],
        zeroline=True,
        zerolinecolor=style.CONTROL,
        zerolinewidth=2,
        col=2,
    )
    return figure.update_layout(legend={"y": 1.08}, margin={"t": 84, "l": 110})
