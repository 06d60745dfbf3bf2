"""Benchmarks in sentences: what changed, what could have been seen, what is to be known of the asking. Takes the JSON of a board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pkt_core.report import look
from pkt_core.report.tables_benchmarks import name_of

Json = Mapping[str, Any]
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
    told_of = "; ".join(f"{name_of(line)} {points(line)} (p {look.p_value(line['p_holm'])})" for line in apart)
    rest = [line for line in lines if line not in apart]
    said = f"The student scores differently on {len(apart)} of {len(lines)} tasks: {told_of}."
    return f"{said} On the others nothing was seen ({reach(rest)})." if rest else said


def one(line: Json) -> str:
    """A single task in full."""
    change = line["gain"]
    values = (
        f"{look.percent(change['before'], 1)} before, {look.percent(change['after'], 1)} after"
        if line["share"]
        else f"{look.number(change['before'], 3)} before, {look.number(change['after'], 3)} after"
    )
    verdict = "the student scores differently" if line["p_holm"] < LEVEL else "no change was seen"
    return f"{name_of(line)}: {verdict}; {values} (n = {line['n']}, p {look.p_value(line['p_holm'])}). {power(line)}".strip()


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
