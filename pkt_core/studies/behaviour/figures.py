"""Figures of a transfer: loss terms while it trains, behaviour before and after with the teacher, seeds, controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, inf, log10

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pkt_core.evaluation.record import Behaviour, TaskChange
from pkt_core.runs.family import Seeds
from pkt_core.runs.results import TrainingStep
from pkt_core.studies.behaviour.record import Controls
from pkt_core.words import style
from pkt_core.words.style import WHO

THIS = "this run"
TERMS = {  # name in events -> label, colour, dash
    "layer": ("layer term", style.TEACHER, "solid"),
    "output": ("output term", style.AFTER, "dash"),
    "cross_entropy": ("cross-entropy of the answer (nats)", style.BEFORE, "dot"),
    "kl": ("KL to the teacher's next token (nats)", style.ACCENT, "dashdot"),
}


DECADES = 3  # of the loss terms below the largest value; a term near 0 would compress the others
MOST_TICKS = 7
SHOWN_STEPS = 600  # points per line; longer lines are thinned evenly and the caption gives the stride


def every(steps: Sequence[TrainingStep]) -> int:
    """One step in how many is drawn."""
    return -(-len(steps) // SHOWN_STEPS) or 1


def thinned(steps: Sequence[TrainingStep]) -> Sequence[TrainingStep]:
    """At most SHOWN_STEPS of the steps, the last one always among them."""
    return [*steps[: -1 : every(steps)], steps[-1]] if len(steps) > SHOWN_STEPS else steps


def losses(steps: Sequence[TrainingStep]) -> list[float]:
    """Every finite loss above zero, which is what a log axis can show."""
    values = [float(value) for step in steps for value in step.terms.values() if value is not None]
    return [value for value in values if 0 < value < inf]


def span(values: Sequence[float]) -> tuple[float, float]:
    """Ends of the loss axis, both above zero: at most DECADES below the largest value, with a margin."""
    if not values:
        return 0.1, 1.0
    low, high = max(min(values), max(values) / 10**DECADES), max(values)
    room = (high / low) ** 0.04 * 1.02
    return low / room, high * room


def log_ticks(low: float, high: float) -> list[float]:
    """At most MOST_TICKS round values between two values above zero; the two themselves where they are too close."""
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    for digits in (range(1, 10), (1, 2, 5), (1,)):
        ticks = [digit * 10.0**power for power in powers for digit in digits if low <= digit * 10.0**power <= high]
        if len(ticks) <= MOST_TICKS:
            break
    return ticks if len(ticks) > 1 else [low, high]


def training_figure(steps: Sequence[TrainingStep]) -> go.Figure:
    """Loss terms (left, log) and, where there are any, the cosine of the trained layer and shares right (right), by step."""
    figure = make_subplots(cols=2, horizontal_spacing=0.15)  # room for the right axis' title in a narrow window
    shown = thinned(steps)
    names = list(dict.fromkeys(name for step in shown for name in step.terms))
    for i, name in enumerate(names):
        label, colour, dash = TERMS.get(name, (name.replace("_", " "), style.CATEGORIES[i % 9], "solid"))
        there = [step for step in shown if step.terms.get(name) is not None]
        figure.add_trace(
            go.Scatter(
                x=[step.step for step in there],
                y=[step.terms[name] for step in there],
                mode="lines",
                name=label,
                line={"color": colour, "dash": dash, "width": 2},
                hovertemplate=f"step %{{x}}<br>{label} %{{y:.3g}}<extra></extra>",
            ),
            row=1,
            col=1,
        )
    near = [step for step in shown if step.alignment is not None]
    if near:
        figure.add_trace(
            go.Scatter(
                x=[step.step for step in near],
                y=[step.alignment for step in near],
                mode="lines",
                name="alignment (cosine to the mapped teacher)",
                line={"color": style.ACCENT, "width": 3},
                hovertemplate="step %{x}<br>cosine %{y:.3f}<extra></extra>",
            ),
            row=1,
            col=2,
        )
    add_recall(figure, steps)
    # In a narrow window the legend is a column above the plots; it must not eat them.
    style.finish(figure, height=400 + 12 * len(figure.data))
    total = shown[-1].total if shown else 1
    figure.update_xaxes(title={"text": "Step"}, range=[0, total * 1.02])  # the last mark is drawn whole
    low, high = span(losses(shown))
    ticks = log_ticks(low, high)
    figure.update_yaxes(
        title={"text": "Loss term (log scale)"},
        type="log",
        range=[log10(low), log10(high)],
        tickvals=ticks,
        ticktext=[f"{tick:.2g}" for tick in ticks],
        col=1,
    )
    lowest = min([0.0, *(step.alignment for step in near if step.alignment is not None)])
    title = "Cosine (−1..1), share right (0..1)" if near else "Share right (0..1)"
    return figure.update_yaxes(title={"text": title}, range=[lowest - 0.03, 1.03], col=2)


def add_recall(figure: go.Figure, steps: Sequence[TrainingStep]) -> None:
    """Recall of each task during training, where the run measured it."""
    for i, task in enumerate(dict.fromkeys(task for step in steps for task in step.recall)):
        at = [step for step in steps if task in step.recall]
        figure.add_trace(
            go.Scatter(
                x=[step.step for step in at],
                y=[step.recall[task] for step in at],
                mode="lines+markers",
                name=f"share right, {style.text(style.task_name(task), 40)}",
                line={"color": style.CATEGORIES[(i + 4) % 9], "width": 2},
            ),
            row=1,
            col=2,
        )


def behaviour_figure(
    behaviour: Behaviour, changes: Mapping[str, TaskChange], prior: str = "majority-answer baseline"
) -> go.Figure:
    """Share of each task answered right: before, after, teacher, with 95 % intervals; the majority-answer baseline is a grey bar."""
    tasks = list(behaviour.after.tasks)
    figure = go.Figure()
    for (who, model), offset in zip(behaviour.by_model(), (-0.2, 0.0, 0.2), strict=False):
        label, colour = WHO[who]
        recalls = [model.tasks[task] for task in tasks]
        rates = [one.rate for one in recalls]
        figure.add_trace(
            go.Scatter(
                x=[100 * r for r in rates],
                y=[i + offset for i in range(len(tasks))],
                mode="markers",
                name=label,
                cliponaxis=False,  # a share of 100 % lies on the edge
                marker={
                    "color": colour,
                    "size": 14,
                    "symbol": style.SYMBOLS[who],
                    "line": {"width": 3 if who == "before" else 0, "color": colour},
                },
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [100 * (one.high - one.rate) for one in recalls],
                    "arrayminus": [100 * (one.rate - one.low) for one in recalls],
                    "color": colour,
                    "thickness": 2,
                },
                customdata=[
                    [style.text(style.task_name(t), 60), one.correct, one.n, 100 * one.low, 100 * one.high]
                    for t, one in zip(tasks, recalls, strict=True)
                ],
                hovertemplate=f"%{{customdata[0]}}<br>{label}: %{{x:.1f}} % (%{{customdata[1]}} of %{{customdata[2]}})"
                "<br>95 % %{customdata[3]:.1f} to %{customdata[4]:.1f} %<extra></extra>",
            )
        )
    priors = [
        (i, share) for i, task in enumerate(tasks) if task in changes and (share := changes[task].prior) is not None
    ]
    figure.add_trace(
        go.Scatter(
            x=[100 * share for _, share in priors],
            y=[i for i, _ in priors],
            mode="markers",
            name=prior,
            marker={"symbol": "line-ns-open", "size": 46, "color": style.CONTROL, "line": {"width": 3}},
            hovertemplate="baseline %{x:.1f} %<extra></extra>",
        )
    )
    style.finish(figure, height=max(300, 84 * len(tasks) + 140), x="Answered right (% of items)")
    figure.update_xaxes(range=[-2, 102], ticksuffix=" %", showgrid=True)
    return figure.update_yaxes(
        tickvals=list(range(len(tasks))),
        ticktext=[style.text(style.task_name(t), 40) for t in tasks],
        autorange="reversed",
        zeroline=False,
        showgrid=False,
    )


def comparison_figure(runs: Mapping[str, Mapping[str, TaskChange]]) -> go.Figure:
    """Change of each task (after minus before, percentage points) for several runs, with 95 % intervals and a line at zero.

    runs: the changes of each run by its label.
    """
    tasks = list(dict.fromkeys(task for changes in runs.values() for task in changes))
    figure = go.Figure()
    for k, (name, changes) in enumerate(runs.items()):
        there = [(i, changes[task]) for i, task in enumerate(tasks) if task in changes]
        shift = 0.24 * (k - (len(runs) - 1) / 2)
        figure.add_trace(
            go.Scatter(
                x=[100 * change.difference for _, change in there],
                y=[i + shift for i, _ in there],
                mode="markers",
                name=style.text(name, 60),
                marker={
                    "color": style.CATEGORIES[k % 9],
                    "size": 13,
                    "symbol": ["circle", "square", "diamond", "cross"][k % 4],
                },
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [100 * (change.high - change.difference) for _, change in there],
                    "arrayminus": [100 * (change.difference - change.low) for _, change in there],
                    "thickness": 2,
                },
                hovertemplate="%{x:+.1f} points<extra>" + style.text(name, 60) + "</extra>",
            )
        )
    figure.add_vline(x=0, line={"color": style.CONTROL, "width": 2})
    style.finish(
        figure,
        height=max(300, 70 * len(tasks) + 140),
        x="Change of the share right (percentage points, after − before)",
    )
    return figure.update_yaxes(
        tickvals=list(range(len(tasks))),
        ticktext=[style.text(style.task_name(t), 40) for t in tasks],
        autorange="reversed",
        zeroline=False,
        showgrid=False,
    )


def seeds_figure(found: Seeds, changes: Mapping[str, TaskChange], run: str) -> go.Figure:
    """Share right after the transfer, by seed; the filled square is run `run`, the diamond the student before."""
    tasks = list(changes)
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=[100 * changes[task].before for task in tasks],
            y=list(range(len(tasks))),
            mode="markers",
            name="student before",
            marker={"symbol": style.SYMBOLS["before"], "size": 13, "color": style.BEFORE, "line": {"width": 3, "color": style.BEFORE}},
            hovertemplate="before %{x:.1f} %<extra></extra>",
        )
    )  # fmt: skip
    for one in found.seeds:
        mine = one.run == run
        figure.add_trace(
            go.Scatter(
                x=[100 * one.tasks[task] for task in tasks if task in one.tasks],
                y=[i for i, task in enumerate(tasks) if task in one.tasks],
                mode="markers",
                name=f"seed {one.seed}{' (this run)' if mine else ''}",
                cliponaxis=False,
                marker={
                    "symbol": "square" if mine else "square-open",
                    "size": 15 if mine else 11,
                    "color": style.AFTER,
                    "line": {"width": 2, "color": style.AFTER},
                },
                hovertemplate=f"seed {one.seed}: %{{x:.1f}} %<extra></extra>",
            )
        )
    style.finish(figure, height=max(240, 52 * len(tasks) + 130), x="Answered right (% of items)")
    figure.update_xaxes(range=[-2, 102], ticksuffix=" %")
    return figure.update_yaxes(
        tickvals=list(range(len(tasks))),
        ticktext=[style.text(style.task_name(task), 40) for task in tasks],
        autorange="reversed",
        zeroline=False,
        showgrid=False,
    )


def controls_figure(changes: Mapping[str, TaskChange], found: Controls) -> go.Figure:
    """Change by task of the run and of each control that was run, on one axis."""
    return comparison_figure({THIS: changes, **{one.name: one.changes for one in found.controls if one.changes}})
