"""Benchmark lines as tables: for the terminal, for the screen, and in full for CSV. Takes the JSON form of `benching.Board`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pkt_core.report import look

Json = Mapping[str, Any]
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
                "p (Holm)": look.p_value(line["p_holm"]).removeprefix("= "),
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
                look.p_value(line["p_holm"]).removeprefix("= ").replace("–", "-"),
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
        return look.number(line["reported"], 3)
    return look.percent(line["score"]["value"], 1) if line["share"] else look.number(line["score"]["value"], 3)


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
                "Stops at": " ".join(look.visible(word) for word in one["decoding"].get("until", [])) or "–",
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
