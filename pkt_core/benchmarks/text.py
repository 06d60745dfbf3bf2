"""Benchmarks in words: what changed, what could have been detected, how the items were asked, and the tables of a board."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pkt_core.words import style

Json = Mapping[str, Any]


BENCHMARKS = (
    "Share of items answered right by each task's first metric, as lm-evaluation-harness scores it; whiskers are 95 % intervals "
    "(Wilson). Read green against orange in each row: the transfer helped where green is right of orange by more than the items "
    "could show by luck (column p). A rival or control that stands where green stands would refute that this transfer did it, and "
    "so would further seeds that scatter wider than the distance from orange to green."
)
BENCHMARK_TABLE = (
    "Changes are on the same items, in points, with a paired bootstrap; p is McNemar's exact test, corrected by Holm's rule over all "
    "changes shown. `Seen from` is the smallest change that this test finds four times in five on so many items: below it, no "
    "finding is no evidence of no change. Gain over the student before and distance to the teacher are both shown, as coming "
    "nearer to the teacher and getting better are two things."
)
BENCHMARK_PROTOCOL = (
    "Two scores may be compared only where all of this is equal; digests name the template (prompt, filters, metrics) and the items. "
    "The command gives the same counts. For code tasks the harness's own judge runs generated code without a sandbox; ours does not."
)


LEVEL = 0.05


def headline(told: Json) -> str:
    """Whether the student after the transfer scores differently, and what the items could have shown."""
    lines = [line for line in told["lines"] if line["leads"] and line["p_holm"] is not None and line["role"] == "after"]
    if not lines:
        return "No task has both the student before and after yet, so nothing can be said of a change."
    apart = [line for line in lines if line["p_holm"] < LEVEL]
    if len(lines) == 1:
        return one(lines[0])
    if not apart:
        return f"On none of {len(lines)} tasks does the student score differently after the transfer, as far as these items can show ({reach(lines)})."
    told_of = "; ".join(f"{name_of(line)} {points(line)} (p {style.p_value(line['p_holm'])})" for line in apart)
    rest = [line for line in lines if line not in apart]
    said = f"The student scores differently on {len(apart)} of {len(lines)} tasks: {told_of}."
    return f"{said} On the others nothing was seen ({reach(rest)})." if rest else said


def one(line: Json) -> str:
    """A single task in full."""
    change = line["gain"]
    values = (
        f"{style.percent(change['before'], 1)} before, {style.percent(change['after'], 1)} after"
        if line["share"]
        else f"{style.number(change['before'], 3)} before, {style.number(change['after'], 3)} after"
    )
    verdict = "the student scores differently" if line["p_holm"] < LEVEL else "no change was seen"
    return f"{name_of(line)}: {verdict}; {values} (n = {line['n']}, p {style.p_value(line['p_holm'])}). {power(line)}".strip()


def power(line: Json) -> str:
    """What n items can show: the smallest change, in points."""
    if not line["share"]:
        return ""
    if line["detectable"] is None:
        return f"With {line['n']} items no change at all can be seen."
    return f"With {line['n']} items a change under {100 * line['detectable']:.1f} points cannot be seen reliably."


def points(line: Json) -> str:
    change = line["gain"]
    if line["share"]:
        return f"{100 * change['difference']:+.1f} points".replace("-", "−")
    return f"{change['difference']:+.3f}".replace("-", "−")


def reach(lines: Sequence[Json]) -> str:
    return "; ".join(
        f"{name_of(line)}: under {100 * line['detectable']:.1f} points could not be seen"
        if line["detectable"] is not None
        else f"{name_of(line)}: {line['n']} items"
        for line in lines
    )


def cautions(told: Json) -> list[str]:
    """What a reader must know before believing a score."""
    found = []
    for one in told["asked"]:
        if one["cut"]:
            found.append(
                f"{one['label']} could not hold {one['cut']} of the prompts of {one['task']} whole; their beginning was cut off."
            )
        if ended := {how: n for how, n in one["endings"].items() if how in ("time", "memory", "killed")}:
            said = ", ".join(f"{n} by {how}" if how != "killed" else f"{n} without a word" for how, n in ended.items())
            found.append(
                f"{one['task']}, {one['label']}: programmes that did not end by themselves: {said}; they count as wrong."
            )
    parts: dict[str, list[str]] = {}
    for told_how in told["protocols"].values():
        if told_how["limit"]:
            which = (
                f"{told_how['limit']} items, spread evenly,"
                if told_how["chosen"]
                else f"the first {told_how['limit']} items"
            )
            parts.setdefault(which, []).append(told_how["task"])
    for which, tasks in parts.items():
        easy = "" if "spread" in which else " The first items of a benchmark may be its easiest, or of one kind."
        found.append(f"Only {which} were asked of {listed(tasks)}, so this is no score of the whole benchmark.{easy}")
    return list(dict.fromkeys(found))


def all_of(told: Json) -> list[str]:
    """For the terminal."""
    said = [headline(told)] if any(line["role"] == "after" for line in told["lines"]) else []
    return [*said, *cautions(told), *(["Stopped early; what was complete is kept."] if told["stopped"] else [])]


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names in a row, the rest as a number."""
    shown = list(dict.fromkeys(names))
    rest = len(shown) - most
    return ", ".join(shown[:most]) + (f" and {rest} more" if rest > 0 else "")


