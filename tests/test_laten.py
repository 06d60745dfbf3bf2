"""LaTen: scores of layers and neurons against naive twins; changes land on exactly the chosen neurons; gradients arrive."""

import fakes
import pytest
import reference_neurons as naive
import torch
from torch.testing import assert_close
from trained import EXAMPLES, extracted, extraction, plan_for, prepared

from pkt_core.alignment.pairing import LayerPair
from pkt_core.data.examples import encode
from pkt_core.errors import PlanError
from pkt_core.models.norms import final_norm
from pkt_core.runs.results import ChangedTensors
from pkt_core.transfer.export import export_student, open_student
from pkt_core.transfer.maths import neuron_translator, neurons
from pkt_core.transfer.methods import laten
from pkt_core.transfer.trainable import changed, fingerprints

IDS = torch.tensor([[5, 6, 7, 8]])


def models(tmp_path, family="llama"):
    return fakes.loaded(tmp_path / "t", family, layers=4, width=48), fakes.loaded(tmp_path / "s", family, seed=1)


@torch.no_grad()
def louder(loaded):
    """Random models of 0.02 hardly say anything; scores of such are rounding."""
    for block in loaded.layout.blocks:
        for p in block.parameters():
            p.mul_(5)
    loaded.layout.final_norm.weight.copy_(torch.linspace(0.5, 2, loaded.d_model))
    return loaded


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_scores_of_layers_and_neurons_are_their_formulas(tmp_path, family):
    loaded = louder(fakes.loaded(tmp_path, family))
    examples = encode(loaded.tokenizer, EXAMPLES[:2], 64)
    places = [neurons.useful(loaded.tokenizer, e) for e in examples]
    seen, read = neurons.observe(loaded, examples, batch_size=1), neurons.Readout(loaded)
    with torch.no_grad():
        expected = naive.layer_scores(loaded.model, examples, places)
        of_neurons = naive.neuron_scores(loaded.model, examples, places, 1)
    for sublayer, layers, single in zip(neurons.SUBLAYERS, expected, of_neurons, strict=True):
        assert_close(neurons.layer_scores(seen, read, sublayer), torch.tensor(layers), atol=1e-4, rtol=1e-4)
        found = neurons.neuron_scores(loaded, seen, read, sublayer, 1)
        assert float(found.abs().max()) > 1e-2
        assert_close(found, torch.tensor(single), atol=1e-4, rtol=1e-3)


def test_neurons_in_small_portions_and_batches_of_any_size_score_the_same(tmp_path, monkeypatch):
    loaded = louder(fakes.loaded(tmp_path))
    examples = encode(loaded.tokenizer, EXAMPLES, 64)
    read = neurons.Readout(loaded)
    at_once = neurons.neuron_scores(loaded, neurons.observe(loaded, examples), read, "mlp", 2)
    monkeypatch.setattr(neurons, "NUMBERS_AT_ONCE", 7 * 320)
    little = neurons.neuron_scores(loaded, neurons.observe(loaded, examples, batch_size=3), read, "mlp", 2)
    assert_close(at_once, little, atol=1e-5, rtol=1e-4)


def test_the_norm_is_the_true_one(tmp_path):
    """Their code divides by the root of a standard deviation; ours must agree with what the model does with its last state."""
    loaded = louder(fakes.loaded(tmp_path))
    states = torch.randn(3, loaded.d_model)
    logits = loaded.layout.head(final_norm(loaded)(states)).log_softmax(-1)
    tokens = torch.tensor([4, 9, 2])
    assert_close(neurons.Readout(loaded)(states, tokens), logits.gather(-1, tokens[:, None]).squeeze(-1).detach())


def test_the_position_is_before_the_last_token_that_is_more_than_punctuation():
    tokenizer = fakes.tokenizer()
    (example,) = encode(tokenizer, EXAMPLES[:1], 64)
    position = neurons.useful(tokenizer, example)
    assert "France".endswith(tokenizer.decode([example.ids[position + 1]]).strip())
    assert tokenizer.decode(example.ids[position + 2 :]) == "."


def test_a_channel_of_the_output_reads_the_value_row_of_its_group(tmp_path):
    loaded = fakes.loaded(tmp_path)  # four heads of eight, two groups
    value, out = neurons.projections(loaded, 0, "attention")
    assert (value.out_features, out.in_features) == (16, 32)
    seen = []
    handle = out.register_forward_pre_hook(lambda _m, args: seen.append(args[0][0, -1].detach()))
    channels = torch.arange(32)
    rows = neurons.value_rows(loaded, 0, channels)
    with torch.no_grad():
        loaded.model(input_ids=IDS)
        for row in (0, 5, 11):
            value.weight[row] += 1
            loaded.model(input_ids=IDS)
            value.weight[row] -= 1
            moved = (seen[-1] - seen[0]).abs() > 1e-4
            assert torch.equal(channels[moved], channels[rows == row])
    handle.remove()


