"""One pair of layers in words: its answer, captions and tables, and two looks beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pkt_core.similarity.grid import SimilarityGrid
from pkt_core.studies.layer_pair.record import CloserLook
from pkt_core.words.style import number, p_value, percent

SCATTER = (
    "A point is a pair of prompts: to the right, the student's layer finds the two alike; up, the teacher's layer does (cosines of centred "
    "states). CKA and RSA sum this picture up. The line is the median of each tenth. A line without slope, or a rank correlation no "
    "higher than with shuffled prompts, would refute that the two layers see the same likenesses. Click a point to pick its two prompts."
)
OVERLAP = (
    "Share of each prompt's 10 nearest prompts that both layers have, worst first; select rows to pick them for every page. Low shares "
    "are where the layers disagree, unless the prompt's neighbours are all about equally near. A whole table near chance would refute "
    "that the two layers see the same neighbourhoods."
)
BESIDE = (
    "The same pairs of prompts on the same axes. Intervals leave out tenths of the prompts, the same tenths in both, so that of the "
    "difference is paired. A difference whose interval holds 0 would refute that one pair of layers agrees better; two pairs picked because they look "
    "different always differ a little more than their intervals say."
)
DIFFERENT = (
    "Prompts by how much their share of common neighbours differs between the two pairs of layers. The top rows are the largest of many, "
    "and a share of 10 neighbours moves in steps of 10 points: read them, do not count them."
)
PINNED = " The dashed frame is the pinned pair of layers, which the closer look sets beside the chosen one."
WORDS = " With pooling over words a prompt is the mean of its words here."


def name(look: CloserLook) -> str:
    """The pair of layers."""
    return f"teacher layer {look.teacher_layer} and student layer {look.student_layer}"


def correlation(look: CloserLook) -> str:
    """Whether prompts that are alike for one are alike for the other, with interval and null."""
    found, n = look.correlation, len(look.ids)
    told = (
        "Prompts that are alike for the student tend to be alike for the teacher"
        if found.beyond_chance
        else "Which prompts are alike for the student says no more than chance about which are for the teacher"
    )
    return (
        f"{told}: rank correlation {number(found.value)}, 95 % interval {number(found.low)} to {number(found.high)}, "
        f"over all {look.n_pairs:,} pairs of {n} prompts. With shuffled prompts it reaches {number(found.noise, 3)} (p "
        f"{p_value(found.p_value)}, {found.draws} shuffles)."
    )


def overlap(look: CloserLook) -> str:
    """How many neighbours are shared, and how many prompts share no more than chance."""
    found = look.overlap
    return (
        f"The two layers share {percent(found.mean)} of each prompt's {found.k} nearest prompts, 95 % interval "
        f"{percent(found.low)} to {percent(found.high)} (chance {percent(found.chance)}). {found.by_chance} of {len(found.values)} "
        f"prompts share less than {percent(found.beyond)}, which unrelated layers reach too."
    )


def sample(look: CloserLook) -> str:
    """What is drawn of all there is; empty where it is all."""
    drawn, n = len(look.pairs.first), len(look.ids)
    said = [f"{drawn:,} of {look.n_pairs:,} pairs of prompts are drawn, at random"] if drawn < look.n_pairs else []
    if n < look.n_all:
        said.append(f"the comparison keeps the states of its first {n} prompts of {look.n_all:,}")
    return f"{'; '.join(said).capitalize()}." if said else ""


def beside(chosen: CloserLook, pinned: CloserLook) -> str:
    """Which of two pairs of layers agrees better, by all pairs of prompts and by near neighbours, or that it cannot be told."""
    by_pairs = chosen.correlation.minus(pinned.correlation)
    by_neighbours = chosen.overlap.minus(pinned.overlap).times(100.0)
    said = []
    for what, found, digits, points in (
        ("all pairs of prompts (rank correlation)", by_pairs, 2, ""),
        ("near neighbours", by_neighbours, 0, " points"),
    ):
        by = f"{number(found.value, digits)}{points} [{number(found.low, digits)}, {number(found.high, digits)}]"
        if found.differs:
            said.append(f"by {what} the {'chosen' if found.value > 0 else 'pinned'} layers agree better: {by}")
        else:
            said.append(f"by {what} neither agrees better beyond chance: {by}")
    told = "; ".join(said)
    return f"Chosen − pinned: {told}."


def pairs_table(looks: Sequence[CloserLook]) -> pd.DataFrame:
    """One row per drawn pair of prompts and pair of layers."""
    parts = []
    for look in looks:
        ids, texts, pairs = np.asarray(look.ids), np.asarray(look.texts, object), look.pairs
        columns: dict[str, Any] = {"teacher_layer": look.teacher_layer, "student_layer": look.student_layer}
        for which, places in (("first", pairs.first), ("second", pairs.second)):
            columns |= {f"{which}_prompt": ids[places], f"{which}_text": texts[places]}
        columns |= {"student_cosine": pairs.student, "teacher_cosine": pairs.teacher}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def overlap_table(look: CloserLook) -> pd.DataFrame:
    """One row per prompt, the one that shares fewest neighbours first; its three nearest in each layer as texts."""
    text = dict(zip(look.ids, look.texts, strict=True))
    table = pd.DataFrame({"prompt": look.ids, "text": look.texts, "shared": look.overlap.values})
    for side, near in (("teacher", look.near.teacher), ("student", look.near.student)):
        table[f"nearest_{side}"] = [" | ".join(text[i] for i in row) for row in near]
    return table.sort_values(["shared", "prompt"], kind="stable", ignore_index=True)


def beside_table(chosen: CloserLook, pinned: CloserLook) -> pd.DataFrame:
    """One row per prompt, the one whose share of common neighbours differs most between the two pairs of layers first."""
    other = dict(zip(pinned.ids, pinned.overlap.values, strict=True))
    found = overlap_table(chosen)
    table = pd.DataFrame({"prompt": found["prompt"], "text": found["text"], "chosen": found["shared"]})
    table["pinned"] = [other.get(i) for i in table["prompt"]]
    table["difference"] = (table["chosen"] - table["pinned"]).round(4)
    order = table["difference"].abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)


def summary_table(chosen: CloserLook, pinned: CloserLook, label: str, grid: SimilarityGrid) -> pd.DataFrame:
    """Both pairs of layers and their difference, as text: similarity, rank correlation and shared neighbours, with intervals."""
    one, other = ((look.teacher_layer, look.student_layer) for look in (chosen, pinned))
    sides = [shown(float(grid.values[at]), float(grid.low[at]), float(grid.high[at])) for at in (one, other)]
    rows = [[label, *sides, number(float(grid.values[one] - grid.values[other]), 3)]]
    ranks, apart = (chosen.correlation, pinned.correlation), chosen.correlation.minus(pinned.correlation)
    sides = [shown(found.value, found.low, found.high) for found in ranks]
    rows.append(["Rank correlation of cosines", *sides, shown(apart.value, apart.low, apart.high)])
    shares, apart = (chosen.overlap, pinned.overlap), chosen.overlap.minus(pinned.overlap)
    sides = [shown(found.mean, found.low, found.high) for found in shares]
    rows.append(["Neighbours in common", *sides, shown(apart.value, apart.low, apart.high)])
    return pd.DataFrame(rows, columns=["What", "Chosen", "Pinned", "Chosen − pinned"])


def shown(value: float, low: float, high: float) -> str:
    """A value with its interval where it has one."""
    return number(value, 3) if low != low else f"{number(value, 3)} [{number(low, 3)}, {number(high, 3)}]"
