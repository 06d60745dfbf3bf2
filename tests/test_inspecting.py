"""Inspections and ways of making bases, from two models to a stored record: matching by character, controls, errors."""

import itertools
import json
from dataclasses import fields, replace

import fakes
import pytest
import recorded_studies
import reference_semantics as naive
import torch

from pkt_core.alignment import model_maps
from pkt_core.alignment.choice import BasisChoice
from pkt_core.base.records import from_json, to_json
from pkt_core.data.prompts import load_prompts, pasted
from pkt_core.errors import LayerNotFound, PlanError, PromptError, StoreError
from pkt_core.models.catalog import custom_pair, demo_pair
from pkt_core.models.loading import load
from pkt_core.models.pool import Pool
from pkt_core.models.ref import ModelRef
from pkt_core.runs.folder import create_run
from pkt_core.studies.inspection import compute as inspection_compute
from pkt_core.studies.inspection import spaces
from pkt_core.studies.inspection.basis_options import basis_options
from pkt_core.studies.inspection.compute import inspect_token
from pkt_core.studies.inspection.record import (
    BasisOptions,
    Crossing,
    Difference,
    Followed,
    HeadFacts,
    Inspection,
    Option,
    Reader,
    Seconds,
    SideOption,
    Space,
)
from pkt_core.studies.inspection.spaces import Vocabulary, follow, see

TEXT = "the quick brown fox is a city in France."
LINES = pasted("\n".join(f"{' '.join(TEXT.split()[i % 4 :])} number {i}" for i in range(24)))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """LayerNorm against RMSNorm with softcap and (1 + w) gain, heads padded to different sizes, one tokenizer."""
    folder = tmp_path_factory.mktemp("models")
    fakes.folder(folder / "teacher", "gpt2", layers=3, width=48, rows=400)
    fakes.folder(folder / "student", "gemma2", seed=1, layers=2, rows=352)
    return custom_pair(str(folder / "teacher"), str(folder / "student"))


def two_tokenizers(tmp_path, words):
    fakes.folder(tmp_path / "one", layers=2)
    fakes.folder(tmp_path / "two", "opt", layers=2, seed=1, texts=words)
    return custom_pair(str(tmp_path / "one"), str(tmp_path / "two"))


def test_an_inspection_is_the_states_of_that_token_in_words(pair):
    found = inspect_token(pair, text=TEXT, at=11, k=4, anchor="city")
    assert from_json(Inspection, json.loads(json.dumps(to_json(found))), "it") == found
    for reader, ref, layers in ((found.teacher, pair.teacher, 3), (found.student, pair.student, 2)):
        text, start, end = reader.tokens[reader.token]
        assert start <= 11 < end
        assert TEXT[start:end] == text
        model = load(ref)
        with torch.no_grad():
            said = model.model(input_ids=torch.tensor([model.tokenizer(TEXT)["input_ids"]]), output_hidden_states=True)
        rows = naive.bases(model.layout.head.weight.detach())[: len(model.tokenizer)]
        names = Vocabulary.of(model).names
        for layer in range(layers - 1):  # the last entry of hidden_states is behind the final norm
            exact = naive.reading(said.hidden_states[layer + 1][0, reader.token], rows, 4)
            assert [name for name, _ in reader.own.top[layer]] == [names[i] for i, _ in exact]
            assert [v for _, v in reader.own.top[layer]] == pytest.approx([v for _, v in exact], abs=1e-4)
        predicted = int(said.logits[0, reader.token, : len(model.tokenizer)].argmax())
        assert reader.predicted[0] == names[predicted] == reader.lens[-1][0][0]
        assert reader.own.n_tokens == len(model.tokenizer)
    assert any("asked for" in one.why for one in found.followed)


def test_carried_readings_use_the_students_bases_and_differences_are_ranked(pair):
    found = inspect_token(pair, text=TEXT, at=11, teacher_layer=1, student_layer=0)
    crossing = found.crossing
    teacher, student = load(pair.teacher), load(pair.student)
    match = model_maps.match(teacher, student)
    of_teacher, of_student = (naive.bases(m.layout.head.weight.detach()) for m in (teacher, student))
    h, y = (see(m, TEXT, 11, "block_out").states for m in (teacher, student))
    carried = torch.zeros(32, dtype=torch.float64)
    for t, s in zip(match.teacher_ids.tolist(), match.student_ids.tolist(), strict=True):
        carried += naive.cosine(h[1], of_teacher[t]) * of_student[s] / of_student[s].norm()
    assert crossing.meeting[1][0] == pytest.approx(naive.cosine(carried, y[0]), abs=1e-4)
    exact = naive.reading(carried, of_student[: len(student.tokenizer)], 5)
    assert [v for _, v in crossing.carried.top[1]] == pytest.approx([v for _, v in exact], abs=1e-4)
    gaps = [abs(one.carried - one.own) for one in crossing.differences]
    assert gaps == sorted(gaps, reverse=True)
    assert crossing.permuted.top != crossing.carried.top
    assert crossing.control_reach >= max(abs(one.permuted - one.own) for one in crossing.differences)
    assert len(crossing.meeting) == 3
    assert len(crossing.meeting[0]) == 2


