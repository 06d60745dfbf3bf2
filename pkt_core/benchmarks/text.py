"""Benchmarks: headline, detectable changes, protocol, and the tables of a board."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

import pandas as pd

from pkt_core.base.records import to_json
from pkt_core.benchmarks.record import Asked, Board, Line
from pkt_core.evaluation.statistics import SURE, Change, Estimate
from pkt_core.words import style

BENCHMARKS = (
    "Share of items answered right under each task's first metric, as scored by lm-evaluation-harness; whiskers are 95 % intervals "
    "(Wilson). Compare green with orange in each row: the transfer helped where green is right of orange and column p is small. A rival or "
    "control at the level of green refutes that this transfer caused the gain. So do further seeds that vary more than orange and green differ."
)
BENCHMARK_TABLE = (
    "Changes are on the same items, in points, with a paired bootstrap; p is McNemar's exact test, Holm-corrected over all changes shown. "
    "`Detectable`: the smallest change this test finds with 80 % power at this n. A smaller, non-significant change is not evidence of no "
    "effect. Gain over the student before and distance to the teacher are shown separately: approaching the teacher is not the same as "
    "improving."
)
BENCHMARK_PROTOCOL = (
    "Two scores are comparable only if all of this is equal; digests identify the template (prompt, filters, metrics) and the items. "
    "The command gives the same counts. For code tasks, the harness's own judge runs generated code without a sandbox; ours uses one."
)


def headline(board: Board) -> str:
    """Headline: whether the score of the student changed, and the minimum detectable change."""
    tested = [
        (line, line.p_holm) for line in board.lines if line.leads and line.role == "after" and line.p_holm is not None
    ]
    if not tested:
        return "No task has scores of the student both before and after yet, so a change cannot be tested."
    if len(tested) == 1:
        return one(*tested[0])
    changed = [line for line, p in tested if p < SURE]
    rest = [line for line, p in tested if p >= SURE]
    if not changed:
        return f"The student's score did not change significantly on any of {len(tested)} tasks. Detectable: {reach(rest)}."
    listing = "; ".join(f"{name_of(line)} {points(line)} (p {style.p_value(line.p_holm)})" for line in changed)
    sentence = f"The student's score changed on {len(changed)} of {len(tested)} tasks: {listing}."
    return f"{sentence} No significant change on the others. Detectable: {reach(rest)}." if rest else sentence


def one(line: Line, p: float) -> str:
    """A single task in full; p is corrected."""
    verdict = "the student's score changed" if p < SURE else "no significant change"
    assert line.gain is not None, "only a change has a p-value"
    before, after = (
        style.percent(share, 1) if line.share else style.number(share, 3)
        for share in (line.gain.before, line.gain.after)
    )
    sentence = f"{name_of(line)}: {verdict}, {before} before and {after} after (n = {line.n}, p {style.p_value(p)})."
    return f"{sentence} {power(line)}".strip()


def power(line: Line) -> str:
    """The minimum detectable change at this n, in points."""
    if not line.share:
        return ""
    if line.detectable is None:
        return f"With {line.n} items, no change is detectable with 80 % power."
    return f"With {line.n} items, changes from {100 * line.detectable:.1f} points are detectable with 80 % power."


def points(line: Line) -> str:
    return f"{difference(line, line.gain)} points" if line.share else difference(line, line.gain)


def reach(lines: Sequence[Line]) -> str:
    return "; ".join(
        f"{name_of(line)} from {100 * line.detectable:.1f} points"
        if line.detectable is not None
        else f"{name_of(line)} none ({line.n} items)"
        for line in lines
    )


def cautions(board: Board) -> list[str]:
    """Caveats of the scores."""
    sentences = []
    for asked in board.asked:
        if asked.cut:
            sentences.append(
                f"{asked.cut} prompts of {asked.task} exceed the context of {asked.label}; their beginning was cut off."
            )
        if ended := {how: n for how, n in asked.endings.items() if how in ("time", "memory", "killed")}:
            counts = ", ".join(
                f"{n} by {how}" if how != "killed" else f"{n} without output" for how, n in ended.items()
            )
            sentences.append(
                f"{asked.task}, {asked.label}: some programs did not finish ({counts}); they count as wrong."
            )
    parts: dict[str, list[str]] = {}
    for protocol in board.protocols.values():
        if protocol.limit:
            which = (
                f"{protocol.limit} items, spread evenly," if protocol.chosen else f"the first {protocol.limit} items"
            )
            parts.setdefault(which, []).append(protocol.task)
    for which, tasks in parts.items():
        easy = (
            "" if "spread" in which else " The first items of a benchmark may be easier than the rest, or of one kind."
        )
        sentences.append(
            f"Only {which} of {listed(tasks)} were used, so this is no score of the whole benchmark.{easy}"
        )
    return list(dict.fromkeys(sentences))


def all_of(board: Board) -> list[str]:
    """For the terminal."""
    answer = [headline(board)] if any(line.role == "after" for line in board.lines) else []
    return [*answer, *cautions(board), *(["Stopped early; complete tasks are stored."] if board.stopped else [])]


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names in a row, the rest as a number."""
    shown = list(dict.fromkeys(names))
    rest = len(shown) - most
    return ", ".join(shown[:most]) + (f" and {rest} more" if rest > 0 else "")


