"""The story's question before any transfer: can a state be carried across at all, and by which map?

alignment_maps  every kind of map at one pair of layers, each beside its control   -> MapComparison  (stored)
stitching       the student stitched onto the teacher at every pair of layers       -> StitchedGrid   (stored)
"""

from __future__ import annotations

from typing import Any

from pkt_core import stages
from pkt_core.alignment.pairing import require_layer
from pkt_core.catalog import Pair
from pkt_core.map_results import MapComparison, StitchedGrid
from pkt_core.models.loading import load
from pkt_core.pipeline import Progress, silent
from pkt_core.prompts import PromptSet
from pkt_core.store import load_artefact, save_artefact

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

    Raises LayerNotFound for a layer that is not there, PromptError for fewer than 32 texts.
    """
    texts = stages.prompt_set(prompts or pair.prompts).sample(n_prompts, seed)
    recipe = {"teacher_layer": teacher_layer, "student_layer": student_layer, "seed": seed}
    key = stages.pair_key(pair, texts, recipe, TRANSLATION_VERSION)
    if stored := load_artefact("alignment-maps", key):
        return MapComparison.from_json(stored[1])
    progress("Loading both models", 0.0)
    teacher, student = load(pair.teacher), load(pair.student)
    layers = teacher_layer, student_layer
    for side, layer, n in zip(("teacher", "student"), layers, (teacher.n_layers, student.n_layers), strict=True):
        require_layer(side, layer, n)
    said: dict[str, Any] = {"prompts": texts.name, "seed": seed}
    found = stages.maps_side_by_side(teacher, student, texts.texts, layers, said, progress)
    save_artefact("alignment-maps", key, {}, found.to_json())
    return found


def stitching(
    pair: Pair,
    *,
    kind: str = "affine",
    prompts: str | PromptSet | None = None,
    n_prompts: int = N_PROMPTS,
    seed: int = 0,
    progress: Progress = silent,
) -> StitchedGrid:
    """Next-token loss of the stitched student for every pair of layers; computed once, then stored.

    Raises PlanError for an unknown kind, PromptError for fewer than 32 texts.
    """
    stages.require_kind(kind)
    texts = stages.prompt_set(prompts or pair.prompts).sample(n_prompts, seed)
    key = stages.pair_key(pair, texts, {"kind": kind, "seed": seed}, TRANSLATION_VERSION)
    if stored := load_artefact("stitching", key):
        return StitchedGrid.from_json(stored[1])
    progress("Loading both models", 0.0)
    teacher, student = load(pair.teacher), load(pair.student)
    found = stages.stitched_grid(teacher, student, texts.texts, kind, {"prompts": texts.name, "seed": seed}, progress)
    save_artefact("stitching", key, {}, found.to_json())
    return found
