"""Latent maps in words: their answers, captions and tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pkt_core.studies.latent_map.record import FALSE_ALARMS, ChainMap, LatentMap, TurnoverTable
from pkt_core.words.style import number, percent

LATENT = (
    "Each prompt appears twice: a circle for the teacher, mapped into the student's space, and a diamond for the student. "
    "Trust the colour by shared neighbours, which is computed in the full space, over distances on the page. A held-out cosine "
    "or R² no higher than that of its control, or shared neighbours at chance, would refute that the map aligns anything. "
    "Draw around points, or click one, to pick prompts."
)
CHAIN = (
    "The same prompts in each space, all panels on the same axes. Only who is near whom can be read, and of that only the share "
    "printed above each panel; distances between groups, their sizes and empty space mean little in a UMAP. Partners are pulled "
    "together with weight 0.01 where their neighbourhoods agree, so some likeness is drawn in: the null picture shows how much. "
    "Shared neighbours at chance, or a null picture as orderly between panels as this one, would refute that the spaces "
    "correspond. Draw around points, or click one, to pick prompts."
)
TURNOVER = (
    "Turnover is the share of a prompt's 10 nearest neighbours (full spaces, cosine) that are others in the second space. What "
    "ranks is turnover minus the median turnover of its neighbourhood, so a group that moves together stays at 0. q is the share "
    "of false alarms if this row and all above it were flagged; neighbours are not lost independently, so take it as a guide. No "
    "row beyond the noise of random pairings would mean that nobody stands out."
)


def latent(picture: LatentMap) -> str:
    """How well the alignment map holds on prompts it was not fitted on, beside its control and the shared neighbours."""
    trust = picture.trust
    return (
        f"{'Alike in part' if picture.alike else 'Not alike through this map'}: mapped teacher states meet the student's at cosine "
        f"{number(picture.map_cosine)} (control {number(picture.map_control)}), and the two spaces share "
        f"{percent(trust.overlap)} of each prompt's nearest neighbours (chance {percent(trust.overlap_chance)})."
    )


def chain(picture: ChainMap) -> str:
    """How many neighbours each step of a chain keeps in the full spaces, beside chance."""
    names = [one.title for one in picture.slices]
    steps, chance = picture.steps, picture.overlap_chance
    if picture.shuffled:
        return (
            f"Null picture: with partners dealt out at random the spaces share {percent(sum(steps) / len(steps))} of each "
            f"prompt's nearest neighbours, which is chance ({percent(chance)}). Order that you still see belongs to each space alone."
        )
    if picture.kind == "run":
        return (
            f"The student shares {percent(steps[0])} of each prompt's nearest neighbours with the teacher before the transfer and "
            f"{percent(picture.ends)} after it (chance {percent(chance)}); it kept {percent(steps[1])} of its own."
        )
    least = min(range(len(steps)), key=steps.__getitem__)
    if len(steps) == 1:
        return f"{names[0].capitalize()} and {names[1]} share {percent(steps[0])} of each prompt's nearest neighbours (chance {percent(chance)})."
    return (
        f"Consecutive layers share {percent(min(steps))} to {percent(max(steps))} of each prompt's nearest neighbours (chance "
        f"{percent(chance)}); the largest break is between {names[least]} and {names[least + 1]}."
    )


def turnover(table: TurnoverTable) -> str:
    """How much turns over in the mean, and who stands out from its neighbourhood."""
    surely = table.beyond_chance
    said = (
        f"From {table.first} to {table.second}, {percent(table.mean)} of each prompt's {table.k} nearest neighbours "
        f"change in the mean (unrelated spaces: {percent(table.chance)}). "
    )
    who = f"{surely} of {len(table.rows)} prompts" if surely else "No prompt"
    return (
        f"{said}{who} changed more than the prompts around {'them' if surely else 'it'} beyond chance (q < {FALSE_ALARMS}). Random "
        f"pairings reach {number(table.noise)} beyond the neighbourhood; {table.beyond_noise} prompts do, so the rest of the ranking is noise."
    )


def latent_table(latent: LatentMap) -> pd.DataFrame:
    """One row per prompt: both places, labels, last token, shared neighbours."""
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
    """One row per prompt and slice: place, labels, last token, neighbours shared with the slices beside it."""
    parts = []
    for one, xy, overlap in zip(chain.slices, chain.xy, chain.overlap, strict=True):
        places = np.asarray(xy, float)
        columns = {"prompt": chain.ids, "text": chain.texts, "last_token": chain.last_tokens}
        columns |= {f"label_{name}": values for name, values in chain.labels.items()}
        columns |= {"slice": one.name, "layer": one.layer, "x": places[:, 0], "y": places[:, 1]}
        parts.append(pd.DataFrame({**columns, "neighbour_overlap": overlap}))
    return pd.concat(parts, ignore_index=True)


def turnover_table(table: TurnoverTable) -> pd.DataFrame:
    """One row per prompt, ranked as found: turnover, how much more than its neighbourhood, q, labels, neighbours as texts."""
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
