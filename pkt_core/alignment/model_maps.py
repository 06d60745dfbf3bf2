"""The training-free alignment map between two loaded models, from their heads and shared tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from pkt_core.alignment.basis import semantic_basis
from pkt_core.alignment.maps import AlignmentMap, permuted_vocabulary_map, random_basis_map, semantic_map
from pkt_core.models.loading import LoadedModel
from pkt_core.models.norms import final_norm
from pkt_core.models.vocabulary import VocabularyMatch, match_vocabularies


def match(teacher: LoadedModel, student: LoadedModel) -> VocabularyMatch:
    """Which tokens both vocabularies share."""
    rows = [m.layout.head.weight.shape[0] for m in (teacher, student)]
    return match_vocabularies(teacher.tokenizer, student.tokenizer, *rows)


def head_of(loaded: LoadedModel) -> Tensor:
    return loaded.layout.head.weight.detach().float().cpu()


def alignment_map(
    kind: str, teacher: LoadedModel, student: LoadedModel, shared: VocabularyMatch, seed: int, *, folded: bool = False
) -> AlignmentMap:
    """The training-free map from teacher to student space, or one of its two controls.

    `folded` makes the bases of each head with its final norm's gain in it.
    """
    generator = torch.Generator().manual_seed(seed)
    if kind == "random":
        return random_basis_map(teacher.d_model, student.d_model, shared.n, generator)
    teachers, students = (
        semantic_basis(head_of(side), gain=final_norm(side).gain if folded else None) for side in (teacher, student)
    )
    if kind == "permuted":
        return permuted_vocabulary_map(teachers, students, shared.teacher_ids, shared.student_ids, generator)
    return semantic_map(teachers, students, shared.teacher_ids, shared.student_ids)
