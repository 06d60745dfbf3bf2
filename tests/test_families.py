"""Families: which plans a transfer's rivals and controls are, and what their table says of runs whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import recorded_runs
from made_runs import DEMO, demo
from scipy.stats import wilcoxon

from pkt_core.cli.transfers import named
from pkt_core.errors import PlanError, StoreError
from pkt_core.evaluation import statistics
from pkt_core.evaluation.record import Answers
from pkt_core.models.ref import ModelRef
from pkt_core.models.shape import model_shape
from pkt_core.runs.family import runs_of
from pkt_core.runs.folder import create_run
from pkt_core.studies.families import compute as families_compute
from pkt_core.transfer.controls import CONTROLS, Saved, control, steps_for_anchor, steps_for_teacher
from pkt_core.transfer.layers import chosen_pairs
from pkt_core.transfer.method import methods
from pkt_core.transfer.plan import TransferPlan, settings, users

METHODS = methods()


def test_every_control_changes_what_it_names_and_nothing_else():
    plan = demo(teacher_layer=5, student_layer=2, learning_rate=3e-3, steps=77)
    expected = {
        "permuted vocabulary": {"map": "permuted"},
        "random bases": {"map": "random"},
        "shuffled teacher rows": {"rows": "shuffled"},
        "untrained teacher": {"teacher_weights": "untrained"},
        "random pair of layers": {"teacher_layer": None, "pairing": "random"},
        "reversed pairing": {"teacher_layer": None, "pairing": "reversed"},
        "layer term only": {"output_weight": 0.0},
        "output term only": {"layer_weight": 0.0},
        "equal-compute fine-tuning": {"method": "sft", "steps": 84},
    }
    assert {*expected, "no anchor", "no anchor, equal compute"} == set(CONTROLS)
    for name in CONTROLS:
        found = control(plan, name, saved=Saved(teacher=3, anchor=4))
        if name.startswith("no anchor"):
            assert found is None  # there is none to take away
            continue
        different = {k: v for k, v in found.model_dump().items() if v != plan.model_dump()[k]}
        assert different == expected[name], name
        found.check_settings()


def test_controls_that_mean_nothing_to_a_method_are_not_made():
    names = {method: [c for c in CONTROLS if control(demo(method=method), c)] for method in METHODS}
    assert names["sft"] == []
    assert names["logit-kd"] == ["shuffled teacher rows", "untrained teacher", "equal-compute fine-tuning"]
    assert "permuted vocabulary" not in names["stitch"]  # its map is fitted on states, no vocabulary is in it
    assert "equal-compute fine-tuning" not in names["stitch"]  # it has no steps to be paid for
    for method in METHODS:
        for name in names[method]:
            control(demo(method=method), name).check_settings()


def test_every_method_makes_a_plan_that_holds_together_and_states_its_own_defaults():
    for method in METHODS:
        plan = demo(method=method)
        plan.check_settings()
        for name in type(plan).model_fields.keys() - DEMO.keys():
            assert getattr(plan, name) == TransferPlan.default(name, method)
        assert TransferPlan.model_validate(plan.model_dump(mode="json")) == plan


def test_a_setting_that_a_method_does_not_use_is_refused_and_not_ignored():
    other = {"map": "procrustes", "basis": "normed", "interpolate": True, "rows": "shuffled", "layer_weight": 0.5,
             "output_weight": 0.5, "temperature": 2.0, "divergence": "jsd", "feature_loss": "cka", "strength": 0.5,
             "teacher_weights": "untrained", "steer": True, "scope": "all", "modules": "mlp", "adapter": "lora",
             "lora_rank": 4, "steps": 7, "batch_size": 7, "micro_batch": 2, "learning_rate": 0.5, "decay": "cosine",
             "precision": "bfloat16", "recompute": True, "anchor": "states", "anchor_weight": 2.0, "anchor_batch": 3, "n_anchor": 17}  # fmt: skip
    assert set(other) == {name for name in settings() if len(users(name)) < len(METHODS)}
    beside = {"lora_rank": {"adapter": "lora"}, "basis": {"map": "semantic"}} | {
        name: {"anchor": "output"} for name in ("anchor_weight", "anchor_batch", "n_anchor")
    }
    for name, value in other.items():
        for method in METHODS:
            also = {key: one for key, one in beside.get(name, {}).items() if method in users(key)}
            if method in users(name):
                demo(method=method, **{name: value}, **also).check_settings()
            else:
                with pytest.raises(
                    PlanError, match=r"does not use it\. Remove it, or use|does not train\. Use anchor none"
                ):
                    demo(method=method, **{name: value}, **also)
                usual = settings()[name].default  # as earlier versions wrote it into every plan
                assert name not in demo(method=method, **{name: usual}, **also).model_dump()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"teacher_layer": 5, "pairing": "reversed"}, r"teacher_layer=5 conflicts with pairing reversed, .* Set one or the other"),
        ({"teacher_layer": 5, "pairing": "last-to-last"}, "teacher_layer=5 conflicts with pairing last-to-last"),
        ({"teacher_layer": 5, "student_layer": 0, "interpolate": True}, "teacher_layer=5 conflicts with interpolation"),
        ({"student_layer": 0, "n_pairs": 3}, r"n_pairs=3 conflicts with the explicit layer 0"),
        ({"teacher_layer": 4, "n_pairs": 0}, r"n_pairs=0 conflicts with the explicit layer 4"),
        ({"method": "sft", "lora_rank": 4}, "lora_rank=4 has no effect with adapter='full'"),
        ({"method": "laten", "lora_rank": 4}, "Got lora rank 4 with laten, which does not use it"),
        ({"method": "laten", "modules": "mlp"}, "Got modules mlp with laten, which does not use it"),
        ({"method": "seeking", "modules": "mlp"}, "Got modules mlp with seeking, which does not use it"),
        ({"method": "stitch", "steps": 5}, "Got steps 5 with stitch, which does not use it"),
        ({"method": "stitch", "learning_rate": 0.5}, "Got learning rate 0.5 with stitch, which does not use it"),
    ],
)  # fmt: skip
def test_a_setting_that_another_one_overrules_is_refused_and_a_stored_plan_is_still_read(settings, sentence):
    with pytest.raises(PlanError, match=sentence):
        demo(**settings).check_settings()
    stored = demo(method=settings.get("method")).model_dump(mode="json") | settings
    assert TransferPlan.read(stored, Path("plan.json")).method == stored["method"]


def test_rivals_and_controls_drop_what_they_cannot_hold():
    plan = demo(method="logit-kd", adapter="lora", lora_rank=4, modules="mlp", steps=77, learning_rate=3e-3)
    for method in METHODS:
        families_compute.rival(plan, method).check_settings()
    assert families_compute.rival(plan, "sft").lora_rank == families_compute.rival(plan, "seeking").lora_rank == 4
    tuned = control(demo(method="seeking", lora_rank=4), "equal-compute fine-tuning")
    tuned.check_settings()
    assert tuned.lora_rank == 16


def layers(plan):
    """Pairs of a plan between the demo models (6 and 3 layers)."""
    return [(p.teacher, p.student) for p in chosen_pairs(plan, 6, 3, [0.0, 0.0, 1.0, 0.0, 0.0, 0.0])[0]]


@pytest.mark.parametrize(
    ("settings", "own", "backwards"),
    [
        ({}, [(3, 1)], [(0, 1)]),  # attribution picks the middle student layer, which is its own mirror image
        ({"teacher_layer": 0}, [(0, 0)], [(5, 0)]),  # the student layer stays where the teacher layer put it
        ({"teacher_layer": 5, "student_layer": 2}, [(5, 2)], [(1, 2)]),
        ({"layer_pairs": "5:1"}, [(5, 1)], [(0, 1)]),
    ],
)
def test_a_control_of_the_pairing_keeps_the_student_layer_and_takes_another_teacher_layer(settings, own, backwards):
    plan = demo(**settings)
    found = families_compute.members(plan, controls=["reversed pairing", "random pair of layers"], seeds=6)
    assert layers(plan) == own
    assert [layers(m.plan) for m in found if m.label == "reversed pairing"] == [backwards] * 6
    drawn = [layers(m.plan) for m in found if m.label == "random pair of layers"]
    assert {student for ((_, student),) in drawn} == {own[0][1]}
    assert own not in drawn
    for member in found:
        member.plan.check_settings()


def test_a_control_that_would_be_the_transfer_itself_is_left_out_with_the_reason():
    plan = demo(teacher_layer=5, student_layer=0)  # what the reversed pairing gives
    names = {member.label for member in families_compute.members(plan)}
    assert "reversed pairing" not in names
    assert "random pair of layers" in names
    told = families_compute.left_out(plan, seeds=1)
    assert told == ["The control reversed pairing is left out: it pairs the same layers as the transfer itself."]
    assert families_compute.left_out(demo(teacher_layer=5, student_layer=2), seeds=1) == []
    chance = [seed for seed in range(8) if layers(demo(student_layer=0, pairing="random", seed=seed)) == [(5, 0)]]
    seeds = [m.plan.seed for m in families_compute.members(plan, seeds=8) if m.label == "random pair of layers"]
    assert chance
    assert sorted(seeds + chance) == list(range(8))
    assert f"is left out with seed {chance[0]}" in families_compute.left_out(plan, seeds=8)[0]


def test_equal_compute_counts_forward_and_backward():
    plan = demo(batch_size=10)
    # All trains: a step is 10 examples x (1 forward + 1 through activations + 1 for weights) x 100 = 3,000.
    given = {"teacher_parameters": 600, "student_parameters": 100, "n_examples": 50}
    assert steps_for_teacher(plan, trained_parameters=100, **given) == 600 * 50 / 3000
    assert steps_for_teacher(plan, trained_parameters=0, **given) == 600 * 50 / 2000


def test_the_controls_of_ours_take_its_anchor_away_and_pay_for_it_in_steps():
    plan = demo(method="ours", steps=100, batch_size=10, anchor_batch=5, n_anchor=60)
    free = control(plan, "no anchor")
    assert (free.anchor, free.modules, free.decay, free.steps) == ("none", "mlp", "cosine", 100)
    free.check_settings()
    # 100 steps of 5 texts of 30 tokens, and 60 texts written at two thirds of a step: 15,000 + 1,200 tokens at 100 a step.
    more = steps_for_anchor(plan, anchor_tokens=30, example_tokens=10.0)
    assert more == 162
    paid = control(plan, "no anchor, equal compute", saved=Saved(anchor=more))
    assert paid == free.model_copy(update={"steps": 262})
    tuned = control(plan, "equal-compute fine-tuning", saved=Saved(teacher=7, anchor=more))
    assert (tuned.method, tuned.steps, tuned.anchor) == ("sft", 269, "none")
    assert steps_for_anchor(free, anchor_tokens=30, example_tokens=10.0) == 0
    kd = families_compute.rival(plan, "logit-kd")
    assert (kd.anchor, kd.scope, kd.modules, kd.steps) == ("none", "layer", "all", 100)
    kd.check_settings()


def test_a_shape_is_known_without_weights():
    found = model_shape(ModelRef(name="demo:student"))
    from pkt_core.models.loading import load

    loaded = load(ModelRef(name="demo:student"))
    assert found.n_parameters == loaded.n_parameters
    assert found.block_parameters == tuple(sum(p.numel() for p in b.parameters()) for b in loaded.layout.blocks)
    assert (found.d_model, found.vocabulary) == (loaded.d_model, loaded.layout.head.weight.shape[0])


def test_members_are_the_plan_its_rivals_and_its_controls_with_seeds():
    plan = demo(seed=4, learning_rate=3e-3, teacher_layer=5, student_layer=2)
    found = families_compute.members(plan, rivals=["sft", "semalign-aclr"], controls=["permuted vocabulary"], seeds=2)
    assert [(m.label, m.plan.seed) for m in found] == [
        (label, seed) for label in ("semalign-v1", "sft", "semalign-aclr", "permuted vocabulary") for seed in (4, 5)
    ]
    aclr = next(m.plan for m in found if m.label == "semalign-aclr")
    assert (aclr.part, aclr.n_pairs) == ("block_out", 0)  # its own defaults
    assert (aclr.learning_rate, aclr.teacher_layer) == (3e-3, 5)  # the plan's settings


def finished(monkeypatch, tmp_path, name, answers):
    """Runs whose students answered as given: label -> one string of right and wrong per seed."""
    monkeypatch.setenv("PKT_CACHE", str(tmp_path))
    place = 0
    for label, seeds in answers.items():
        for found in seeds:
            run = create_run(
                demo().model_dump(mode="json"),
                run_id=f"r{place}",
                family={"family": name, "label": label, "place": place},
            )
            told = recorded_runs.answering({"task": Answers(after=found, before="0" * len(found))})
            bits = replace(told.behaviour.after.bits_per_byte, value=2.0 + place)
            after = replace(told.behaviour.after, bits_per_byte=bits)
            run.write_results(replace(told, behaviour=replace(told.behaviour, after=after)))
            place += 1


def test_the_table_finds_a_difference_that_is_there_and_none_that_is_not(monkeypatch, tmp_path):
    draw = np.random.default_rng(0)

    def answers(rate, n=400):
        return "".join("01"[x] for x in (draw.random(n) < rate).astype(int))

    finished(monkeypatch, tmp_path, "f", {"base": [answers(0.5), answers(0.5)], "same": [answers(0.5), answers(0.5)],
                                          "better": [answers(0.8), answers(0.8)]})  # fmt: skip
    base, same, better = families_compute.summary(runs_of("f"))
    assert base.tasks["task"].difference is None
    assert same.tasks["task"].p_value > 0.05
    assert better.tasks["task"].p_value < 0.01
    assert better.tasks["task"].difference_low > 0.2
    assert same.tasks["task"].difference_low < 0 < same.tasks["task"].difference_high
    assert base.runs == ["r0", "r1"]
    assert base.bits_per_byte == [2.0, 3.0]
    assert base.tasks["task"].value == pytest.approx(np.mean(base.tasks["task"].seeds))
    assert base.tasks["task"].no_worse
    assert better.tasks["task"].sure
    assert not same.tasks["task"].sure


def test_a_task_of_one_item_has_a_table_that_claims_nothing(monkeypatch, tmp_path):
    finished(monkeypatch, tmp_path, "one", {"base": ["0", "0"], "better": ["1", "1"]})
    base, better = families_compute.summary(runs_of("one"))
    assert (base.tasks["task"].low, base.tasks["task"].high) == (0, 1)
    found = better.tasks["task"]
    assert (found.difference, found.difference_low, found.difference_high, found.p_value) == (1, -1, 1, 1)


def test_the_sign_flip_test_agrees_with_scipys_wilcoxon_in_kind():
    draw = np.random.default_rng(1)
    for shift in (0.0, 0.5):
        x = draw.normal(shift, 1, 80)
        ours, theirs = statistics.sign_flip(x, families_compute.DRAWS), wilcoxon(x).pvalue
        assert (ours < 0.05) == (theirs < 0.05)
    assert statistics.sign_flip(np.zeros(5), families_compute.DRAWS) == 1.0


def test_a_family_that_is_not_there_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("PKT_CACHE", str(tmp_path))
    with pytest.raises(StoreError, match="There is no family 'x'"):
        runs_of("x")


def test_a_control_may_be_typed_with_hyphens_and_an_unknown_one_lists_each_name_once():
    assert named("control", ["permuted-vocabulary", "no-anchor-equal-compute", "random bases"], CONTROLS) == [
        "permuted vocabulary", "no anchor, equal compute", "random bases"
    ]  # fmt: skip
    with pytest.raises(PlanError, match="There is no control 'hope'; expected one of permuted vocabulary; ") as error:
        named("control", ["hope"], CONTROLS)
    assert str(error.value).rstrip(".").removeprefix("There is no control 'hope'; expected one of ").split("; ") == [*CONTROLS]  # fmt: skip
