"""The story of one pair of layers: how alike prompts are in the teacher's layer and in the student's, and who disagrees.

closer_look  a scatter of the pair, its rank correlation, prompts by shared neighbours  -> CloserLook  (stored)

It takes the states that the comparison kept, so both models are read only where there are none.
"""

from __future__ import annotations

from pkt_core import stages
from pkt_core.activations.collect import pieces
from pkt_core.alignment.pairing import require_layer
from pkt_core.catalog import Pair
from pkt_core.models.loading import load
from pkt_core.pipeline import COMPARE_VERSION, Progress, compare, silent
from pkt_core.prompts import PromptSet
from pkt_core.stages import closer as stage
from pkt_core.stages.closer import CloserLook
from pkt_core.stages.picked import chosen
from pkt_core.stages.states import States
from pkt_core.store import fingerprint, load_artefact, save_artefact

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
    """One pair of layers over the prompts whose states the comparison kept, 512 samples at most; settings are those of `compare`.

    Raises LayerNotFound for a layer that is not there, MeasureError for one that does not vary.
    """
    recipe = stages.Recipe.of(settings)
    texts = stages.prompt_set(prompts or pair.prompts).sample(recipe.n_prompts, recipe.seed)
    read = stages.pair_key(pair, texts, recipe.model_dump(), COMPARE_VERSION)
    key = fingerprint(read=read, texts=texts.full_digest, layers=[teacher_layer, student_layer], version=CLOSER_VERSION)
    if stored := load_artefact("closer-look", key):
        return CloserLook.from_json(stored[1])
    compared = compare(pair, prompts=prompts, progress=lambda what, done: progress(what, 0.7 * done), **settings)
    states = kept_states(pair, texts, recipe, read, progress)
    for side, layer in (("teacher", teacher_layer), ("student", student_layer)):
        require_layer(side, layer, len(states[side]))
    progress("Comparing prompt by prompt", 0.8)
    found = stage.closer_look(
        recipe,
        (teacher_layer, student_layer),
        states["teacher"][teacher_layer],
        states["student"][student_layer],
        long_enough(pair, texts, recipe) if compared.grid.recipe.get("too_short") else texts,
        len(texts) - int(compared.grid.recipe.get("too_short", 0)),
    )
    save_artefact("closer-look", key, {}, found.to_json())
    return found


def kept_states(pair: Pair, texts: PromptSet, recipe: stages.Recipe, read: str, progress: Progress) -> States:
    """The states that the comparison stored; read again where it was kept without them."""
    if stored := load_artefact("states", read):
        return stored[0]
    progress("Loading both models", 0.3)
    states = stages.read_both(load(pair.teacher), load(pair.student), texts, recipe, progress)[1]
    save_artefact("states", read, states, {"texts": texts.digest})
    return states


def long_enough(pair: Pair, texts: PromptSet, recipe: stages.Recipe) -> PromptSet:
    """The prompts that pooling over words can use: only the tokenizers know which."""
    found = pieces(texts.texts, [load(pair.teacher), load(pair.student)], skip_first=recipe.skip_first)
    return chosen(texts, [number for number, spans in zip(texts.ids, found, strict=True) if spans])
