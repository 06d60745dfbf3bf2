"""Objectives against naive twins, and training on tiny models: what the plan names changes, and nothing else."""

import dataclasses
from pathlib import Path
from tempfile import TemporaryDirectory

import fakes
import pytest
import reference_transfer as naive
import torch
from torch.testing import assert_close
from trained import EXAMPLES, plan_for

from pkt_core.alignment import model_maps
from pkt_core.alignment.pairing import LayerPair
from pkt_core.data.examples import Example, ExampleSet, encode
from pkt_core.errors import LayerNotFound, PlanError, VocabularyMismatch
from pkt_core.models.loading import LoadedModel
from pkt_core.models.ref import ModelRef
from pkt_core.runs.results import Examples, RunResults, TaughtLayers, TaughtPair
from pkt_core.transfer import setup as transfer_setup
from pkt_core.transfer.check import check
from pkt_core.transfer.export import export_student, open_student, write_card
from pkt_core.transfer.objectives import distillation_kl, label_cross_entropy, layer_cosine, output_cosine
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.readings import supervised
from pkt_core.transfer.schedule import batches
from pkt_core.transfer.setup import student_that_trains
from pkt_core.transfer.teacher_pass import as_planned, record
from pkt_core.transfer.train import Trainer
from pkt_core.transfer.trainable import changed, fingerprints


def rows(n=6, d=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator), torch.randn(n, d, generator=generator)


def test_objectives_are_their_formulas():
    x, y = rows()
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    assert_close(float(layer_cosine(x, y)), naive.layer_cosine(x, y))
    assert_close(float(output_cosine(x, labels)), naive.output_cosine(x, labels))
    for temperature in (1.0, 2.0):
        top = torch.log_softmax(y / temperature, -1).topk(5)
        found = distillation_kl(x, top.values, top.indices, temperature)
        assert_close(float(found), naive.kl(y, x, temperature))


def test_output_cosine_ignores_scale_but_not_shift_and_cross_entropy_the_other_way_round():
    x, _ = rows()
    labels = torch.zeros(6, dtype=torch.long)
    assert_close(output_cosine(3 * x, labels), output_cosine(x, labels))
    assert abs(float(output_cosine(x + 1, labels) - output_cosine(x, labels))) > 0.01
    assert_close(label_cross_entropy(x + 1, labels), label_cross_entropy(x, labels))
    assert abs(float(label_cross_entropy(3 * x, labels) - label_cross_entropy(x, labels))) > 0.01


def test_distillation_over_the_top_tokens_is_a_lower_bound_that_closes():
    x, y = rows(d=50)
    exact = naive.kl(y, x, 1.0)
    found = []
    for k in (1, 5, 20, 50):
        top = torch.log_softmax(y, -1).topk(k)
        found.append(float(distillation_kl(x, top.values, top.indices, 1.0)))
    assert found == sorted(found)
    assert found[0] < exact
    assert_close(found[-1], exact, atol=1e-5, rtol=1e-4)


def test_supervised_positions_predict_the_answer():
    tokenizer = fakes.tokenizer()
    (encoded,) = encode(tokenizer, [Example("Paris is a city in", " France.")], 64)
    positions = supervised(encoded, "answer")
    predicted = [encoded.ids[t + 1] for t in positions]
    assert tokenizer.decode(predicted) == " France."
    assert supervised(encoded, "all") == list(range(len(encoded.ids) - 1))


def test_batches_are_seeded_and_cover_every_example():
    assert list(batches(10, 4, 7, seed=3)) == list(batches(10, 4, 7, seed=3)) != list(batches(10, 4, 7, seed=4))
    once = [i for batch in batches(10, 5, 2, seed=0) for i in batch]
    assert sorted(once) == list(range(10))
    assert all(len(batch) == 3 for batch in batches(3, 8, 4, seed=0))


@pytest.fixture
def pair(tmp_path) -> tuple[LoadedModel, LoadedModel]:
    return fakes.loaded(tmp_path / "teacher", layers=4, width=48), fakes.loaded(tmp_path / "student", seed=1)


