"""Can a state be mapped from teacher to student, and by which map?

alignment_maps  every kind of map at one layer pair, each with its control    -> MapComparison  (stored)
stitching       the student stitched onto the teacher at every layer pair     -> StitchedGrid   (stored)

Half of the texts fit the maps, the other half scores them. A training-free map has one number fitted, its scale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cosine_similarity

from pkt_core.activations.paired import PairedBatch, paired_batches, without_massive
from pkt_core.alignment.basis import semantic_basis
from pkt_core.alignment.maps import (
    RIDGE,
    AlignmentMap,
    affine_map,
    logit_preserving_map,
    procrustes_map,
    ridge_map,
    scaled,
    semantic_map,
    split,
)
from pkt_core.alignment.model_maps import head_of, match
from pkt_core.alignment.pairing import require_layer
from pkt_core.base.arrays import lists
from pkt_core.base.progress import Progress, silent
from pkt_core.base.store import memo
from pkt_core.data.prompts import PromptSet, prompt_set
from pkt_core.errors import PlanError, PromptError
from pkt_core.evaluation.statistics import Estimate, ratio
from pkt_core.evaluation.stitching import n_bytes, own_bits, stitched_bits
from pkt_core.models.catalog import Pair
from pkt_core.models.loading import LoadedModel, load
from pkt_core.studies.alignment_maps.record import Kind, MapComparison, MapScore, Recipe, StitchedGrid
from pkt_core.studies.comparison.recipe import pair_key

TRANSLATION_VERSION = 2
N_PROMPTS = 256


def alignment_maps(
    pair: Pair,
    *,
    teacher_layer: int,
    student_layer: int,
    prompts: str | PromptSet | None = None,
    n_prompts: int = N_PROMPTS,
    seed: int = 0,
    progress: Progress = silent,
) -> MapComparison:
    """Semantic, logit-preserving, ridge, Procrustes and affine maps on texts they were not fitted on; computed once, then stored.

    Raises LayerNotFound for a missing layer, PromptError for fewer than 32 texts.
    """
    texts = prompt_set(prompts or pair.prompts).sample(n_prompts, seed)
    recipe = {"teacher_layer": teacher_layer, "student_layer": student_layer, "seed": seed}
    key = pair_key(pair, texts, recipe, TRANSLATION_VERSION)

    def make() -> MapComparison:
        progress("Loading both models", 0.0)
        teacher, student = load(pair.teacher), load(pair.student)
        layers = teacher_layer, student_layer
        for side, layer, n in zip(("teacher", "student"), layers, (teacher.n_layers, student.n_layers), strict=True):
            require_layer(side, layer, n)
        return maps_side_by_side(teacher, student, texts, layers, seed, progress)

    return memo("alignment-maps", key, MapComparison, make)


def stitching(
    pair: Pair,
    *,
    kind: str = "affine",
    prompts: str | PromptSet | None = None,
    n_prompts: int = N_PROMPTS,
    seed: int = 0,
    progress: Progress = silent,
) -> StitchedGrid:
    """Next-token loss of the stitched student for every layer pair; computed once, then stored.

    Raises PlanError for an unknown kind, PromptError for fewer than 32 texts.
    """
    made_of = require_kind(kind)
    texts = prompt_set(prompts or pair.prompts).sample(n_prompts, seed)
    key = pair_key(pair, texts, {"kind": kind, "seed": seed}, TRANSLATION_VERSION)

    def make() -> StitchedGrid:
        progress("Loading both models", 0.0)
        teacher, student = load(pair.teacher), load(pair.student)
        return stitched_grid(teacher, student, texts, made_of, seed, progress)

    return memo("stitching", key, StitchedGrid, make)


KINDS: tuple[Kind, ...] = get_args(Kind)
FREE = ("semantic", "logit-preserving")  # of training
MINIMUM_TEXTS = 32


def require_kind(kind: str) -> Kind:
    """The kind with that name; PlanError where there is none."""
    for known in KINDS:
        if known == kind:
            return known
    raise PlanError(f"There is no alignment map {kind!r}; expected one of {', '.join(KINDS)}.")


@dataclass(frozen=True)
class TokenStates:
    """Paired states of many tokens."""

    teacher: Float[Tensor, "L_T n d_T"]
    student: Float[Tensor, "L_S n d_S"]
    text: Int[Tensor, n]
    """Index of the text of each token."""

    @classmethod
    def of(cls, batches: list[PairedBatch]) -> TokenStates:
        texts, begin = [], 0
        for batch in batches:
            texts.append((begin + torch.arange(len(batch.ids)))[:, None].expand_as(batch.ids)[batch.paired])
            begin += len(batch.ids)
        return cls(
            torch.cat([batch.teacher[:, batch.paired] for batch in batches], dim=1),
            torch.cat([batch.student[:, batch.paired] for batch in batches], dim=1),
            torch.cat(texts),
        )


@dataclass(frozen=True)
class Halves:
    """States for fitting and states for scoring."""

    fitted: TokenStates
    held_out: TokenStates
    batches: list[PairedBatch]
    """Of the held-out half, for stitching."""
    massive: int
    """Tokens of both halves left out for a massive activation."""

    @classmethod
    def read(cls, teacher: LoadedModel, student: LoadedModel, texts: tuple[str, ...], progress: Progress) -> Halves:
        """Both models over all texts; the first half fits. Raises PromptError for too few texts."""
        if len(texts) < MINIMUM_TEXTS:
            raise PromptError(
                f"Got {len(texts)} prompts; comparing alignment maps needs at least {MINIMUM_TEXTS}, half to fit and half to "
                "score. Add prompts or choose another set."
            )
        half, sides, massive = len(texts) // 2, [], 0
        for begin, part in ((0, texts[:half]), (half, texts[half:])):
            batches = []
            for batch in paired_batches(teacher, student, part):
                batches.append(batch)
                done = (begin + sum(len(b.ids) for b in batches)) / len(texts)
                progress("Reading prompts with both models", 0.1 + 0.15 * done)
            kept, n = without_massive(batches)
            sides.append(kept)
            massive += n
        return cls(TokenStates.of(sides[0]), TokenStates.of(sides[1]), sides[1], massive)

    def recipe(self, texts: PromptSet, seed: int) -> Recipe:
        """How maps are fitted and scored on these halves; includes the number of tokens left out, where any."""
        left_out = {"massive": self.massive} if self.massive else {}
        return {"prompts": texts.name, "seed": seed, "ridge": RIDGE, "texts": len(texts.texts), **left_out}


class Maker:
    """Maps of one kind between any layers of two models, and their controls."""

    def __init__(self, kind: Kind, teacher: LoadedModel, student: LoadedModel, seed: int):
        self.kind = kind
        self.seed = seed
        self.free = self.training_free(teacher, student) if kind in FREE else None

    def training_free(self, teacher: LoadedModel, student: LoadedModel) -> dict[tuple[str, bool], AlignmentMap]:
        """From the two vocabularies alone: there and back, each also with the student's tokens permuted."""
        shared = match(teacher, student).require(f"the {self.kind} map")
        heads, ids = (head_of(teacher), head_of(student)), (shared.teacher_ids, shared.student_ids)
        order = torch.randperm(shared.n, generator=torch.Generator().manual_seed(self.seed))
        made: dict[tuple[str, bool], AlignmentMap] = {}
        if self.kind == "semantic":
            bases = semantic_basis(heads[0]), semantic_basis(heads[1])
            for control, student_ids in ((False, ids[1]), (True, ids[1][order])):
                there = semantic_map(*bases, ids[0], student_ids)
                made["there", control] = there
                made["back", control] = AlignmentMap(there.matrix.T, None, self.kind)  # S_T S_S^T of the same matches
            return made
        for control, student_ids in ((False, ids[1]), (True, ids[1][order])):
            made["there", control] = logit_preserving_map(*heads, ids[0], student_ids)
            made["back", control] = logit_preserving_map(*heads[::-1], student_ids, ids[0])
        return made

    def __call__(
        self, x: Float[Tensor, "n d1"], ys: Float[Tensor, "L n d2"], *, way: str, control: bool
    ) -> list[AlignmentMap]:
        """From one layer to each of several; way: `there` (teacher to student) or `back`."""
        if self.free is not None:
            return [scaled(self.free[way, control], x, y) for y in ys]
        if control:
            ys = ys[:, torch.randperm(len(x), generator=torch.Generator().manual_seed(self.seed))]
        if self.kind == "procrustes":
            return [procrustes_map(x, y) for y in ys]
        joint = ys.permute(1, 0, 2).flatten(1)
        return split(affine_map(x, joint) if self.kind == "affine" else ridge_map(x, joint, RIDGE), ys.shape[2])


