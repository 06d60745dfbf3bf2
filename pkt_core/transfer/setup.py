"""The stages of a transfer from the targets to the trained student: the student as it trains, probes, reported results."""

from __future__ import annotations

import platform
from dataclasses import asdict
from typing import Any

import torch

from pkt_core import __version__
from pkt_core.base.records import from_json
from pkt_core.data.examples import ExampleSet, load_examples
from pkt_core.errors import ModelError
from pkt_core.evaluation.behaviour import answered_right
from pkt_core.models.loading import LoadedModel, model_digest
from pkt_core.models.ref import ModelRef
from pkt_core.runs.results import Attribution, Examples, Memory, RunResults, TaughtLayers, TaughtPair
from pkt_core.transfer.method import method_of
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.requirements import needs, peak_memory
from pkt_core.transfer.settings import Trained
from pkt_core.transfer.targets import Targets
from pkt_core.transfer.train import StepReport
from pkt_core.transfer.trainable import Trainable, make_trainable


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


PROBES = 12  # times recall is looked at during training, at most
PROBED_ITEMS = 64
PROBED_SHARE = 0.75  # probed items per training example, at most; a probe costs a third of a step: no backward pass


def trainable_ref(ref: ModelRef) -> ModelRef:
    """Training in 16 bits loses small updates, so `auto` means float32 for a student that trains."""
    return ref.model_copy(update={"dtype": "float32"}) if ref.dtype == "auto" else ref


def event(report: StepReport) -> dict[str, Any]:
    """One step as a line of events.jsonl."""
    return asdict(report)


def missing(teacher: ModelRef) -> str | None:
    """What cannot be done because the teacher is not on this machine, None where it is."""
    try:
        model_digest(teacher)
    except ModelError:
        return (
            f"The student was trained from stored targets; {teacher.name} is not available here, so nothing was measured. "
            "Copy the run to a machine that has it and use `pkt evaluate`."
        )
    return None


class Probe:
    """Recall on a few items of each task, now and then during training, so that progress shows more than the loss."""

    def __init__(self, plan: Trained, student: LoadedModel):
        self.student, self.last = student, plan.steps
        self.tasks = {name: load_examples(name).sample(PROBED_ITEMS, plan.seed) for name in plan.tasks}
        items = sum(len(task) for task in self.tasks.values())
        bearable = int(PROBED_SHARE * plan.steps * plan.batch_size / max(1, items))
        self.every = max(1, plan.steps // max(1, min(PROBES, bearable)))

    def __call__(self, step: int) -> dict[str, Any]:
        if step % self.every and step != self.last:
            return {}
        rates = {name: answered_right(self.student, task) for name, task in self.tasks.items()}
        return {"recall": {name: sum(right) / len(right) for name, right in rates.items()}}


def student_that_trains(student: LoadedModel, plan: TransferPlan, targets: Targets) -> Trainable:
    """The student with what the plan names unfrozen, and with whatever the method puts into it."""
    method, pairs = method_of(plan), targets.pairs
    if method.install is not None:
        return method.install(student, plan, pairs, targets.extract)
    foreign = method.foreign and method.foreign(plan, pairs, targets.facts["d_teacher"], student.d_model)
    return make_trainable(student, plan, pairs, foreign)


def taught(plan: TransferPlan, student: LoadedModel, targets: Targets, examples: ExampleSet, steps: int) -> RunResults:
    """The results of a finished training, as results.json holds them."""
    main, attribution = targets.main, targets.facts["attribution"]
    return RunResults(
        layers=TaughtLayers(
            teacher=main.teacher,
            student=main.student,
            chosen_by="attribution" if attribution is not None else "plan",
            pairs=[TaughtPair(pair.teacher, pair.student) for pair in targets.pairs],
        ),
        attribution=None
        if attribution is None
        else from_json(Attribution, attribution, "The attribution of the targets"),
        steps=steps,
        planned_steps=plan.total_steps,
        examples=Examples(examples.name, len(examples), examples.digest),
        teacher_digest=targets.facts["teacher_digest"],
        memory=Memory(peak=peak_memory(student.device), estimated=needs(plan).memory),
    )
