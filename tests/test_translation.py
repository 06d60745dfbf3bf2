"""Carrying states across: places that have read as far, the rest of a forward pass, maps with controls, stitching."""

import json

import fakes
import pytest
import reference_translation as naive
import torch
from torch.testing import assert_close

from pkt_core.activations.capture import Resume, forward_ids
from pkt_core.activations.paired import ALONE, added_bytes, paired_batches, partners, without_massive
from pkt_core.alignment.maps import affine_map, held_out_error, ridge_map, scaled, split
from pkt_core.base.records import from_json, to_json
from pkt_core.data.prompts import pasted
from pkt_core.errors import LayerNotFound, PlanError, PromptError
from pkt_core.evaluation.stitching import own_bits, scored, stitched_bits
from pkt_core.models.catalog import custom_pair, demo_pair
from pkt_core.studies.alignment_maps import compute as alignment_maps_compute
from pkt_core.studies.alignment_maps.compute import (
    KINDS,
    Halves,
    alignment_maps,
    explained,
    per_text,
    round_trip_bound,
    stitching,
)
from pkt_core.studies.alignment_maps.record import MapComparison, StitchedGrid

WORDS = " ".join(fakes.TEXT).split()
LINES = pasted("\n".join(f"{' '.join(WORDS[i % 7 : i % 7 + 5])} number {i}" for i in range(40)))


