"""What a transfer costs against what it could cost: the teacher in the loop, and plain fine-tuning of the same layer."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from pkt_core.base.progress import silent
from pkt_core.data.examples import ExampleSet, encode, load_examples
from pkt_core.models.loading import LoadedModel
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.setup import student_that_trains
from pkt_core.transfer.targets import Targets
from pkt_core.transfer.teacher_pass import record
from pkt_core.transfer.train import Trainer
from tests.benchmarks.timing import ratio


def recorded(plan: TransferPlan, teacher: LoadedModel, student: LoadedModel, examples: ExampleSet) -> Targets:
    with TemporaryDirectory() as folder:
        return record(plan, teacher, student, examples, Path(folder) / "targets", silent)


def against_plain_fine_tuning(teacher: LoadedModel, student: LoadedModel) -> None:
    layers = {"teacher_layer": 5, "student_layer": 2}
    plan = TransferPlan(teacher=teacher.ref, student=student.ref, data="demo/unknown-seen", steps=20, **layers)
    sft = TransferPlan(teacher=teacher.ref, student=student.ref, data=plan.data, steps=20, method="sft", **layers)
    examples = load_examples(plan.data)
    encoded = encode(student.tokenizer, examples.items, 256)
    targets = recorded(plan, teacher, student, examples)
    none = recorded(sft, teacher, student, examples)
    trainable = student_that_trains(student, plan, targets)

    def train(plan: TransferPlan, targets: Targets) -> None:
        for _ in Trainer(student, trainable, plan, encoded, targets).steps():
            pass

    def teacher_in_the_loop() -> None:
        recorded(plan, teacher, student, examples.sample(plan.steps * plan.batch_size, 0))
        train(plan, targets)

    ratio(
        "20 steps with the teacher in the loop against cached targets",
        teacher_in_the_loop,
        lambda: train(plan, targets),
        aim="(aim: at least 3)",
    )
    ratio(
        "20 steps of semalign-v1 against plain fine-tuning of the same layer",
        lambda: train(plan, targets),
        lambda: train(sft, none),
        aim="(aim: at most 1.1)",
    )
