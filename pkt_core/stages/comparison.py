"""The stages of a comparison: grid, recomposition, attribution, pairing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pkt_core.activations.collect import pieces, stream
from pkt_core.activations.pooling import PER_PROMPT, Pooling
from pkt_core.alignment.attribution import LayerAttribution, layer_attribution
from pkt_core.alignment.basis import semantic_basis
from pkt_core.alignment.inspect import RecompositionCurves, recomposition_curves
from pkt_core.alignment.pairing import pair_for, pair_layers
from pkt_core.errors import MeasureError, PromptError
from pkt_core.examples import ExampleSet, encode, load_examples
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site
from pkt_core.prompts import PromptSet
from pkt_core.results import ModelFacts, VocabularyFacts
from pkt_core.similarity.grid import GridFitter, SimilarityGrid
from pkt_core.stages.shared import head_of, match

Progress = Callable[[str, float], None]
BLOCK = 64  # samples per mini-batch of the HSIC estimate
KEPT_STATES = 128  # prompts whose states are kept for recomposition curves
ATTRIBUTED_EXAMPLES = 64


def block_sites(loaded: LoadedModel, part: str) -> list[Site]:
    """The site of that part in every layer."""
    return [loaded.require(Site(part, layer)) for layer in range(loaded.n_layers)]  # type: ignore[arg-type]


def similarity_grid(
    teacher: LoadedModel, student: LoadedModel, texts: PromptSet, recipe: dict[str, Any], progress: Progress
) -> tuple[SimilarityGrid, dict[str, Tensor]]:
    """Both models once over the texts; the grid, and the first prompts' states `[layer, n, d_model]` of each."""
    pooling: Pooling = recipe["pooling"]
    if recipe["measure"] != "debiased_linear_cka":
        raise MeasureError(f"Got the measure {recipe['measure']!r} for a whole grid; expected debiased_linear_cka.")
    read = list(texts.texts)
    if pooling == "tokens":
        read = [text for text in read if pieces(text)]  # shorter ones have too few words to look at
    rows_each = PER_PROMPT if pooling == "tokens" else 1
    if len(read) * rows_each < BLOCK:
        raise PromptError(
            f"{texts.name} gives {len(read) * rows_each} samples with {pooling} pooling; a similarity grid needs at least {BLOCK}. "
            "Add prompts or choose another set."
        )
    fitter = GridFitter(
        teacher.n_layers,
        student.n_layers,
        block=BLOCK,
        permutations=recipe["permutations"],
        seed=recipe["seed"],
        group_size=rows_each,
    )
    sites = {"teacher": block_sites(teacher, recipe["part"]), "student": block_sites(student, recipe["part"])}
    batch = 16
    streams = zip(
        stream(teacher, read, sites["teacher"], pooling, batch_size=batch),
        stream(student, read, sites["student"], pooling, batch_size=batch),
        strict=True,
    )
    kept: dict[str, list[Tensor]] = {"teacher": [], "student": []}
    for i, (of_teacher, of_student) in enumerate(streams):
        fitter.update(of_teacher.cpu(), of_student.cpu())
        if i * batch < KEPT_STATES:
            kept["teacher"].append(of_teacher.cpu())
            kept["student"].append(of_student.cpu())
        done = min(len(read), (i + 1) * batch)
        progress(f"Reading prompts, {done} of {len(read)}", 0.15 + 0.45 * done / len(read))
    progress("Permutation null of the grid's maximum", 0.62)
    return fitter.finish(), {side: torch.cat(parts, dim=1) for side, parts in kept.items()}


def recomposition(
    teacher: LoadedModel, student: LoadedModel, states: dict[str, Tensor], seed: int
) -> dict[str, RecompositionCurves]:
    """How well each model's vocabulary bases recompose its own states, layer by layer, with controls."""
    curves = {}
    for side, loaded in (("teacher", teacher), ("student", student)):
        generator = torch.Generator().manual_seed(seed)
        rows = loaded.model.get_input_embeddings().weight.float().cpu()
        curves[side] = recomposition_curves(states[side], semantic_basis(head_of(loaded)), rows, generator)
    return curves


def attribution(teacher: LoadedModel, examples: str | ExampleSet, seed: int) -> LayerAttribution:
    """Gradient x activation of the teacher's answers, at most 64 examples."""
    chosen = (load_examples(examples) if isinstance(examples, str) else examples).sample(ATTRIBUTED_EXAMPLES, seed)
    encoded = encode(teacher.tokenizer, chosen.items, teacher.context)
    return layer_attribution(teacher, encoded, batch_size=16)


def pairing(n_teacher: int, n_student: int, found: LayerAttribution | None) -> tuple[list[int], tuple[int, int]]:
    """The paper's pairing, and the pair that a transfer would choose."""
    best = n_teacher - 1 if found is None else found.best
    return pair_layers(n_teacher, n_student), pair_for(best, n_teacher, n_student)


def pair_facts(teacher: LoadedModel, student: LoadedModel) -> dict[str, Any]:
    """Sizes of both models and the overlap of their vocabularies."""
    vocabulary = VocabularyFacts.of(match(teacher, student))
    return {"teacher": ModelFacts.of(teacher), "student": ModelFacts.of(student), "vocabulary": vocabulary}
