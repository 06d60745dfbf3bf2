"""A closer look at one pair of layers in one sentence or two, and two looks beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pkt_core.report.look import number, p_value, percent
from pkt_core.report.tables_closer import paired_difference

Json = Mapping[str, Any]
SURE = 0.05


def name(look: Json) -> str:
    """The pair of layers."""
    return f"teacher layer {look['teacher_layer']} and student layer {look['student_layer']}"


def correlation(look: Json) -> str:
    """Whether prompts that are alike for one are alike for the other, with interval and null."""
    found, n = look["correlation"], len(look["ids"])
    told = (
        "Prompts that are alike for the student tend to be alike for the teacher"
        if found["p_value"] < SURE
        else "Which prompts are alike for the student says no more than chance about which are for the teacher"
    )
    return (
        f"{told}: rank correlation {number(found['value'])}, 95 % interval {number(found['low'])} to {number(found['high'])}, "
        f"over all {look['n_pairs']:,} pairs of {n} prompts. With shuffled prompts it reaches {number(found['noise'], 3)} (p "
        f"{p_value(found['p_value'])}, {found['draws']} shuffles)."
    )


def overlap(look: Json) -> str:
    """How many neighbours are shared, and how many prompts share no more than chance."""
    found = look["overlap"]
    few = sum(share < found["beyond"] - 1e-9 for share in found["values"])
    return (
        f"The two layers share {percent(found['mean'])} of each prompt's {found['k']} nearest prompts, 95 % interval "
        f"{percent(found['low'])} to {percent(found['high'])} (chance {percent(found['chance'])}). {few} of {len(found['values'])} "
        f"prompts share less than {percent(found['beyond'])}, which unrelated layers reach too."
    )


def sample(look: Json) -> str:
    """What is drawn of all there is; empty where it is all."""
    drawn, n = len(look["pairs"]["first"]), len(look["ids"])
    said = (
        [f"{drawn:,} of {look['n_pairs']:,} pairs of prompts are drawn, at random"] if drawn < look["n_pairs"] else []
    )
    if n < look["n_all"]:
        said.append(f"the comparison keeps the states of its first {n} prompts of {look['n_all']:,}")
    return f"{'; '.join(said).capitalize()}." if said else ""


def beside(chosen: Json, pinned: Json) -> str:
    """Which of two pairs of layers agrees better, by all pairs of prompts and by near neighbours, or that it cannot be told."""
    said = []
    for what, key, digits, unit in (
        ("all pairs of prompts (rank correlation)", "correlation", 2, 1),
        ("near neighbours", "overlap", 0, 100),
    ):
        found = {end: unit * value for end, value in paired_difference(chosen[key], pinned[key]).items()}
        points = " points" if unit == 100 else ""
        by = f"{number(found['value'], digits)}{points} [{number(found['low'], digits)}, {number(found['high'], digits)}]"
        if found["low"] <= 0 <= found["high"]:
            said.append(f"by {what} neither agrees better beyond chance: {by}")
        else:
            said.append(f"by {what} the {'chosen' if found['value'] > 0 else 'pinned'} layers agree better: {by}")
    told = "; ".join(said)
    return f"Chosen − pinned: {told}."