def test_the_best_neurons_of_both_are_matched_and_their_vectors_taken(tmp_path):
    teacher, student = (louder(m) for m in models(tmp_path))
    plan = plan_for(teacher, student, method="laten")
    found = extracted(extraction(teacher, student, plan, [LayerPair(2, 3)]))
    seeds = extraction(teacher, student, plan, []).seed_set(teacher)
    places = [neurons.useful(teacher.tokenizer, e) for e in seeds]
    with torch.no_grad():
        of_layers = naive.layer_scores(teacher.model, seeds, places)[1]
    top = sorted(sorted(range(4), key=lambda k: -of_layers[k])[:3])
    assert found["sources.mlp"].tolist() == [[k, layer] for k, layer in enumerate(top)]
    for k, layer in found["sources.mlp"].tolist():
        assert len(found[f"neurons.mlp.{k}"]) == int(0.1 * 64)  # the student's count, the smaller one
        with torch.no_grad():
            scores = torch.tensor(naive.neuron_scores(teacher.model, seeds, places, layer)[1])
        best = int(scores.argmax())
        mlp = teacher.layout.blocks[layer].mlp
        assert_close(found[f"up_proj.{k}"][0], mlp.up_proj.weight[best].detach())
        assert_close(found[f"down_proj.{k}"][0], mlp.down_proj.weight[:, best].detach())


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_changes_land_on_exactly_the_chosen_neurons(tmp_path, family, monkeypatch):
    monkeypatch.setattr(neuron_translator, "SPREAD", 0.3)
    monkeypatch.setattr(laten, "TETHER", 0.01)
    teacher, student = models(tmp_path, family)
    plan = plan_for(teacher, student, method="laten", steps=15, learning_rate=1e-2)
    found = extracted(extraction(teacher, student, plan, [LayerPair(2, 3)]))
    own = {name: p.detach().clone() for name, p in student.model.named_parameters()}
    before, trainable, trainer = prepared(teacher, student, plan)
    first = [p.detach().clone() for p in trainable.everything]
    losses = [report.terms["cross_entropy"] for report in trainer.steps()]
    assert losses[-1] < losses[0]
    assert all(not torch.equal(a, b) for a, b in zip(first, trainable.everything, strict=True))
    with torch.no_grad():
        trained = student.model(input_ids=IDS).logits
        trainable.bake()
        assert_close(student.model(input_ids=IDS).logits, trained, atol=1e-4, rtol=1e-4)
    difference = changed(before, student, plan, [])
    assert difference == ChangedTensors(tensors=4 * student.n_layers, of=len(before), outside_plan=0)
    for k in range(student.n_layers):
        for sublayer, (reads, writes) in neurons.PROJECTIONS.items():
            chosen = found[f"neurons.{sublayer}.{k}"]
            rows = neurons.value_rows(student, k, chosen) if sublayer == "attention" else chosen
            for kind, at, axis in ((reads, rows, 1), (writes, chosen, 0)):
                (name,) = [n for n in own if f".layers.{k}." in n and n.endswith(f"{kind}.weight")]
                moved = (dict(student.model.named_parameters())[name] != own[name]).any(axis)
                assert set(moved.nonzero().squeeze(-1).tolist()) == set(at.tolist())
    export_student(
        tmp_path / "out", student, trainable, plan, [LayerPair(2, 3)], extraction(*models(tmp_path), plan, []).examples
    )
    with torch.no_grad():
        assert_close(open_student(tmp_path / "out", plan).model(input_ids=IDS).logits, trained, atol=1e-4, rtol=1e-4)
    assert (tmp_path / "foreign.safetensors").is_file()


def test_the_network_gets_gradient_from_the_labels_alone_even_at_its_tiny_start(tmp_path):
    teacher, student = models(tmp_path)
    with torch.no_grad():
        untouched = student.model(input_ids=IDS).logits
    _, trainable, _ = prepared(teacher, student, plan_for(teacher, student, method="laten"))
    with torch.no_grad():
        assert_close(student.model(input_ids=IDS).logits, untouched, atol=1e-5, rtol=1e-5)
    for parameter in trainable.everything:
        parameter.requires_grad_(True)
    naive.answer_loss(student.model, encode(student.tokenizer, EXAMPLES[:1], 64)[0]).backward()
    assert len(trainable.everything) == 8  # two layers for each kind
    for parameter in trainable.everything:
        assert float(parameter.grad.abs().max()) > 0
    assert not any(p.grad is not None for p in student.model.parameters())


def test_the_tether_is_its_formula(tmp_path):
    teacher, student = models(tmp_path)
    _, trainable, trainer = prepared(teacher, student, plan_for(teacher, student, method="laten", steps=1))
    translator = trainable.foreign
    with torch.no_grad():
        for p in translator.parameters():
            p.mul_(1e4)
        expected = 0.0
        for kind in ("up_proj", "down_proj", "v_proj", "o_proj"):
            every = torch.cat([translator(kind, k) for k in range(student.n_layers)])
            expected += 1000 * sum(float(x) ** 2 for x in every.flatten()) / every.numel()
    (report,) = trainer.steps()
    assert_close(report.terms["tether"], expected, rtol=1e-4, atol=1e-6)


def test_with_scope_layer_only_that_layer_changes(tmp_path):
    teacher, student = models(tmp_path)
    plan = plan_for(teacher, student, method="laten", scope="layer")
    before, trainable, trainer = prepared(teacher, student, plan)
    list(trainer.steps())
    trainable.bake()
    after = fingerprints(student.model)
    different = {name for name in after if after[name] != before[name]}
    assert all(".layers.2." in name for name in different)
    assert changed(before, student, plan, [LayerPair(2, 3)]).outside_plan == 0
    assert changed(before, student, plan, [LayerPair(1, 3)]).outside_plan == len(different)


def test_families_that_keep_their_neurons_otherwise_are_refused_in_one_sentence(tmp_path):
    for family in ("gpt2", "gpt_neox", "opt", "phi", "gemma2", "gemma3"):
        with pytest.raises(PlanError, match="as Llama does; laten is defined on those. Choose a Llama-like pair"):
            neurons.projections(fakes.loaded(tmp_path / family, family), 0, "mlp")


def test_models_with_different_tokens_are_no_obstacle(tmp_path):
    teacher = fakes.loaded(tmp_path / "t", layers=4, width=48, texts=["zebra quilt onyx jumbo wyvern"])
    student = fakes.loaded(tmp_path / "s", seed=1)
    _, _, trainer = prepared(teacher, student, plan_for(teacher, student, method="laten"))
    assert len(list(trainer.steps())) == 5
