"""A sentence token by token, each model's predictions at one token, and calibration.

Text is laid out in lines and escaped, so that no part of it is read as markup.

Not covered: which sentence to show (`studies/token_change/text.py`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from pkt_core.evaluation.calibration import Calibration
from pkt_core.studies.token_change.record import Between, Read, Sentence
from pkt_core.words import style
from pkt_core.words.style import WHO

LINE = 86  # characters a line
GLYPH, LINE_HEIGHT = 8.6, 38  # pixels of a character and of a line
FAINT = "rgba(128,132,145,0.14)"  # background of an unchanged token, whose text keeps the page's colour
PALE_TO_STRONG = ["#fbe3c6", "#f1a340", "#c65f08", "#7f3b08"]
BETTER_TO_WORSE = style.DIVERGING[::-1]  # blue below zero, orange above
WHERE_FAINT = 0.04  # share of the scale below which nothing is coloured


@dataclass(frozen=True)
class Colouring:
    """A quantity by which tokens can be coloured."""

    label: str
    """Label of the choice, with its unit."""
    of: Callable[[Sentence], list[float] | None]
    """One per predicted token of a sentence; None where it is not available."""
    reach: float
    """End of the colour scale; larger values are clipped."""
    both_ways: bool
    """Whether the scale diverges around zero."""
    ends: tuple[str, str]
    """Labels of the ends of the scale."""


def less(after: Sequence[float], before: Sequence[float]) -> list[float]:
    """`after` minus `before`, token by token."""
    return [b - a for a, b in zip(before, after, strict=True)]


def of_student(number: Callable[[Read], Sequence[float]]) -> Callable[[Sentence], list[float]]:
    """A quantity of the student, after minus before."""
    return lambda sentence: less(number(sentence.after), number(sentence.before))


def of_change(number: Callable[[Between], Sequence[float]]) -> Callable[[Sentence], list[float]]:
    """A quantity comparing before with after."""
    return lambda sentence: list(number(sentence.change))


def towards_teacher(sentence: Sentence) -> list[float] | None:
    """KL(teacher || after) minus KL(teacher || before), bits; None where the teacher tokenises differently."""
    if sentence.to_teacher is None:
        return None
    before, after = sentence.to_teacher
    return less(after.kl, before.kl)


COLOURINGS: dict[str, Colouring] = {
    "kl": Colouring(
        "Change: KL(before ‖ after), bits", of_change(lambda pair: pair.kl), 6.0, False, ("same", "changed")
    ),
    "bits": Colouring(
        "Better or worse: surprisal, after − before, bits", of_student(lambda read: read.bits), 6.0, True, ("better", "worse")
    ),
    "teacher": Colouring(
        "Closer to the teacher: KL(teacher ‖ after) − KL(teacher ‖ before), bits", towards_teacher, 4.0, True, ("closer", "farther")
    ),
    "js": Colouring(
        "Change: Jensen-Shannon, bits", of_change(lambda pair: pair.js), 1.0, False, ("same", "disjoint")
    ),
    "rank": Colouring(
        "Rank of the actual token: log10(after / before)",
        lambda s: [log10(b / a) for a, b in zip(s.before.rank, s.after.rank, strict=True)],
        2.0, True, ("better", "worse"),
    ),
    "entropy": Colouring(
        "Confidence: entropy, after − before, bits", of_student(lambda read: read.entropy), 4.0, True, ("more confident", "less confident")
    ),
    "agreement": Colouring(
        "Share of the top 5 tokens that changed", lambda s: [1 - v for v in s.change.agreement], 1.0, False, ("same", "none shared")
    ),
    "probability": Colouring(
        "Probability of the actual token, after", lambda s: [2 ** -b for b in s.after.bits], 1.0, False, ("0", "certain")
    ),
}  # fmt: skip


def colour(value: float, by: Colouring) -> str | None:
    """The colour of a token; None where it is unchanged."""
    share = max(-1.0, min(1.0, value / by.reach))
    if abs(share) < WHERE_FAINT:
        return None
    scale, at = (BETTER_TO_WORSE, (share + 1) / 2) if by.both_ways else (PALE_TO_STRONG, share)
    return str(sample_colorscale(scale, [max(0.0, at)])[0])


def ink(background: str) -> str:
    """Black or white, whichever has more contrast."""
    red, green, blue = (float(v) for v in background.removeprefix("rgb(").removesuffix(")").split(","))
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"


def wide(text: str) -> int:
    """Columns of a text in a monospaced font."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def places(shown: Sequence[str]) -> list[tuple[int, float, int]]:
    """Line, first column and columns of each token, lines broken between tokens."""
    positions, line, column = [], 0, 0.0
    for text in shown:
        needed = max(1, wide(text))
        if column and column + needed > LINE:
            line, column = line + 1, 0.0
        positions.append((line, column, needed))
        column += needed + 0.25
    return positions