FIELDS = ("task", "tasks", "metric", "filter", "label", "role", "run", "seed", "n", "reported", "p_holm", "detectable")


def full(told: Json) -> pd.DataFrame:
    """Everything about each line, its protocol included where it is a single task."""
    rows = []
    for line in told["lines"]:
        row = {name: line[name] for name in FIELDS}
        for name, keys in (
            ("score", ("value", "low", "high")),
            ("gain", ("difference", "low", "high", "p_value")),
            ("gap", ("difference", "low", "high", "p_value")),
        ):
            row |= {f"{name}_{key}": (line[name] or {}).get(key) for key in keys}
        told_how = told["protocols"].get(line["settings"], {})
        row |= {f"protocol_{key}": str(value) for key, value in told_how.items() if key not in ("task", "n")}
        rows.append(row)
    return pd.DataFrame(rows)


def shown(lines: Sequence[Json]) -> pd.DataFrame:
    """Lines as text with sensible digits."""
    return pd.DataFrame(
        [
            {
                "Task": name_of(line),
                "Model": line["label"],
                "n": line["n"],
                "Score": score(line),
                "95 %": interval(line, line["score"], signed=False),
                "Change": difference(line, "gain"),
                "95 % of it": interval(line, line["gain"], signed=True),
                "p (Holm)": style.p_value(line["p_holm"]).removeprefix("= "),
                "Seen from": seen_from(line),
                "To teacher": difference(line, "gap"),
            }
            for line in lines
        ]
    )


def terminal(told: Json) -> list[tuple[str, list[str], list[list[Any]]]]:
    """One table per task and metric: title, columns, rows."""
    made: dict[tuple[str, str], list[list[Any]]] = {}
    for line in told["lines"]:
        made.setdefault((line["settings"], f"{name_of(line)}, {metric_of(line)}, n = {line['n']}"), []).append(
            [
                line["label"],
                f"{score(line)} [{interval(line, line['score'], signed=False)}]",
                f"{difference(line, 'gain')} [{interval(line, line['gain'], signed=True)}]" if line["gain"] else "-",
                style.p_value(line["p_holm"]).removeprefix("= ").replace("–", "-"),
                seen_from(line).replace("–", "-"),
                difference(line, "gap").replace("–", "-"),
            ]
        )
    columns = ["model", "score [95 %]", "change to before [95 %]", "p (Holm)", "seen from", "teacher ahead by"]
    return [(title, columns, rows) for (_, title), rows in made.items()]


def name_of(line: Json) -> str:
    return str(line["task"]) if line["tasks"] == 1 else f"{line['task']} ({line['tasks']} tasks)"


def metric_of(line: Json) -> str:
    return str(line["metric"]) if line["filter"] == "none" else f"{line['metric']} after {line['filter']}"


def score(line: Json) -> str:
    if line["score"] is None:
        return style.number(line["reported"], 3)
    return style.percent(line["score"]["value"], 1) if line["share"] else style.number(line["score"]["value"], 3)


