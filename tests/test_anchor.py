"""The anchor: what the student wrote itself, and that holding it there keeps what teaching alone would lose."""

from __future__ import annotations

import fakes
import pytest
import torch
from torch.testing import assert_close
from trained import EXAMPLES, SET, fresh, plan_for, weights

from pkt_core.data.examples import encode
from pkt_core.errors import PlanError
from pkt_core.transfer.anchor import anchor_for, anchor_term, written
from pkt_core.transfer.schedule import Phase, rate
from pkt_core.transfer.setup import student_that_trains
from pkt_core.transfer.teacher_pass import record
from pkt_core.transfer.train import Trainer


def trained(tmp_path, name, **more):
    teacher, student = models = fresh(tmp_path, name)
    held = {"n_anchor": 32, "anchor_batch": 8} if more.get("anchor", "none") != "none" else {}
    plan = plan_for(*models, scope="all", learning_rate=3e-3, steps=25, **held, **more)
    plan.check_settings()
    targets = record(plan, teacher, student, SET, tmp_path / name / "x", lambda *_: None)
    anchor = anchor_for(student, plan)
    trainable = student_that_trains(student, plan, targets)
    trainer = Trainer(student, trainable, plan, encode(student.tokenizer, EXAMPLES, 64), targets, None, anchor)
    return trainer, list(trainer.steps())


def test_a_student_writes_the_same_texts_for_the_same_seed_and_each_once(tmp_path):
    student = fakes.loaded(tmp_path / "s", seed=1)
    before = torch.random.get_rng_state()
    first = written(student, 20, 0)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first == written(student, 20, 0) != written(student, 20, 1)
    assert len({tuple(text) for text in first}) == len(first)
    assert all(4 <= len(text) <= 32 and text[0] == student.tokenizer.bos_token_id for text in first)


@pytest.mark.parametrize("kind", ["output", "states"])
def test_the_term_is_zero_at_the_start_and_its_formula_afterwards(tmp_path, kind):
    models = fresh(tmp_path, kind)
    student = models[1]
    anchor = anchor_for(student, plan_for(*models, anchor=kind, n_anchor=16))
    chosen = [3, 0, 5]
    with torch.no_grad():
        assert float(anchor_term(student, anchor, chosen)) == pytest.approx(0, abs=1e-6)
        ids = [torch.tensor([anchor.texts[i]]) for i in chosen]
        before = [student.model(i, output_hidden_states=True) for i in ids]
        student.layout.blocks[1].mlp.down_proj.weight.mul_(300)
        after = [student.model(i, output_hidden_states=True) for i in ids]
        found = float(anchor_term(student, anchor, chosen))
    total, n = 0.0, 0
    for old, new in zip(before, after, strict=True):
        for t in range(old.logits.shape[1]):
            if kind == "output":
                p, q = (o.logits[0, t].double().log_softmax(-1) for o in (old, new))
                total += float((p.exp() * (p - q)).sum())
            else:  # the last hidden state of transformers is after the norm; layer 0 has not changed
                total += float(
                    (new.hidden_states[2][0, t] - old.hidden_states[2][0, t]).square().sum() / anchor.variance[1]
                )
            n += 1
    if kind == "output":
        assert found == pytest.approx(total / n, rel=0.2)  # over the 256 most likely of 320 tokens and one bucket
    else:
        assert found >= total / n / 3  # mean over three layers, of which the last moved too
        assert found > 1e-4


@pytest.mark.parametrize("kind", ["output", "states"])
def test_an_anchored_student_forgets_less_and_an_anchor_of_no_weight_nothing(tmp_path, kind):
    """Positive and negative control in one: the same training with the anchor, without, and with one that weighs nothing."""
    free, _ = trained(tmp_path, "free", method="sft")
    held, told = trained(tmp_path, "held", method="sft", anchor=kind, anchor_weight=3.0)
    idle, _ = trained(tmp_path, "idle", method="sft", anchor=kind, anchor_weight=0.0)
    moved = {}
    reference = anchor_for(fresh(tmp_path, "again")[1], held.plan)
    for name, trainer in (("free", free), ("held", held), ("idle", idle)):
        with torch.no_grad():
            moved[name] = float(anchor_term(trainer.student, reference, list(range(len(reference.texts)))))
    assert moved["held"] < 0.7 * moved["free"]
    assert moved["idle"] == pytest.approx(moved["free"], rel=1e-3)
    assert torch.allclose(weights(idle), weights(free), atol=1e-5)
    assert "anchor" in told[-1].terms


def test_an_anchor_is_the_same_however_a_batch_is_cut(tmp_path):
    whole, _ = trained(tmp_path, "whole", method="sft", anchor="output")
    cut, _ = trained(tmp_path, "cut", method="sft", anchor="output", micro_batch=3)
    assert_close(weights(cut), weights(whole), atol=2e-3, rtol=1e-2)


def test_settings_of_an_anchor_without_one_are_refused(tmp_path):
    models = fresh(tmp_path, "x")
    with pytest.raises(PlanError, match="has no effect while anchor='none'"):
        plan_for(*models, anchor_weight=2.0).check_settings()
    with pytest.raises(PlanError, match="does not train"):
        plan_for(*models, method="stitch", anchor="output", steps=300, batch_size=32).check_settings()


def test_the_mlp_alone_trains_where_asked(tmp_path):
    trainer, _ = trained(tmp_path, "mlp", method="sft", modules="mlp")
    inside = {id(p) for mlp in trainer.student.layout.mlps for p in mlp.parameters()}
    assert {id(p) for p in trainer.trainable.parameters} == inside
    neox = fakes.loaded(tmp_path / "n", "gpt_neox", seed=1)
    if not neox.layout.sublayers:
        with pytest.raises(PlanError, match="no MLP separate"):
            student_that_trains(neox, trainer.plan, trainer.targets)


def test_a_cosine_rises_and_falls_to_a_twentieth(tmp_path):
    plan = plan_for(*fresh(tmp_path, "x"), decay="cosine", learning_rate=1.0, steps=100)
    phase = Phase(0, 100, ())
    rates = [rate(plan, step, phase) for step in range(1, 101)]
    assert rates[0] == pytest.approx(1 / 20, rel=0.01)
    assert max(rates) == pytest.approx(rates[19])
    assert rates[19] > 0.9
    assert rates[19:] == sorted(rates[19:], reverse=True)
    assert rates[-1] == pytest.approx(0.05, abs=0.001)
    assert rate(plan.model_copy(update={"decay": "none"}), 50, phase) == 1.0