def per_text(values: Float[Tensor, n], text: Int[Tensor, n]) -> Tensor:
    """Sums over the tokens of each text."""
    return torch.zeros(int(text.max()) + 1, dtype=torch.float64).index_add_(0, text, values.double())


def explained(guess: Float[Tensor, "n d"], true: Float[Tensor, "n d"], text: Int[Tensor, n]) -> Estimate:
    """R2 with a bootstrap over texts."""
    missed = per_text((guess - true).square().sum(1), text)
    spread = per_text((true - true.mean(0)).square().sum(1), text)
    kept = spread > 0
    unexplained = ratio(missed[kept], spread[kept])
    return Estimate(1 - unexplained.value, 1 - unexplained.high, 1 - unexplained.low, unexplained.n)


def per_byte(halves: Halves, of: Callable[[PairedBatch], Tensor]) -> Estimate:
    """Bits per byte over the held-out texts, with a bootstrap over them."""
    top, bottom = (torch.cat([f(batch) for batch in halves.batches]) for f in (of, n_bytes))
    return ratio(top[bottom > 0], bottom[bottom > 0])


def map_score(halves: Halves, layers: tuple[int, int], there: AlignmentMap, back: AlignmentMap) -> MapScore:
    """One map on the held-out half."""
    i, j = layers
    x, y, text = halves.held_out.teacher[i], halves.held_out.student[j], halves.held_out.text
    mapped = there(x)
    count = per_text(torch.ones(len(text)), text)
    cosines = per_text(cosine_similarity(mapped, y, dim=-1), text)
    return MapScore(
        cosine=ratio(cosines[count > 0], count[count > 0]),
        r2=explained(mapped, y, text),
        round_trip=explained(back(mapped), x, text),
        bits_per_byte=per_byte(halves, partial(stitched_bits, teacher_layer=i, student_layer=j, mapped=there)),
    )