def sentence_figure(sentence: Sentence, measure: str, chosen: int | None = None) -> go.Figure:
    """The text of a sentence, its tokens coloured by a quantity; a click returns the index of the token."""
    by = COLOURINGS[measure]
    values = by.of(sentence) or [0.0] * (len(sentence.tokens) - 1)
    shown = [style.visible(text, 40).replace("·", " ") if text.strip() else style.visible(text, 40) for text, _, _ in sentence.tokens]  # fmt: skip
    at = places(shown)
    colours = [None, *(colour(value, by) for value in values)]
    figure = go.Figure()
    for strong in (False, True):
        mine = [i for i, c in enumerate(colours) if (c is not None) == strong]
        figure.add_trace(
            go.Bar(
                base=[at[i][1] for i in mine],
                x=[at[i][2] for i in mine],
                y=[at[i][0] for i in mine],
                orientation="h",
                width=0.72,
                marker={"color": [colours[i] or FAINT for i in mine], "line": {"width": 0}},
                customdata=[[i, *hover(sentence, i, values)] for i in mine],
                hovertemplate="%{customdata[1]}<extra></extra>",
                showlegend=False,
            )
        )
        figure.add_trace(
            go.Scatter(
                x=[at[i][1] + at[i][2] / 2 for i in mine],
                y=[at[i][0] for i in mine],
                mode="text",
                text=[style.text(shown[i].strip() or shown[i], 40) for i in mine],
                textfont={"size": 14, "family": "monospace"} | ({"color": [ink(str(colours[i])) for i in mine]} if strong else {}),
                hoverinfo="skip",
                showlegend=False,
            )
        )  # fmt: skip
    marks(figure, sentence, at, chosen)
    lines = at[-1][0] + 1
    style.finish(figure, height=LINE_HEIGHT * lines + 90)
    key(figure, by)
    figure.update_layout(barmode="overlay", width=int(GLYPH * LINE) + 20, margin={"l": 6, "r": 6, "t": 6, "b": 74}, showlegend=False)  # fmt: skip
    figure.update_xaxes(visible=False, range=[-0.3, LINE + 1])
    return figure.update_yaxes(visible=False, range=[lines - 0.45, -0.55])


def key(figure: go.Figure, by: Colouring) -> None:
    """The colour scale, below the text."""
    low = -by.reach if by.both_ways else 0.0
    scale = BETTER_TO_WORSE if by.both_ways else [style.DIVERGING[4], *PALE_TO_STRONG]
    bar = {
        "orientation": "h", "y": 0, "yanchor": "top", "ypad": 14, "thickness": 10, "len": 0.62, "x": 0, "xanchor": "left", "outlinewidth": 0,
        "tickvals": [low, 0, by.reach] if by.both_ways else [0, by.reach / 2, by.reach],
        "ticktext": [f"{style.number(low, 0)} {by.ends[0]}", "0", f"{by.reach:g} {by.ends[1]}"] if by.both_ways
        else [f"0 {by.ends[0]}", f"{by.reach / 2:g}", f"{by.reach:g} {by.ends[1]}"],
        "title": {"text": style.text(by.label, 90), "side": "top", "font": {"size": 13}}, "tickfont": {"size": 12},
    }  # fmt: skip
    marker = {"color": [low], "cmin": low, "cmax": by.reach, "colorscale": scale, "colorbar": bar, "opacity": 0}
    figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", marker=marker, showlegend=False, hoverinfo="skip"))


def marks(figure: go.Figure, sentence: Sentence, at: Sequence[tuple[int, float, int]], chosen: int | None) -> None:
    """A line under the answer, a frame around the chosen token."""
    answer = sentence.answer_at
    for i, ((line, column, columns), (_, _, end)) in enumerate(zip(at, sentence.tokens, strict=True)):
        if answer is not None and end > answer and i:
            figure.add_shape(
                type="line", x0=column, x1=column + columns, y0=line + 0.44, y1=line + 0.44, line={"color": style.ACCENT, "width": 2.5}
            )  # fmt: skip
        if i == chosen:
            figure.add_shape(
                type="rect", x0=column - 0.1, x1=column + columns + 0.1, y0=line - 0.4, y1=line + 0.4, line={"color": style.TEACHER, "width": 3}
            )  # fmt: skip


