"""The whole study: compare two models, transfer knowledge from one to the other, measure what changed. No maths here.

compare     where do the latent spaces agree?      -> Comparison   (stored)
transfer    train the student through activations  -> a trained student in a run folder
evaluate    what changed, where, at what cost?    -> results.json of that run
"""

from __future__ import annotations

import time
from dataclasses import replace

from pkt_core.base.progress import Progress, silent
from pkt_core.errors import StoreError
from pkt_core.models.loading import release
from pkt_core.runs.folder import Run
from pkt_core.runs.results import RunResults
from pkt_core.runs.student import open_trained
from pkt_core.studies.behaviour.compute import alignment_change, behaviour_change
from pkt_core.transfer import setup as transfer_setup
from pkt_core.transfer.checkpoint import Checkpoints
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.training import export, finished_training, train


def transfer(
    plan: TransferPlan,
    run: Run,
    *,
    progress: Progress = silent,
    checkpoints: Checkpoints | None = None,
    tracker: str | None = None,
) -> RunResults:
    """Carry out a plan inside its run folder: train, export, measure. What an earlier attempt finished is not done again.

    If a stop is requested during training, it exports what was learnt so far but does not report it as a result; while it measures, it raises
    Stopped and keeps the student.
    """
    checkpoints = checkpoints or Checkpoints(run.folder / "checkpoints")
    if not finished_training(plan, run):
        made = train(plan, run, progress=progress, checkpoints=checkpoints, tracker=tracker)
        if not made.first:  # of several processes one writes the student and measures it
            return RunResults(steps=made.steps)
        results = export(plan, run, made)
        if made.steps < plan.total_steps:
            return results
        del made  # measuring needs the memory
        release()
    elif run.watched:  # the first process measures alone
        return RunResults(steps=plan.total_steps)
    checkpoints.remove()
    return evaluate(run, progress=progress)


def evaluate(run: Run, *, progress: Progress = silent) -> RunResults:
    """Measure teacher, student before and student after on the plan's tasks, and keep the figures in the run.

    Raises Stopped between two batches where a stop is requested; partial measurements are discarded, the student is kept.
    """
    results = run.results()
    if results is None or results.layers is None:
        raise StoreError(f"Run {run.id} has no trained student yet. Run `pkt transfer` first, or choose another run.")
    plan = (trained := open_trained(run)).plan
    if missing := transfer_setup.missing(plan.teacher):
        return replace(results, unmeasured=missing)
    began, progress = time.monotonic(), run.heeding(progress)
    progress("Loading teacher, student before and student after", 0.7)
    models = trained.load_all()
    alignment = alignment_change(models, plan, results.layers, progress)
    measured = behaviour_change(models, plan, progress)
    results = results.with_measured(alignment, measured, time.monotonic() - began)
    run.write_results(results)
    return results
