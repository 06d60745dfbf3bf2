"""A steering vector moved across: against means taken text by text, what it does to the student, and what it must not depend on."""

import dataclasses

import fakes
import pytest
import torch
from torch.nn.functional import cosine_similarity
from torch.testing import assert_close
from trained import extracted, extraction, plan_for

from pkt_core.alignment.maps import AlignmentMap
from pkt_core.alignment.pairing import LayerPair
from pkt_core.errors import PlanError
from pkt_core.transfer.controls import control
from pkt_core.transfer.maths import closed_form
from pkt_core.transfer.maths.steering import steering_vector
from pkt_core.transfer.readings import supervised

TEXTS = [*fakes.TEXT, "reads text and jumps over a city", "the lazy dog writes numbers such as 7"]
PAIR = LayerPair(1, 2)


def some_map(seed=7, bias=0.0):
    matrix = torch.randn(32, 48, generator=torch.Generator().manual_seed(seed))
    return AlignmentMap(matrix, torch.full((32,), bias), "ridge")


def asked(tmp_path, mapped, **more):
    teacher = fakes.loaded(tmp_path / "t", layers=4, width=48)
    student = fakes.loaded(tmp_path / "s", seed=1)
    plan = plan_for(teacher, student, method="stitch", steer=True, **more)
    return extraction(teacher, student, plan, [PAIR], TEXTS, {PAIR.student: mapped})


@torch.no_grad()
def states(loaded, ids, layer):
    out = loaded.model(input_ids=torch.tensor([ids]), output_hidden_states=True)
    return out.hidden_states[layer + 1][0].double()


def site_rows(loaded, encoded, plan, layer):
    return torch.cat([states(loaded, e.ids, layer)[supervised(e, plan.positions)] for e in encoded])


def text_rows(loaded, layer):
    return torch.cat([states(loaded, loaded.tokenizer(text)["input_ids"], layer)[1:] for text in TEXTS])


@pytest.mark.parametrize("positions", ["answer", "all"])
def test_it_is_the_difference_of_means_carried_without_bias_at_the_students_own_length(tmp_path, positions):
    mapped = some_map(bias=3.0)
    e = asked(tmp_path, mapped, positions=positions)
    data, general = site_rows(e.teacher, e.encoded, e.plan, PAIR.teacher), text_rows(e.teacher, PAIR.teacher)
    difference = data.mean(0) - general.mean(0)
    carried = mapped.matrix.double() @ difference
    length = difference.norm() / general.norm(dim=1).mean() * text_rows(e.student, PAIR.student).norm(dim=1).mean()
    assert_close(steering_vector(e, PAIR), carried / carried.norm() * length, atol=1e-4, rtol=1e-4)


def test_the_students_states_move_along_it_and_not_along_another_maps(tmp_path, monkeypatch):
    monkeypatch.setattr(closed_form, "GUARD", 0.0)
    e = asked(tmp_path, some_map())
    along, other = steering_vector(e, PAIR), steering_vector(asked(tmp_path, some_map(seed=8)), PAIR)
    before = site_rows(e.student, e.encoded, e.plan, PAIR.student)
    closed_form.stitch(e.student, e.pairs, extracted(e), e.plan.strength)
    moved = (site_rows(e.student, e.encoded, e.plan, PAIR.student) - before).mean(0)
    assert float(cosine_similarity(moved, along, dim=0)) > 0.95
    assert abs(float(cosine_similarity(moved, other, dim=0))) < 0.6
    assert 0.5 < float(moved.norm() / along.norm()) < 1.5


def test_a_longer_map_gives_the_same_vector_and_a_turned_one_another(tmp_path):
    mapped = some_map()
    longer = dataclasses.replace(mapped, matrix=9 * mapped.matrix)
    turned = dataclasses.replace(mapped, matrix=-mapped.matrix)
    once, nine, back = (steering_vector(asked(tmp_path, m), PAIR) for m in (mapped, longer, turned))
    assert_close(nine, once)
    assert_close(back, -once)


def test_shuffled_rows_mean_nothing_to_it(tmp_path):
    e = asked(tmp_path, some_map())
    assert control(e.plan, "shuffled teacher rows") is None
    assert control(e.plan.model_copy(update={"steer": False}), "shuffled teacher rows") is not None
    with pytest.raises(PlanError, match="shuffling has no effect. Use paired."):
        e.plan.model_copy(update={"rows": "shuffled", "steps": 300, "batch_size": 32}).check_settings()


def test_no_direction_is_said_in_one_sentence(tmp_path):
    nothing = AlignmentMap(torch.zeros(32, 48), None, "ridge")
    with pytest.raises(PlanError, match="no steering direction to transfer. Choose another layer"):
        steering_vector(asked(tmp_path, nothing), PAIR)
