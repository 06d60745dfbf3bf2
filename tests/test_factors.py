"""What predicts the gain of a transfer: sweeps, groups of runs, factors with their correction, and the shipped recording."""

from __future__ import annotations

import itertools
import json
from dataclasses import fields, replace

import numpy as np
import pytest
import report_samples as samples
from made_runs import DEMO, a_run

from pkt_core.base.records import from_json, to_json
from pkt_core.data.prompts import assets_folder
from pkt_core.errors import PlanError, StoreError
from pkt_core.studies.factors import compute as factors_compute
from pkt_core.studies.factors.record import (
    SURE,
    Correlation,
    Factor,
    Factors,
    Group,
    Point,
    RecordedFactors,
    correlated,
)
from pkt_core.transfer.plan import TransferPlan


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_a_sweep_has_every_pair_of_layers_or_evenly_spread_ones():
    plan = TransferPlan(**DEMO)
    members = factors_compute.sweep(plan, 6, 3, at_most=18, seeds=2)
    assert len(members) == 36
    assert {(m.plan.teacher_layer, m.plan.student_layer) for m in members} == set(itertools.product(range(6), range(3)))
    assert [m.plan.seed for m in members[:2]] == [0, 1]
    assert members[0].label == "layer 0 to 0"
    teachers, students = factors_compute.spread(28, 24, 64)
    assert len(teachers) * len(students) <= 64
    assert (teachers[0], teachers[-1], students[0], students[-1]) == (0, 27, 0, 23)
    steps = {b - a for a, b in itertools.pairwise(teachers)}
    assert max(steps) - min(steps) <= 1
    with pytest.raises(PlanError, match="Got sft, which takes nothing from a teacher layer"):
        factors_compute.sweep(TransferPlan(**DEMO, method="sft"), 6, 3, at_most=18)
    with pytest.raises(PlanError, match="Got 4 pairs of layers; at least 5"):
        factors_compute.sweep(plan, 6, 3, at_most=4)
    with pytest.raises(PlanError, match="Got a teacher of 4 layers; the effect of depth"):
        factors_compute.sweep(plan, 4, 3, at_most=12)
    assert [len(side) for side in factors_compute.spread(6, 3, 9)] == [
        6,
        1,
    ]  # depth takes five teacher layers to remove


@pytest.mark.usefixtures("cache")
def test_runs_that_differ_in_layers_and_seeds_alone_are_a_group_and_controls_are_told_apart():
    runs = [
        a_run(0.1 * t + 0.01 * s + 0.001 * seed, t, s, seed=seed) for t in range(3) for s in range(2) for seed in (0, 1)
    ]
    runs += [a_run(0.5, t, 0, steps=99) for t in range(2)]
    runs += [a_run(0.0, t, 1, map="permuted") for t in range(4)]
    damaged = a_run(0.3, 5, 2)
    (damaged.folder / "results.json").write_text("{")
    groups = factors_compute.gather([*runs, damaged])
    assert [(len(g.points), g.control) for g in groups] == [(6, False), (4, True), (2, False)]
    point = groups[0].points[3]
    assert (point.teacher, point.student, len(point.runs)) == (1, 1, 2)
    assert point.gains["facts"] == pytest.approx([0.11, 0.111])
    assert point.gains[factors_compute.GENERAL] == pytest.approx([0.011, 0.0111])


@pytest.mark.usefixtures("cache")
def test_all_factors_of_a_group_with_holms_correction_strongest_first():
    grid = draw(6, 3)
    runs = [a_run(float(grid[t, s]), t, s) for t in range(6) for s in range(3)]
    (group,) = factors_compute.gather(runs)
    grids = {
        "debiased_linear_cka": grid,
        "mutual_knn": draw(6, 3, seed=4),
        factors_compute.SAME_DEPTH: factors_compute.same_depth(6, 3),
    }
    found = factors_compute.factors([group], [grids], "facts")
    assert found[0].name == "debiased_linear_cka"
    assert found[0].rho == pytest.approx(1)
    assert len(found) == 3
    assert all(f.p_corrected >= f.p_value for f in found)
    assert found[0].p_corrected == pytest.approx(min(1, 3 * found[0].p_value))
    assert found[0].values[group.key] == grid.tolist()


def test_relative_depth_is_a_factor_of_its_own():
    assert factors_compute.same_depth(3, 2).tolist() == [[0, -1], [-0.5, -0.5], [-1, 0]]


@pytest.mark.usefixtures("cache")
def test_too_few_runs_are_said_in_one_sentence():
    with pytest.raises(PlanError, match="cover 5 teacher layers for one student layer"):
        factors_compute.answer([a_run(0.1, 1, 1)])


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_factors_of_real_grids_and_what_they_cannot_know():
    runs = [a_run(float(t == 2 * s), t, s, n_prompts=64) for t in range(6) for s in range(3)]
    found = factors_compute.answer(runs, measures=["debiased_linear_cka", "procrustes"])
    assert found.used == [found.groups[0].key]
    told = {f.name: f for f in found.factors["facts"]}
    assert set(told) == {"debiased_linear_cka", "procrustes", factors_compute.SAME_DEPTH}
    values = np.array(told["procrustes"].values[found.used[0]])
    assert values.shape == (6, 3)
    assert values.max() <= 0  # a distance, turned so that larger is closer
    assert told["same relative depth"].rho > 0.3
    assert 0 < found.depth["facts"] < 1


STORED = {
    Factors: "groups used factors depth",
    RecordedFactors: "groups used factors depth command",
    Group: "key plan control points",
    Point: "teacher student runs gains",
    Factor: "name label kind rho low high p_value p_corrected visible n values",
}
"""What is in answers and recordings of earlier versions."""


@pytest.mark.parametrize(("record", "names"), STORED.items(), ids=[record.__name__ for record in STORED])
def test_fields_keep_their_names(record, names):
    assert [field.name for field in fields(record)] == names.split()


def test_records_survive_json_and_the_shipped_recording_is_one():
    for found in (samples.factors(), samples.factors(sure=False)):
        assert from_json(Factors, json.loads(json.dumps(to_json(found))), "It") == found
    shipped = json.loads((assets_folder() / "recorded" / "factors.json").read_text())
    record = from_json(RecordedFactors, shipped, "It")
    assert to_json(record) == shipped
    assert [group.key for group in record.groups_used] == shipped["used"]
    with pytest.raises(StoreError, match="has the field 'command', which Factors"):
        from_json(Factors, shipped, "It")
    odd = [{**shipped["factors"]["general text"][0], "kind": "magic"}]
    with pytest.raises(StoreError, match=r"factors\.facts\.0\.kind"):
        from_json(RecordedFactors, {**shipped, "factors": {"facts": odd}}, "It")


def test_a_factor_of_which_nothing_can_be_said_has_no_correlation_and_sure_is_after_correction():
    *known, unknown = samples.factors().factors["facts"]
    assert unknown.correlation is None
    assert [factor for factor, _ in correlated([*known, unknown])] == known
    correlation = Correlation(rho=0.9, low=0.8, high=0.95, p_value=0.001, p_corrected=SURE, visible=0.5)
    assert not correlation.sure
    assert replace(correlation, p_corrected=0.049).sure
