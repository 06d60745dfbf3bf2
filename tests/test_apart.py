"""Teacher and student with two tokenizers: rows meet where both have read the same characters, and nowhere else."""

from __future__ import annotations

import fakes
import pytest
import torch
from torch.testing import assert_close
from trained import EXAMPLES, SET, plan_for, trainer_for

from pkt_core.activations.paired import ALONE
from pkt_core.alignment import model_maps
from pkt_core.data.examples import encode
from pkt_core.errors import PlanError
from pkt_core.transfer.readings import read_alike, read_apart, require_rows, supervised, usable
from pkt_core.transfer.teacher_pass import record

OTHER = ["Paris France Rome Italy city in", "zebra quilt"]


@pytest.fixture
def models(tmp_path):
    teacher = fakes.loaded(tmp_path / "t", layers=4, width=48, texts=OTHER)
    return teacher, fakes.loaded(tmp_path / "s", seed=1)


def test_a_row_reads_the_teacher_where_it_has_read_as_far_and_never_further(models):
    teacher, student = models
    encoded = encode(student.tokenizer, EXAMPLES, 64)
    texts = [e.prompt + e.answer for e in EXAMPLES]
    assert not model_maps.match(teacher, student).same_tokenizer
    for text, example, reading in zip(texts, encoded, read_apart(teacher, student, EXAMPLES, encoded), strict=True):
        ends = [
            [end for _, end in m.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]]
            for m in (teacher, student)
        ]
        assert reading.ids == teacher.tokenizer(text)["input_ids"]
        for t, partner in enumerate(reading.partner):
            if partner == ALONE:
                assert ends[0][0] > ends[1][t]
                continue
            assert ends[0][partner] <= ends[1][t]
            assert partner + 1 == len(ends[0]) or ends[0][partner + 1] > ends[1][t]
            assert reading.exact[t] == (ends[0][partner] == ends[1][t])
        assert usable(reading, example, "all", "cut") == reading.exact[:-1]
        assert sum(usable(reading, example, "all", "cut")) < len(supervised(example, "all"))  # some do not meet


def test_with_one_tokenizer_two_ways_of_reading_are_one(tmp_path):
    teacher, student = fakes.loaded(tmp_path / "t", layers=4, width=48), fakes.loaded(tmp_path / "s", seed=1)
    encoded = encode(student.tokenizer, EXAMPLES, 64)
    assert read_apart(teacher, student, EXAMPLES, encoded) == read_alike(encoded)


@pytest.mark.parametrize("method", ["feature-kd", "logit-kd", "semalign-v1", "semalign-aclr"])
def test_methods_train_across_tokenizers(models, tmp_path, method):
    plan = plan_for(*models, method=method, steps=12, positions="all", learning_rate=3e-3)
    trainer = trainer_for(models, plan, tmp_path / "x")
    reports = list(trainer.steps())
    loss = [sum(v for k, v in r.terms.items() if k != "cross_entropy") for r in reports]
    assert loss[-1] < loss[0]


def test_too_few_meetings_are_refused_with_counts(models):
    match = model_maps.match(*models)
    require_rows([[True, False, False, False]], match)
    with pytest.raises(PlanError, match=r"align at 1 of 6 supervised positions"):
        require_rows([[True, False, False], [False] * 3], match)


def test_targets_hold_the_teachers_states_at_the_partners(models, tmp_path):
    teacher, student = models
    plan = plan_for(*models, method="feature-kd", positions="all", part="block_out")
    targets = record(plan, teacher, student, SET, tmp_path / "x", lambda *_: None)
    encoded = encode(student.tokenizer, EXAMPLES, 64)
    (reading,) = read_apart(teacher, student, EXAMPLES[:1], encoded[:1])
    with torch.no_grad():
        hidden = teacher.model(torch.tensor([reading.ids]), output_hidden_states=True).hidden_states[3][0]
    # Layer 2's output is the hidden state after three blocks; the last one of transformers is after the norm.
    plan = plan.model_copy(update={"teacher_layer": 2})
    targets = record(plan, teacher, student, SET, tmp_path / "y", lambda *_: None)
    rows = targets.of([0])
    for t, used in enumerate(rows["used"].tolist()):
        if used:
            assert_close(rows["states.2"][t], hidden[reading.partner[t]], atol=1e-5, rtol=1e-4)
    assert targets.n_used(0) == sum(usable(reading, encoded[0], "all", "span")) > sum(reading.exact[:-1])
