"""Which layers a plan trains, and what its teacher states are carried through."""

from __future__ import annotations

import fakes
import pytest
import torch
from torch.nn.functional import cosine_similarity
from torch.testing import assert_close
from trained import SET, plan_for

from pkt_core.alignment.model_maps import match
from pkt_core.alignment.pairing import LayerPair, pair_layers, read_pairs, windowed, write_pairs
from pkt_core.errors import LayerNotFound, PlanError
from pkt_core.models.norms import final_norm
from pkt_core.transfer.fit_maps import carries
from pkt_core.transfer.layers import chosen_pairs
from pkt_core.transfer.teacher_pass import record


@pytest.fixture
def models(tmp_path):
    return fakes.loaded(tmp_path / "t", layers=6, width=48), fakes.loaded(tmp_path / "s", seed=1)


@pytest.mark.parametrize(
    ("settings", "pairs", "main"),
    [
        ({"teacher_layer": 4, "student_layer": 0}, [(4, 0)], (4, 0)),
        ({"teacher_layer": 2}, [(2, 1)], (2, 1)),
        ({"student_layer": 1}, [(3, 1)], (3, 1)),
        ({}, [(3, 1)], (3, 1)),  # layer 2 has the highest score; the nearest deeper pair is 3 to 1
        ({"n_pairs": 2}, [(3, 1), (5, 2)], (3, 1)),
        ({"n_pairs": 0}, [(1, 0), (3, 1), (5, 2)], (5, 2)),
        ({"n_pairs": 0, "pairing": "reversed"}, [(5, 0), (0, 1), (1, 2)], (1, 2)),
        ({"n_pairs": 0, "pairing": "last-to-last"}, [(3, 0), (4, 1), (5, 2)], (5, 2)),
        ({"student_layer": 2, "pairing": "reversed"}, [(1, 2)], (1, 2)),
        ({"layer_pairs": "5:1 0:0"}, [(0, 0), (5, 1)], (5, 1)),
        (
            {"layer_pairs": "5:1, 0:0", "pairing": "reversed"},
            [(5, 0), (0, 1)],
            (0, 1),
        ),  # a control: only the students stay
    ],
)
def test_pairs_follow_the_plan_or_attribution(models, settings, pairs, main):
    plan = plan_for(*models, **{"teacher_layer": None, "student_layer": None, **settings})
    found, first = chosen_pairs(plan, 6, 3, [0.1, 0.2, 0.9, 0.3, 0.0, 0.5])
    assert [(p.teacher, p.student) for p in found] == pairs
    assert (first.teacher, first.student) == main


def test_drawn_pairs_are_written_in_one_way():
    assert read_pairs("5:2, 3:1") == (LayerPair(1, 3), LayerPair(2, 5))
    assert write_pairs(read_pairs(" 5:2 3:1,")) == "3:1,5:2"
    assert read_pairs("") == ()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"layer_pairs": "5-2"}, "Got the layer pair '5-2'; write the teacher layer, a colon and the student layer"),
        ({"layer_pairs": "5:2,4:2"}, r"Got two teacher layers for student layer 2 \(5 and 4\)"),
        ({"layer_pairs": "5:2", "teacher_layer": 4}, "layer_pairs='5:2' conflicts with another choice of layers"),
        ({"layer_pairs": "5:2", "n_pairs": 2}, "another choice of layers"),
        ({"layer_pairs": "5:2", "interpolate": True}, "another choice of layers"),
        ({"layer_pairs": "5:2", "pairing": "last-to-last"}, "another choice of layers"),
    ],
)
def test_drawn_pairs_that_cannot_be_are_refused(models, settings, sentence):
    plan = plan_for(*models, **{"teacher_layer": None, "student_layer": None, **settings})
    with pytest.raises(PlanError, match=sentence):
        plan.check_settings()


@pytest.mark.parametrize(
    ("drawn", "sentence"), [("6:0", "t has layers 0 to 5, got 6"), ("0:3", "s has layers 0 to 2, got 3")]
)
def test_drawn_pairs_must_be_layers_of_the_models(models, tmp_path, drawn, sentence):
    teacher, student = models
    plan = plan_for(*models, teacher_layer=None, student_layer=None, layer_pairs=drawn)
    with pytest.raises(LayerNotFound, match=sentence):
        record(plan, teacher, student, SET, tmp_path / "t", lambda *_: None)


def test_drawn_pairs_are_what_is_recorded(models, tmp_path):
    teacher, student = models
    kept = {}
    for drawn in ("5:1,0:0", "0:0,5:1", "4:1,0:0"):
        plan = plan_for(*models, method="feature-kd", teacher_layer=None, student_layer=None, layer_pairs=drawn)
        kept[drawn] = record(plan, teacher, student, SET, tmp_path / drawn.replace(":", "-"), lambda *_: None)
    one, same, other = kept.values()
    assert one.pairs == same.pairs == (LayerPair(0, 0), LayerPair(1, 5))
    assert_close(one.of([0])["states.1"], same.of([0])["states.1"])
    assert_close(one.of([0])["states.0"], other.of([0])["states.0"])
    assert not torch.allclose(one.of([0])["states.1"], other.of([0])["states.1"])


