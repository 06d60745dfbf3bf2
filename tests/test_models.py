"""Loading and layout: every family is read through the same names, and what is no decoder is refused."""

import json

import fakes
import pytest
import torch
from torch.testing import assert_close

from pkt_core.activations.capture import Capture
from pkt_core.alignment.model_maps import match
from pkt_core.errors import LayerNotFound, ModelError
from pkt_core.models.layout import find_layout, validate
from pkt_core.models.loading import folder_digest, load
from pkt_core.models.ref import ModelRef
from pkt_core.models.sites import Site
from pkt_core.studies.comparison.grids import reading
from pkt_core.transfer.maths.neurons import Readout


@pytest.mark.parametrize("family", fakes.FAMILIES)
@torch.no_grad()
def test_every_family_has_the_same_anatomy(tmp_path, family):
    model = fakes.loaded(tmp_path, family)
    assert (model.n_layers, model.d_model) == (3, 32)
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    sites = [Site(part, layer) for layer in range(3) for part in ("block_out", "block_delta", "attn_out", "mlp_out")]
    with Capture(model, [Site("embed"), *sites]) as seen:
        logits = model.model(input_ids=ids).logits
    assert seen[Site("embed")].shape == (1, 5, 32)
    for layer in range(3):
        added = seen[Site("attn_out", layer)] + seen[Site("mlp_out", layer)]
        assert_close(seen[Site("block_delta", layer)], added, atol=1e-5, rtol=1e-4)
        if layer:  # what leaves one block enters the next
            entered = seen[Site("block_out", layer)] - seen[Site("block_delta", layer)]
            assert_close(entered, seen[Site("block_out", layer - 1)], atol=1e-5, rtol=1e-4)
    assert_close(model.layout.logits(seen[Site("block_out", 2)]), logits, atol=1e-5, rtol=1e-4)
    # The check above must be able to fail: an earlier layer read the same way gives other logits.
    assert not torch.allclose(model.layout.logits(seen[Site("block_out", 1)]), logits, atol=1e-4)


def test_hooks_are_gone_after_an_error(tmp_path):
    model = fakes.loaded(tmp_path)
    capture = Capture(model, [Site("block_out", 0)])
    with pytest.raises(RuntimeError), capture:
        raise RuntimeError
    model.model(input_ids=torch.tensor([[1, 2]]))
    assert capture.seen == {}


def test_a_model_whose_blocks_do_not_add_up_offers_no_sublayers(tmp_path):
    model = fakes.loaded(tmp_path, "granite")
    assert not model.layout.sublayers
    with pytest.raises(LayerNotFound, match="Use block_out or block_delta"):
        model.require(Site("attn_out", 0))
    assert model.require(Site("block_out", 0))


@pytest.mark.parametrize(("family", "scale"), [("granite", 0.25), ("cohere", 0.25), ("llama", 1.0), ("mpt", 1.0)])
@torch.no_grad()
def test_logits_are_scaled_as_the_model_scales_them(tmp_path, family, scale):
    """Also where both models are read over shared tokens only, and where single neurons are."""
    model = fakes.loaded(tmp_path, family)
    assert model.layout.scale == pytest.approx(scale, rel=1e-4)
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    with Capture(model, [Site("block_out", 2)]) as seen:
        logits = model.model(input_ids=ids).logits
    state = seen[Site("block_out", 2)]
    assert_close(model.layout.logits(state), logits, atol=1e-5, rtol=1e-4)
    head = reading(model, model, 0).teacher
    shared = match(model, model).teacher_ids
    expected = logits[..., shared].log_softmax(-1)
    assert_close(head.log_probabilities(head.norm(state)), expected, atol=1e-4, rtol=1e-4)
    targets = torch.arange(5)
    assert_close(Readout(model)(state[0], targets), logits[0].log_softmax(-1)[targets, targets], atol=1e-4, rtol=1e-4)


