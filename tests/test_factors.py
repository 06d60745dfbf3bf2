"""What eases a transfer: the correlation against SciPy and by hand, its null against stripes, sweeps, and groups of runs."""

from __future__ import annotations

import itertools
import json
from dataclasses import fields, replace

import numpy as np
import pytest
import report_samples as samples
from made_runs import DEMO, a_run
from scipy.stats import spearmanr

from pkt_core.base.records import from_json, to_json
from pkt_core.data.prompts import assets_folder
from pkt_core.errors import PlanError, StoreError
from pkt_core.evaluation import ease as easing
from pkt_core.evaluation.ease import Block, ease
from pkt_core.studies.factors import compute as factors_compute
from pkt_core.studies.factors import text as factors_text
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


def whole(n_teacher, n_student):
    return np.array(list(itertools.product(range(n_teacher), range(n_student))))


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_in_one_block_it_is_spearmans_correlation_and_in_two_that_of_ranks_within_each():
    grid, gains = draw(5, 4), draw(20, seed=1)
    found = ease([Block(gains, whole(5, 4))], [grid])
    assert found is not None
    assert found.rho == pytest.approx(spearmanr(grid.ravel(), gains).statistic)
    assert found.n == 20
    other, more = draw(3, 2, seed=2), draw(6, seed=3)
    two = ease([Block(gains, whole(5, 4)), Block(more + 100, whole(3, 2))], [grid, other - 50])

    def ranks(values):
        order = sorted(values)
        return [(order.index(v) - (len(values) - 1) / 2) / len(values) for v in values]

    x = ranks(grid.ravel().tolist()) + ranks(other.ravel().tolist())
    y = ranks(gains.tolist()) + ranks(more.tolist())
    by_hand = sum(a * b for a, b in zip(x, y, strict=True)) / (sum(a * a for a in x) * sum(b * b for b in y)) ** 0.5
    assert two is not None
    assert two.rho == pytest.approx(by_hand)


def test_the_null_is_every_way_to_shuffle_both_sides_layers():
    grid, gains = draw(4, 3, seed=5), draw(12, seed=6)
    at = whole(4, 3)
    own = spearmanr(grid.ravel(), gains).statistic
    every = [
        spearmanr([grid[a[t], b[s]] for t, s in at], gains).statistic
        for a in itertools.permutations(range(4))
        for b in itertools.permutations(range(3))
    ]
    exact = np.mean(np.abs(every) >= abs(own) - 1e-12)
    found = ease([Block(gains, at)], [grid])
    assert found is not None
    assert found.p_value == pytest.approx(exact, abs=0.03)
    assert found.visible == pytest.approx(np.quantile(np.abs(every), 0.95), abs=0.03)


def test_a_factor_that_eases_is_found_and_one_that_does_not_is_not_and_only_ranks_matter():
    at, noise = whole(6, 4), 0.2 * draw(24, seed=1)
    grid = draw(6, 4)
    true = ease([Block(grid.ravel() + noise, at)], [grid])
    false = ease([Block(draw(24, seed=9), at)], [grid])
    assert true is not None
    assert false is not None
    assert true.p_value < 0.01
    assert 0.8 < true.low < true.rho < 1
    assert false.p_value > 0.05
    assert abs(false.rho) < false.visible
    again = ease([Block(grid.ravel() + noise, at)], [np.exp(3 * grid)])
    assert again == true
    turned = ease([Block(grid.ravel() + noise, at)], [-grid])
    assert turned is not None
    assert turned.rho == pytest.approx(-true.rho)
    assert turned.rho < 0


def test_stripes_do_not_pass_for_an_easing_factor_where_points_that_share_a_layer_are_taken_for_independent(
    monkeypatch,
):
    monkeypatch.setattr(easing, "DRAWS", 200)
    at, ours, naive = whole(6, 3), 0, 0
    for seed in range(120):  # gains made of the student layer alone, a factor made of another thing of it alone
        stripes = np.tile(draw(3, seed=2 * seed), (6, 1)) + 0.1 * draw(6, 3, seed=1000 + seed)
        gains = np.tile(draw(3, seed=2 * seed + 1), (6, 1)) + 0.1 * draw(6, 3, seed=3000 + seed)
        found = ease([Block(gains.ravel(), at)], [stripes])
        assert found is not None
        ours += found.p_value < 0.05
        naive += spearmanr(stripes.ravel(), gains.ravel()).pvalue < 0.05
    assert ours <= 12  # 5 % of 120 are 6
    assert naive > 40