def test_two_tokenizers_meet_at_a_character(tmp_path):
    pair = two_tokenizers(tmp_path, ["the fox is in the city of quick foxes"])
    for at in (0, 12, 22, len(TEXT) - 1):
        found = inspect_token(pair, text=TEXT, at=at)
        for reader in (found.teacher, found.student):
            _, start, end = reader.tokens[reader.token]
            assert start <= at < end
    assert found.teacher.tokens != found.student.tokens
    assert found.crossing.n_shared < 320


def test_a_followed_token_is_one_text_with_two_ids_or_missing_from_one_side(tmp_path):
    pair = two_tokenizers(tmp_path, ["the fox is in the city of quick foxes"])
    sides = {
        who: inspection_compute.opened_side(Pool(), (who, "n", "auto", "cpu"), load(ref), BasisChoice())
        for who, ref in (("teacher", pair.teacher), ("student", pair.student))
    }
    match = model_maps.match(sides["teacher"].loaded, sides["student"].loaded)
    across = dict(zip(match.teacher_ids.tolist(), match.student_ids.tolist(), strict=True))
    moved = next(t for t, s in across.items() if t != s)
    alone = next(t for t in sides["teacher"].vocabulary.names if t > 2 and t not in across)
    seen = {who: see(side.loaded, TEXT, 3, "block_out") for who, side in sides.items()}

    def says(who, token):
        logits = torch.zeros_like(seen[who].logits)
        logits[token] = 1
        return replace(seen[who], logits=logits)

    agreed = {"teacher": says("teacher", moved), "student": says("student", across[moved])}
    named, of_teacher, of_student = follow(sides, agreed, match, "")
    assert [one.why for one in named] == ["teacher predicts, student predicts"]
    assert (of_teacher, of_student) == ([moved], [across[moved]])
    apart = {"teacher": says("teacher", alone), "student": says("student", across[moved])}
    named, of_teacher, of_student = follow(sides, apart, match, "")
    assert (of_teacher, of_student) == ([alone, moved], [None, across[moved]])
    assert named[0].name == sides["teacher"].vocabulary.names[alone]


def test_vocabularies_without_enough_in_common_are_read_apart(tmp_path):
    for side, letters in (("teacher", "abcdefgh"), ("student", "opqrstuv")):
        words = [" ".join(map("".join, itertools.product(letters, repeat=4)))]
        fakes.folder(tmp_path / side, layers=2, rows=900)
        fakes.tokenizer(900, words).save_pretrained(tmp_path / side)
    pair = custom_pair(str(tmp_path / "teacher"), str(tmp_path / "student"))
    found = inspect_token(pair, text=TEXT)
    assert found.crossing is None
    assert "needs at least half" in found.why_not
    assert found.teacher.own.top
    assert found.student.own.top
    assert all(option.cosine is None for option in basis_options(pair, prompts=LINES).options)
    assert from_json(Inspection, json.loads(json.dumps(to_json(found))), "it") == found


STORED = {
    Inspection: "text at part choice layers teacher student after run followed crossing why_not seconds",
    BasisChoice: "gain norm ridge",
    Reader: "name n_layers d_model tokens token own lens predicted",
    Space: "top ranks cosines n_tokens nearest_by_chance",
    Followed: "name why",
    Crossing: "carried permuted meeting meeting_permuted meeting_after differences control_reach n_shared",
    Difference: "name carried own permuted after",
    Seconds: "loading reading",
    BasisOptions: "teacher student options part n draws seconds",
    HeadFacts: "name n_layers tied norm norm_bias softcap rank d_model vocabulary",
    Option: "gain norm ridge teacher student cosine control control_spread refused",
    SideOption: "condition_number solved_condition_number residual recomposition top1",
}
"""What is in the stores of earlier versions."""


