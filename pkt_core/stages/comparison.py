"""The stages of a comparison after reading: recomposition, attribution, pairing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pkt_core.alignment.attribution import LayerAttribution, layer_attribution
from pkt_core.alignment.basis import semantic_basis
from pkt_core.alignment.maps import permuted_vocabulary_map, semantic_map
from pkt_core.alignment.pairing import pair_for, pair_layers
from pkt_core.alignment.recomposition import (
    DRAWS,
    CrossingCurves,
    RecompositionCurves,
    crossing_curves,
    recomposition_curves,
)
from pkt_core.errors import ExampleTooLong
from pkt_core.examples import ExampleSet, encode, load_examples
from pkt_core.models.loading import LoadedModel
from pkt_core.models.vocabulary import MINIMUM_SHARE, vocabulary_side
from pkt_core.results import ModelFacts, VocabularyFacts
from pkt_core.stages.shared import head_of, match

ATTRIBUTED_EXAMPLES = 64


def recomposition(
    teacher: LoadedModel, student: LoadedModel, states: dict[str, Tensor], seed: int
) -> tuple[dict[str, RecompositionCurves], CrossingCurves | None]:
    """How well each model's vocabulary bases recompose its own states, and the teacher's on the student's, with controls."""
    curves, bases = {}, {}
    for side, loaded in (("teacher", teacher), ("student", student)):
        generator = torch.Generator().manual_seed(seed)
        rows = loaded.model.get_input_embeddings().weight.float().cpu()
        bases[side] = semantic_basis(head_of(loaded))
        curves[side] = recomposition_curves(states[side], bases[side], rows, generator)
    found = match(teacher, student)
    if found.share < MINIMUM_SHARE:
        return curves, None
    given = (bases["teacher"], bases["student"], found.teacher_ids, found.student_ids)
    generator = torch.Generator().manual_seed(seed)
    crossing = crossing_curves(
        states["teacher"],
        states["student"],
        pair_layers(teacher.n_layers, student.n_layers),
        semantic_map(*given),
        [permuted_vocabulary_map(*given, generator) for _ in range(DRAWS)],
    )
    return curves, crossing


def attribution(teacher: LoadedModel, examples: str | ExampleSet, seed: int) -> LayerAttribution:
    """Gradient x activation of the teacher's answers, at most 64 examples."""
    chosen = (load_examples(examples) if isinstance(examples, str) else examples).sample(ATTRIBUTED_EXAMPLES, seed)
    encoded = encode(teacher.tokenizer, chosen.items, teacher.context)
    return layer_attribution(teacher, encoded, batch_size=16)


def readable_attribution(teacher: LoadedModel, examples: str, seed: int) -> LayerAttribution | None:
    """The same; None where the teacher reads fewer tokens at once than an example has: a comparison does not rest on it."""
    try:
        return attribution(teacher, examples, seed)
    except ExampleTooLong:
        return None


def pairing(n_teacher: int, n_student: int, found: LayerAttribution | None) -> tuple[list[int], tuple[int, int]]:
    """The paper's pairing, and the pair that a transfer would choose."""
    best = n_teacher - 1 if found is None else found.best
    return pair_layers(n_teacher, n_student), pair_for(best, n_teacher, n_student)


def pair_facts(teacher: LoadedModel, student: LoadedModel) -> dict[str, Any]:
    """Sizes of both models and the overlap of their vocabularies."""
    found = match(teacher, student)
    sides = [vocabulary_side(m.tokenizer, m.layout.head.weight.shape[0], found.n) for m in (teacher, student)]
    vocabulary = VocabularyFacts.of(found, *sides)
    return {"teacher": ModelFacts.of(teacher), "student": ModelFacts.of(student), "vocabulary": vocabulary}