def run(pair, plan):
    teacher, student = pair
    encoded = encode(student.tokenizer, EXAMPLES, 64)
    examples = ExampleSet("mine", tuple(EXAMPLES))
    with TemporaryDirectory() as folder:
        targets = record(plan, teacher, student, examples, Path(folder) / "t", lambda *_: None)
    targets = as_planned(targets, plan)
    before = fingerprints(student.model)
    trainable = student_that_trains(student, plan, targets)
    reports = list(Trainer(student, trainable, plan, encoded, targets).steps())
    return before, trainable, reports


@pytest.mark.parametrize("method", ["semalign-v1", "sft", "logit-kd"])
def test_training_lowers_the_loss_and_changes_only_the_chosen_layer(pair, method):
    plan = plan_for(*pair, method=method, steps=20, student_layer=1)
    before, trainable, reports = run(pair, plan)
    assert len(reports) == 20
    loss = [sum(v for k, v in r.terms.items() if k != "cross_entropy" or method == "sft") for r in reports]
    assert loss[-1] < loss[0]
    difference = changed(before, pair[1], plan, [LayerPair(1, 3)])
    assert difference.outside_plan == 0
    assert difference.tensors == len(trainable.parameters) > 0
    after = fingerprints(pair[1].model)
    assert {name for name in after if after[name] != before[name]} <= {n for n in after if ".layers.1." in n}


def card_of(folder, method, **more):
    plan = TransferPlan(
        teacher=ModelRef(name="org/Big"),
        student=ModelRef(name="HuggingFaceTB/X"),
        data="mine.jsonl",
        method=method,
        **more,
    )
    results = RunResults(
        layers=TaughtLayers(3, 2, "plan", [TaughtPair(3, 2)]),
        trained_parameters=1200,
        examples=Examples("mine", 8, "abc"),
    )
    write_card(folder, plan, results)
    return (folder / "README.md").read_text()


def test_a_card_names_its_base_as_the_hub_does_and_states_only_what_the_method_has(tmp_path):
    card = card_of(tmp_path, "semalign-v1")
    assert "base_model: HuggingFaceTB/X\n" in card
    assert "# X after semalign-v1 from Big" in card
    assert "| site, map, positions | block_delta, semantic, answer |" in card
    assert "| steps, batch, learning rate, seed | 300, 32, 0.001, 0 |" in card
    assert "| what trained | the paired blocks, full, 1,200 parameters |" in card
    for method in ("seeking", "laten", "sft", "logit-kd"):
        assert "| positions | answer |" in card_of(tmp_path, method)
    assert "through LoRA of rank 16 that was merged" in card_of(tmp_path, "seeking")
    assert "neurons of all blocks, through a network of 1,200 parameters" in card_of(tmp_path, "laten")
    stitched = card_of(tmp_path, "stitch", strength=0.5)
    assert "| what changed | the last MLP matrix of the paired blocks, in closed form |" in stitched
    assert "| site, map, positions | block_out, ridge, all |" in stitched
    assert "| strength, seed | 0.5, 0 |" in stitched
    assert "steps" not in stitched


def test_a_change_outside_the_plan_would_be_seen(pair):
    plan = plan_for(*pair)
    before, _, _ = run(pair, plan)
    with torch.no_grad():
        pair[1].layout.final_norm.weight.add_(1)
    assert changed(before, pair[1], plan, [LayerPair(2, 3)]).outside_plan == 1
    own = plan.model_copy(update={"modules": "mlp"})  # by the plan's words, whatever the method itself says it changes
    assert changed(before, pair[1], own, [LayerPair(2, 3)]).outside_plan > 1


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tmp_path):
    def weights(seed):
        pair = fakes.loaded(tmp_path / "t", layers=4, width=48), fakes.loaded(tmp_path / "s", seed=1)
        run(pair, plan_for(*pair, seed=seed))
        return fingerprints(pair[1].model)

    assert weights(0) == weights(0) != weights(5)


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "gpt_neox"])
def test_lora_trains_adapters_alone_and_survives_a_trip_to_disk(tmp_path, family):
    pair = fakes.loaded(tmp_path / "t", family, layers=4, width=48), fakes.loaded(tmp_path / "s", family, seed=1)
    plan = plan_for(*pair, adapter="lora", lora_rank=4)
    _, trainable, _ = run(pair, plan)
    student = pair[1]
    assert all("lora_" in name for name, p in trainable.model.named_parameters() if p.requires_grad)
    assert all(".2." in name for name, p in trainable.model.named_parameters() if p.requires_grad)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        trained = student.model(input_ids=ids).logits
        export_student(
            tmp_path / "out", student, trainable, plan, [LayerPair(2, 3)], ExampleSet("mine", tuple(EXAMPLES))
        )
        opened = open_student(tmp_path / "out", plan)
        assert_close(opened.model(input_ids=ids).logits, trained, atol=1e-4, rtol=1e-4)
        untrained = fakes.loaded(tmp_path / "again", family, seed=1)
        assert not torch.allclose(untrained.model(input_ids=ids).logits, trained, atol=1e-4)
    assert "semalign-v1" in (tmp_path / "out" / "README.md").read_text()


