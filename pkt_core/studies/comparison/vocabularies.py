"""How two vocabularies match: one sentence, the counts side by side, and examples of excluded tokens.

Examples are not escaped here; the caller escapes.
"""

from __future__ import annotations

from pkt_core.studies.comparison.record import VocabularyFacts, VocabularySide

COUNTS = {
    "rows": "Rows of the head",
    "ordinary": "Ordinary tokens",
    "matched": "Matched by text",
    "alone": "Without a partner",
    "special": "Special tokens, excluded",
    "padding": "Padding rows, excluded",
    "doubles": "Duplicate tokens of a text, excluded",
    "rowless": "Tokens beyond the head",
}
SELDOM = ("doubles", "rowless")  # shown only where not zero


def counts(facts: VocabularyFacts) -> dict[str, dict[str, int]]:
    """For each model, the counts by name; in this order they add up to the rows of the head."""

    def count(side: VocabularySide, key: str) -> int:
        return facts.n if key == "matched" else int(getattr(side, key))

    both = facts.sides.items()
    kept = [key for key in COUNTS if key not in SELDOM or any(count(side, key) for _, side in both)]
    return {name: {COUNTS[key]: count(side, key) for key in kept} for name, side in both}


def sentence(facts: VocabularyFacts) -> str:
    """How many tokens match, of how many, and how many are excluded."""
    teacher, student = facts.sides.teacher, facts.sides.student
    sentence = (
        f"{facts.n:,} tokens have the same text in both vocabularies, of {teacher.ordinary:,} in the teacher's and "
        f"{student.ordinary:,} in the student's. Excluded (teacher and student): {teacher.special:,} and {student.special:,} special tokens"
    )
    if teacher.padding or student.padding:
        sentence += f", {teacher.padding:,} and {student.padding:,} padding rows"
    return sentence + "."


def left_out(facts: VocabularyFacts) -> dict[str, tuple[int, list[str]]]:
    """Tokens without a partner and special tokens, by label: their number, and up to 20 of them."""
    teacher, student = facts.sides.teacher, facts.sides.student
    listed = {
        "Only the teacher has": (teacher.alone, facts.only_teacher),
        "Only the student has": (student.alone, facts.only_student),
        "Special in the teacher": (teacher.special, teacher.specials),
        "Special in the student": (student.special, student.specials),
    }
    return {title: what for title, what in listed.items() if what[0]}


def same_names(facts: VocabularyFacts) -> list[str]:
    """Special tokens with the same name in both, among those listed; they are excluded as well."""
    return [name for name in facts.sides.teacher.specials if name in facts.sides.student.specials]
