"""Picked prompts and continuations in words: answers, captions, tables, and which words only one of two texts has."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import pandas as pd

from pkt_core.studies.generations.record import Named, PickedCell, PickedTokens, RestrictedCell
from pkt_core.words.style import number, percent

PICKED_TOKENS = (
    "What each model would say next after the whole prompt, with probabilities over its own vocabulary. JS is the Jensen-Shannon "
    "divergence over the tokens both have: 0 bits alike, 1 nothing in common."
)
PICKED_CELL = (
    "The chosen pair of layers by the picked prompts alone. Prompts picked from a map were not drawn at random: compare with the "
    "range of random choices of as many prompts, and call the group special only outside it."
)


GENERATIONS = "Greedy continuations of held-out prompts, chosen by position in the task and not by outcome."


def picked_cell(found: PickedCell, label: str) -> str:
    """One pair of layers by the picked prompts beside all, or by their neighbours where they are too few for a similarity."""
    facts, n = found.facts, found.n_picked
    near = (
        f"{n} picked prompts share {percent(facts.overlap_picked)} of their nearest neighbours at this pair of layers, all "
        f"{facts.n} prompts {percent(facts.overlap)} (chance {percent(facts.overlap_chance)})."
    )
    if not isinstance(facts, RestrictedCell):
        return f"{near} A similarity of their own needs {facts.enough} prompts."
    return (
        f"{label}: {number(facts.picked, 3)} by the {n} picked prompts, {number(facts.all, 3)} by all {facts.n}. "
        f"{'Inside' if facts.usual else 'Outside'} what random choices of {n} prompts give ({number(facts.low, 3)} to "
        f"{number(facts.high, 3)}). {near}"
    )


def next_token_table(found: PickedTokens) -> pd.DataFrame:
    """One row per picked prompt: last token, both models' most likely next tokens with probabilities, divergence in bits."""

    def said(pairs: Sequence[Named]) -> str:
        return "  ".join(f"{' '.join(repr(token)[1:-1].split()) or '␣'} {100 * p:.0f} %" for token, p in pairs)

    return pd.DataFrame(
        [
            {
                "prompt": row.id,
                "text": row.text,
                "last_token": row.last_token,
                "teacher_next": said(row.teacher),
                "student_next": said(row.student),
                "js_bits": row.js_bits,
            }
            for row in found.rows
        ]
    )


Marked = list[tuple[bool, str]]


def marked_words(before: str, after: str) -> tuple[Marked, Marked]:
    """Each text as runs of words, True where the other text has not got them at that place."""
    old, new = before.split(), after.split()
    left: Marked = []
    right: Marked = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if b > a:
            left.append((kind != "equal", " ".join(old[a:b])))
        if d > c:
            right.append((kind != "equal", " ".join(new[c:d])))
    return left, right
