"""What one token's states encode in both models, layer by layer.

inspect_token  one token in both models  -> Inspection  (stored)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from pkt_core.activations.collect import CAPTURE_VERSION
from pkt_core.alignment.choice import BasisChoice
from pkt_core.alignment.lens import semantic_lens
from pkt_core.alignment.model_maps import match
from pkt_core.alignment.pairing import require_layer
from pkt_core.base.fingerprint import fingerprint
from pkt_core.base.progress import Progress, silent
from pkt_core.base.store import memo
from pkt_core.errors import PlanError, PromptError
from pkt_core.models.catalog import Pair
from pkt_core.models.loading import LoadedModel, load
from pkt_core.models.pool import Key, Pool, model_key
from pkt_core.models.vocabulary import MINIMUM_SHARE
from pkt_core.runs.folder import open_run
from pkt_core.runs.student import open_trained
from pkt_core.studies.inspection import spaces
from pkt_core.studies.inspection.record import Inspection, Seconds
from pkt_core.studies.inspection.spaces import Side, Vocabulary, crossing_maps, follow, reader, see

INSPECT_VERSION = 1


TOKENS_AT_MOST = 20
Wanted = list[tuple[Key, Callable[[], LoadedModel]]]


def inspect_token(
    pair: Pair,
    *,
    text: str,
    at: int | None = None,
    teacher_layer: int | None = None,
    student_layer: int | None = None,
    k: int = 5,
    anchor: str = "",
    part: str = "block_out",
    gain: bool = False,
    norm: bool = False,
    ridge: float = 0.0,
    run: str | None = None,
    seed: int = 0,
    progress: Progress = silent,
    pool: Pool | None = None,
) -> Inspection:
    """What the states of the token that covers character `at` encode, in both models and mapped from teacher to student.

    at: None takes the last character. Layers: None takes the last ones. anchor: a word to follow through the layers. run: also
    read the student after that run. pool: keeps models for later calls. Raises PromptError, PlanError, LayerNotFound or
    ModelError.
    """
    if not text.strip():
        raise PromptError("Got an empty text; expected at least one word. Enter some text or choose a prompt.")
    at = len(text) - 1 if at is None else at
    if not 0 <= at < len(text):
        raise PromptError(f"Got character {at}; the text has characters 0 to {len(text) - 1}. Click one of its tokens.")
    if not 1 <= k <= TOKENS_AT_MOST or ridge < 0:
        raise PlanError(
            f"Got {k} tokens and ridge {ridge}; expected 1 to {TOKENS_AT_MOST} tokens and a ridge of 0 or more."
        )
    choice = BasisChoice(gain, norm, float(ridge))
    wanted = wanted_models(pair, run)
    recipe: dict[str, Any] = {"at": at, "layers": [teacher_layer, student_layer], "k": k, "anchor": anchor}
    recipe |= {"part": part, "gain": gain, "norm": norm, "ridge": choice.ridge, "seed": seed}
    named = [list(key) for key, _ in wanted]
    key = fingerprint(models=named, text=text, recipe=recipe, versions=[INSPECT_VERSION, CAPTURE_VERSION])
    kept = pool or Pool()

    def read() -> Inspection:
        began = time.monotonic()
        progress("Loading the models", 0.0)
        models = dict(zip(("teacher", "student", "after"), kept.open(wanted), strict=False))
        keys = dict(zip(models, (key for key, _ in wanted), strict=True))
        layers = chosen_layers(models, teacher_layer, student_layer)
        loading = time.monotonic() - began

        progress("Computing the bases", 0.5)
        sides = {who: opened_side(kept, keys[who], loaded, choice) for who, loaded in models.items()}
        both = (keys["teacher"], keys["student"])
        matched = kept.keep((*both, "match"), lambda: match(models["teacher"], models["student"]))
        progress("Reading the text", 0.8)
        seen = {who: see(loaded, text, at, part) for who, loaded in models.items()}
        followed, of_teacher, of_student = follow(sides, seen, matched, anchor)
        crossing = why_not = None
        if matched.share >= MINIMUM_SHARE:
            maps = kept.keep(
                (*both, "maps", choice.gain, choice.ridge, seed),
                lambda: crossing_maps(sides["teacher"], sides["student"], matched, seed),
            )
            crossing = spaces.crossing(sides, seen, maps, layers, of_student, k, matched.n)
        else:
            why_not = f"The vocabularies share {matched.n:,} tokens, {matched.share:.0%} of the smaller one; the semantic map needs at least half."
        readers = {
            who: reader(sides[who], seen[who], of_teacher if who == "teacher" else of_student, k, part)
            for who in models
        }
        return Inspection(
            text=text,
            at=at,
            part=part,
            choice=choice,
            layers=layers,
            teacher=readers["teacher"],
            student=readers["student"],
            after=readers.get("after"),
            run=run,
            followed=followed,
            crossing=crossing,
            why_not=why_not,
            seconds=Seconds(loading, time.monotonic() - began - loading),
        )

    return memo("inspection", key, Inspection, read)


def opened_side(pool: Pool, key: Key, loaded: LoadedModel, choice: BasisChoice) -> Side:
    """A model with its vocabulary and bases, which the pool keeps; the norm applies to states, so it needs no new bases."""
    made = pool.keep(
        (key, "bases", choice.gain, choice.ridge), lambda: semantic_lens(loaded, replace(choice, norm=False))
    )
    vocabulary = pool.keep((key, "vocabulary"), lambda: Vocabulary.of(loaded))
    return Side(loaded, vocabulary, replace(made, choice=choice))


def wanted_models(pair: Pair, run: str | None) -> Wanted:
    """Teacher, student, and the student of a run, by the digest of their weights; nothing is loaded yet."""
    wanted: Wanted = [(model_key(ref), partial(load, ref)) for ref in (pair.teacher, pair.student)]
    if run is None:
        return wanted
    trained = open_trained(open_run(run), pair)
    return [*wanted, (model_key(pair.student, trained.digest), trained.load)]


def chosen_layers(models: dict[str, LoadedModel], teacher: int | None, student: int | None) -> tuple[int, int]:
    """The given layers, or the last ones. Raises LayerNotFound."""
    chosen = []
    for side, layer in (("teacher", teacher), ("student", student)):
        n = models[side].n_layers
        chosen.append(n - 1 if layer is None else layer)
        require_layer(side, chosen[-1], n)
    return chosen[0], chosen[1]
