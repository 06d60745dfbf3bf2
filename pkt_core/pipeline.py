"""The story: compare two models, carry knowledge from one to the other, see what changed. No maths here.

compare     where do the latent spaces agree?      -> Comparison   (stored)
transfer    teach the student through activations  -> a trained student in a run folder
evaluate    what changed, where, at what price?    -> results.json of that run
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pkt_core import stages
from pkt_core.catalog import Pair
from pkt_core.errors import StoreError
from pkt_core.models.loading import load
from pkt_core.prompts import PromptSet
from pkt_core.results import Comparison
from pkt_core.runs import Run
from pkt_core.store import load_artefact, save_artefact
from pkt_core.transfer.checkpoint import Checkpoints
from pkt_core.transfer.plan import TransferPlan

Progress = Callable[[str, float], None]
COMPARE_VERSION = 6


def silent(_stage: str, _fraction: float) -> None:
    """The progress of a caller that shows none."""


def compare(
    pair: Pair, *, prompts: str | PromptSet | None = None, progress: Progress = silent, **settings: Any
) -> Comparison:
    """Similarity of every layer pair with its null, recomposition, attribution and pairing; computed once, then stored.

    Settings are those of stages.Recipe. Raises PlanError where they do not fit.
    """
    recipe = stages.Recipe.of(settings)
    texts = stages.prompt_set(prompts or pair.prompts).sample(recipe.n_prompts, recipe.seed)
    texts.require_samples(recipe.pooling)  # before models are loaded
    key = stages.pair_key(pair, texts, recipe.model_dump(), COMPARE_VERSION)
    if stored := load_artefact("comparison", key):
        return Comparison.from_json(stored[1])
    began = time.monotonic()
    progress("Loading both models", 0.0)
    teacher, student = load(pair.teacher), load(pair.student)
    grid, states = stages.read_both(teacher, student, texts, recipe, progress)
    progress("Reading states through the vocabulary", 0.7)
    recomposition, crossing = stages.recomposition(teacher, student, states, recipe.seed)
    progress("Attributing the answers to layers", 0.8)
    attribution = stages.readable_attribution(teacher, pair.examples, recipe.seed)
    pairing, chosen = stages.pairing(teacher.n_layers, student.n_layers, attribution)
    comparison = Comparison(
        **stages.pair_facts(teacher, student),
        prompts=texts.name,
        n_prompts=len(texts),
        pooling=recipe.pooling,
        part=recipe.part,
        grid=grid,
        outliers=stages.outlier_facts({"teacher": teacher, "student": student}, states, texts, recipe.part),
        recomposition=recomposition,
        crossing=crossing,
        attribution=attribution,
        pairing=pairing,
        chosen=chosen,
        seconds=time.monotonic() - began,
    )
    save_artefact("comparison", key, {}, comparison.to_json())  # first: it is what a disk that fills up must not lose
    save_artefact("states", key, states, {"texts": texts.digest})
    return comparison


def transfer(
    plan: TransferPlan,
    run: Run,
    *,
    progress: Progress = silent,
    checkpoints: Checkpoints | None = None,
    tracker: str | None = None,
) -> dict[str, Any]:
    """Carry out a plan inside its run folder: train, export, measure. What an earlier attempt finished is not done again.

    Asked to stop while it trains, it exports what was learnt so far and presents it as no result; while it measures, it raises
    Stopped and keeps the student.
    """
    checkpoints = checkpoints or Checkpoints(run.folder / "checkpoints")
    if not stages.finished_training(plan, run):
        made = stages.train(plan, run, progress=progress, checkpoints=checkpoints, tracker=tracker)
        if not made.first:  # of several processes one writes the student and measures it
            return {"steps": made.steps}
        results = stages.export(plan, run, made)
        if made.steps < plan.total_steps:
            return results
        del made  # measuring needs the memory
        stages.release()
    elif run.watched:  # the first process measures alone
        return {"steps": plan.total_steps}
    checkpoints.remove()
    return evaluate(run, progress=progress)


def evaluate(run: Run, *, progress: Progress = silent) -> dict[str, Any]:
    """Measure teacher, student before and student after on the plan's tasks, and keep the figures in the run.

    Raises Stopped between two batches where the run is asked to stop; nothing is kept of the measuring then, the student is.
    """
    plan = TransferPlan.read(run.plan(), run.folder / "plan.json")
    results = run.results()
    if results is None or "layers" not in results:
        raise StoreError(f"Run {run.id} has no trained student yet. Run `pkt transfer` first, or choose another run.")
    if missing := stages.missing(plan.teacher):
        return results | {"unmeasured": missing}
    began, progress = time.monotonic(), run.heeding(progress)
    progress("Loading teacher, student before and student after", 0.7)
    models = stages.three_models(plan, run.folder / "student")
    results["alignment"] = stages.alignment_change(models, plan, results["layers"], progress)
    results |= stages.behaviour_change(models, plan, progress)
    results["seconds"]["evaluation"] = time.monotonic() - began
    run.write_results(results)
    return results
