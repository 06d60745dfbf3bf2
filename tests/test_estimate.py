"""Estimates of a plan's memory and disk: what they count, in which direction, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from made_runs import demo

from pkt_core.errors import PlanError
from pkt_core.models.ref import ModelRef
from pkt_core.models.shape import ModelShape, model_shape
from pkt_core.transfer import requirements
from pkt_core.transfer.estimate import estimate, require_disk, require_memory
from pkt_core.transfer.requirements import needs

TEACHER, STUDENT = ModelShape(10_000_000, (1_000_000,) * 6, 256, 5000), ModelShape(2_000_000, (400_000,) * 3, 128, 5000)
GIVEN = {"n_examples": 100, "n_tokens": 50, "n_rows": 5}


def of(**more):
    return estimate(demo(**more), TEACHER, STUDENT, **GIVEN)


def test_weights_and_optimiser_are_counted_to_the_byte():
    found = of(method="logit-kd")
    assert found.teacher == 4 * TEACHER.n_parameters
    assert found.student == 4 * STUDENT.n_parameters
    assert found.optimiser == 3 * 4 * STUDENT.block_parameters[0]  # one layer: gradients and two moments
    assert of(method="logit-kd", scope="all").optimiser == 3 * found.optimiser
    assert of(method="sft").teacher == of(method="sft").targets == 0
    assert of(method="stitch").optimiser == of(method="stitch").activations == 0


def test_what_saves_memory_is_estimated_to_save_it():
    whole = of(scope="all")
    assert of(scope="all", micro_batch=4).activations < whole.activations / 4
    assert of(scope="all", recompute=True).activations < whole.activations
    assert of(scope="all", adapter="lora").optimiser < whole.optimiser
    assert of(method="semalign-aclr").optimiser < of(method="logit-kd", scope="all").optimiser  # one layer at a time


def test_the_demo_plan_is_known_without_reading_weights():
    found = needs(demo())
    shapes = model_shape(ModelRef(name="demo:teacher")), model_shape(ModelRef(name="demo:student"))
    assert (found.teacher, found.student) == tuple(4 * shape.n_parameters for shape in shapes)
    assert found.sentence().startswith("Needs about")


def test_a_plan_that_cannot_fit_is_refused_before_anything_is_loaded(monkeypatch):
    found = of()
    huge = dataclasses.replace(found, student=2**60)
    require_memory(found, torch.device("cpu"))
    with pytest.raises(PlanError, match=r"This device has .* GiB free\. Use a smaller micro-batch"):
        require_memory(huge, torch.device("cpu"))
    require_disk(found, 2**40)
    with pytest.raises(PlanError, match="disk of the cache has"):
        require_disk(found, 10)
    monkeypatch.setattr(requirements, "free_disk", lambda: 10)
    with pytest.raises(PlanError, match="disk of the cache has"):
        requirements.require_device(demo())
