"""The stages of a transfer up to the trained student: layers, targets, probes while training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from pkt_core.alignment.attribution import LayerAttribution
from pkt_core.alignment.pairing import pair_for, paired_teacher_layer
from pkt_core.evaluation.behaviour import answered_right
from pkt_core.examples import Encoded, ExampleSet, load_examples
from pkt_core.models.loading import LoadedModel, ModelRef
from pkt_core.stages.shared import alignment_map, match
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.targets import Targets, row_starts, teacher_targets
from pkt_core.transfer.train import StepReport

Progress = Callable[[str, float], None]
PROBES = 12  # times recall is looked at during training, at most
PROBED_ITEMS = 64
PROBED_SHARE = 0.75  # items asked per example trained on, at most; asking costs a third of a step: no backward pass


def chosen_layers(
    plan: TransferPlan, teacher: LoadedModel, student: LoadedModel, found: LayerAttribution | None
) -> tuple[int, int]:
    """The plan's layers, or where it leaves them open the attributed teacher layer and its partner."""
    if plan.teacher_layer is not None and plan.student_layer is not None:
        return plan.teacher_layer, plan.student_layer
    if plan.student_layer is not None:
        return paired_teacher_layer(plan.student_layer, teacher.n_layers, student.n_layers), plan.student_layer
    best = plan.teacher_layer if plan.teacher_layer is not None else found.best if found else teacher.n_layers - 1
    paired_teacher, paired_student = pair_for(best, teacher.n_layers, student.n_layers)
    return paired_teacher if plan.teacher_layer is None else plan.teacher_layer, paired_student


def trainable_ref(ref: ModelRef) -> ModelRef:
    """Training in 16 bits loses small updates, so `auto` means float32 for a student that trains."""
    return ref.model_copy(update={"dtype": "float32"}) if ref.dtype == "auto" else ref


def targets(
    plan: TransferPlan,
    teacher: LoadedModel,
    student: LoadedModel,
    layer: int,
    encoded: list[Encoded],
    progress: Progress,
) -> Targets:
    """What the method needs of the teacher: mapped activations, next-token distributions, or nothing."""
    if not plan.uses_teacher:
        return Targets(row_starts(encoded, plan.positions), {})
    alignment = None
    if plan.method == "semalign-v1":
        alignment = alignment_map(plan.map, teacher, student, match(teacher, student), plan.seed)

    def said(done: float) -> None:
        progress("Recording what the teacher says", 0.1 + 0.1 * done)

    return teacher_targets(teacher, encoded, plan, layer, alignment, progress=said)


def event(report: StepReport) -> dict[str, Any]:
    """One step as a line of events.jsonl."""
    return asdict(report)


class Probe:
    """Recall on a few items of each task, now and then during training, so that the screen shows more than the loss."""

    def __init__(self, plan: TransferPlan, student: LoadedModel):
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


def taught(
    plan: TransferPlan,
    layers: tuple[int, int],
    found: LayerAttribution | None,
    examples: ExampleSet,
    report: StepReport,
) -> dict[str, Any]:
    """What a finished training says of itself, as results.json has it."""
    chosen_by = "attribution" if found is not None else "plan"
    return {
        "layers": {"teacher": layers[0], "student": layers[1], "chosen_by": chosen_by},
        "attribution": found and found.to_json(),
        "steps": report.step,
        "planned_steps": plan.steps,
        "examples": {"name": examples.name, "n": len(examples), "digest": examples.digest},
    }
