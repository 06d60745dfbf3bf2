"""Trackers through Accelerate, and models spread over devices by it."""

from __future__ import annotations

import fakes
import pytest
import torch
from made_runs import demo

from pkt_core.errors import PlanError
from pkt_core.models.loading import load
from pkt_core.models.ref import ModelRef
from pkt_core.transfer import trackers

EVENT = {"step": 3, "terms": {"kl": 0.25}, "alignment": 0.5, "recall": {"task": 0.75}}


def test_a_tracker_is_told_every_term_recall_and_alignment(tmp_path):
    tracker = trackers.Tracker("tensorboard", tmp_path, "run-1", demo())
    tracker.tell(EVENT)
    tracker.end()
    (written,) = [p for p in tmp_path.rglob("*") if "tfevents" in p.name and p.stat().st_size > 0][:1]
    data = b"".join(p.read_bytes() for p in tmp_path.rglob("*tfevents*"))
    assert written.is_file()
    for name in (b"loss/kl", b"recall/task", b"alignment"):
        assert name in data


def test_without_a_tracker_nothing_is_written(tmp_path):
    tracker = trackers.Tracker(None, tmp_path, "run-1", demo())
    tracker.tell(EVENT)
    tracker.end()
    assert list(tmp_path.iterdir()) == []


def test_a_tracker_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(PlanError, match=r"Got tracker comet; installed here: tensorboard"):
        trackers.Tracker("comet", tmp_path, "run-1", demo())


def test_a_model_spread_by_accelerate_says_the_same(tmp_path):
    plain = fakes.loaded(tmp_path / "m")
    spread = load(ModelRef(name=str(tmp_path / "m"), device="spread"))
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        assert torch.equal(spread.model(ids).logits, plain.model(ids).logits)


def test_a_tracker_that_does_not_start_is_one_sentence(tmp_path, monkeypatch):
    def refuses(*_args, **_more):
        raise RuntimeError("no server\nat home")

    monkeypatch.setattr("accelerate.Accelerator.init_trackers", refuses)
    with pytest.raises(PlanError, match=r"tensorboard could not be started \(no server at home\). Set it up, or run"):
        trackers.Tracker("tensorboard", tmp_path, "run-1", demo())