@pytest.mark.parametrize(("record", "names"), STORED.items(), ids=[record.__name__ for record in STORED])
def test_stored_fields_keep_their_names(record, names):
    assert [field.name for field in fields(record)] == names.split()


def test_records_survive_json_and_a_strange_or_missing_field_is_one_sentence():
    kinds = ({"after": True}, {"shared": False}, {"cut_alike": False})
    records = [recorded_studies.inspection(**kind) for kind in kinds] + [
        recorded_studies.basis_options(refused=r) for r in (False, True)
    ]
    for record in records:
        data = json.loads(json.dumps(to_json(record)))
        assert from_json(type(record), data, "It") == record
        with pytest.raises(StoreError, match="It has the field 'mood', which"):
            from_json(type(record), data | {"mood": 1}, "It")
        with pytest.raises(StoreError, match=r"\(part: Field required\)"):
            from_json(type(record), {key: value for key, value in data.items() if key != "part"}, "It")


def test_the_same_model_on_both_sides_reads_the_same(tmp_path):
    fakes.folder(tmp_path / "one", "gpt_neox", layers=2)
    pair = custom_pair(str(tmp_path / "one"), str(tmp_path / "one"))
    found = inspect_token(pair, text=TEXT, pool=Pool())
    assert found.teacher == found.student
    assert found.crossing.meeting[1][1] > 0.5 > found.crossing.meeting_permuted[1][1]


def test_what_was_looked_at_is_stored_and_models_stay_for_the_next_look(pair, monkeypatch):
    pool = Pool()
    first = inspect_token(pair, text=TEXT, pool=pool)
    monkeypatch.setattr(inspection_compute, "load", lambda *_: pytest.fail("a model was loaded again"))
    assert inspect_token(pair, text=TEXT, pool=pool) == first
    assert inspect_token(pair, text=TEXT) == first  # stored: no pool, no models
    other = inspect_token(pair, text=TEXT, at=3, pool=pool)
    assert other.teacher.token != first.teacher.token
    for changed in (
        {"gain": True},
        {"norm": True},
        {"ridge": 1e-3},
        {"k": 3},
        {"part": "block_delta"},
        {"teacher_layer": 0},
        {"seed": 4},
    ):
        other = inspect_token(pair, text=TEXT, pool=pool, **changed)
        assert replace(other, seconds=first.seconds) != first
    assert inspect_token(pair, text=TEXT, pool=pool, part="block_delta").teacher.lens is None


def test_applying_the_norm_needs_no_new_bases_but_folding_the_gain_does(pair, monkeypatch):
    pool = Pool()
    inspect_token(pair, text=TEXT, pool=pool)
    monkeypatch.setattr(inspection_compute, "semantic_lens", lambda *_: pytest.fail("bases were made again"))
    assert inspect_token(pair, text=TEXT, pool=pool, norm=True).choice.norm
    with pytest.raises(BaseException, match="made again"):
        inspect_token(pair, text=TEXT, pool=pool, gain=True)


def test_a_followed_word_is_the_token_within_a_text_first(tmp_path):
    fakes.folder(tmp_path / "one", layers=2)
    side = inspection_compute.opened_side(
        Pool(), ("k", "n", "auto", "cpu"), load(ModelRef(name=str(tmp_path / "one"))), BasisChoice()
    )
    names = side.vocabulary.names
    assert names[spaces.anchor_id(side, "city")] == " city"
    assert names[spaces.anchor_id(side, "Q")] == "Q"
    assert names[spaces.anchor_id(side, "Zürich")] == side.loaded.tokenizer.decode(
        side.loaded.tokenizer(" Zürich")["input_ids"][0]
    )


def test_mistakes_are_one_sentence(pair):
    with pytest.raises(PromptError, match="Got an empty text"):
        inspect_token(pair, text="  ")
    with pytest.raises(PromptError, match="Got character 99; the text has characters 0 to 39"):
        inspect_token(pair, text=TEXT, at=99)
    with pytest.raises(PromptError, match="reads at most 64"):
        inspect_token(pair, text=TEXT * 9)
    with pytest.raises(PlanError, match="1 to 20 tokens"):
        inspect_token(pair, text=TEXT, k=0)
    with pytest.raises(LayerNotFound, match="teacher has layers 0 to 2, got 7"):
        inspect_token(pair, text=TEXT, teacher_layer=7)
    plan = {"teacher": {"name": "t"}, "student": {"name": "another"}, "data": "demo/unknown-seen"}
    with pytest.raises(StoreError, match="Choose a run of this pair"):
        inspect_token(pair, text=TEXT, run=create_run(plan, run_id="other").id)
    with pytest.raises(StoreError, match="keeps no trained student"):
        inspect_token(demo_pair(), text=TEXT, run="demo-sft")


