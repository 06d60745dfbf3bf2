"""How two vocabularies match: one sentence, the counts side by side, and examples of what is left out.

Examples are tokens as they are; whoever shows them escapes them.
"""

from __future__ import annotations

from pkt_core.studies.comparison.record import VocabularyFacts, VocabularySide

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


def counts(facts: VocabularyFacts) -> dict[str, dict[str, int]]:
    """For each model, the counts by their name, in an order that adds up to the rows of the head."""

    def count(side: VocabularySide, key: str) -> int:
        return facts.n if key == "matched" else int(getattr(side, key))

    both = facts.sides.items()
    kept = [key for key in COUNTS if key not in SELDOM or any(count(side, key) for _, side in both)]
    return {name: {COUNTS[key]: count(side, key) for key in kept} for name, side in both}


def sentence(facts: VocabularyFacts) -> str:
    """How many tokens match, of how many, and what is left out."""
    teacher, student = facts.sides.teacher, facts.sides.student
    words = (
        f"{facts.n:,} tokens stand for the same text in both vocabularies, of the teacher's {teacher.ordinary:,} and the "
        f"student's {student.ordinary:,}; left out are {teacher.special:,} and {student.special:,} special tokens"
    )
    if teacher.padding or student.padding:
        words += f" and {teacher.padding:,} and {student.padding:,} padding rows"
    return words + "."


def left_out(facts: VocabularyFacts) -> dict[str, tuple[int, list[str]]]:
    """What has no partner and what is special, by what to call it: how many there are, and up to 20 of them."""
    teacher, student = facts.sides.teacher, facts.sides.student
    listed = {
        "Only the teacher has": (teacher.alone, facts.only_teacher),
        "Only the student has": (student.alone, facts.only_student),
        "Special in the teacher": (teacher.special, teacher.specials),
        "Special in the student": (student.special, student.specials),
    }
    return {title: what for title, what in listed.items() if what[0]}


def same_names(facts: VocabularyFacts) -> list[str]:
    """Special tokens that both have under one name, among those listed; they are left out all the same."""
    return [name for name in facts.sides.teacher.specials if name in facts.sides.student.specials]
