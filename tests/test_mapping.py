"""Chains and picked prompts on small random models: what is stored is what the parts say, and ids lead back to the prompts."""

import json
from dataclasses import asdict, fields, replace

import fakes
import pytest
import recorded_studies
import torch
from torch.testing import assert_close

from pkt_core.activations.collect import collect
from pkt_core.base.records import from_json, to_json
from pkt_core.data import prompts
from pkt_core.data.prompts import PromptSet, pasted
from pkt_core.errors import MeasureError, PktError, PlanError, PromptError, StoreError
from pkt_core.models.catalog import custom_pair
from pkt_core.models.loading import load
from pkt_core.models.sites import Site
from pkt_core.projection.maps import neighbour_overlap
from pkt_core.projection.turnover import neighbour_turnover
from pkt_core.runs.folder import create_run
from pkt_core.similarity.measures import measure
from pkt_core.studies.generations import picked
from pkt_core.studies.generations.record import RestrictedCell
from pkt_core.studies.latent_map import compute as latent_map_compute
from pkt_core.studies.latent_map.chain import spread_layers
from pkt_core.studies.latent_map.record import (
    FALSE_ALARMS,
    MARGIN,
    ChainMap,
    DrawnSlice,
    LatentMap,
    Trust,
    TurnoverRow,
    TurnoverTable,
)

WORDS = " ".join(fakes.TEXT).split()
LINES = pasted(
    "\n".join(f"{' '.join(WORDS[i % 7 : i % 7 + 5])} number {i} and {WORDS[i % len(WORDS)]}" for i in range(80))
)
SMALL = {"prompts": LINES, "n_prompts": 40}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return fakes.pair(tmp_path_factory.mktemp("models"))


@pytest.fixture
def run(pair):
    """A run whose trained student is another random model of the student's shape."""
    plan = {"teacher": {"name": pair.teacher.name}, "student": {"name": pair.student.name}, "data": "demo/unknown-seen"}
    made = create_run({**plan, "method": "sft"}, run_id="trained")
    fakes.folder(made.folder / "student", seed=5, layers=2)
    return made.id


def states_of(ref, layer, texts):
    return collect(load(ref), texts, [Site("block_out", layer)], "mean")[0]


FIELDS = {
    LatentMap: "method teacher_xy student_xy ids texts labels last_tokens neighbour_overlap trust map map_cosine map_control "
    "map_r2 map_r2_control teacher_layer student_layer shuffled seconds",
    Trust: "teacher student overlap overlap_chance",
    ChainMap: "method kind run slices xy partners ids texts labels last_tokens overlap steps ends overlap_chance regularisation "
    "pooling seed shuffled seconds",
    DrawnSlice: "name model layer fidelity explained",
    TurnoverTable: "first second rows texts labels mean chance noise k shuffled",
    TurnoverRow: "id text turnover relative q before after",
}
"""Of the JSON that earlier versions stored."""


@pytest.mark.parametrize("record", FIELDS, ids=lambda one: one.__name__)
def test_what_earlier_versions_stored_has_the_fields_of_the_records(record):
    assert [one.name for one in fields(record)] == FIELDS[record].split()


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_latent_map_is_stored_and_comes_back_as_it_was(pair, monkeypatch, shuffled):
    settings = {"teacher_layer": 2, "student_layer": 1, "map": "ridge", "shuffled": shuffled, **SMALL}
    found = latent_map_compute.latent_map(pair, **settings)
    monkeypatch.setattr(latent_map_compute, "load", lambda *_: pytest.fail("models were loaded again"))
    assert latent_map_compute.latent_map(pair, **settings) == found
    told = json.loads(json.dumps(to_json(found)))
    assert told == asdict(found)
    assert from_json(LatentMap, told, "It") == found
    with pytest.raises(StoreError, match=r"not a valid LatentMap of this version \(trust\.student: Field required"):
        from_json(LatentMap, told | {"trust": {"teacher": 1.0}}, "It")


def test_two_spaces_are_alike_where_the_cosine_is_beyond_its_control_by_the_margin():
    found = recorded_studies.latent()
    for cosine, alike in (
        (found.map_control + MARGIN, False),
        (found.map_control + MARGIN + 0.001, True),
        (-1.0, False),
    ):
        assert replace(found, map_cosine=cosine).alike is alike


