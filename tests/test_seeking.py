"""Seeking: the choice of parameters against naive twins; unchanged at step 0, changed afterwards, and only where planned."""

import fakes
import pytest
import reference_neurons as naive
import torch
from torch.testing import assert_close
from trained import EXAMPLES, SET, extracted, extraction, plan_for, prepared

from pkt_core.alignment.pairing import LayerPair
from pkt_core.data.examples import encode
from pkt_core.errors import PlanError
from pkt_core.runs.results import ChangedTensors
from pkt_core.transfer.export import export_student, open_student
from pkt_core.transfer.maths import sensitive_blocks
from pkt_core.transfer.trainable import changed, fingerprints

IDS = torch.tensor([[5, 6, 7, 8]])


def models(tmp_path, family="llama", width=48, layers=4):
    return fakes.loaded(tmp_path / "t", family, layers=layers, width=width), fakes.loaded(
        tmp_path / "s", family, seed=1
    )


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 2), (7, 5), (2, 9), (7, 9)])
def test_the_block_is_the_one_that_trying_all_finds(n, m):
    for seed in range(5):
        scores = torch.rand(7, 9, generator=torch.Generator().manual_seed(seed))
        assert sensitive_blocks.densest_block(scores, n, m) == naive.densest_block(scores, n, m)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_sensitivity_is_its_formula(tmp_path, family):
    teacher, student = models(tmp_path, family)
    names = sensitive_blocks.shared_matrices(teacher, student)
    seeds = encode(teacher.tokenizer, EXAMPLES[:3], 64)
    totals, scores = sensitive_blocks.sensitivity(teacher, seeds, names)
    for name in (names[0], names[-1]):
        module = teacher.layout.blocks[1].get_submodule(name)
        expected = naive.sensitivity(teacher.model, module.weight, seeds)
        assert_close(scores[1, name], expected.T if family == "gpt2" else expected, atol=1e-7, rtol=1e-3)
    of_layer = sum(naive.sensitivity(teacher.model, p, seeds).sum() for p in teacher.layout.blocks[2].parameters())
    assert_close(totals[2], of_layer, atol=1e-5, rtol=1e-3)
    assert not any(p.requires_grad or p.grad is not None for p in teacher.model.parameters())


def test_the_adapter_starts_as_the_best_approximation_of_the_block():
    block = torch.randn(20, 12, generator=torch.Generator().manual_seed(0))
    b, a = sensitive_blocks.low_rank(block, 5)
    assert_close(a @ a.T, torch.eye(5), atol=1e-5, rtol=0)
    left_over = torch.linalg.svdvals(block)[5:].square().sum()
    assert_close((block - b @ a).square().sum(), left_over, atol=1e-3, rtol=1e-4)
    b, a = sensitive_blocks.low_rank(block, 16)
    assert b.shape == (20, 16)
    assert_close(b @ a, block, atol=1e-4, rtol=1e-4)


def test_a_large_block_is_factored_nearly_as_well_by_the_randomised_way(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    block = torch.randn(60, 8, generator=generator) @ torch.randn(8, 50, generator=generator)
    block += 0.01 * torch.randn(60, 50, generator=generator)
    exact = sensitive_blocks.low_rank(block, 8)
    monkeypatch.setattr(sensitive_blocks, "EXACT_BELOW", 10)
    state = torch.get_rng_state()
    fast = sensitive_blocks.low_rank(block, 8)
    assert torch.equal(torch.get_rng_state(), state)
    assert_close(fast[0] @ fast[1], exact[0] @ exact[1], atol=1e-3, rtol=1e-3)


def test_student_layers_take_the_most_sensitive_teacher_layers_in_their_order():
    assert sensitive_blocks.most_sensitive(torch.tensor([1.0, 5.0, 2.0, 4.0]), 3) == {0: 1, 1: 2, 2: 3}


def test_what_is_planted_comes_from_the_chosen_block(tmp_path):
    teacher, student = models(tmp_path)
    plan = plan_for(teacher, student, method="seeking", scope="layer", lora_rank=64)
    found = extracted(extraction(teacher, student, plan, [LayerPair(2, 3)]))
    seeds = encode(teacher.tokenizer, SET.sample(32, 0).items, 64)
    weight = teacher.layout.blocks[3].mlp.down_proj.weight
    top, left = naive.densest_block(naive.sensitivity(teacher.model, weight, seeds), 32, 64)
    planted = found["B.2.mlp.down_proj"] @ found["A.2.mlp.down_proj"]
    assert_close(planted, weight.detach()[top : top + 32, left : left + 64], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "opt"])
