"""Where a student changed, whether that is better or only different, in a sentence or two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pkt_core.report.look import number, percent, visible

Json = Mapping[str, Any]


def direction(change: Json, words: tuple[str, str, str]) -> str:
    """One of three words for a paired change: below zero, above zero, or an interval across zero."""
    return words[0] if change["high"] < 0 else words[1] if change["low"] > 0 else words[2]


def tokens(found: Json) -> str:
    """How much changed and where it sits; whether the student predicts better, and whether it came nearer the teacher."""
    whole = found["whole"]
    flipped = 1 - whole["same_top_before_after"]["value"]
    if not found["half"]:
        return f"Nothing changed: before and after say the same at all {found['n_tokens']:,} tokens of {found['name']}."
    said = (
        f"On {found['name']}, the student would say something else than before at {percent(flipped)} of {found['n_tokens']:,} tokens; "
        f"half of the change lies in the {percent(found['half'] / found['n_tokens'])} that changed most"
    )
    if answers := found["answers"]:
        said += f"; the answers are {percent(answers['tokens'])} of the tokens and hold {percent(answers['change'])} of the change"
    before, after = whole["bits_before"], whole["bits_after"]
    better = direction(whole["bits_change"], ("It predicts better", "It predicts worse", "It predicts neither better nor worse beyond chance"))  # fmt: skip
    said += f". {better} ({number(before['value'])} to {number(after['value'])} bits per byte, teacher {number(whole['bits_teacher']['value'])})"
    if "kl_teacher_after" in whole:
        first, second = whole["kl_teacher_before"], whole["kl_teacher_after"]
        near = direction(whole["kl_teacher_change"], ("came nearer the teacher", "moved away from the teacher", "neither came nearer the teacher nor moved away beyond chance"))  # fmt: skip
        said += f" and {near} ({number(first['value'])} to {number(second['value'])} bits per token)"
    return said + "."


def layers(found: Json, n_changed: int) -> str:
    """How many layers changed their top semantic token at one token."""
    tokens, at = found["student"]["tokens"], found["student"]["token"]
    n = found["student"]["n_layers"]
    return (
        f"At “{visible(tokens[at][0])}”, which decides what comes next, {n_changed} of {n} layers changed their top semantic token; the "
        f"student predicted “{visible(found['student']['predicted'][0])}” before and “{visible(found['after']['predicted'][0])}” after."
    )


def calibration(found: Mapping[str, Json]) -> str:
    """Whether the student after is more sure than it is right, beside before."""

    def said(one: Json) -> str:
        gap = one["confidence"] - one["rate"]
        word = "overconfident" if gap > 0.02 else "too modest" if gap < -0.02 else "about as sure as it is right"
        return f"{word} (says {percent(one['confidence'])}, right {percent(one['rate'])}, ECE {number(one['ece_mass'], 3)})"

    return f"Before, the student is {said(found['before'])}; after, {said(found['after'])}."
