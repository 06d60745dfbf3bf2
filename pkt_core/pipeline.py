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
from pkt_core.examples import load_examples
from pkt_core.models.loading import load
from pkt_core.prompts import PromptSet
from pkt_core.results import Comparison
from pkt_core.runs import Run
from pkt_core.store import load_artefact, save_artefact
from pkt_core.transfer.anchor import anchor_for
from pkt_core.transfer.checkpoint import Checkpoints
from pkt_core.transfer.devices import Processes
from pkt_core.transfer.export import export_student, require_room
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.train import Trainer
from pkt_core.transfer.trainable import changed, fingerprints

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
    """Carry out a plan inside its run folder, from its last checkpoint where it has one; stops between two steps when the
    run is asked to. Then evaluate it."""
    examples = load_examples(plan.data).sample(plan.n_examples, plan.seed)
    progress("Loading the student", 0.0)
    student = load(stages.trainable_ref(plan.student))
    processes, checkpoints = Processes(student.device), checkpoints or Checkpoints(run.folder / "checkpoints")
    began = time.monotonic()
    targets, encoded = stages.targets(plan, student, examples, processes, progress)
    seconds = {"targets": time.monotonic() - began}
    before, anchor = fingerprints(student.model), anchor_for(student, plan)
    trainable = stages.student_that_trains(student, plan, targets)
    require_room(run.folder, student, trainable, plan)
    trainer = Trainer(student, trainable, plan, encoded, targets, processes, anchor)
    if kept := checkpoints.load():
        trainer.restore(*kept)
    run.forget_events(after_step=trainer.step)
    probe, tracked = stages.Probe(plan, student), stages.Tracker(tracker, run.folder, run.id, plan)
    for report in trainer.steps():
        event = {"kind": "step", **stages.event(report), **probe(report.step)}
        run.append_event(event)
        tracked.tell(event)
        done = 0.2 + 0.5 * report.step / report.total
        run.write_status("running", step=report.step, total_steps=report.total, fraction=done)
        progress("Training", done)
        stopping = processes.agree(run.stop_requested())
        if processes.first and (stopping or checkpoints.due()):
            checkpoints.save(*trainer.state())
        if stopping:
            break
    tracked.end()
    if not processes.first:  # one writes the student and measures it
        return {"steps": trainer.step}
    trainable.bake()
    seconds["training"] = trainer.spent
    export_student(run.folder / "student", student, trainable, plan, targets.pairs, examples)
    results = stages.taught(plan, student, targets, examples, trainer.step)
    results |= {"trained_parameters": trainable.n, "seconds": seconds, "versions": stages.versions()}
    results["changed"] = changed(before, student, plan, targets.pairs) if plan.adapter == "full" else None
    run.write_results(results)
    if trainer.step < plan.total_steps:  # asked to stop: what was learnt so far is kept, but not presented as a result
        return results
    checkpoints.remove()
    return evaluate(run, progress=progress)


def evaluate(run: Run, *, progress: Progress = silent) -> dict[str, Any]:
    """Measure teacher, student before and student after on the plan's tasks, and keep the figures in the run."""
    plan = TransferPlan.read(run.plan(), run.folder / "plan.json")
    results = run.results()
    if results is None or "layers" not in results:
        raise StoreError(f"Run {run.id} has no trained student yet. Run `pkt transfer` first, or choose another run.")
    if missing := stages.missing(plan.teacher):
        return results | {"unmeasured": missing}
    began = time.monotonic()
    progress("Loading teacher, student before and student after", 0.7)
    models = stages.three_models(plan, run.folder / "student")
    results["alignment"] = stages.alignment_change(models, plan, results["layers"], progress)
    results |= stages.behaviour_change(models, plan, progress)
    results["seconds"]["evaluation"] = time.monotonic() - began
    run.write_results(results)
    return results