def test_a_random_pairing_is_seeded_and_never_the_papers():
    floor = pair_layers(40, 32)
    drawn = pair_layers(40, 32, "random", seed=1)
    assert drawn == pair_layers(40, 32, "random", seed=1) != pair_layers(40, 32, "random", seed=2)
    assert all(a != b for a, b in zip(drawn, floor, strict=True))
    assert pair_layers(1, 1, "random") == [0]  # there is no other


def test_the_window_takes_the_best_layer_nearby_and_never_turns_back():
    assert windowed([0.0] * 40, 32) != []
    found = windowed([9.0, 0.0, 0.0, 0.0, 8.0, 7.0, 0.0, 0.0, 0.0, 6.0], 3)
    assert found == sorted(found)
    assert windowed([1.0, 5.0, 2.0, 3.0, 9.0, 4.0], 3) == [1, 4, 4]


def test_an_interpolated_target_lies_between_its_two_layers(models, tmp_path):
    teacher, student = models
    rows = {}
    for name, more in {"a": {"teacher_layer": 2}, "b": {"teacher_layer": 3}, "mix": {"interpolate": True}}.items():
        settings = {"method": "feature-kd", "student_layer": 1, "teacher_layer": None, **more}
        plan = plan_for(*models, **settings)
        rows[name] = record(plan, teacher, student, SET, tmp_path / name, lambda *_: None)
    mixed = rows["mix"].pairs[0]
    assert mixed == LayerPair(1, 3, 4, 0.0)  # 6 layers over 3: the depth is whole, so all weight is on one layer
    assert_close(rows["mix"].of([0])["states.1"], rows["b"].of([0])["states.1"])
    uneven = fakes.loaded(tmp_path / "u", layers=4, width=48), student
    plan = plan_for(*uneven, method="feature-kd", student_layer=1, teacher_layer=None, interpolate=True)
    target = record(plan, *uneven, SET, tmp_path / "um", lambda *_: None)
    (pair,) = target.pairs
    sides = []
    for layer in (pair.teacher, pair.deeper):
        plan = plan_for(*uneven, method="feature-kd", student_layer=1, teacher_layer=layer)
        sides.append(record(plan, *uneven, SET, tmp_path / f"u{layer}", lambda *_: None).of([0])["states.1"])
    assert 0 < pair.weight < 1
    assert_close(target.of([0])["states.1"], (1 - pair.weight) * sides[0] + pair.weight * sides[1])


def test_fitted_maps_carry_states_nearer_than_those_of_shuffled_vocabularies(models, tmp_path):
    """Positive and negative control: on states of its own kind the ridge map is near, the permuted vocabulary is not."""
    teacher, student = models
    texts, near = tmp_path / "texts.txt", {}
    places = [("Paris", "France"), ("Rome", "Italy")] * 20
    texts.write_text("\n".join(f"{city} is a city in {land}, number {i}." for i, (city, land) in enumerate(places)))
    for kind in ("ridge", "procrustes", "semantic", "logit-preserving", "permuted", "random"):
        plan = plan_for(*models, map=kind, part="block_out", positions="all", general=str(texts), n_general=2)
        targets = record(plan, teacher, student, SET, tmp_path / kind, lambda *_: None)
        own = plan_for(*models, method="feature-kd", part="block_out", positions="all", teacher_layer=2)
        mine = record(
            own.model_copy(update={"teacher": student.ref}),
            student,
            student,
            SET,
            tmp_path / f"{kind}o",
            lambda *_: None,
        )
        near[kind] = float(
            cosine_similarity(targets.of([0, 1])["states.2"], mine.of([0, 1])["states.2"], dim=-1).mean()
        )
    assert near["ridge"] > 0.5
    assert near["ridge"] > near["permuted"] + 0.3
    assert abs(near["permuted"]) < 0.4
    assert abs(near["random"]) < 0.4


def test_bases_with_gain_or_norm_carry_otherwise_and_as_their_formulas_say(models):
    teacher, student = models
    with torch.no_grad():
        teacher.layout.final_norm.weight.copy_(torch.linspace(0.5, 2, 48))
    found, alike = {}, match(teacher, student)
    for basis in ("raw", "gain-folded", "normed"):
        plan = plan_for(*models, basis=basis)
        carry = carries(plan, teacher, student, alike, (LayerPair(2, 5),), ())[2]
        state = torch.randn(4, 48, generator=torch.Generator().manual_seed(0))
        found[basis] = carry(state)
        if basis == "normed":
            raw = carries(plan_for(*models), teacher, student, alike, (LayerPair(2, 5),), ())[2]
            assert_close(found[basis], raw(final_norm(teacher)(state)))
    for one, other in (("raw", "gain-folded"), ("raw", "normed")):
        assert float(cosine_similarity(found[one], found[other], dim=-1).mean()) < 0.999


def test_an_untrained_teacher_is_another_of_the_same_shape(models, tmp_path):
    teacher, student = models
    plan = plan_for(*models, method="logit-kd", seed=7)
    trained = record(plan, teacher, student, SET, tmp_path / "a", lambda *_: None).of([0])
    control = plan.model_copy(update={"teacher_weights": "untrained"})
    seeds = []
    for name in ("b", "c"):
        again = fakes.loaded(tmp_path / name, layers=6, width=48)
        seeds.append(record(control, again, student, SET, tmp_path / f"{name}x", lambda *_: None).of([0]))
    assert not torch.equal(trained["log_probs"], seeds[0]["log_probs"])
    assert torch.equal(seeds[0]["log_probs"], seeds[1]["log_probs"])  # drawn with the plan's seed
