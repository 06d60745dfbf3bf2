"""One pass of both models over the prompts: the streamed grid, the states for other measures, and their outliers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pkt_core.activations.collect import pieces, stream, token_norms
from pkt_core.activations.spans import Span
from pkt_core.base.progress import Progress
from pkt_core.data.prompts import PER_PROMPT, PromptSet
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site
from pkt_core.similarity.fitter import GridFitter
from pkt_core.similarity.grid import SimilarityGrid
from pkt_core.similarity.outliers import first_ratio, top_share
from pkt_core.studies.comparison.recipe import Recipe
from pkt_core.studies.comparison.record import OutlierFacts, Side, Sides

States = dict[str, Tensor]
KEPT_SAMPLES = 512  # for measures that need all samples at once
FIRST_PROMPTS = 16  # prompts whose first position is measured


def block_sites(loaded: LoadedModel, part: str) -> list[Site]:
    """The site of that part in every layer."""
    return [loaded.require(Site(part, layer)) for layer in range(loaded.n_layers)]  # type: ignore[arg-type]


def rows_each(recipe: Recipe) -> int:
    """Samples per prompt; they are dependent and are permuted together."""
    return PER_PROMPT if recipe.pooling == "tokens" else 1


def readable(
    texts: PromptSet, recipe: Recipe, models: Sequence[LoadedModel]
) -> tuple[list[str], list[list[Span]] | None]:
    """The texts that the recipe's pooling can use, and with `tokens` pooling the spans shared by all tokenizers.

    Raises PromptError where there are too few for a grid.
    """
    read, spans = list(texts.texts), None
    if recipe.pooling == "tokens":  # some have too few shared spans; the recipe counts them
        found = pieces(read, models, skip_first=recipe.skip_first)
        read, spans = [t for t, s in zip(read, found, strict=True) if s], [s for s in found if s]
    texts.require_samples(recipe.pooling, len(read))
    return read, spans


def read_both(
    teacher: LoadedModel, student: LoadedModel, texts: PromptSet, recipe: Recipe, progress: Progress
) -> tuple[SimilarityGrid, States]:
    """One pass over the texts; the grid of all samples, and the first samples' states `[layer, n, d_model]` of each."""
    read, spans = readable(texts, recipe, [teacher, student])
    fitter = GridFitter(
        teacher.n_layers,
        student.n_layers,
        permutations=recipe.permutations,
        seed=recipe.seed,
        group_size=rows_each(recipe),
        rule=recipe.outliers,
    )
    batch = 16
    streams = zip(
        *(
            stream(
                side,
                read,
                block_sites(side, recipe.part),
                recipe.pooling,
                skip_first=recipe.skip_first,
                spans=spans,
                batch_size=batch,
            )
            for side in (teacher, student)
        ),
        strict=True,
    )
    kept: dict[str, list[Tensor]] = {"teacher": [], "student": []}
    for i, (of_teacher, of_student) in enumerate(streams):
        fitter.update(of_teacher.cpu(), of_student.cpu())
        if i * batch * rows_each(recipe) < KEPT_SAMPLES:
            kept["teacher"].append(of_teacher.cpu())
            kept["student"].append(of_student.cpu())
        done = min(len(read), (i + 1) * batch)
        progress(f"Reading prompts, {done} of {len(read)}", 0.15 + 0.45 * done / len(read))
    progress("Permutation null of the grid's maximum", 0.62)
    states = {side: torch.cat(parts, dim=1)[:, :KEPT_SAMPLES] for side, parts in kept.items()}
    grid = fitter.finish()
    whole = replace(
        grid.recipe,
        pooling=recipe.pooling,
        part=recipe.part,
        skip_first=recipe.skip_first,
        too_short=len(texts) - len(read),
        repeats=texts.repeats,
        block_difference=block_difference(states, fitter),
    )
    return replace(grid, recipe=whole), states


def block_difference(states: States, like: GridFitter) -> float:
    """Largest difference in any cell due to mini-batches, on the stored samples; 0 where there is one block."""
    n = states["teacher"].shape[1]
    if n <= like.block:
        return 0.0
    values = []
    for block in (like.block, n - n % like.group_size):
        fitter = GridFitter(
            *like.shape, block=block, permutations=0, draws=0, group_size=like.group_size, rule=like.rule
        )
        fitter.update(states["teacher"], states["student"])
        values.append(fitter.finish().values)
    return float(np.nan_to_num(np.abs(values[0] - values[1])).max())


def outlier_facts(models: Sides[LoadedModel], states: States, texts: PromptSet, part: str) -> Sides[OutlierFacts]:
    """Per model and layer: variance share of the largest dimension and of the largest three; norm at position 0 over the
    median of the others."""

    def facts(side: Side, loaded: LoadedModel) -> OutlierFacts:
        sites = block_sites(loaded, part)
        long_enough = [text for text in texts.texts if len(loaded.tokenizer(text)["input_ids"]) > 2][:FIRST_PROMPTS]
        ratios = [first_ratio(token_norms(loaded, text, sites)) for text in long_enough]
        return OutlierFacts(
            top_share=top_share(states[side]).tolist(),
            top3_share=top_share(states[side], 3).tolist(),
            first_ratio=torch.stack(ratios).median(0).values.tolist() if ratios else [],
        )

    return Sides(*(facts(side, loaded) for side, loaded in models.items()))