@pytest.mark.parametrize("family", fakes.FAMILIES)
def test_the_rest_of_a_pass_from_a_layers_own_output_is_the_model_itself(tmp_path, family):
    loaded = fakes.loaded(tmp_path, family)
    ids = torch.randint(3, 300, (2, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    with torch.no_grad():
        true = forward_ids(loaded, ids, mask)[mask.bool()]
    resume = Resume(loaded, ids, mask)
    for layer, own in enumerate(resume.outputs):
        assert_close(resume.logits(layer, own, mask.bool()), true, atol=1e-5, rtol=1e-5)
        turned = own + torch.randn(own.shape, generator=torch.Generator().manual_seed(layer))
        assert (resume.logits(layer, turned, mask.bool()) - true).abs().max() > 1e-3
    assert not any(block._forward_hooks or block._forward_pre_hooks for block in loaded.layout.blocks)


def test_a_partner_has_never_read_further_and_one_tokenizer_pairs_with_itself():
    text = "Zürich 🎉 naïve cities, 東京 and more"
    small, large = (fakes.tokenizer(n, [text, *fakes.TEXT]) for n in (270, 340))
    for teacher, student in ((small, large), (large, small)):
        of_teacher, of_student = (t(text, return_offsets_mapping=True)["offset_mapping"] for t in (teacher, student))
        found = partners(of_teacher, of_student)
        assert found == naive.partners(of_teacher, of_student)
        for i, partner in enumerate(found):
            if partner != ALONE:
                assert max(end for _, end in of_teacher[: partner + 1]) <= of_student[i][1]
    plain = large("the quick brown fox", return_offsets_mapping=True)["offset_mapping"]
    assert partners(plain, plain) == list(range(len(plain)))
    assert partners([(0, 9)], [(0, 4), (4, 9)]) == [ALONE, 0]
    assert partners([(0, 0), (0, 4)], [(0, 0), (0, 4)]) == [0, 1]  # <bos> has read nothing


def test_bytes_that_tokens_add_are_those_of_the_text():
    text = "Zürich 🎉 naïve cities"
    offsets = fakes.tokenizer(340, [text])(text, return_offsets_mapping=True)["offset_mapping"]
    assert sum(added_bytes(text, offsets)) == len(text.encode())
    assert added_bytes("ab  cd", [(0, 2), (4, 6)]) == [2, 4]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return (
        fakes.loaded(folder / "teacher", layers=3, width=48),
        fakes.loaded(folder / "student", seed=1, layers=2, texts=[*fakes.TEXT, "another text to cut otherwise"]),
    )


def test_pairs_are_the_states_of_tokens_matched_by_characters(models):
    (batch,) = paired_batches(*models, list(LINES.texts[:4]))
    states, paired = naive.paired_states(*models, LINES.texts[:4])
    assert torch.equal(batch.paired, paired)
    assert batch.paired.any()
    assert not batch.paired[:, 0].any()
    assert_close(batch.teacher[:, batch.paired], states, atol=1e-5, rtol=1e-5)


def test_stitched_bits_are_those_of_a_model_whose_block_was_overwritten(models):
    (batch,) = paired_batches(*models, list(LINES.texts[:4]))
    matrix = torch.randn(32, 48, generator=torch.Generator().manual_seed(0)) / 7
    found = stitched_bits(batch, 2, 0, lambda x: x @ matrix.T)
    assert_close(found, naive.stitched_bits(models[1], batch, 2, 0, matrix), atol=1e-3, rtol=1e-4)
    own = own_bits(batch)
    assert_close(own, naive.own_bits(models[1], batch), atol=1e-3, rtol=1e-4)
    assert (found - own).abs().max() > 0.01
    assert_close(bits_of_itself(batch), own, atol=1e-3, rtol=1e-4)  # given its own states it is itself


def bits_of_itself(batch):
    from pkt_core.evaluation.stitching import bits

    return bits(batch, 0, batch.resume.outputs[0])


def test_a_position_counts_only_with_a_real_token_to_come(models):
    (batch,) = paired_batches(*models, ["the quick brown fox jumps", "the"])
    assert scored(batch).sum(1).tolist()[1] == max(0, int(batch.paired[1].sum()) - 1)
    assert not scored(batch)[:, -1].any()


def test_affine_map_recovers_an_affine_relation_and_is_unregularised():
    generator = torch.Generator().manual_seed(0)
    x, matrix = torch.randn(300, 20, generator=generator), torch.randn(8, 20, generator=generator)
    y = x @ matrix.T + 5
    found = affine_map(x, y)
    assert_close(found.matrix, matrix, atol=1e-4, rtol=1e-4)
    assert held_out_error(found, x, y).r2 > 0.99999
    few = affine_map(x[:10], y[:10])  # fewer samples than dimensions: repeats them, and says little of others
    assert held_out_error(few, x[:10], y[:10]).r2 > 0.9999
    assert held_out_error(few, x[10:], y[10:]).r2 < 0.9
    joint = split(affine_map(x, torch.cat([y, 2 * y], 1)), 8)
    assert_close(joint[1].matrix, 2 * joint[0].matrix, atol=1e-4, rtol=1e-4)
    assert_close(joint[0](x), y, atol=1e-3, rtol=1e-3)


def test_scaling_fits_length_and_never_turns_a_map_round():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(100, 6, generator=generator)
    right = ridge_map(x, 3 * x, 0.0)
    assert_close(scaled(right, x, 6 * x).matrix, 2 * right.matrix, atol=1e-5, rtol=1e-5)
    assert_close(scaled(right, x, -x).matrix, torch.zeros(6, 6))


def test_r2_by_texts_is_the_plain_one_and_the_bound_holds():
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(60, 5, generator=generator)
    guess, text = true + 0.5 * torch.randn(60, 5, generator=generator), torch.arange(60) // 6
    found = explained(guess, true, text)
    plain = 1 - (guess - true).square().sum() / (true - true.mean(0)).square().sum()
    assert found.value == pytest.approx(float(plain), abs=1e-6)
    assert found.low < found.value < found.high
    assert found.n == 10
    assert per_text(torch.ones(60), text).tolist() == [6.0] * 10
    assert round_trip_bound(true, 5) == pytest.approx(1)
    there = ridge_map(true, true[:, :2], 1e-9)
    back = ridge_map(there(true), true, 1e-9)
    assert explained(back(there(true)), true, text).value <= round_trip_bound(true, 2) + 1e-9


def test_maps_of_the_demo_pair_beat_their_controls_and_survive_json():
    found = alignment_maps(demo_pair(), teacher_layer=5, student_layer=2, n_prompts=128)
    assert list(found.maps) == list(KINDS)
    for kind in KINDS:
        real, control = found.maps[kind], found.controls[kind]
        assert real.cosine.low > control.cosine.high, kind
        assert real.bits_per_byte.high < control.bits_per_byte.low, kind
        assert real.bits_per_byte.value < found.constant.value, kind
        assert real.r2.value > control.r2.value
    assert (
        found.own.value < found.maps["semantic"].bits_per_byte.value
    )  # fitted maps may do as well as the student itself
    assert all(scores.round_trip.value <= found.bound + 0.02 for scores in found.maps.values())
    assert from_json(MapComparison, json.loads(json.dumps(to_json(found))), "It") == found
    assert found.best == min(KINDS, key=lambda kind: found.maps[kind].bits_per_byte.value)
    again = alignment_maps(demo_pair(), teacher_layer=5, student_layer=2, n_prompts=128)
    assert again == found


def test_stitching_a_model_onto_itself_costs_nothing_at_the_same_layer(tmp_path):
    fakes.folder(tmp_path / "one", layers=2)
    pair = custom_pair(str(tmp_path / "one"), str(tmp_path / "one"))
    many = pasted("\n".join(f"{line} {k}" for k in range(4) for line in LINES.texts))
    grid = stitching(pair, kind="affine", prompts=many, n_prompts=160)
    values, trips = torch.tensor(grid.values), torch.tensor(grid.round_trip)
    assert_close(values.double().diagonal(), torch.full((2,), grid.own.value, dtype=torch.float64), atol=2e-3, rtol=0)
    assert (torch.tensor(grid.low) <= values).all()
    assert (values <= torch.tensor(grid.high)).all()
    assert_close(trips.diagonal(), torch.ones(2), atol=1e-3, rtol=0)
    assert from_json(StitchedGrid, json.loads(json.dumps(to_json(grid))), "It") == grid


def test_two_tokenizers_are_stitched_through_characters(models):
    pair = custom_pair(models[0].ref.name, models[1].ref.name)
    found = alignment_maps(pair, teacher_layer=1, student_layer=0, prompts=LINES, n_prompts=40)
    assert "ridge" in found.maps
    assert found.n_fitted > 20


def test_one_massive_token_bends_no_fit_and_is_told(models, monkeypatch):
    """Negative control: left in, the same token ruins the map."""
    teacher, student = models
    plain = Halves.read(teacher, student, LINES.texts, lambda *_: None)
    assert plain.massive == 0
    assert "massive" not in plain.recipe(LINES, 0)
    read = paired_batches

    def with_one(*args):
        for k, batch in enumerate(read(*args)):
            if k == 0:
                batch.resume.outputs[-1][0, 2] = 1e4 * torch.randn(
                    student.d_model, generator=torch.Generator().manual_seed(0)
                )
            yield batch

    def error(halves) -> float:
        there = ridge_map(halves.fitted.teacher[-1], halves.fitted.student[-1], 0.01)
        return 1 - held_out_error(there, plain.held_out.teacher[-1], plain.held_out.student[-1]).r2

    monkeypatch.setattr(alignment_maps_compute, "paired_batches", with_one)
    found = Halves.read(teacher, student, LINES.texts, lambda *_: None)
    assert found.massive == 2  # one in each half
    assert found.recipe(LINES, 0)["massive"] == 2
    assert len(found.fitted.text) == len(plain.fitted.text) - 1
    assert error(found) == pytest.approx(error(plain), rel=0.1)
    monkeypatch.setattr(alignment_maps_compute, "without_massive", lambda batches: (batches, 0))
    assert error(Halves.read(teacher, student, LINES.texts, lambda *_: None)) > 2 * error(plain)


def test_a_text_without_pairs_has_no_massive_token():
    assert without_massive([]) == ([], 0)


def test_wrong_asks_are_one_sentence():
    with pytest.raises(PlanError, match="no alignment map 'magic'; expected one of semantic, logit-preserving"):
        stitching(demo_pair(), kind="magic")
    with pytest.raises(LayerNotFound, match="teacher has layers 0 to 5, got 9"):
        alignment_maps(demo_pair(), teacher_layer=9, student_layer=0)
    with pytest.raises(PromptError, match="Got 3 prompts; comparing alignment maps needs at least 32"):
        alignment_maps(demo_pair(), teacher_layer=0, student_layer=0, prompts=pasted("a\nb\nc"))


def test_the_fitted_half_is_not_the_scored_half(models):
    halves = Halves.read(*models, LINES.texts, lambda *_: None)
    assert sum(len(batch.ids) for batch in halves.batches) == 20
    assert int(halves.fitted.text.max()) == 19
    assert halves.fitted.teacher.shape[1] != 0
    assert len(halves.held_out.text) == sum(int(batch.paired.sum()) for batch in halves.batches)