FIELDS = ("task", "tasks", "metric", "filter", "label", "role", "run", "seed", "n", "reported", "p_holm", "detectable")


def full(board: Board) -> pd.DataFrame:
    """All fields of each line, with its protocol where it is a single task."""
    rows = []
    for line in board.lines:
        row: dict[str, Any] = {name: getattr(line, name) for name in FIELDS}
        row |= {f"score_{name}": getattr(line.score, name, None) for name in ("value", "low", "high")}
        for which, change in (("gain", line.gain), ("gap", line.gap)):
            row |= {f"{which}_{name}": getattr(change, name, None) for name in ("difference", "low", "high", "p_value")}
        if (protocol := board.protocols.get(line.settings)) is not None:
            row |= {
                f"protocol_{name}": str(value) for name, value in to_json(protocol).items() if name not in ("task", "n")
            }
            row["protocol_group"] = line.group
        rows.append(row)
    return pd.DataFrame(rows)


def shown(lines: Sequence[Line]) -> pd.DataFrame:
    """Lines as text with sensible digits."""
    return pd.DataFrame(
        [
            {
                "Task": name_of(line),
                "Model": line.label,
                "n": line.n,
                "Score": score(line),
                "95 %": interval(line, line.score, signed=False),
                "Change": difference(line, line.gain),
                "95 % (change)": interval(line, line.gain, signed=True),
                "p (Holm)": style.p_value(line.p_holm).removeprefix("= "),
                "Detectable": seen_from(line),
                "To teacher": difference(line, line.gap),
            }
            for line in lines
        ]
    )


def terminal(board: Board) -> list[tuple[str, list[str], list[list[Any]]]]:
    """One table per task and metric: title, columns, rows."""
    tables: dict[tuple[str, str], list[list[Any]]] = {}
    for line in board.lines:
        tables.setdefault((line.settings, f"{name_of(line)}, {metric_of(line)}, n = {line.n}"), []).append(
            [
                line.label,
                f"{score(line)} [{interval(line, line.score, signed=False)}]",
                f"{difference(line, line.gain)} [{interval(line, line.gain, signed=True)}]" if line.gain else "-",
                style.p_value(line.p_holm).removeprefix("= ").replace("–", "-"),
                seen_from(line).replace("–", "-"),
                difference(line, line.gap).replace("–", "-"),
            ]
        )
    columns = ["model", "score [95 %]", "change [95 %]", "p (Holm)", "detectable", "teacher minus model"]
    return [(title, columns, rows) for (_, title), rows in tables.items()]


def name_of(line: Line) -> str:
    return line.task if line.tasks == 1 else f"{line.task} ({line.tasks} tasks)"


def metric_of(line: Line) -> str:
    return line.metric if line.filter == "none" else f"{line.metric} after {line.filter}"


def score(line: Line) -> str:
    if line.score is None:
        return style.number(line.reported, 3)
    return style.percent(line.score.value, 1) if line.share else style.number(line.score.value, 3)