def round_trip_bound(x: Float[Tensor, "n d"], width: int) -> float:
    """Share of the variance in the first `width` principal components: no linear way through that width keeps more of it."""
    variances = torch.linalg.svdvals(x.double() - x.double().mean(0)).square()
    return float(variances[:width].sum() / variances.sum())


def maps_side_by_side(
    teacher: LoadedModel,
    student: LoadedModel,
    texts: PromptSet,
    layers: tuple[int, int],
    seed: int,
    progress: Progress,
) -> MapComparison:
    """Every kind of map at one layer pair, with its control. Without a shared vocabulary, kinds that need one are left out."""
    halves = Halves.read(teacher, student, texts.texts, progress)
    i, j = layers
    fitted = halves.fitted
    x, y = fitted.teacher[i], fitted.student[j]
    shared = match(teacher, student)
    kinds = [kind for kind in KINDS if kind not in FREE or shared.enough]
    scores: dict[bool, dict[Kind, MapScore]] = {False: {}, True: {}}
    for k, kind in enumerate(kinds):
        progress("Fitting and stitching maps", 0.3 + 0.7 * k / len(kinds))
        make = Maker(kind, teacher, student, seed)
        for control, by_kind in scores.items():
            there = make(x, y[None], way="there", control=control)[0]
            # The map back is fitted on mapped states, not on the student's own states.
            back = make(there(x) if kind in FREE else y, x[None], way="back", control=control)[0]
            by_kind[kind] = map_score(halves, layers, there, back)
    mean = AlignmentMap(torch.zeros(y.shape[1], x.shape[1]), y.mean(0), "constant")
    return MapComparison(
        teacher_layer=i,
        student_layer=j,
        maps=scores[False],
        controls=scores[True],
        own=per_byte(halves, own_bits),
        constant=per_byte(halves, partial(stitched_bits, teacher_layer=i, student_layer=j, mapped=mean)),
        bound=round_trip_bound(x, y.shape[1]),
        n_fitted=len(fitted.text),
        n_held_out=len(halves.held_out.text),
        recipe=halves.recipe(texts, seed),
    )


def stitched_grid(
    teacher: LoadedModel,
    student: LoadedModel,
    texts: PromptSet,
    kind: Kind,
    seed: int,
    progress: Progress,
) -> StitchedGrid:
    """The student stitched onto the teacher at every layer pair through maps of one kind, with their controls."""
    make = Maker(kind, teacher, student, seed)
    halves = Halves.read(teacher, student, texts.texts, progress)
    fitted, held_out = halves.fitted, halves.held_out
    shape = teacher.n_layers, student.n_layers
    values, low, high, control, trips = (torch.zeros(shape, dtype=torch.float64) for _ in range(5))
    for i in range(shape[0]):
        x = fitted.teacher[i]
        there, permuted = (make(x, fitted.student, way="there", control=c) for c in (False, True))
        for j in range(shape[1]):
            progress(
                "Stitching every layer pair",
                0.25 + 0.75 * (i * shape[1] + j) / (shape[0] * shape[1]),
            )
            start = there[j](x) if kind in FREE else fitted.student[j]
            back = make(start, x[None], way="back", control=False)[0]
            true = held_out.teacher[i]
            trips[i, j] = explained(back(there[j](true)), true, held_out.text).value
            bits = per_byte(halves, partial(stitched_bits, teacher_layer=i, student_layer=j, mapped=there[j]))
            values[i, j], low[i, j], high[i, j] = bits.value, bits.low, bits.high
            of_control = partial(stitched_bits, teacher_layer=i, student_layer=j, mapped=permuted[j])
            control[i, j] = per_byte(halves, of_control).value
    return StitchedGrid(
        kind=kind,
        values=lists(values),
        low=lists(low),
        high=lists(high),
        control=lists(control),
        round_trip=lists(trips),
        own=per_byte(halves, own_bits),
        n=len(texts.texts) - len(texts.texts) // 2,
        recipe=halves.recipe(texts, seed),
    )
