"""What several stages need: prompts, keys, vocabularies, heads, alignment maps, memory."""

from __future__ import annotations

import platform
from typing import Any

import torch
from torch import Tensor

from pkt_core import __version__
from pkt_core.activations.collect import CAPTURE_VERSION
from pkt_core.alignment.basis import semantic_basis
from pkt_core.alignment.maps import (
    AlignmentMap,
    permuted_vocabulary_map,
    random_basis_map,
    semantic_map,
)
from pkt_core.catalog import Pair
from pkt_core.models.loading import LoadedModel, model_digest
from pkt_core.models.norms import final_norm
from pkt_core.models.vocabulary import VocabularyMatch, match_vocabularies
from pkt_core.prompts import PromptSet, load_prompts
from pkt_core.store import fingerprint


def prompt_set(prompts: str | PromptSet) -> PromptSet:
    """A set by name, or itself."""
    return load_prompts(prompts) if isinstance(prompts, str) else prompts


def pair_key(pair: Pair, texts: PromptSet, recipe: dict[str, Any], version: int) -> str:
    """Names a stored result by all that could change it."""
    if texts.repeats:  # they change no number, but a result says how many there were
        recipe = recipe | {"repeats": texts.repeats}
    held = [(model_digest(ref), ref.dtype, ref.device) for ref in (pair.teacher, pair.student)]
    return fingerprint(
        models=[list(h) for h in held],
        texts=texts.digest,
        labels=pair.examples,
        recipe=recipe,
        versions=[version, CAPTURE_VERSION],
    )


def match(teacher: LoadedModel, student: LoadedModel) -> VocabularyMatch:
    """Which tokens both vocabularies share."""
    rows = [m.layout.head.weight.shape[0] for m in (teacher, student)]
    return match_vocabularies(teacher.tokenizer, student.tokenizer, *rows)


def head_of(loaded: LoadedModel) -> Tensor:
    return loaded.layout.head.weight.detach().float().cpu()


def alignment_map(
    kind: str, teacher: LoadedModel, student: LoadedModel, found: VocabularyMatch, seed: int, *, folded: bool = False
) -> AlignmentMap:
    """The training-free map from teacher to student space, or one of its two controls.

    `folded` makes the bases of each head with its final norm's gain in it.
    """
    generator = torch.Generator().manual_seed(seed)
    if kind == "random":
        return random_basis_map(teacher.d_model, student.d_model, found.n, generator)
    teachers, students = (
        semantic_basis(head_of(side), gain=final_norm(side).gain if folded else None) for side in (teacher, student)
    )
    if kind == "permuted":
        return permuted_vocabulary_map(teachers, students, found.teacher_ids, found.student_ids, generator)
    return semantic_map(teachers, students, found.teacher_ids, found.student_ids)


def versions() -> dict[str, str]:
    """What computed a result."""
    import transformers

    return {
        "pkt": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else platform.processor() or platform.machine(),
    }