def interval(line: Line, ends: Estimate | Change | None, *, signed: bool) -> str:
    """Both ends of a 95 % interval, in percent or points where the line is about shares."""
    if ends is None:
        return "–"
    scale, form = (100, "+.1f" if signed else ".1f") if line.share else (1, "+.3f" if signed else ".3f")
    return f"{scale * ends.low:{form}} to {scale * ends.high:{form}}".replace("-", "−")


def difference(line: Line, change: Change | None) -> str:
    """A change, in points where the line is about shares."""
    if change is None:
        return "–"
    return (f"{100 * change.difference:+.1f}" if line.share else f"{change.difference:+.3f}").replace("-", "−")


def seen_from(line: Line) -> str:
    """The smallest change that the test finds with 80 % power."""
    if line.gain is None or not line.share:
        return "–"
    return "never" if line.detectable is None else f"{100 * line.detectable:.1f}"


def protocols(board: Board) -> pd.DataFrame:
    """The protocol of each task, one row per protocol."""
    return pd.DataFrame(
        [
            {
                "Task": one.task,
                "Version": one.version,
                "Harness": one.harness,
                "Template": one.template,
                "Shots": one.shots,
                "Items": f"{one.n:,} ({'spread' if one.chosen else 'the first' if one.limit else 'all'})",
                "Item digest": one.items,
                "From": one.source,
                "Temperature": "–" if one.temperature is None else f"{one.temperature:g}",
                "Decoding": ", ".join(f"{name} {value}" for name, value in one.sampling.items()) or "–",
                "Stop strings": " ".join(style.visible(word) for word in one.decoding.get("until", [])) or "–",
                "Seeds": " ".join(map(str, one.seeds)),
                "Chat template": "yes" if one.chat else "no",
                "Batch": one.batch_size,
                "Code": one.judge or "–",
            }
            for one in board.protocols.values()
        ]
    )


def turned(board: Board) -> dict[str, tuple[list[str], list[str]]]:
    """By task: names of the items that only the student after has right, and those that only the student before had right."""
    lines = {(line.settings, line.label): line for line in board.lines if line.leads and line.tasks == 1}
    by_task: dict[str, dict[str, tuple[list[str], list[float]]]] = {}
    for asked in board.asked:
        line = lines.get((asked.protocol, asked.label))
        if line is None or not line.share or line.role not in ("before", "after"):
            continue
        if (values := asked.values[f"{line.metric},{line.filter}"]) is not None:
            by_task.setdefault(f"{line.task}, n = {line.n}", {})[line.role] = (asked.names, values)
    items = {}
    for task, sides in by_task.items():
        if set(sides) == {"before", "after"}:
            (names, old), (_, new) = sides["before"], sides["after"]
            gained = [name for name, a, b in zip(names, old, new, strict=True) if b > a]
            items[task] = gained, [name for name, a, b in zip(names, old, new, strict=True) if a > b]
    return items


def harness_command(board: Board, asked: Asked) -> str:
    """lm-evaluation-harness's own command line for one model and task, under the same protocol."""
    one, model = board.protocols[asked.protocol], board.models[asked.label]
    dtype, _, device = asked.held.partition(" on ")
    arguments = [
        "lm-eval",
        "run",
        "--model",
        "hf",
        "--model_args",
        f"pretrained={model},dtype={dtype}",
        "--device",
        device,
    ]
    arguments += ["--tasks", one.task, "--num_fewshot", str(one.shots), "--batch_size", str(one.batch_size)]
    if one.chosen:
        arguments += ["--samples", json.dumps({one.task: one.chosen}, separators=(",", ":"))]
    elif one.limit:
        arguments += ["--limit", str(one.limit)]
    arguments += ["--seed", ",".join(map(str, one.seeds))]
    decoding = [f"{name}={value}" for name, value in one.sampling.items()]
    arguments += ["--gen_kwargs", ",".join(decoding)] if decoding else []
    for folder in asked.include:
        arguments += ["--include_path", folder]
    arguments += ["--apply_chat_template"] * one.chat + ["--confirm_run_unsafe_code"] * bool(one.judge)
    return shlex.join(arguments)
