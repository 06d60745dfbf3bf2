"""One layer pair: similarity of prompts in the teacher layer and in the student layer, and where they disagree.

closer_look  a scatter of the pair, its rank correlation, prompts by shared neighbours  -> CloserLook  (stored)
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from pkt_core.activations.collect import pieces
from pkt_core.alignment.pairing import require_layer
from pkt_core.base.fingerprint import fingerprint
from pkt_core.base.progress import Progress, silent
from pkt_core.base.store import memo
from pkt_core.data.prompts import PromptSet, chosen, prompt_set
from pkt_core.models.catalog import Pair
from pkt_core.models.loading import load
from pkt_core.similarity.agreement import Agreement, agreement, beyond_chance, pairs_of
from pkt_core.similarity.interval import jackknife_interval
from pkt_core.similarity.neighbours import K
from pkt_core.similarity.null import calibrate
from pkt_core.similarity.outliers import learn
from pkt_core.studies.comparison.compute import COMPARE_VERSION, compare, kept_states
from pkt_core.studies.comparison.recipe import Recipe, pair_key
from pkt_core.studies.comparison.states import rows_each
from pkt_core.studies.layer_pair.record import (
    CloserLook,
    DrawnPairs,
    NearestPrompts,
    RankCorrelation,
    SharedNeighbours,
)

CLOSER_VERSION = 3


def closer_look(
    pair: Pair,
    *,
    teacher_layer: int,
    student_layer: int,
    prompts: str | PromptSet | None = None,
    progress: Progress = silent,
    **settings: object,
) -> CloserLook:
    """One layer pair over the prompts whose states the comparison stored, at most 512 samples; settings are those of `compare`.

    Raises LayerNotFound for a layer that is not there, MeasureError for one that is constant.
    """
    recipe = Recipe.of(settings)
    texts = prompt_set(prompts or pair.prompts).sample(recipe.n_prompts, recipe.seed)
    read = pair_key(pair, texts, recipe.model_dump(), COMPARE_VERSION)
    key = fingerprint(read=read, texts=texts.full_digest, layers=[teacher_layer, student_layer], version=CLOSER_VERSION)

    def look() -> CloserLook:
        compared = compare(pair, prompts=prompts, progress=lambda what, done: progress(what, 0.7 * done), **settings)
        states = kept_states(pair, texts, recipe, read, progress)
        for side, layer in (("teacher", teacher_layer), ("student", student_layer)):
            require_layer(side, layer, len(states[side]))
        progress("Comparing prompt by prompt", 0.8)
        return look_closely(
            recipe,
            (teacher_layer, student_layer),
            states["teacher"][teacher_layer],
            states["student"][student_layer],
            long_enough(pair, texts, recipe) if compared.grid.recipe.too_short else texts,
            len(texts) - compared.grid.recipe.too_short,
        )

    return memo("closer-look", key, CloserLook, look)


def long_enough(pair: Pair, texts: PromptSet, recipe: Recipe) -> PromptSet:
    """The prompts that pooling over words can use: only the tokenizers know which."""
    found = pieces(texts.texts, [load(pair.teacher), load(pair.student)], skip_first=recipe.skip_first)
    return chosen(texts, [number for number, spans in zip(texts.ids, found, strict=True) if spans])


PAIRS = 4000  # pairs of prompts that are drawn
NAMED = 3  # neighbours that are named


def by_prompt(recipe: Recipe, states: Float[Tensor, "n d"]) -> Float[Tensor, "prompt d"]:
    """One row a prompt, after the outlier rule; with pooling over words a prompt is the mean of its words."""
    each = rows_each(recipe)
    treated = learn(recipe.outliers, states[None])(states[None])[0].double()
    whole = len(treated) - len(treated) % each
    return treated[:whole].unflatten(0, (-1, each)).mean(1)


def interval(value: float, left_out: Tensor) -> tuple[float, float]:
    """Ends of the 95 % jackknife interval of one number."""
    low, high = jackknife_interval(torch.tensor([[value]], dtype=torch.float64), left_out[:, None, None])
    return float(low), float(high)


def rank_correlation(found: Agreement) -> RankCorrelation:
    """The correlation with its interval and its null."""
    calibrated = calibrate(torch.tensor([[found.correlation]], dtype=torch.float64), found.null[:, None, None])
    low, high = interval(found.correlation, found.left_out)
    return RankCorrelation(
        value=found.correlation,
        low=low,
        high=high,
        left_out=found.left_out.tolist(),
        p_value=float(calibrated.p_cells),
        noise=float(calibrated.noise_cells),
        draws=len(found.null),
    )


def shared_neighbours(found: Agreement) -> SharedNeighbours:
    """Each prompt's share of common neighbours, their mean with its interval, and what chance gives."""
    n, mean = len(found.overlap), float(found.overlap.mean())
    low, high = interval(mean, found.overlap_left_out)
    return SharedNeighbours(
        values=[round(share, 4) for share in found.overlap.tolist()],
        mean=mean,
        low=low,
        high=high,
        left_out=found.overlap_left_out.tolist(),
        chance=K / (n - 1),
        beyond=beyond_chance(n),
        k=K,
    )


def look_closely(
    recipe: Recipe,
    layers: tuple[int, int],
    teacher: Float[Tensor, "n d_T"],
    student: Float[Tensor, "n d_S"],
    texts: PromptSet,
    n_all: int,
) -> CloserLook:
    """The record from a comparison's states at the two layers; `texts` are the prompts they belong to, in order."""
    sides = [by_prompt(recipe, side) for side in (teacher, student)]
    found = agreement(*sides, draws=recipe.permutations, seed=recipe.seed)
    n = len(sides[0])
    drawn = pairs_of(n, PAIRS, recipe.seed)
    first, second = drawn.unbind(1)

    def rounded(alike: Tensor) -> list[float]:
        return [round(value, 4) for value in alike[first, second].tolist()]

    def named(near: Tensor) -> list[list[int]]:
        return [[texts.ids[place] for place in row] for row in near[:, :NAMED].tolist()]

    return CloserLook(
        *layers,
        ids=list(texts.ids[:n]),
        texts=list(texts.texts[:n]),
        n_all=n_all,
        recipe=recipe.model_dump(),
        pairs=DrawnPairs(first.tolist(), second.tolist(), rounded(found.teacher), rounded(found.student)),
        n_pairs=n * (n - 1) // 2,
        correlation=rank_correlation(found),
        overlap=shared_neighbours(found),
        near=NearestPrompts(named(found.near_teacher), named(found.near_student)),
    )