def test_a_model_that_cannot_be_run_is_one_sentence(tmp_path, monkeypatch):
    model = fakes.loaded(tmp_path).model

    def broken(**_: object) -> None:
        raise ValueError("no cache\nof that kind")

    monkeypatch.setattr(model, "forward", broken)
    with pytest.raises(ModelError, match=r"failed on a few test tokens \(no cache of that kind\)"):
        validate(model, find_layout(model))


def test_a_layer_that_does_not_exist_is_named_with_those_that_do(tmp_path):
    with pytest.raises(LayerNotFound, match=r"has layers 0 to 2, got 7"):
        fakes.loaded(tmp_path).require(Site("block_out", 7))


def test_a_site_names_itself_and_only_the_embedding_has_no_layer():
    assert (str(Site("embed")), str(Site("mlp_out", 3))) == ("embed", "mlp_out.3")
    for part, layer in (("block_out", None), ("embed", 1)):
        with pytest.raises(LayerNotFound, match="blocks need a layer"):
            Site(part, layer)


def test_an_encoder_is_refused(tmp_path):
    with pytest.raises(ModelError, match="is not causal.*encoder such as BERT"):
        load(ModelRef(name=str(fakes.folder(tmp_path, "bert")), device="cpu"))


def test_a_missing_folder_is_one_sentence(tmp_path):
    with pytest.raises(ModelError, match="There is no folder"):
        load(ModelRef(name=str(tmp_path / "nowhere")))
    with pytest.raises(ModelError, match="has no config.json"):
        load(ModelRef(name=str(tmp_path)))


def test_a_hub_id_without_a_hub_is_one_sentence(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="neither in the local Hugging Face cache nor could it be fetched"):
        load(ModelRef(name="nobody/nothing"))


def test_pickled_weights_are_refused(tmp_path):
    fakes.folder(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        load(ModelRef(name=str(tmp_path), device="cpu"))


def test_missing_weights_are_an_error_and_not_random_numbers(tmp_path):
    from safetensors.torch import load_file, save_file

    fakes.folder(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights for model\.layers\.1\.mlp\.up_proj\.weight"):
        load(ModelRef(name=str(tmp_path), device="cpu"))


def test_a_damaged_weight_file_is_one_sentence(tmp_path):
    fakes.folder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match=r"no readable safetensors|could not be loaded"):
        load(ModelRef(name=str(tmp_path), device="cpu"))


def test_a_device_that_is_not_there_is_refused(tmp_path):
    if torch.backends.mps.is_available():
        pytest.skip("this machine has an mps device")
    with pytest.raises(ModelError, match="Got device mps"):
        load(ModelRef(name=str(fakes.folder(tmp_path)), device="mps"))


def test_half_precision_files_load_as_asked(tmp_path):
    torch.manual_seed(0)
    model = fakes.AutoModelForCausalLM.from_config(fakes.config("qwen2", rows=352, tie_word_embeddings=True))
    model.to(torch.bfloat16).save_pretrained(tmp_path)
    fakes.tokenizer().save_pretrained(tmp_path)
    loaded = load(ModelRef(name=str(tmp_path), device="cpu"))
    assert loaded.dtype == torch.float32
    assert loaded.layout.tied
    assert load(ModelRef(name=str(tmp_path), device="cpu", dtype="bfloat16")).dtype == torch.bfloat16


def test_the_digest_names_the_weights(tmp_path):
    one = fakes.folder(tmp_path / "a")
    same, other = fakes.folder(tmp_path / "b"), fakes.folder(tmp_path / "c", seed=1)
    assert folder_digest(one) == folder_digest(same) != folder_digest(other)
    config = json.loads((same / "config.json").read_text())
    (same / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.1}))
    assert folder_digest(one) != folder_digest(same)
    cut_otherwise = fakes.folder(tmp_path / "d", texts=["other merges"])
    assert folder_digest(cut_otherwise) != folder_digest(one)


def test_validation_notices_a_wrong_norm(tmp_path):
    model = fakes.loaded(tmp_path)
    layout = find_layout(model.model)
    assert validate(model.model, layout)
    wrong = type(layout)(**{**layout.__dict__, "final_norm": None})
    with pytest.raises(ModelError, match="does not give the model's logits"):
        validate(model.model, wrong)
