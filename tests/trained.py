"""A plan carried out on two tiny models, without a run folder."""

from pathlib import Path
from tempfile import TemporaryDirectory

import fakes
import torch

from pkt_core.data.examples import Example, ExampleSet, encode
from pkt_core.transfer.batch import Extraction
from pkt_core.transfer.method import method_of
from pkt_core.transfer.plan import TransferPlan, held_by
from pkt_core.transfer.readings import read_alike
from pkt_core.transfer.setup import student_that_trains
from pkt_core.transfer.teacher_pass import as_planned, record
from pkt_core.transfer.train import Trainer
from pkt_core.transfer.trainable import fingerprints

EXAMPLES = [
    Example(f"{city} is a city in", f" {country}.") for city, country in [("Paris", "France"), ("Rome", "Italy")]
] * 4
SET = ExampleSet("mine", tuple(EXAMPLES))


def plan_for(teacher, student, **more) -> TransferPlan:
    usual = {"teacher_layer": 3, "student_layer": 2, "steps": 5, "batch_size": 4, "data": "mine.jsonl"}
    given = {**held_by(more.get("method", "semalign-v1"), usual), **more}
    return TransferPlan(teacher=teacher.ref, student=student.ref, **given)


def extraction(teacher, student, plan, pairs, texts=(), maps=None) -> Extraction:
    encoded = encode(student.tokenizer, EXAMPLES, 64)
    return Extraction(plan, teacher, student, tuple(pairs), SET, encoded, read_alike(encoded), tuple(texts), maps or {})


def extracted(extraction):
    """What the plan's method takes from the teacher besides rows."""
    return method_of(extraction.plan).extract(extraction, extraction.plan)


def prepared(teacher, student, plan):
    """The fingerprints before, what trains, and the trainer that would."""
    encoded = encode(student.tokenizer, EXAMPLES, 64)
    with TemporaryDirectory() as folder:
        targets = record(plan, teacher, student, SET, Path(folder) / "t", lambda *_: None)
    before = fingerprints(student.model)
    trainable = student_that_trains(student, plan, targets)
    return before, trainable, Trainer(student, trainable, plan, encoded, targets)


def trainer_for(models, plan, folder) -> Trainer:
    """Of a teacher and a student, with the targets of the set in that folder."""
    teacher, student = models
    targets = as_planned(record(plan, teacher, student, SET, folder, lambda *_: None), plan)
    trainable = student_that_trains(student, plan, targets)
    return Trainer(student, trainable, plan, encode(student.tokenizer, EXAMPLES, 64), targets)


def fresh(tmp_path, name):
    """A teacher and a student in folders of that name; the same weights each time."""
    return fakes.loaded(tmp_path / name / "t", layers=4, width=48), fakes.loaded(tmp_path / name / "s", seed=1)


def weights(trainer):
    """Everything that trains, as one vector."""
    return torch.cat([p.detach().flatten() for p in trainer.trainable.everything])