def test_plans_that_cannot_work_are_refused_in_one_sentence(pair, tmp_path):
    teacher, student = pair
    match = model_maps.match(teacher, student)
    for more, error, words in [
        ({"teacher_layer": 9}, LayerNotFound, "layers 0 to 3, got 9"),
        ({"layer_weight": 0, "output_weight": 0}, PlanError, "no training objective"),
        ({"method": "sft", "map": "permuted"}, PlanError, "does not use it. Remove it"),
    ]:
        with pytest.raises(error, match=words):
            check(plan_for(*pair, **more), teacher, student, match)
    other = fakes.loaded(tmp_path / "other", texts=["zebra quilt onyx jumbo wyvern"])
    few = dataclasses.replace(
        model_maps.match(teacher, other), teacher_ids=torch.arange(9), student_ids=torch.arange(9), same_tokenizer=False
    )
    with pytest.raises(VocabularyMismatch, match="share 9 of"):
        check(plan_for(teacher, other), teacher, other, few)
    for method in ("sft", "seeking", "stitch"):  # nothing of theirs goes through the vocabulary
        steps = {"steps": 300, "batch_size": 32} if method == "stitch" else {}  # it takes none
        check(plan_for(teacher, other, method=method, **steps), teacher, other, few)
    check(plan_for(teacher, other, method="feature-kd", output_weight=0), teacher, other, few)
    with pytest.raises(VocabularyMismatch, match="share 9 of"):
        check(plan_for(teacher, other, method="feature-kd"), teacher, other, few)


def test_a_plan_says_what_is_wrong_with_a_field():
    from pydantic import ValidationError

    ref = ModelRef(name="x")
    for wrong in ({"steps": 0}, {"learning_rate": -1}, {"method": "magic"}, {"unheard": 1}):
        with pytest.raises(ValidationError):
            TransferPlan(teacher=ref, student=ref, data="d", **wrong)


def test_a_loss_that_explodes_is_reported(pair):
    with torch.no_grad():
        pair[1].layout.head.weight.fill_(float("nan"))
    with pytest.raises(PlanError, match=r"not finite at step 1\. Lower the learning rate"):
        run(pair, plan_for(*pair, method="sft"))


def test_looking_at_recall_never_costs_more_than_the_training_it_shows(tmp_path, monkeypatch):
    """On a large model, asking 64 items of each task at every other step would take most of the time."""
    asked, student = [], fakes.loaded(tmp_path)
    monkeypatch.setattr(transfer_setup, "answered_right", lambda _model, task: asked.append(len(task)) or [True])
    models = {"teacher": ModelRef(name="demo:teacher"), "student": ModelRef(name="demo:student")}
    tasks = ("demo/unknown-seen", "demo/known-seen")

    def times(steps, batch_size):
        asked.clear()
        plan = TransferPlan(**models, data=tasks[0], tasks=tasks, steps=steps, batch_size=batch_size)
        probe = transfer_setup.Probe(plan, student)
        shown = [step for step in range(1, steps + 1) if probe(step)]
        assert shown[-1] == steps
        assert len(shown) == 1 or sum(asked) <= 0.75 * steps * batch_size + 128
        return len(shown)

    assert times(30, 8) == 1
    assert times(60, 16) == 5
    assert times(300, 32) == 12
