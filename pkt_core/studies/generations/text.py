"""Picked prompts and continuations: sentences, captions, tables, and the words that differ between two texts."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import pandas as pd

from pkt_core.studies.generations.record import Named, PickedCell, PickedTokens, RestrictedCell
from pkt_core.words.style import number, percent

PICKED_TOKENS = (
    "The most likely next tokens after the whole prompt, with probabilities over each model's own vocabulary. JS is the Jensen-Shannon "
    "divergence over shared tokens: 0 bits is identical, 1 bit is disjoint."
)
PICKED_CELL = (
    "Similarity of the chosen layers over the picked prompts only. Prompts picked from a map are not a random sample: compare with the "
    "range of random choices of equally many prompts. Only a value outside it sets the group apart."
)


GENERATIONS = "Greedy continuations of task prompts, chosen by position in the task and not by outcome. They may include training prompts."


def picked_cell(cell: PickedCell, label: str) -> str:
    """One layer pair over the picked prompts and over all, or their neighbours where they are too few for a similarity."""
    facts, n = cell.facts, cell.n_picked
    near = (
        f"At this layer pair, {n} picked prompts share {percent(facts.overlap_picked)} of their nearest neighbours, all "
        f"{facts.n} prompts {percent(facts.overlap)} (chance {percent(facts.overlap_chance)})."
    )
    if not isinstance(facts, RestrictedCell):
        return f"{near} A separate similarity needs at least {facts.enough} prompts."
    return (
        f"{label}: {number(facts.picked, 3)} over the {n} picked prompts, {number(facts.all, 3)} over all {facts.n}. "
        f"{'Inside' if facts.usual else 'Outside'} the range of random choices of {n} prompts ({number(facts.low, 3)} to "
        f"{number(facts.high, 3)}). {near}"
    )


def next_token_table(tokens: PickedTokens) -> pd.DataFrame:
    """One row per picked prompt: last token, both models' most likely next tokens with probabilities, divergence in bits."""

    def listed(pairs: Sequence[Named]) -> str:
        return "  ".join(f"{' '.join(repr(token)[1:-1].split()) or '␣'} {100 * p:.0f} %" for token, p in pairs)

    return pd.DataFrame(
        [
            {
                "prompt": row.id,
                "text": row.text,
                "last_token": row.last_token,
                "teacher_next": listed(row.teacher),
                "student_next": listed(row.student),
                "js_bits": row.js_bits,
            }
            for row in tokens.rows
        ]
    )


Marked = list[tuple[bool, str]]


def marked_words(before: str, after: str) -> tuple[Marked, Marked]:
    """Each text as runs of words, True where they differ from the other text."""
    old, new = before.split(), after.split()
    left: Marked = []
    right: Marked = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if b > a:
            left.append((kind != "equal", " ".join(old[a:b])))
        if d > c:
            right.append((kind != "equal", " ".join(new[c:d])))
    return left, right