@pytest.mark.parametrize(("family", "tied"), [("gpt2", True), ("gpt_neox", False), ("gemma3", True)])
def test_every_way_of_making_bases_is_measured(tmp_path, family, tied):
    fakes.folder(tmp_path / "teacher", family, layers=2, width=48)
    fakes.folder(tmp_path / "student", "opt", seed=1, layers=2, rows=352)
    pair = custom_pair(str(tmp_path / "teacher"), str(tmp_path / "student"))
    found = basis_options(pair, prompts=LINES, n_prompts=24)
    assert from_json(BasisOptions, json.loads(json.dumps(to_json(found))), "it") == found
    assert [(o.gain, o.norm, o.ridge) for o in found.options] == [
        (g, n, r) for g in (False, True) for n in (False, True) for r in (0.0, 1e-6, 1e-3)
    ]
    assert (found.teacher.tied, found.student.vocabulary, found.student.norm) == (tied, 352, "layer")
    for option in found.options:
        for side in (option.teacher, option.student):
            assert 0 <= side.recomposition <= 1
            assert 0 <= side.top1 <= 1
            assert (side.residual > 1e-8) == (option.ridge > 0)
        assert len(option.cosine) == 2
        assert len(option.control_spread[0]) == 2
    assert basis_options(pair, prompts=LINES, n_prompts=24) == found


def test_a_head_without_full_rank_is_refused_in_its_row_and_read_with_a_ridge(tmp_path):
    from transformers import AutoModelForCausalLM

    for side in ("teacher", "student"):
        fakes.folder(tmp_path / side, layers=2)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "teacher")
    with torch.no_grad():
        model.lm_head.weight[:, 5] = model.lm_head.weight[:, 4]
    model.save_pretrained(tmp_path / "teacher")
    found = basis_options(
        custom_pair(str(tmp_path / "teacher"), str(tmp_path / "student")), prompts=LINES, n_prompts=24
    )
    for option in found.options:
        assert (option.refused is not None) == (option.ridge == 0)
        assert (option.teacher is None) == (option.ridge == 0)
    assert found.teacher.rank == 31
    assert from_json(BasisOptions, to_json(found), "it") == found


def test_on_the_demo_pair_the_map_carries_meaning_and_a_permuted_vocabulary_does_not():
    """Positive and negative control, at the last layers and tokens of facts, and against the model's own predictions."""
    pool, texts = Pool(), load_prompts("facts").sample(40, 0).texts
    looks = [inspect_token(demo_pair(), text=text, pool=pool) for text in texts]
    real, permuted = (
        torch.tensor([getattr(one.crossing, key)[5][2] for one in looks]) for key in ("meeting", "meeting_permuted")
    )
    assert float(real.mean()) > 0.08
    assert abs(float(permuted.mean())) < 0.05
    better = sum(r > p for r, p in zip(real, permuted, strict=True))
    assert better >= 30
    # The nearest basis of the teacher's last layer is the token it predicts; seen through the permuted map it is not.
    named = sum(one.teacher.own.top[5][0][0] == one.teacher.predicted[0] for one in looks)
    assert named >= 38
    first = [next(i for i, f in enumerate(one.followed) if "teacher predicts" in f.why) for one in looks]
    places = [
        torch.tensor(
            [float(getattr(one.crossing, name).ranks[i][5]) for one, i in zip(looks, first, strict=True)]
        ).median()
        for name in ("carried", "permuted")
    ]
    assert places[0] < 0.5 * places[1]


def test_the_student_after_a_run_is_read_beside_the_others():
    pool = Pool()
    found = inspect_token(demo_pair(), text="Abidjan is a city in", run="demo-semalign-v1", pool=pool)
    assert found.run == "demo-semalign-v1"
    assert found.after.own != found.student.own
    assert found.after.own.top[:2] == found.student.own.top[:2]  # only layer 2 was trained
    assert len(pool.models) == 3
    assert all(one.after is not None for one in found.crossing.differences)
    assert found.crossing.meeting_after[5][2] > found.crossing.meeting[5][2]
    assert inspect_token(demo_pair(), text="Abidjan is a city in", pool=pool).after is None
    assert len(pool.models) == 2