def test_nothing_is_said_of_too_few_points_or_of_what_does_not_vary():
    assert ease([Block(draw(3), whole(3, 1))], [draw(3, 1)]) is None
    assert ease([Block(np.ones(6), whole(3, 2))], [draw(3, 2)]) is None
    assert ease([Block(draw(6), whole(3, 2))], [np.ones((3, 2))]) is None


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
    with pytest.raises(PlanError, match="sft uses no teacher layer"):
        factors_compute.sweep(TransferPlan(**DEMO, method="sft"), 6, 3, at_most=18)
    with pytest.raises(PlanError, match="Got 3 layer pairs; expected at least 4"):
        factors_compute.sweep(plan, 6, 3, at_most=3)


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
    grids = {"debiased_linear_cka": grid, "mutual_knn": draw(6, 3, seed=4), **factors_compute.depths(6, 3)}
    found = factors_compute.factors([group], [grids], "facts")
    assert found[0].name == "debiased_linear_cka"
    assert found[0].rho == pytest.approx(1)
    assert len(found) == 5
    assert all(f.p_corrected >= f.p_value for f in found)
    assert found[0].p_corrected == pytest.approx(min(1, 5 * found[0].p_value))
    assert found[0].values[group.key] == grid.tolist()


def test_depth_is_a_factor_of_its_own():
    found = factors_compute.depths(3, 2)
    assert found["teacher depth"].tolist() == [[0, 0], [0.5, 0.5], [1, 1]]
    assert found["student depth"].tolist() == [[0, 1]] * 3
    assert found["same relative depth"].tolist() == [[0, -1], [-0.5, -0.5], [-1, 0]]


@pytest.mark.usefixtures("cache")
def test_too_few_runs_are_said_in_one_sentence():
    with pytest.raises(PlanError, match="Run every layer pair first"):
        factors_compute.answer([a_run(0.1, 1, 1)])


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_factors_of_real_grids_and_what_they_cannot_know():
    runs = [a_run(float(t == 2 * s), t, s, n_prompts=64) for t in range(6) for s in range(3)]
    found = factors_compute.answer(runs, measures=["debiased_linear_cka", "procrustes"])
    assert found.used == [found.groups[0].key]
    told = {f.name: f for f in found.factors["facts"]}
    assert set(told) == {"debiased_linear_cka", "procrustes", *factors_compute.DEPTHS}
    values = np.array(told["procrustes"].values[found.used[0]])
    assert values.shape == (6, 3)
    assert values.max() <= 0  # a distance, turned so that larger is closer
    assert told["same relative depth"].rho > 0.3


def test_what_lies_further_out_than_the_sure_factor_is_named_with_its_p():
    measured = {"rho": 0.9, "low": 0.7, "high": 0.95, "p_value": 0.01, "p_corrected": 0.09, "visible": 0.8}
    far = Factor(name="far", label="Far", kind="likeness", n=18, values={}, **measured)
    sure = replace(far, label="Sure", rho=0.7, p_corrected=0.04)
    headline = factors_text.eases([far, sure], "demo/unknown-seen")
    assert headline == "Sure predicts the gain in new facts (rank correlation 0.70, corrected p = 0.040)."
    limits = factors_text.cannot([far, sure])
    assert "Strongest: Far (rank correlation 0.90" in limits
    assert "corrected for 2 factors p = 0.090)" in limits
    assert "Significant after correction: Sure (0.70, p = 0.040)." in limits
    assert factors_text.eases([replace(far, p_corrected=0.01), sure], "demo/unknown-seen").startswith("Far predicts")


STORED = {
    Factors: "groups used factors",
    RecordedFactors: "groups used factors command",
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