def test_prompts_stand_out_below_the_share_of_false_alarms_and_above_the_noise():
    table = recorded_studies.turnover(3)
    edge = [
        replace(table.rows[0], q=q, relative=r)
        for q, r in ((FALSE_ALARMS, table.noise), (0.049, table.noise + 0.01), (0.0, -1.0))
    ]
    counted = replace(table, rows=edge)
    assert (counted.beyond_chance, counted.beyond_noise) == (2, 1)


def test_a_chain_of_a_pair_is_what_its_parts_say(pair):
    found = latent_map_compute.chain_map(pair, teacher_layer=2, student_layer=1, **SMALL)
    texts = LINES.sample(40, 0)
    assert (found.ids, found.texts) == (list(texts.ids), list(texts.texts))
    x, y = states_of(pair.teacher, 2, found.texts), states_of(pair.student, 1, found.texts)
    overlap = neighbour_overlap(x, y)
    assert_close(found.steps[0], float(overlap.mean()))
    assert found.ends == found.steps[0]
    assert_close(torch.tensor(found.overlap[0]), overlap, atol=1e-3, rtol=0)
    assert [(one.model, one.layer) for one in found.slices] == [("teacher", 2), ("student", 1)]
    table = latent_map_compute.turnover(pair, teacher_layer=2, student_layer=1, **SMALL)
    expected = neighbour_turnover(x, y)
    assert_close(table.mean, float(expected.turnover.mean()))
    assert [row.id for row in table.rows] == [found.ids[i] for i in expected.ranked().tolist()]
    top = table.rows[0]
    assert top.text == LINES.texts[top.id] == table.texts[str(top.id)]


def test_a_chain_of_a_run_has_three_spaces_and_is_not_computed_twice(pair, run, monkeypatch):
    settings = {"kind": "run", "run": run, "teacher_layer": 2, "student_layer": 1, **SMALL}
    found = latent_map_compute.chain_map(pair, **settings)
    assert [one.model for one in found.slices] == ["teacher", "before", "after"]
    assert len(found.xy) == 3
    monkeypatch.setattr(picked, "load", lambda *_: pytest.fail("models were loaded again"))
    assert latent_map_compute.chain_map(pair, **settings) == found
    assert from_json(ChainMap, json.loads(json.dumps(to_json(found))), "It") == found
    null = latent_map_compute.chain_map(pair, shuffled=True, **settings)  # from the stored activations
    assert null.partners is not None
    assert null.slices[0].fidelity == found.slices[0].fidelity
    assert abs(sum(null.steps) / 2 - null.overlap_chance) < 0.1
    assert null.overlap_chance == pytest.approx(10 / 39)
    table = latent_map_compute.turnover(pair, first=1, second=2, **settings)
    monkeypatch.setattr(latent_map_compute, "turnover_table", lambda *_: pytest.fail("the table was made again"))
    assert latent_map_compute.turnover(pair, first=1, second=2, **settings) == table
    assert from_json(TurnoverTable, json.loads(json.dumps(to_json(table))), "It") == table


def test_layers_of_one_model_make_a_chain(pair):
    found = latent_map_compute.chain_map(pair, kind="teacher", **SMALL)
    assert [one.layer for one in found.slices] == [0, 1, 2]
    assert spread_layers(24) == [0, 5, 9, 14, 18, 23]
    assert spread_layers(1) == [0]


def test_what_chains_cannot_be_is_one_sentence(pair, run):
    for settings, kind, words in [
        ({"kind": "run", "run": None}, PlanError, "Got no run"),
        ({"kind": "moon"}, PlanError, "expected one of pair, run"),
        ({"colour": 1}, PlanError, "the setting colour"),
        ({"method": "tsne"}, PlanError, "expected pca or umap"),
        ({"pooling": "tokens"}, PlanError, "one point per prompt"),
        ({"n_prompts": 5}, PromptError, "12 to 1000"),
        ({"kind": "run", "run": "nobody"}, PktError, "no run 'nobody'"),
        ({"teacher_layer": 9}, PktError, "layers 0 to 2, got 9"),
    ]:
        with pytest.raises(kind, match=words):
            latent_map_compute.chain_map(pair, **{**SMALL, **settings})
    other = custom_pair(pair.teacher.name, pair.teacher.name)
    with pytest.raises(StoreError, match="Choose a run of this pair"):
        latent_map_compute.chain_map(other, kind="run", run=run, **SMALL)
    with pytest.raises(PlanError, match="slices 0 and 7"):
        latent_map_compute.turnover(pair, first=0, second=7, **SMALL)


