"""One layer pair: headline, captions and tables, and the comparison of two pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pkt_core.similarity.grid import SimilarityGrid
from pkt_core.studies.layer_pair.record import CloserLook
from pkt_core.words.style import number, p_value, percent

SCATTER = (
    "Each point is a pair of prompts: x, cosine similarity in the student layer; y, in the teacher layer (centred states). CKA and RSA "
    "summarise this plot. The line is the median of each tenth of the points. A rank correlation within the shuffled null means that the layers "
    "share no similarity structure. Click a point to pick its two prompts."
)
OVERLAP = (
    "Share of each prompt's 10 nearest prompts that the two layers have in common, lowest first; select rows to pick them for every page. Low "
    "shares mark disagreement, unless the prompt's neighbours are almost equidistant. If all shares are near chance, the layers share no "
    "neighbourhood structure."
)
BESIDE = (
    "The same pairs of prompts on the same axes. Intervals are jackknifed over tenths of the prompts, the same tenths for both, so the "
    "interval of the difference is paired. If it covers 0, neither layer pair agrees better. If the pairs were picked because they look "
    "different, the difference is biased upwards."
)
DIFFERENT = (
    "Prompts by the difference in shared neighbours between the two layer pairs. The top rows are the largest of many, and a share of 10 "
    "neighbours has steps of 10 points: use them as examples, not as counts."
)
PINNED = " The dashed frame is the pinned layer pair, which is compared with the chosen one below."
WORDS = " With token pooling, a prompt here is the mean of its words."


def name(look: CloserLook) -> str:
    """The pair of layers."""
    return f"teacher layer {look.teacher_layer} and student layer {look.student_layer}"


def correlation(look: CloserLook) -> str:
    """Whether prompts similar in one layer are similar in the other, with interval and null."""
    rho, n = look.correlation, len(look.ids)
    verdict = (
        "Prompts similar in the student layer tend to be similar in the teacher layer"
        if rho.beyond_chance
        else "Prompt similarity in the student layer predicts that in the teacher layer no better than chance"
    )
    return (
        f"{verdict}: rank correlation {number(rho.value)}, 95 % interval {number(rho.low)} to {number(rho.high)}, "
        f"over all {look.n_pairs:,} pairs of {n} prompts. Noise level with shuffled prompts: {number(rho.noise, 3)} (p "
        f"{p_value(rho.p_value)}, {rho.draws} shuffles)."
    )


def overlap(look: CloserLook) -> str:
    """How many neighbours are shared, and how many prompts share no more than chance."""
    shared = look.overlap
    return (
        f"The two layers share {percent(shared.mean)} of each prompt's {shared.k} nearest prompts, 95 % interval "
        f"{percent(shared.low)} to {percent(shared.high)} (chance {percent(shared.chance)}). {shared.by_chance} of {len(shared.values)} "
        f"prompts share less than {percent(shared.beyond)}, which is within noise."
    )


def sample(look: CloserLook) -> str:
    """Size of the sample that is drawn; empty where all is drawn."""
    drawn, n = len(look.pairs.first), len(look.ids)
    limits = (
        [f"a random sample of {drawn:,} of {look.n_pairs:,} pairs of prompts is drawn"] if drawn < look.n_pairs else []
    )
    if n < look.n_all:
        limits.append(f"the comparison stores the states of its first {n} prompts of {look.n_all:,}")
    return f"{'; '.join(limits).capitalize()}." if limits else ""


def beside(chosen: CloserLook, pinned: CloserLook) -> str:
    """Which of two layer pairs agrees better, by all pairs of prompts and by nearest neighbours, or neither."""
    by_pairs = chosen.correlation.minus(pinned.correlation)
    by_neighbours = chosen.overlap.minus(pinned.overlap).times(100.0)
    verdicts = []
    for what, apart, digits, points in (
        ("all pairs of prompts (rank correlation)", by_pairs, 2, ""),
        ("nearest neighbours", by_neighbours, 0, " points"),
    ):
        by = f"{number(apart.value, digits)}{points} [{number(apart.low, digits)}, {number(apart.high, digits)}]"
        if apart.differs:
            verdicts.append(f"by {what} the {'chosen' if apart.value > 0 else 'pinned'} layers agree better: {by}")
        else:
            verdicts.append(f"by {what} neither agrees significantly better: {by}")
    return f"Chosen − pinned: {'; '.join(verdicts)}."


def pairs_table(looks: Sequence[CloserLook]) -> pd.DataFrame:
    """One row per drawn pair of prompts and layer pair."""
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
    """One row per prompt, fewest shared neighbours first; its three nearest in each layer as texts."""
    text = dict(zip(look.ids, look.texts, strict=True))
    table = pd.DataFrame({"prompt": look.ids, "text": look.texts, "shared": look.overlap.values})
    for side, near in (("teacher", look.near.teacher), ("student", look.near.student)):
        table[f"nearest_{side}"] = [" | ".join(text[i] for i in row) for row in near]
    return table.sort_values(["shared", "prompt"], kind="stable", ignore_index=True)


def beside_table(chosen: CloserLook, pinned: CloserLook) -> pd.DataFrame:
    """One row per prompt, largest difference in shared neighbours between the two layer pairs first."""
    other = dict(zip(pinned.ids, pinned.overlap.values, strict=True))
    overlaps = overlap_table(chosen)
    table = pd.DataFrame({"prompt": overlaps["prompt"], "text": overlaps["text"], "chosen": overlaps["shared"]})
    table["pinned"] = [other.get(i) for i in table["prompt"]]
    table["difference"] = (table["chosen"] - table["pinned"]).round(4)
    order = table["difference"].abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)


def summary_table(chosen: CloserLook, pinned: CloserLook, label: str, grid: SimilarityGrid) -> pd.DataFrame:
    """Both layer pairs and their difference, as text: similarity, rank correlation and shared neighbours, with intervals."""
    one, other = ((look.teacher_layer, look.student_layer) for look in (chosen, pinned))
    sides = [shown(float(grid.values[at]), float(grid.low[at]), float(grid.high[at])) for at in (one, other)]
    rows = [[label, *sides, number(float(grid.values[one] - grid.values[other]), 3)]]
    ranks, apart = (chosen.correlation, pinned.correlation), chosen.correlation.minus(pinned.correlation)
    sides = [shown(found.value, found.low, found.high) for found in ranks]
    rows.append(["Rank correlation of cosines", *sides, shown(apart.value, apart.low, apart.high)])
    shares, apart = (chosen.overlap, pinned.overlap), chosen.overlap.minus(pinned.overlap)
    sides = [shown(found.mean, found.low, found.high) for found in shares]
    rows.append(["Shared neighbours", *sides, shown(apart.value, apart.low, apart.high)])
    return pd.DataFrame(rows, columns=["Measure", "Chosen", "Pinned", "Chosen − pinned"])


def shown(value: float, low: float, high: float) -> str:
    """A value with its interval where it has one."""
    return number(value, 3) if low != low else f"{number(value, 3)} [{number(low, 3)}, {number(high, 3)}]"
