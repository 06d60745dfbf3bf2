"""The story's maps: two latent spaces in one picture, a chain of them in one frame, and who changed neighbours along it.

latent_map  both models' states of the same prompts through an alignment map -> LatentMap     (stored)
chain_map   teacher, student before, student after; or layer after layer   -> ChainMap       (stored)
turnover    which prompts left their neighbourhood between two of them     -> TurnoverTable  (stored)
"""

from __future__ import annotations

from typing import Any

from pkt_core import stages
from pkt_core.catalog import Pair
from pkt_core.errors import PlanError
from pkt_core.models.loading import LoadedModel, load, weights_digest
from pkt_core.pipeline import Progress, silent
from pkt_core.prompts import PromptSet
from pkt_core.results import LatentMap
from pkt_core.runs import Run, open_run
from pkt_core.stages.chain import (
    ChainMap,
    Slice,
    TurnoverTable,
    chain_map_of,
    chain_slices,
    chain_states,
    turnover_table,
)
from pkt_core.store import fingerprint, load_artefact, save_artefact
from pkt_core.transfer.export import open_student
from pkt_core.transfer.plan import TransferPlan

LATENT_MAP_VERSION = 2
CHAIN_VERSION = 1


def latent_map(
    pair: Pair,
    *,
    teacher_layer: int,
    student_layer: int,
    method: str = "pca",
    map: str = "semantic",
    prompts: str | PromptSet | None = None,
    n_prompts: int = 300,
    pooling: str = "mean",
    seed: int = 0,
    shuffled: bool = False,
    progress: Progress = silent,
) -> LatentMap:
    """Both models' states of the same prompts in one picture; computed once, then stored."""
    texts = stages.prompt_set(prompts or pair.prompts).sample(2 * n_prompts, seed)
    layers = {"teacher_layer": teacher_layer, "student_layer": student_layer}
    recipe = {
        "method": method,
        "map": map,
        "pooling": pooling,
        "seed": seed,
        "shuffled": shuffled,
        **layers,
        "ids": texts.ids,
        "carried": texts.full_digest,
    }
    key = stages.pair_key(pair, texts, recipe, LATENT_MAP_VERSION)
    if stored := load_artefact("latent-map", key):
        return LatentMap.from_json(stored[1])
    progress("Loading both models", 0.0)
    picture = stages.latent_map(load(pair.teacher), load(pair.student), texts, recipe, progress)
    save_artefact("latent-map", key, {}, picture.to_json())
    return picture


def plan_of_run(pair: Pair, run: str) -> tuple[Run, TransferPlan]:
    """A run of this very pair with its plan. Raises PlanError where it belongs to other models or kept no weights."""
    opened = open_run(run)
    plan = TransferPlan.model_validate(opened.plan())
    for side in ("teacher", "student"):
        wanted, found = getattr(pair, side).name, getattr(plan, side).name
        if wanted != found:
            raise PlanError(
                f"Run {run} has the {side} {found}, this pair has {wanted}. Choose that pair, or a run of this one."
            )
    if not list((opened.folder / "student").glob("*.safetensors")):
        raise PlanError(f"Run {run} keeps no trained student. Choose a run that does, or carry it out again.")
    return opened, plan


def student_after(pair: Pair, run: str) -> LoadedModel:
    """The trained student of a run of this pair, on the pair's device and in its precision."""
    opened, plan = plan_of_run(pair, run)
    return open_student(opened.folder / "student", plan.model_copy(update={"student": pair.student}))


def models_of(pair: Pair, kind: str, run: str | None, progress: Progress) -> dict[str, LoadedModel]:
    """The models that a chain of that kind asks for, by name. Raises PlanError where a run is wanted and none is named."""
    progress("Loading the models", 0.0)
    if kind == "run":
        if run is None:
            raise PlanError("The chain before and after a run needs a run; choose one.")
        return {"teacher": load(pair.teacher), "before": load(pair.student), "after": student_after(pair, run)}
    refs = {"teacher": pair.teacher, "student": pair.student}
    return {name: load(ref) for name, ref in refs.items() if kind in ("pair", name)}


def chain_of(
    pair: Pair, texts: PromptSet, recipe: dict[str, Any], progress: Progress
) -> tuple[str, list[Slice], dict[str, Any]]:
    """What a chain's activations are named by, its slices and the activations; read once, then stored."""
    kind, run = recipe["kind"], recipe["run"]
    named = {k: recipe[k] for k in ("kind", "teacher_layer", "student_layer", "pooling")}
    named["after"] = (
        weights_digest(plan_of_run(pair, run)[0].folder / "student") if kind == "run" and run is not None else None
    )
    key = stages.pair_key(pair, texts, named, CHAIN_VERSION)
    if stored := load_artefact("chain-states", key):
        return key, [Slice(**one) for one in stored[1]["slices"]], stored[0]
    models = models_of(pair, kind, run, progress)
    slices = chain_slices(kind, models, recipe["teacher_layer"], recipe["student_layer"])
    states = chain_states(slices, models, texts, recipe["pooling"], progress)
    save_artefact("chain-states", key, states, {"slices": [vars(one) for one in slices]})
    return key, slices, states


def recipe_of(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a chain, filled up. Raises PlanError for one that no chain has."""
    known = {
        "kind": "pair",
        "teacher_layer": 0,
        "student_layer": 0,
        "run": None,
        "pooling": "mean",
        "seed": 0,
        "shuffled": False,
    }
    if unknown := set(settings) - set(known):
        raise PlanError(f"Got the setting {sorted(unknown)[0]}; a chain has {', '.join(known)}.")
    return {**known, **settings}


def chain_map(
    pair: Pair,
    *,
    method: str = "pca",
    prompts: str | PromptSet | None = None,
    n_prompts: int = 300,
    progress: Progress = silent,
    **settings: Any,
) -> ChainMap:
    """The same prompts in each latent space of a chain, in frames that belong together; computed once, then stored.

    Settings: kind (pair, run, teacher, student), teacher_layer, student_layer, run, pooling, seed, shuffled. Raises
    PlanError where they do not fit, MeasureError or PromptError where the prompts do not.
    """
    recipe = {**recipe_of(settings), "method": method}
    texts = stages.prompt_set(prompts or pair.prompts).sample(n_prompts, recipe["seed"])
    read, slices, states = chain_of(pair, texts, recipe, progress)
    key = fingerprint(read=read, recipe=recipe, ids=texts.ids, labels=texts.labels, version=CHAIN_VERSION)
    if stored := load_artefact("chain-map", key):
        return ChainMap.from_json(stored[1])
    picture = chain_map_of(slices, states, texts, recipe, progress)
    save_artefact("chain-map", key, {}, picture.to_json())
    return picture


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
    """Who changed neighbours between two slices of the same chain, relative to their neighbourhood; stored.

    Settings are those of `chain_map` without the projection, which has no part in this.
    """
    recipe = recipe_of(settings)
    texts = stages.prompt_set(prompts or pair.prompts).sample(n_prompts, recipe["seed"])
    read, slices, states = chain_of(pair, texts, recipe, progress)
    named = {"read": read, "recipe": recipe, "ids": texts.ids, "labels": texts.labels, "version": CHAIN_VERSION}
    key = fingerprint(**named, between=[first, second])
    if stored := load_artefact("turnover", key):
        return TurnoverTable.from_json(stored[1])
    table = turnover_table(slices, states, texts, recipe, (first, second), progress)
    save_artefact("turnover", key, {}, table.to_json())
    return table