def test_picked_tokens_are_the_models_own_words(pair):
    found = picked.picked_tokens(pair, ids=[3, 70, 3, 999], prompts=LINES)
    assert [row.id for row in found.rows] == [3, 70]
    teacher, student = load(pair.teacher), load(pair.student)
    text = LINES.texts[3]
    ids = teacher.tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        p, q = (m.model(input_ids=ids).logits[0, -1].double().softmax(-1) for m in (teacher, student))
    best = p.argsort(descending=True)[:3].tolist()
    assert [token for token, _ in found.rows[0].teacher] == [teacher.tokenizer.decode([i]) for i in best]
    assert_close(found.rows[0].teacher[0][1], float(p.max()), atol=1e-5, rtol=0)
    shared = [i for i in range(fakes.VOCABULARY) if i > 2]  # all but the special tokens
    p, q = p[shared] / p[shared].sum(), q[shared] / q[shared].sum()
    m = (p + q) / 2
    js = ((p * (p / m).log2()).sum() + (q * (q / m).log2()).sum()) / 2
    assert_close(found.rows[0].js_bits, float(js), atol=1e-5, rtol=0)
    alike = picked.picked_tokens(custom_pair(pair.teacher.name, pair.teacher.name), ids=[3], prompts=LINES)
    assert alike.rows[0].js_bits < 1e-6


def test_a_few_picked_prompts_give_neighbours_and_many_a_similarity_beside_random_choices(pair):
    few = picked.picked_cell(
        pair,
        ids=[5, 9],
        teacher_layer=2,
        student_layer=1,
        measure="debiased_linear_cka",
        prompts=LINES,
        permutations=20,
    )
    assert not isinstance(few.facts, RestrictedCell)
    x, y = states_of(pair.teacher, 2, LINES.texts), states_of(pair.student, 1, LINES.texts)
    overlap = neighbour_overlap(x, y)
    assert {row.id: round(row.overlap, 4) for row in few.rows} == {i: round(float(overlap[i]), 4) for i in (5, 9)}
    ids = list(range(40))
    many = picked.picked_cell(
        pair, ids=ids, teacher_layer=2, student_layer=1, measure="debiased_linear_cka", prompts=LINES, permutations=20
    )
    assert_close(many.facts.picked, measure("debiased_linear_cka", x[:40], y[:40]), atol=1e-6, rtol=0)
    assert_close(many.facts.all, measure("debiased_linear_cka", x, y), atol=1e-6, rtol=0)
    assert many.facts.low < many.facts.high


def test_prompts_outside_the_sample_are_read_too(pair):
    settings = {
        "teacher_layer": 2,
        "student_layer": 1,
        "measure": "mutual_knn",
        "prompts": LINES,
        "permutations": 20,
        "n_prompts": 64,
    }
    left_out = next(i for i in range(80) if i not in LINES.sample(64, 0).ids)
    found = picked.picked_cell(pair, ids=[left_out], **settings)
    assert found.facts.n == 65
    assert found.rows[0].text == LINES.texts[left_out]


def test_continuations_are_by_all_three_and_kept(pair, run, monkeypatch):
    found = picked.picked_continuations(pair, run=run, ids=[1, 2], prompts=LINES)
    assert [row.id for row in found.rows] == [1, 2]
    monkeypatch.setattr(picked, "continuations_after", lambda *_: pytest.fail("models were loaded again"))
    assert picked.picked_continuations(pair, run=run, ids=[1, 2], prompts=LINES) == found


def test_picking_nothing_there_is_one_sentence(pair):
    with pytest.raises(PromptError, match="prompts 0 to 79; none of the selected"):
        picked.picked_tokens(pair, ids=[500], prompts=LINES)
    with pytest.raises(MeasureError, match="no measure 'telepathy'"):
        picked.picked_cell(pair, ids=[1], teacher_layer=0, student_layer=0, measure="telepathy", prompts=LINES)
    assert prompts.chosen(PromptSet("x", ("a", "b"), {}, (7, 9)), [9]).texts == ("b",)