def hover(sentence: Sentence, token: int, values: Sequence[float]) -> list[Any]:
    """Hover text of one token."""
    if token == 0:
        return ["first token: not predicted"]
    i, models = token - 1, sentence.models
    rows = [f"<b>{style.token(sentence.tokens[token][0], 60)}</b> {style.number(values[i], 2)}"]
    for who in ("teacher", "before", "after"):
        if who in models:
            read = models[who]
            best = ", ".join(f"{style.token(name)} {style.percent(p)}" for name, p in read.top[i][:3])
            rows.append(f"{WHO[who][0]}: {style.percent(2 ** -read.bits[i])}, rank {read.rank[i]:,}; top tokens {best}")
    return ["<br>".join(rows)]


def next_figure(sentence: Sentence, token: int) -> go.Figure:
    """Most likely tokens of teacher, before and after at one position; the actual token is outlined."""
    came, i = sentence.tokens[token][0], token - 1
    shown = [who for who in ("teacher", "before", "after") if who in sentence.models]
    figure = make_subplots(cols=len(shown), horizontal_spacing=0.14, subplot_titles=[WHO[who][0].capitalize() for who in shown])  # fmt: skip
    for column, who in enumerate(shown, 1):
        read = sentence.models[who]
        rows = [(style.token(name, 16), p, place == read.rank[i]) for place, (name, p) in enumerate(read.top[i], 1)]
        if read.rank[i] > len(rows):
            rows.append((f"{style.token(came, 16)} (rank {read.rank[i]:,})", 2 ** -read.bits[i], True))
        figure.add_trace(
            go.Bar(
                x=[p for _, p, _ in rows],
                y=list(range(len(rows))),
                orientation="h",
                marker={
                    "color": WHO[who][1],
                    "opacity": [1.0 if hit else 0.45 for *_, hit in rows],
                    "line": {"width": [2.5 if hit else 0 for *_, hit in rows], "color": style.ACCENT},
                },
                text=[style.percent(p, 1) for _, p, _ in rows],
                textposition="outside",
                cliponaxis=False,
                hovertemplate="%{customdata} %{x:.4f}<extra></extra>",
                customdata=[name for name, _, _ in rows],
                showlegend=False,
            ),
            row=1, col=column,
        )  # fmt: skip
        figure.update_yaxes(tickvals=list(range(len(rows))), ticktext=[name for name, _, _ in rows], row=1, col=column)
    style.finish(figure, height=330, x="Probability (0..1)")
    figure.update_xaxes(range=[0, 1.18], tickvals=[0, 0.5, 1])
    return figure.update_yaxes(autorange="reversed", showgrid=False, zeroline=False, automargin=True)


def reliability_figure(found: Mapping[str, Calibration], of: str = "the most likely token") -> go.Figure:
    """Share right by confidence, in equal-count bins, for each model; the dashed line is perfect calibration."""
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=[0, 1], y=[0, 1], mode="lines", name="perfect calibration", line={"color": style.CONTROL, "dash": "dash"}, hoverinfo="skip"
        )
    )  # fmt: skip
    for who in ("before", "after", "teacher"):
        if who not in found:
            continue
        label, shade = WHO[who]
        curve = found[who].curve
        figure.add_trace(
            go.Scatter(
                x=[one.confidence for one in curve],
                y=[one.rate for one in curve],
                mode="lines+markers",
                name=label,
                line={"color": shade, "width": 2},
                marker={"color": shade, "size": 10, "symbol": style.SYMBOLS[who], "line": {"width": 2, "color": shade}},
                error_y={
                    "type": "data", "symmetric": False, "thickness": 1.5, "color": shade,
                    "array": [one.high - one.rate for one in curve],
                    "arrayminus": [one.rate - one.low for one in curve],
                },
                customdata=[one.n for one in curve],
                hovertemplate=f"{label}<br>confidence %{{x:.2f}}, right %{{y:.2f}} (%{{customdata}} predictions)<extra></extra>",
            )
        )  # fmt: skip
    style.finish(figure, height=430, x=f"Confidence (mean probability of {of}, 0..1)", y="Share right (0..1)")  # fmt: skip
    figure.update_xaxes(range=[-0.02, 1.02])
    return figure.update_yaxes(range=[-0.02, 1.04])