def interval(line: Json, found: Json | None, *, signed: bool) -> str:
    if found is None:
        return "–"
    scale, form = (100, "+.1f" if signed else ".1f") if line["share"] else (1, "+.3f" if signed else ".3f")
    return f"{scale * found['low']:{form}} to {scale * found['high']:{form}}".replace("-", "−")


def difference(line: Json, name: str) -> str:
    found = line[name]
    if found is None:
        return "–"
    return (f"{100 * found['difference']:+.1f}" if line["share"] else f"{found['difference']:+.3f}").replace("-", "−")


def seen_from(line: Json) -> str:
    """The smallest change that the test finds four times in five."""
    if line["gain"] is None or not line["share"]:
        return "–"
    return "never" if line["detectable"] is None else f"{100 * line['detectable']:.1f}"


def protocols(told: Json) -> pd.DataFrame:
    """How each task was asked, one row per protocol."""
    rows = []
    for one in told["protocols"].values():
        items = f"{one['n']:,} ({'spread' if one['chosen'] else 'the first' if one['limit'] else 'all'})"
        decoding = {key: value for key, value in one["decoding"].items() if key != "until"}
        rows.append(
            {
                "Task": one["task"],
                "Version": one["version"],
                "Harness": one["harness"],
                "Template": one["template"],
                "Shots": one["shots"],
                "Items": items,
                "Item digest": one["items"],
                "From": one["source"],
                "Temperature": "–" if one["temperature"] is None else f"{one['temperature']:g}",
                "Decoding": ", ".join(f"{key} {value}" for key, value in decoding.items()) or "–",
                "Stops at": " ".join(style.visible(word) for word in one["decoding"].get("until", [])) or "–",
                "Seeds": " ".join(map(str, one["seeds"])),
                "Chat template": "yes" if one["chat"] else "no",
                "Batch": one["batch_size"],
                "Code": one["judge"] or "–",
            }
        )
    return pd.DataFrame(rows)


def turned(told: Json) -> dict[str, tuple[list[str], list[str]]]:
    """By task: names of the items that only the student after has right, and that only the student before had."""
    found: dict[str, dict[str, tuple[list[str], list[float]]]] = {}
    lines = {(line["settings"], line["label"]): line for line in told["lines"] if line["leads"] and line["tasks"] == 1}
    for one in told["asked"]:
        line = lines.get((one["protocol"], one["label"]))
        if line is not None and line["share"] and line["role"] in ("before", "after"):
            values = one["values"][f"{line['metric']},{line['filter']}"]
            found.setdefault(f"{line['task']}, n = {line['n']}", {})[line["role"]] = (one["names"], values)
    made = {}
    for task, both in found.items():
        if set(both) == {"before", "after"}:
            names, old, new = both["before"][0], both["before"][1], both["after"][1]
            gained = [name for name, a, b in zip(names, old, new, strict=True) if b > a]
            made[task] = gained, [name for name, a, b in zip(names, old, new, strict=True) if a > b]
    return made


def harness_command(told: Json, asked: Json) -> str:
    """lm-evaluation-harness's own command line for one model and task, under the same protocol."""
    one, model = told["protocols"][asked["protocol"]], told["models"][asked["label"]]
    dtype, _, device = asked["held"].partition(" on ")
    words = ["lm-eval", "run", "--model", "hf", "--model_args", f"pretrained={model},dtype={dtype}", "--device", device]
    words += ["--tasks", one["task"], "--num_fewshot", str(one["shots"]), "--batch_size", str(one["batch_size"])]
    if one["chosen"]:
        words += ["--samples", json.dumps({one["task"]: one["chosen"]}, separators=(",", ":"))]
    elif one["limit"]:
        words += ["--limit", str(one["limit"])]
    words += ["--seed", ",".join(map(str, one["seeds"]))]
    decoding = [f"{key}={value}" for key, value in one["decoding"].items() if key != "until"]
    words += ["--gen_kwargs", ",".join(decoding)] if decoding else []
    for folder in asked["include"]:
        words += ["--include_path", folder]
    words += ["--apply_chat_template"] * one["chat"] + ["--confirm_run_unsafe_code"] * bool(one["judge"])
    return shlex.join(words)
