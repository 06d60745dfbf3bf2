"""How two vocabularies match: one sentence, the counts side by side, and examples of what is left out.

Takes `VocabularyFacts` in their JSON form. Examples are tokens as they are; whoever shows them escapes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]
SIDES = ("teacher", "student")
COUNTS = {
    "rows": "Rows of the head",
    "ordinary": "Ordinary tokens",
    "matched": "Matched by their text",
    "alone": "Without a partner",
    "special": "Special tokens, left out",
    "padding": "Padding rows, left out",
    "doubles": "Second token for a text, left out",
    "rowless": "Tokens beyond the head",
}
SELDOM = ("doubles", "rowless")  # shown only where there are any


def counts(words: Json) -> dict[str, dict[str, int]]:
    """For each model, the counts by their name, in an order that adds up to the rows of the head."""
    kept = [key for key in COUNTS if key not in SELDOM or any(words["sides"][side][key] for side in SIDES)]
    return {side: {COUNTS[key]: {**words["sides"][side], "matched": words["n"]}[key] for key in kept} for side in SIDES}


def sentence(words: Json) -> str:
    """How many tokens match, of how many, and what is left out."""
    teacher, student = (words["sides"][side] for side in SIDES)
    said = (
        f"{words['n']:,} tokens stand for the same text in both vocabularies, of the teacher's {teacher['ordinary']:,} and the "
        f"student's {student['ordinary']:,}; left out are {teacher['special']:,} and {student['special']:,} special tokens"
    )
    if teacher["padding"] or student["padding"]:
        said += f" and {teacher['padding']:,} and {student['padding']:,} padding rows"
    return said + "."


def left_out(words: Json) -> dict[str, tuple[int, list[str]]]:
    """What has no partner and what is special, by what to call it: how many there are, and up to 20 of them."""
    found: dict[str, tuple[int, list[str]]] = {}
    for side in SIDES:
        found[f"Only the {side} has"] = (words["sides"][side]["alone"], list(words[f"only_{side}"]))
    for side in SIDES:
        found[f"Special in the {side}"] = (words["sides"][side]["special"], list(words["sides"][side]["specials"]))
    return {title: what for title, what in found.items() if what[0]}


def same_names(words: Json) -> list[str]:
    """Special tokens that both have under one name, among those listed; they are left out all the same."""
    teacher, student = (words["sides"][side]["specials"] for side in SIDES)
    return [name for name in teacher if name in student]
