"""The loop itself: however a batch is cut, interrupted or short of memory, the same steps come out."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import fakes
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close
from trained import EXAMPLES, SET, fresh, plan_for, trainer_for, weights

from pkt_core.data.examples import Example, ExampleSet, encode
from pkt_core.errors import PlanError, StoreError
from pkt_core.runs.folder import create_run, open_run
from pkt_core.transfer import checkpoint as checkpoints
from pkt_core.transfer.checkpoint import Checkpoints
from pkt_core.transfer.layers import chosen_pairs
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.setup import student_that_trains
from pkt_core.transfer.targets import read_targets, shuffled
from pkt_core.transfer.teacher_pass import record, stored_targets
from pkt_core.transfer.train import Trainer


@pytest.mark.parametrize("method", ["semalign-v1", "semalign-aclr", "feature-kd", "logit-kd", "sft"])
def test_micro_batches_do_the_steps_of_the_whole_batch(tmp_path, method):
    found = {}
    for micro in (None, 1, 3):
        trainer = trainer_for(
            fresh(tmp_path, f"{micro}"),
            plan_for_tiny(tmp_path, f"{micro}", method=method, micro_batch=micro),
            tmp_path / f"x{micro}",
        )
        for _ in trainer.steps():
            pass
        found[micro] = weights(trainer)
    assert_close(found[1], found[None], atol=2e-4, rtol=1e-3)
    assert_close(found[3], found[None], atol=2e-4, rtol=1e-3)


def plan_for_tiny(tmp_path, name, **more):
    return plan_for(*fresh(tmp_path, name), learning_rate=1e-3, **more)


@pytest.mark.parametrize("method", ["semalign-v1", "semalign-v2r", "feature-kd"])
def test_a_loop_that_is_given_its_state_back_goes_on_bit_for_bit(tmp_path, method):
    def made(name):
        models = fresh(tmp_path, name)
        return trainer_for(
            models,
            plan_for(*models, method=method, steps=9, student_layer=None, teacher_layer=None, n_pairs=2),
            tmp_path / name / "x",
        )

    whole = made("whole")
    told = [report.terms for report in whole.steps()]
    first = made("first")
    for report in first.steps():
        if report.step == 4:
            break
    Checkpoints(tmp_path / "kept").save(*first.state())
    second = made("second")
    kept = Checkpoints(tmp_path / "kept").load()
    assert kept is not None
    second.restore(*kept)
    again = [report.terms for report in second.steps()]
    assert again == told[4:]
    assert torch.equal(weights(second), weights(whole))
    assert not torch.equal(weights(first), weights(whole))


def test_memory_that_runs_out_halves_the_micro_batch_and_says_so(tmp_path, monkeypatch):
    import pkt_core.transfer.train as train

    real, sizes = train.forward_ids, []

    def short_of_memory(loaded, ids, mask):
        sizes.append(len(ids))
        if len(ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return real(loaded, ids, mask)

    models = fresh(tmp_path, "short")
    trainer = trainer_for(models, plan_for(*models, method="sft", batch_size=8, steps=2), tmp_path / "x")
    monkeypatch.setattr(train, "forward_ids", short_of_memory)
    reports = list(trainer.steps())
    assert [r.micro_batch for r in reports] == [2, 2]
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]
    monkeypatch.setattr(train, "forward_ids", real)
    other = fresh(tmp_path, "ample")
    ample = trainer_for(other, plan_for(*other, method="sft", batch_size=8, steps=2), tmp_path / "y")
    list(ample.steps())
    assert_close(weights(trainer), weights(ample), atol=1e-4, rtol=1e-3)


def test_memory_that_is_short_for_a_single_example_is_an_error(tmp_path, monkeypatch):
    import pkt_core.transfer.train as train

    models = fresh(tmp_path, "none")
    trainer = trainer_for(models, plan_for(*models, method="sft"), tmp_path / "x")

    def never(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(train, "forward_ids", never)
    with pytest.raises(torch.OutOfMemoryError):
        next(trainer.steps())
    assert trainer.micro_batch == 1


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2"])
@pytest.mark.parametrize("part", ["block_out", "block_delta"])
def test_recomputing_activations_changes_no_weight(tmp_path, family, part):
    found = []
    for recompute in (False, True):
        models = (
            fakes.loaded(tmp_path / f"{recompute}t", family, layers=4, width=48),
            fakes.loaded(tmp_path / f"{recompute}s", family, seed=1),
        )
        plan = plan_for(*models, recompute=recompute, part=part, student_layer=1)
        trainer = trainer_for(models, plan, tmp_path / f"{recompute}x")
        passes = []
        models[1].layout.attentions[1].register_forward_pre_hook(lambda *_, seen=passes: seen.append(1))
        list(trainer.steps())
        assert len(passes) == plan.steps * (2 if recompute else 1)
        found.append(weights(trainer))
    assert_close(found[0], found[1], atol=1e-6, rtol=1e-5)


UNEVEN = ExampleSet(
    "uneven", (*EXAMPLES[:2], Example("the quick brown fox jumps over the lazy", " dog and reads text."))
)


@pytest.mark.parametrize(
    ("family", "more"), [("llama", {}), ("gpt2", {}), ("opt", {}), ("opt", {"do_layer_norm_before": False})]
)
def test_recomputing_gives_the_loss_and_the_gradients_of_keeping(tmp_path, family, more):
    """On a padded batch, in families with a cache that grows and with dropout drawn outside of modules; all blocks train."""
    found = []
    for recompute in (False, True):
        student = fakes.loaded(tmp_path / f"{recompute}s", family, seed=1, **more)
        models = fakes.loaded(tmp_path / f"{recompute}t", layers=4, width=48), student
        plan = plan_for(*models, method="sft", scope="all", recompute=recompute, steps=2, batch_size=3)
        targets = record(plan, *models, UNEVEN, tmp_path / f"{recompute}x", lambda *_: None)
        trainable = student_that_trains(student, plan, targets)
        trainer = Trainer(student, trainable, plan, encode(student.tokenizer, UNEVEN.items, 64), targets)
        losses = [report.terms["cross_entropy"] for report in trainer.steps()]
        gradients = torch.cat([p.grad.flatten() for p in trainable.parameters])
        found.append((losses, gradients))
        assert all("forward" not in block.__dict__ for block in student.layout.blocks)
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-6)
    assert_close(found[0][1], found[1][1], atol=1e-6, rtol=1e-5)


def test_half_precision_trains_and_keeps_float32_weights(tmp_path):
    models = fresh(tmp_path, "half")
    trainer = trainer_for(models, plan_for(*models, precision="bfloat16", steps=20), tmp_path / "x")
    reports = list(trainer.steps())
    assert sum(reports[-1].terms[k] for k in ("layer", "output")) < sum(
        reports[0].terms[k] for k in ("layer", "output")
    )
    assert all(p.dtype == torch.float32 for p in trainer.trainable.parameters)


def test_the_frontier_moves_from_shallow_to_deep_and_trains_one_layer_at_a_time(tmp_path):
    models = fresh(tmp_path, "frontier")
    plan = plan_for(*models, method="semalign-aclr", teacher_layer=None, student_layer=None, steps=9)
    trainer = trainer_for(models, plan, tmp_path / "x")
    blocks = models[1].layout.blocks
    before = [torch.cat([p.detach().flatten() for p in b.parameters()]) for b in blocks]
    seen, moved = [], []
    for report in trainer.steps():
        seen.append(report.layers)
        now = [torch.cat([p.detach().flatten() for p in b.parameters()]) for b in blocks]
        moved.append([i for i in range(3) if not torch.equal(now[i], before[i])])
        before = now
    assert seen == [(0,)] * 3 + [(1,)] * 3 + [(2,)] * 3
    assert moved == [[0]] * 3 + [[1]] * 3 + [[2]] * 3


def test_targets_in_many_shards_are_those_in_one(tmp_path):
    from pkt_core.transfer.readings import read_alike
    from pkt_core.transfer.targets import Wanted, record_targets

    teacher, student = fresh(tmp_path, "shards")
    plan = plan_for(teacher, student)
    encoded = encode(student.tokenizer, EXAMPLES, 64)
    pairs, _ = chosen_pairs(plan, 4, 3, None)
    given = (teacher, encoded, read_alike(encoded), plan, pairs, Wanted(True, True, False, 1.0, {}, None))
    common = {"extract": {"a": torch.ones(2)}, "facts": {"x": 1}}
    one = record_targets(tmp_path / "one", *given, **common)
    many = record_targets(tmp_path / "many", *given, shard_bytes=1000, **common)
    assert len(one.shards) == 1 < len(many.shards)
    for chosen in ([0], [5, 1, 7], list(range(8))):
        for name, rows in one.of(chosen).items():
            assert torch.equal(rows, many.of(chosen)[name])
    mixed = shuffled(one, 0)
    assert not torch.equal(mixed.of([0, 1])["log_probs"], one.of([0, 1])["log_probs"])
    assert_close(mixed.of(list(range(8)))["log_probs"].sum(), one.of(list(range(8)))["log_probs"].sum())
    assert read_targets(tmp_path / "nowhere") is None
    (tmp_path / "many" / "targets-00001.safetensors").write_bytes(b"broken")
    with pytest.raises(StoreError, match="damaged.*computed again"):
        read_targets(tmp_path / "many")


def test_a_checkpoint_is_whole_or_not_there(tmp_path, monkeypatch):
    kept = Checkpoints(tmp_path, 0.0)
    assert kept.load() is None
    assert kept.steps() == 0
    kept.save({"a": torch.ones(3)}, {"step": 5})

    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    for written in ("write_sealed", "save_file", "sync_file", "sync_folder"):
        with monkeypatch.context() as patched:
            patched.setattr(checkpoints, written, full)
            with pytest.raises(StoreError, match="disk is full"):
                kept.save({"a": torch.zeros(3)}, {"step": 6})
        if written != "sync_folder":  # the new one is there then, but may not be so after a power cut
            found = kept.load()
            assert found is not None
            assert found[1]["step"] == 5
            assert torch.equal(found[0]["a"], torch.ones(3))
    for step in (7, 8, 8):
        kept.save({"a": torch.zeros(3)}, {"step": step})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000008", "step-00000008.002"]
    assert kept.steps() == 8


@pytest.mark.parametrize("name", ["state.safetensors", "manifest.json"])
def test_any_byte_of_a_checkpoint_that_is_another_leads_to_the_one_before(tmp_path, caplog, name):
    first = {"step": 4, "spent": 1.5, "micro_batch": 8, "scale": {}}
    kept = Checkpoints(tmp_path, 0.0)
    kept.save({"parameter.0": torch.ones(2), "optimizer.0.step": torch.tensor(4.0)}, first)
    kept.save({"parameter.0": torch.zeros(2), "optimizer.0.step": torch.tensor(8.0)}, {**first, "step": 8})
    path = tmp_path / "step-00000008" / name
    data = path.read_bytes()
    spoilt = [data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :] for place in range(len(data))]
    for number, wrong in enumerate([*spoilt, b"", data[:-1], data[: len(data) // 2], data + b" "]):
        path.write_bytes(wrong)
        with pytest.raises((StoreError, ValueError)):
            checkpoints._read(path.parent)
        if number % 50 == 0:
            caplog.clear()
            found = kept.load()
            assert found is not None
            assert found[1] == first
            assert torch.equal(found[0]["parameter.0"], torch.ones(2))
            assert len(caplog.records) == 1
            assert "step-00000008 is damaged" in caplog.text
            assert "the previous one i" in caplog.text
            (tmp_path / "damaged-step-00000008").rename(path.parent)
    path.write_bytes(data)
    assert kept.load()[1]["step"] == 8
    for left in ("step-00000004", "step-00000008"):
        (tmp_path / left / name).write_bytes(b"\0")
    caplog.clear()
    assert kept.load() is None
    assert "none is left, so training starts from the beginning" in caplog.text


def test_a_checkpoint_of_an_earlier_version_still_opens(tmp_path, caplog):
    facts = {"step": 4, "spent": 1.5, "micro_batch": 8, "scale": {}}
    (tmp_path / "step-00000004").mkdir()
    save_file({"a": torch.ones(2)}, tmp_path / "step-00000004" / "state.safetensors")
    (tmp_path / "step-00000004" / "facts.json").write_text(json.dumps(facts))
    assert Checkpoints(tmp_path).load()[1] == facts
    (tmp_path / "step-00000004" / "facts.json").write_text("{}")
    assert Checkpoints(tmp_path).load() is None
    assert "is damaged" in caplog.text


def test_any_byte_of_stored_targets_that_is_another_is_noticed_and_they_are_recorded_again(tmp_path, caplog):
    models = fresh(tmp_path, "flip")
    folder = tmp_path / "targets-x"
    plan = plan_for(*models)
    record(plan, *models, SET, folder, lambda *_: None)
    for path in folder.iterdir():
        data = path.read_bytes()
        places = range(0, len(data), 1 if path.suffix == ".json" else len(data) // 150)
        for place in places:
            path.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
            with pytest.raises(StoreError, match="damaged"):
                read_targets(folder)
        path.write_bytes(data)
    assert stored_targets(folder, plan.teacher) is not None
    (folder / "manifest.json").write_bytes(b"{")
    assert stored_targets(folder, plan.teacher) is None
    assert "moved to targets-x.damaged-1" in caplog.text
    assert not folder.exists()


def test_a_checkpoint_of_another_plan_is_refused(tmp_path):
    models = fresh(tmp_path, "one")
    trainer = trainer_for(models, plan_for(*models, steps=2), tmp_path / "x")
    list(trainer.steps())
    tensors, facts = trainer.state()
    other = fresh(tmp_path, "two")
    with pytest.raises(PlanError, match="another plan"):
        trainer_for(other, plan_for(*other, scope="all"), tmp_path / "y").restore(tensors, facts)


DEMO = [
    "transfer", "--pair", "demo", "--teacher-layer", "5", "--student-layer", "2", "--steps", "40", "--batch-size", "8",
    "--n-examples", "64", "--task", "demo/unknown-seen", "--n-task-items", "16", "--n-general", "8", "--n-prompts", "16",
]  # fmt: skip


def pkt(*words, cache, wait=True, launcher=()):
    import os

    command = [sys.executable, "-m", *launcher, "pkt_core", *words] if not launcher else [*launcher, *words]
    started = subprocess.Popen(
        command,
        env={**os.environ, "PKT_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if not wait:
        return started
    out, err = started.communicate(timeout=400)
    assert started.returncode == 0, out + err
    return out


@pytest.mark.slow
def test_a_run_that_is_killed_and_resumed_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    monkeypatch.setenv("PKT_CACHE", str(tmp_path))
    plan = demo_plan()
    runs = {name: create_run(plan, run_id=name) for name in ("whole", "killed")}
    pkt("transfer", "--run", "whole", cache=tmp_path)
    process = pkt("transfer", "--run", "killed", "--checkpoint-seconds", "0", cache=tmp_path, wait=False)
    while len(runs["killed"].events()) < 13:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    status = open_run("killed").status()
    assert status.state == "lost"
    assert "--resume" in status.message
    step = Checkpoints(runs["killed"].folder / "checkpoints").load()[1]["step"]
    assert 12 <= step < 40
    pkt("transfer", "--resume", "killed", cache=tmp_path)
    found = [load_file(run.folder / "student" / "model.safetensors") for run in runs.values()]
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert [e["step"] for e in runs["killed"].events()] == list(range(1, 41))
    told = [[{k: v for k, v in e.items() if k != "seconds"} for e in run.events()] for run in runs.values()]
    assert told[0] == told[1]
    assert not (runs["killed"].folder / "checkpoints").exists()
    memory = runs["whole"].results().memory
    assert 0.5 < memory.peak / memory.estimated < 2  # told before, measured after


def demo_plan(**more):
    settings = {
        "teacher_layer": 5, "student_layer": 2, "steps": 40, "batch_size": 8, "n_examples": 64,
        "tasks": ["demo/unknown-seen"], "n_task_items": 16, "n_general": 8, "n_prompts": 16,
    }  # fmt: skip
    refs = {"teacher": {"name": "demo:teacher"}, "student": {"name": "demo:student"}}
    return TransferPlan(**refs, data="demo/unknown-seen", **settings | more).model_dump(mode="json")


@pytest.mark.slow
def test_two_processes_do_the_steps_of_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PKT_CACHE", str(tmp_path))
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1",
                "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "pkt_core"]  # fmt: skip
    pkt(*DEMO, cache=tmp_path / "two", launcher=launcher)
    pkt(*DEMO, cache=tmp_path / "one")
    found, events = [], []
    for name in ("one", "two"):
        monkeypatch.setenv("PKT_CACHE", str(tmp_path / name))
        (folder,) = [p for p in (tmp_path / name / "runs").iterdir() if p.is_dir()]
        assert open_run(folder.name).status().state == "done"
        found.append(load_file(folder / "student" / "model.safetensors"))
        events.append(open_run(folder.name).events())
    assert len(events[0]) == len(events[1]) == 40
    for one, two in zip(*events, strict=True):
        assert one["terms"]["layer"] == pytest.approx(two["terms"]["layer"], abs=1e-4)
    for name in found[0]:
        assert_close(found[0][name], found[1][name], atol=3e-4, rtol=1e-2)


@pytest.mark.slow
def test_a_plan_runs_again_where_the_teacher_is_gone(tmp_path, monkeypatch):
    import shutil

    monkeypatch.setenv("PKT_CACHE", str(tmp_path / "cache"))
    shutil.copytree(Path("assets/demo/teacher"), tmp_path / "teacher")
    refs = {"teacher": {"name": str(tmp_path / "teacher")}}
    first = create_run(demo_plan() | refs, run_id="first")
    pkt("transfer", "--run", "first", cache=tmp_path / "cache")
    (tmp_path / "teacher").rename(tmp_path / "elsewhere")
    create_run(demo_plan() | refs, run_id="again")
    out = pkt("transfer", "--run", "again", cache=tmp_path / "cache")
    again = open_run("again")
    same = [load_file(run.folder / "student" / "model.safetensors") for run in (first, again)]
    assert all(torch.equal(same[0][name], same[1][name]) for name in same[0])
    assert again.status().state == "done"
    assert "is not available here" in again.status().message + out


@pytest.mark.slow
def test_a_loss_that_explodes_fails_the_run_and_keeps_what_was_there(tmp_path, monkeypatch):
    monkeypatch.setenv("PKT_CACHE", str(tmp_path))
    create_run(demo_plan(method="sft", learning_rate=1e12), run_id="hot")
    process = pkt("transfer", "--run", "hot", "--checkpoint-seconds", "0", cache=tmp_path, wait=False)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    status = open_run("hot").status()
    assert status.state == "failed"
    assert "is not finite" in status.message
    assert "pkt transfer --resume hot" in status.message
    assert Checkpoints(open_run("hot").folder / "checkpoints").load() is not None
    assert "Traceback" not in err
