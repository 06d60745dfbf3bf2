"""Forward passes that begin at the first trained block: the same student, fewer blocks."""

from __future__ import annotations

import fakes
import pytest
import torch
from torch.testing import assert_close
from trained import EXAMPLES, fresh, plan_for, trainer_for, weights

from pkt_core.activations.capture import forward_ids, pad
from pkt_core.data.examples import encode
from pkt_core.transfer import frozen_prefix as module
from pkt_core.transfer.frozen_prefix import below
from pkt_core.transfer.train import first_trained

FAMILIES = ["llama", "gpt2", "qwen2", "gemma2", "gpt_neox", "opt", "phi", "mistral"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pass_that_begins_later_says_the_same_and_runs_fewer_blocks(tmp_path, family):
    student = fakes.loaded(tmp_path, family, seed=1)
    encoded = encode(student.tokenizer, EXAMPLES, 64)
    kept = below(student, 2, encoded)
    assert kept is not None
    chosen = [5, 0, 2]
    ids = pad([encoded[i].ids for i in chosen], 0)
    mask = pad([[1] * len(encoded[i].ids) for i in chosen], 0)
    ran = []
    handles = [
        layer.register_forward_hook(lambda *_, k=k: ran.append(k)) for k, layer in enumerate(student.layout.attentions)
    ]
    with torch.no_grad():
        whole = forward_ids(student, ids, mask)
        assert ran == [0, 1, 2]
        ran.clear()
        with kept.skipped(chosen):
            found = forward_ids(student, ids, mask)
        assert ran == [2]
        assert_close(found[mask.bool()], whole[mask.bool()], atol=1e-5, rtol=1e-4)
        assert_close(forward_ids(student, ids, mask), whole)  # afterwards all is as it was
        with kept.skipped([0, 0, 2]):  # negative control: another example's states are another answer
            assert not torch.allclose(forward_ids(student, ids, mask)[0], whole[0], atol=1e-3)
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_training_is_the_same_with_and_without(tmp_path, monkeypatch, adapter):
    found = []
    for name, limit in (("kept", module.LIMIT), ("whole", 0)):
        monkeypatch.setattr(module, "LIMIT", limit)
        models = fresh(tmp_path, name)
        trainer = trainer_for(models, plan_for(*models, adapter=adapter), tmp_path / f"{name}x")
        assert (trainer.below is not None) == (name == "kept")
        list(trainer.steps())
        found.append(weights(trainer))
    assert_close(found[0], found[1], atol=2e-4, rtol=1e-3)


def test_nothing_is_kept_where_the_first_block_trains(tmp_path):
    models = fresh(tmp_path, "all")
    trainer = trainer_for(models, plan_for(*models, scope="all"), tmp_path / "x")
    assert first_trained(models[1], trainer.trainable) == 0
    assert trainer.below is None
