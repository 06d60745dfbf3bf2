"""Plans and runs of two models without training: what tables, pages and readings of runs are tried on."""

from __future__ import annotations

import json
from dataclasses import replace

import fakes
import recorded_runs

from pkt_core.models.ref import ModelRef
from pkt_core.runs.folder import create_run
from pkt_core.runs.results import TaughtLayers, TaughtPair
from pkt_core.transfer.plan import TransferPlan

DEMO = {"teacher": ModelRef(name="demo:teacher"), "student": ModelRef(name="demo:student"), "data": "demo/unknown-seen"}


def demo(**more):
    return TransferPlan(**DEMO, **more)


def a_run(gain, teacher, student, **more):
    run = create_run(TransferPlan(**DEMO, teacher_layer=teacher, student_layer=student, **more).model_dump(mode="json"))
    recorded = recorded_runs.results()
    before, after = (
        replace(model, bits_per_byte=replace(model.bits_per_byte, value=value))
        for model, value in ((recorded.behaviour.before, 2.0), (recorded.behaviour.after, 2.0 - gain / 10))
    )
    change = next(iter(recorded.changes.values()))
    run.write_results(
        replace(
            recorded,
            layers=TaughtLayers(teacher, student, "plan", [TaughtPair(teacher, student)]),
            changes={"facts": replace(change, difference=gain)},
            behaviour=replace(recorded.behaviour, before=before, after=after),
        )
    )
    return run


def made_run(tmp_path, *, teacher_texts=None, same=False):
    """A run whose student before and after are two random models (or one), and whose teacher is a third."""
    fakes.folder(tmp_path / "teacher", seed=1, texts=teacher_texts)
    fakes.folder(tmp_path / "before", seed=2)
    data = tmp_path / "facts.jsonl"
    data.write_text(
        "".join(
            json.dumps({"prompt": f"{c} is a city in", "answer": f" {a}."}) + "\n"
            for c, a in [("Paris", "France"), ("Rome", "Italy")]
        )
    )
    refs = {
        side: ModelRef(name=str(tmp_path / name), device="cpu", dtype="float32")
        for side, name in (("teacher", "teacher"), ("student", "before"))
    }
    plan = TransferPlan(**refs, data=str(data), tasks=(str(data),), teacher_layer=2, student_layer=2)
    run = create_run(plan.model_dump(mode="json"), run_id="one")
    fakes.folder(run.folder / "student", seed=2 if same else 3)
    return run
