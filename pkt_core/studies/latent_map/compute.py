"""Latent maps: two latent spaces in one plot, a chain of spaces on common axes, and neighbour turnover along it.

latent_map  both models' states of the same prompts through an alignment map -> LatentMap     (stored)
chain_map   teacher, student before, student after; or layer after layer     -> ChainMap       (stored)
turnover    prompts that changed neighbours between two slices               -> TurnoverTable  (stored)
"""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any, Literal

from torch import Tensor

from pkt_core.activations.pooling import Pooling
from pkt_core.base.fingerprint import fingerprint
from pkt_core.base.progress import Progress, silent
from pkt_core.base.store import load_artefact, memo, save_artefact
from pkt_core.data.prompts import PromptSet, prompt_set
from pkt_core.errors import PlanError
from pkt_core.models.catalog import Pair
from pkt_core.models.loading import LoadedModel, load
from pkt_core.runs.folder import open_run
from pkt_core.runs.student import open_trained
from pkt_core.studies.comparison.recipe import pair_key
from pkt_core.studies.latent_map import picture as latent_map_picture
from pkt_core.studies.latent_map.chain import ChainSettings, chain_map_of, chain_slices, chain_states, turnover_table
from pkt_core.studies.latent_map.record import ChainMap, LatentMap, Slice, TurnoverTable

LATENT_MAP_VERSION = 2
CHAIN_VERSION = 1


def latent_map(
    pair: Pair,
    *,
    teacher_layer: int,
    student_layer: int,
    method: Literal["pca", "umap"] = "pca",
    map: str = "semantic",
    prompts: str | PromptSet | None = None,
    n_prompts: int = 300,
    pooling: Pooling = "mean",
    seed: int = 0,
    shuffled: bool = False,
    progress: Progress = silent,
) -> LatentMap:
    """Both models' states of the same prompts in one plot; computed once, then stored."""
    texts = prompt_set(prompts or pair.prompts).sample(2 * n_prompts, seed)
    settings = latent_map_picture.MapSettings(method, map, pooling, seed, shuffled, teacher_layer, student_layer)
    recipe = asdict(settings) | {"ids": texts.ids, "carried": texts.full_digest}
    key = pair_key(pair, texts, recipe, LATENT_MAP_VERSION)

    def make() -> LatentMap:
        progress("Loading both models", 0.0)
        return latent_map_picture.latent_map(load(pair.teacher), load(pair.student), texts, settings, progress)

    return memo("latent-map", key, LatentMap, make)


def models_of(pair: Pair, kind: str, run: str | None, progress: Progress) -> dict[str, LoadedModel]:
    """The models that a chain of that kind needs, by name. Raises PlanError where a run is needed and none is given."""
    progress("Loading the models", 0.0)
    if kind == "run":
        if run is None:
            raise PlanError("Got no run; the chain before and after a run needs one. Choose a run.")
        return {
            "teacher": load(pair.teacher),
            "before": load(pair.student),
            "after": open_trained(open_run(run), pair).load(),
        }
    refs = {"teacher": pair.teacher, "student": pair.student}
    return {name: load(ref) for name, ref in refs.items() if kind in ("pair", name)}


def chain_of(
    pair: Pair, texts: PromptSet, settings: ChainSettings, progress: Progress
) -> tuple[str, list[Slice], dict[str, Tensor]]:
    """Store key of a chain's activations, its slices and the activations; read once, then stored."""
    kind, run = settings.kind, settings.run
    values = asdict(settings)
    named = {k: values[k] for k in ("kind", "teacher_layer", "student_layer", "pooling")}
    named["after"] = open_trained(open_run(run), pair).weights if kind == "run" and run is not None else None
    key = pair_key(pair, texts, named, CHAIN_VERSION)
    if stored := load_artefact("chain-states", key):
        return key, [Slice(**one) for one in stored[1]["slices"]], stored[0]
    models = models_of(pair, kind, run, progress)
    slices = chain_slices(kind, models, settings.teacher_layer, settings.student_layer)
    states = chain_states(slices, models, texts, settings.pooling, progress)
    save_artefact("chain-states", key, states, {"slices": [vars(one) for one in slices]})
    return key, slices, states


def settings_of(given: dict[str, Any]) -> ChainSettings:
    """The settings of a chain with defaults. Raises PlanError for an unknown one."""
    known = [one.name for one in fields(ChainSettings)]
    if unknown := set(given) - set(known):
        raise PlanError(f"Got the setting {sorted(unknown)[0]}; expected one of {', '.join(known)}. Remove it.")
    return ChainSettings(**given)


def chain_map(
    pair: Pair,
    *,
    method: str = "pca",
    prompts: str | PromptSet | None = None,
    n_prompts: int = 300,
    progress: Progress = silent,
    **settings: Any,
) -> ChainMap:
    """The same prompts in each latent space of a chain, on common axes; computed once, then stored.

    Settings: kind (pair, run, teacher, student), teacher_layer, student_layer, run, pooling, seed, shuffled. Raises
    PlanError where they do not fit, MeasureError or PromptError where the prompts do not.
    """
    chain = settings_of(settings)
    recipe = asdict(chain) | {"method": method}
    texts = prompt_set(prompts or pair.prompts).sample(n_prompts, chain.seed)
    read, slices, states = chain_of(pair, texts, chain, progress)
    key = fingerprint(read=read, recipe=recipe, ids=texts.ids, labels=texts.labels, version=CHAIN_VERSION)
    return memo("chain-map", key, ChainMap, lambda: chain_map_of(slices, states, texts, chain, method, progress))


def turnover(
    pair: Pair,
    *,
    first: int = 0,
    second: int = 1,
    prompts: str | PromptSet | None = None,
    n_prompts: int = 300,
    progress: Progress = silent,
    **settings: Any,
) -> TurnoverTable:
    """Neighbour turnover between two slices of a chain, relative to the neighbourhood; stored.

    Settings are those of `chain_map` without the projection.
    """
    chain = settings_of(settings)
    recipe = asdict(chain)
    texts = prompt_set(prompts or pair.prompts).sample(n_prompts, chain.seed)
    read, slices, states = chain_of(pair, texts, chain, progress)
    named = {"read": read, "recipe": recipe, "ids": texts.ids, "labels": texts.labels, "version": CHAIN_VERSION}
    key = fingerprint(**named, between=[first, second])

    def make() -> TurnoverTable:
        return turnover_table(slices, states, texts, chain, (first, second), progress)

    return memo("turnover", key, TurnoverTable, make)
