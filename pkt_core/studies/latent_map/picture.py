"""A latent map: both models in one plot, from their states of the same prompts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pkt_core.activations.collect import collect
from pkt_core.activations.pooling import Pooling
from pkt_core.alignment.maps import RIDGE, AlignmentMap, held_out_error, logit_preserving_map, procrustes_map, ridge_map
from pkt_core.alignment.model_maps import alignment_map, head_of, match
from pkt_core.base.arrays import rounded
from pkt_core.base.progress import Progress
from pkt_core.data.prompts import PromptSet
from pkt_core.errors import PlanError
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site
from pkt_core.projection.maps import NEIGHBOURS, neighbour_overlap, project_together
from pkt_core.studies.latent_map.record import LatentMap, Trust

SCALED = ("ridge", "procrustes")  # maps fitted to the student's scale, for which R2 is defined


@dataclass(frozen=True)
class MapSettings:
    """Settings of a latent map, except its prompts."""

    method: Literal["pca", "umap"]
    """The projection."""
    map: str
    """`semantic`, `logit-preserving`, `ridge` or `procrustes`."""
    pooling: Pooling
    """`last` or `mean`; `tokens` is refused."""
    seed: int
    """Of the sample of prompts, the control and the projection."""
    shuffled: bool
    """Whether to draw through the control map."""
    teacher_layer: int
    """From 0."""
    student_layer: int
    """From 0."""


def latent_map(
    teacher: LoadedModel, student: LoadedModel, texts: PromptSet, settings: MapSettings, progress: Progress
) -> LatentMap:
    """Half of the texts fit the alignment map (where it is fitted), the other half is plotted."""
    began = time.monotonic()
    sites = [Site("block_out", settings.teacher_layer)], [Site("block_out", settings.student_layer)]
    if settings.pooling == "tokens":
        raise PlanError("Got pooling tokens; a latent map shows one point per prompt. Choose last or mean pooling.")
    progress("Reading the prompts", 0.2)
    x = collect(teacher, texts.texts, sites[0], settings.pooling)[0]
    y = collect(student, texts.texts, sites[1], settings.pooling)[0]
    half = len(texts) // 2
    shown = range(half, len(texts))
    progress("Fitting the alignment map and its control", 0.5)
    fitted, control = map_and_control(teacher, student, settings.map, x[:half], y[:half], settings.seed)
    used = control if settings.shuffled else fitted
    progress("Drawing the projection", 0.6)
    picture = project_together(used(x[half:]), y[half:], method=settings.method, seed=settings.seed)
    overlap = neighbour_overlap(x[half:], y[half:])
    errors = [held_out_error(each, x[half:], y[half:]) for each in (fitted, control)]
    scaled = settings.map in SCALED
    return LatentMap(
        method=settings.method,
        teacher_xy=rounded(picture.teacher_xy),
        student_xy=rounded(picture.student_xy),
        ids=[texts.ids[i] for i in shown],
        texts=[texts.texts[i] for i in shown],
        labels={name: [values[i] for i in shown] for name, values in texts.labels.items()},
        last_tokens=[texts.texts[i].split()[-1] for i in shown],
        neighbour_overlap=[round(v, 3) for v in overlap.tolist()],
        trust=Trust(
            teacher=picture.trust_teacher,
            student=picture.trust_student,
            overlap=float(overlap.mean()),
            overlap_chance=NEIGHBOURS / (len(shown) - 1),
        ),
        map=settings.map,
        map_cosine=errors[0].cosine,
        map_control=errors[1].cosine,
        map_r2=errors[0].r2 if scaled else None,
        map_r2_control=errors[1].r2 if scaled else None,
        teacher_layer=settings.teacher_layer,
        student_layer=settings.student_layer,
        shuffled=settings.shuffled,
        seconds=time.monotonic() - began,
    )


def map_and_control(
    teacher: LoadedModel, student: LoadedModel, kind: str, x: Tensor, y: Tensor, seed: int
) -> tuple[AlignmentMap, AlignmentMap]:
    """A map and its control: the same map with its meaning removed."""
    if kind == "logit-preserving":
        found = match(teacher, student).require("the logit-preserving map")
        heads = head_of(teacher), head_of(student)
        order = torch.randperm(found.n, generator=torch.Generator().manual_seed(seed))
        true, permuted = (
            logit_preserving_map(*heads, found.teacher_ids, ids)
            for ids in (found.student_ids, found.student_ids[order])
        )
        return true, permuted
    if kind == "semantic":
        found = match(teacher, student).require("the semantic map")
        return tuple(alignment_map(k, teacher, student, found, seed) for k in ("semantic", "permuted"))  # type: ignore[return-value]
    shuffled = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))]
    if kind == "ridge":
        return ridge_map(x, y, RIDGE), ridge_map(x, shuffled, RIDGE)
    if kind == "procrustes":
        return procrustes_map(x, y), procrustes_map(x, shuffled)
    raise PlanError(f"Got the alignment map {kind!r}; expected semantic, logit-preserving, ridge or procrustes.")
