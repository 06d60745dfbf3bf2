"""Latent maps: headlines, captions and tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pkt_core.studies.latent_map.record import FALSE_ALARMS, ChainMap, LatentMap, TurnoverTable
from pkt_core.words.style import number, percent

LATENT = (
    "Each prompt appears twice: a circle for the teacher, mapped into the student's space, and a diamond for the student. "
    "Colour by shared neighbours is computed in the full spaces; trust it more than distances in the plot. A held-out cosine or R² "
    "no higher than its control, or shared neighbours at chance, refutes that the map aligns the spaces. "
    "Draw around points, or click one, to pick prompts."
)
CHAIN = (
    "The same prompts in each space, all panels on the same axes. Only neighbourhoods can be read, and only the share printed above each "
    "panel is preserved. Distances between groups, group sizes and empty space mean little in a UMAP. Matching points are pulled together "
    "with weight 0.01 where their neighbourhoods agree, which adds some similarity; the null picture shows how much. Shared neighbours at "
    "chance, or a null picture as ordered across panels as this one, refutes that the spaces correspond. Draw around points, or click one, "
    "to pick prompts."
)
TURNOVER = (
    "Turnover: share of a prompt's 10 nearest neighbours (full spaces, cosine) that differ in the second space. Rows are ranked by turnover "
    "minus the median of the neighbourhood, so a group that moves together stays at 0. q: false discovery rate if this row and all above it "
    "are flagged; neighbours are not lost independently, so it is approximate. If no row exceeds the noise of random pairings, no prompt "
    "stands out."
)


def latent(picture: LatentMap) -> str:
    """Headline: cosine of mapped teacher and student states on held-out prompts, with its control; then shared neighbours."""
    trust = picture.trust
    return (
        f"{'Partly aligned' if picture.alike else 'Not aligned by this map'}: mapped teacher and student states have cosine "
        f"{number(picture.map_cosine)} (control {number(picture.map_control)}). The two spaces share "
        f"{percent(trust.overlap)} of each prompt's nearest neighbours (chance {percent(trust.overlap_chance)})."
    )


def chain(picture: ChainMap) -> str:
    """Headline: share of neighbours that each step of a chain preserves in the full spaces, with chance."""
    names = [one.title for one in picture.slices]
    steps, chance = picture.steps, picture.overlap_chance
    if picture.shuffled:
        return (
            f"Null picture: with prompts paired at random, the spaces share {percent(sum(steps) / len(steps))} of each "
            f"prompt's nearest neighbours (chance {percent(chance)}). Any order that remains belongs to the single spaces."
        )
    if picture.kind == "run":
        return (
            f"The student shares {percent(steps[0])} of each prompt's nearest neighbours with the teacher before the transfer and "
            f"{percent(picture.ends)} after it. Chance is {percent(chance)}; the student kept {percent(steps[1])} of its own neighbours."
        )
    least = min(range(len(steps)), key=steps.__getitem__)
    if len(steps) == 1:
        return f"{names[0].capitalize()} and {names[1]} share {percent(steps[0])} of each prompt's nearest neighbours (chance {percent(chance)})."
    return (
        f"Consecutive layers share {percent(min(steps))} to {percent(max(steps))} of each prompt's nearest neighbours. Chance is "
        f"{percent(chance)}; the largest change is between {names[least]} and {names[least + 1]}."
    )


def turnover(table: TurnoverTable) -> str:
    """Mean turnover, and the prompts that changed more than their neighbourhood."""
    significant = table.beyond_chance
    mean = (
        f"From {table.first} to {table.second}, {percent(table.mean)} of each prompt's {table.k} nearest neighbours "
        f"change on average (unrelated spaces: {percent(table.chance)}). "
    )
    who = f"{significant} of {len(table.rows)} prompts" if significant else "No prompt"
    return (
        f"{mean}{who} changed significantly more than the prompts around {'them' if significant else 'it'} (q < {FALSE_ALARMS}). Noise level of "
        f"random pairings: {number(table.noise)} above the neighbourhood; {table.beyond_noise} prompts exceed it."
    )


def latent_table(latent: LatentMap) -> pd.DataFrame:
    """One row per prompt: both positions, labels, last token, shared neighbours."""
    teacher, student = (np.asarray(xy, float) for xy in (latent.teacher_xy, latent.student_xy))
    columns: dict[str, Any] = {
        "prompt": latent.ids,
        "text": latent.texts,
        "last_token": latent.last_tokens,
        "neighbour_overlap": latent.neighbour_overlap,
    }
    columns |= {f"label_{name}": values for name, values in latent.labels.items()}
    columns |= {
        "teacher_x": teacher[:, 0],
        "teacher_y": teacher[:, 1],
        "student_x": student[:, 0],
        "student_y": student[:, 1],
    }
    return pd.DataFrame(columns)


def chain_table(chain: ChainMap) -> pd.DataFrame:
    """One row per prompt and slice: position, labels, last token, neighbours shared with adjacent slices."""
    parts = []
    for one, xy, overlap in zip(chain.slices, chain.xy, chain.overlap, strict=True):
        places = np.asarray(xy, float)
        columns = {"prompt": chain.ids, "text": chain.texts, "last_token": chain.last_tokens}
        columns |= {f"label_{name}": values for name, values in chain.labels.items()}
        columns |= {"slice": one.name, "layer": one.layer, "x": places[:, 0], "y": places[:, 1]}
        parts.append(pd.DataFrame({**columns, "neighbour_overlap": overlap}))
    return pd.concat(parts, ignore_index=True)


def turnover_table(table: TurnoverTable) -> pd.DataFrame:
    """One row per prompt, in the order of the record: turnover, excess over its neighbourhood, q, labels, neighbours as texts."""
    texts, labels = table.texts, table.labels
    return pd.DataFrame(
        [
            {
                "prompt": row.id,
                "text": row.text,
                "beyond_neighbourhood": row.relative,
                "q": row.q,
                "turnover": row.turnover,
                "neighbours_before": " | ".join(texts[str(i)] for i in row.before),
                "neighbours_after": " | ".join(texts[str(i)] for i in row.after),
                **{name: values[str(row.id)] for name, values in labels.items()},
            }
            for row in table.rows
        ]
    )
