"""The stages that make a trained student: train it until the plan ends or a stop is requested, and export it, unless that was done before."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from pkt_core.base.progress import Progress
from pkt_core.data.examples import ExampleSet, load_examples
from pkt_core.errors import StoreError
from pkt_core.models.loading import LoadedModel, load
from pkt_core.runs.folder import Run
from pkt_core.runs.results import RunResults, Seconds, StudentFile
from pkt_core.transfer.anchor import anchor_for
from pkt_core.transfer.checkpoint import Checkpoints
from pkt_core.transfer.devices import Processes
from pkt_core.transfer.export import export_student, require_exported, require_room
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.settings import Trained
from pkt_core.transfer.setup import Probe, event, student_that_trains, taught, trainable_ref, versions
from pkt_core.transfer.targets import Targets
from pkt_core.transfer.teacher_pass import targets as recorded
from pkt_core.transfer.trackers import Tracker
from pkt_core.transfer.train import Trainer
from pkt_core.transfer.trainable import Trainable, changed, fingerprints


@dataclass(frozen=True)
class Taught:
    """A student after its training, still in memory."""

    student: LoadedModel
    trainable: Trainable
    targets: Targets
    examples: ExampleSet
    before: dict[str, str]
    """Fingerprints of its weights before."""
    steps: int
    """Done; fewer than planned where a stop was requested."""
    first: bool
    """Whether this process is the one that writes, of several on one plan."""
    seconds: Seconds


def finished_training(plan: TransferPlan, run: Run) -> bool:
    """Whether an earlier attempt did all steps and its student is there as it was exported, so that only measuring is left."""
    try:
        results = run.results()
        if results is None or results.layers is None or results.steps != plan.total_steps:
            return False
        require_exported(run.folder / "student", results)
    except StoreError:
        return False
    return True


def train(plan: TransferPlan, run: Run, *, progress: Progress, checkpoints: Checkpoints, tracker: str | None) -> Taught:
    """Train the student from the run's last checkpoint, or from the start; ends between two steps when a stop is requested.

    Raises Stopped where the stop is requested before the first step.
    """
    examples = load_examples(plan.data).sample(plan.n_examples, plan.seed)
    progress("Loading the student", 0.0)
    student = load(trainable_ref(plan.student))
    processes, began = Processes(student.device), time.monotonic()
    heeding = run.heeding(progress) if processes.n == 1 else progress  # of several, none may leave the others waiting
    targets, encoded = recorded(plan, student, examples, processes, heeding)
    waited = time.monotonic() - began
    before, anchor = fingerprints(student.model), anchor_for(student, plan)
    trainable = student_that_trains(student, plan, targets)
    require_room(run.folder, student, trainable, plan)
    made = Taught(student, trainable, targets, examples, before, 0, processes.first, Seconds(waited, 0.0))
    if not isinstance(plan, Trained):
        return made
    trainer = Trainer(student, trainable, plan, encoded, targets, processes, anchor)
    if kept := checkpoints.load():
        trainer.restore(*kept)
    run.forget_events(after_step=trainer.step)
    probe, tracked = Probe(plan, student), Tracker(tracker, run.folder, run.id, plan)
    for report in trainer.steps():
        step_event = {"kind": "step", **event(report), **probe(report.step)}
        run.append_event(step_event)
        tracked.tell(step_event)
        done = 0.2 + 0.5 * report.step / report.total
        run.write_status("running", step=report.step, total_steps=report.total, fraction=done)
        progress("Training", done)
        stopping = processes.agree(run.stop_requested())
        if processes.first and (stopping or checkpoints.due()):
            run.keep_events()
            checkpoints.save(*trainer.state())
        if stopping:
            break
    tracked.end()
    run.keep_events()
    return replace(made, steps=trainer.step, seconds=Seconds(waited, trainer.spent))


def export(plan: TransferPlan, run: Run, made: Taught) -> RunResults:
    """Write the student into the run, and return the results of its training."""
    made.trainable.bake()
    exported = export_student(
        run.folder / "student", made.student, made.trainable, plan, made.targets.pairs, made.examples
    )
    full = not plan.as_adapter
    results = replace(
        taught(plan, made.student, made.targets, made.examples, made.steps),
        trained_parameters=made.trainable.n,
        seconds=made.seconds,
        versions=versions(),
        changed=changed(made.before, made.student, plan, made.targets.pairs) if full else None,
        exported={name: StudentFile(**one) for name, one in exported.items()},
    )
    run.write_results(results)
    return results