def test_the_function_is_unchanged_at_step_0_and_the_export_is_an_ordinary_model(tmp_path, family):
    teacher, student = models(tmp_path, family)
    plan = plan_for(teacher, student, method="seeking", lora_rank=4, steps=15)
    with torch.no_grad():
        untouched = student.model(input_ids=IDS).logits
        own = [p.detach().clone() for p in student.layout.blocks[1].parameters()]
    before, trainable, trainer = prepared(teacher, student, plan)
    with torch.no_grad():
        assert_close(student.model(input_ids=IDS).logits, untouched, atol=1e-5, rtol=1e-5)
    kept = [p for n, p in student.layout.blocks[1].named_parameters() if "lora_" not in n]
    assert (
        max(float((a - b).abs().max()) for a, b in zip(own, kept, strict=True)) > 1e-3
    )  # its parametrisation is another
    losses = [report.terms["cross_entropy"] for report in trainer.steps()]
    assert losses[-1] < losses[0]
    with torch.no_grad():
        trained = student.model(input_ids=IDS).logits
        trainable.bake()
        assert_close(student.model(input_ids=IDS).logits, trained, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(trained, untouched, atol=1e-3)
    difference = changed(before, student, plan, [])
    assert difference == ChangedTensors(tensors=len(trainable.parameters) // 2, of=len(before), outside_plan=0)
    export_student(tmp_path / "out", student, trainable, plan, [LayerPair(2, 3)], SET)
    opened = open_student(tmp_path / "out", plan)
    assert fingerprints(opened.model).keys() == before.keys()
    with torch.no_grad():
        assert_close(opened.model(input_ids=IDS).logits, trained, atol=1e-5, rtol=1e-5)


def test_with_scope_layer_only_that_layer_changes(tmp_path):
    teacher, student = models(tmp_path)
    before, trainable, trainer = prepared(teacher, student, plan_for(teacher, student, method="seeking", scope="layer"))
    list(trainer.steps())
    trainable.bake()
    after = fingerprints(student.model)
    different = {name for name in after if after[name] != before[name]}
    assert different
    assert all(".layers.2." in name for name in different)


def test_going_on_from_a_state_ends_as_if_never_stopped(tmp_path):
    def weights(stop):
        teacher, student = models(tmp_path)
        plan = plan_for(teacher, student, method="seeking", steps=6)
        _, trainable, trainer = prepared(teacher, student, plan)
        for report in trainer.steps():
            if report.step == stop:
                kept = [{k: v.clone() for k, v in trainer.state()[0].items()}, trainer.state()[1]]
                teacher, student = models(tmp_path)
                _, trainable, trainer = prepared(teacher, student, plan)
                trainer.restore(*kept)
                list(trainer.steps())
                break
        trainable.bake()
        return fingerprints(student.model)

    assert weights(3) == weights(0)


def test_pairs_that_do_not_fit_are_refused_in_one_sentence(tmp_path):
    teacher, student = models(tmp_path)
    gpt2 = fakes.loaded(tmp_path / "g", "gpt2", layers=4, width=48)
    for pair, scope, words in [
        ((student, teacher), "layer", r"is \d+ x \d+ in t and \d+ x \d+ in s; seeking cuts a block"),
        ((gpt2, student), "all", "no matrices of the same name; seeking needs two models of one family"),
        (
            (fakes.loaded(tmp_path / "flat", layers=2, width=48), student),
            "all",
            "flat has 2 layers, fewer than the 3 of s",
        ),
    ]:
        plan = plan_for(*pair, method="seeking", scope=scope, teacher_layer=1, student_layer=1)
        with pytest.raises(PlanError, match=words):
            extracted(extraction(*pair, plan, [LayerPair(1, 1)]))


def test_models_with_different_tokens_are_no_obstacle(tmp_path):
    teacher = fakes.loaded(tmp_path / "t", layers=4, width=48, texts=["zebra quilt onyx jumbo wyvern"])
    student = fakes.loaded(tmp_path / "s", seed=1)
    _, trainable, trainer = prepared(teacher, student, plan_for(teacher, student, method="seeking"))
    assert len(list(trainer.steps())) == 5
    assert trainable.n > 0
