"""The queue: order, changes from several sides, and a worker that survives what its runs do not."""

from __future__ import annotations

import threading

import pytest
from test_families import demo

from pkt_core import waiting
from pkt_core.errors import StoreError
from pkt_core.runs import create_run, open_run


@pytest.fixture
def runs(monkeypatch, tmp_path):
    monkeypatch.setenv("PKT_CACHE", str(tmp_path))
    names = ["a", "b", "c"]
    for name in names:
        create_run(demo().model_dump(mode="json"), run_id=name)
    waiting.enqueue(names)
    return names


def test_runs_wait_in_order_and_can_be_moved_and_removed(runs):
    assert waiting.waiting() == runs
    waiting.move("c", 0)
    assert waiting.waiting() == ["c", "a", "b"]
    waiting.enqueue(["a"])  # again: it keeps its place
    assert waiting.waiting() == ["c", "a", "b"]
    waiting.remove("a")
    assert waiting.waiting() == ["c", "b"]
    open_run("b").delete()
    assert waiting.waiting() == ["c"]
    with pytest.raises(StoreError, match="does not wait"):
        waiting.move("a", 0)
    for never in ("a", "nope"):
        with pytest.raises(StoreError, match=f"Run {never} does not wait in the queue"):
            waiting.remove(never)
    waiting.remove("c")
    with pytest.raises(StoreError, match="does not wait"):
        waiting.remove("c")  # nor where nothing waits


@pytest.mark.usefixtures("runs")
def test_only_new_runs_wait():
    open_run("a").write_status("done")
    with pytest.raises(StoreError, match="Run a is done; only new runs and those that ended early wait"):
        waiting.enqueue(["a"])
    assert waiting.waiting() == ["b", "c"]


@pytest.mark.usefixtures("runs")
def test_a_worker_carries_out_one_at_a_time_and_a_second_does_nothing():
    seen = []

    def carry_out(run):
        seen.append(run.id)
        assert waiting.worker() is not None
        assert waiting.work(carry_out) == 0  # another worker, while this one lives
        if run.id == "a":
            waiting.move("c", 0)  # the order may change while it works
        run.write_status("failed" if run.id == "c" else "done")

    assert waiting.work(carry_out) == 3
    assert seen == ["a", "c", "b"]
    assert waiting.worker() is None
    assert waiting.waiting() == []


def test_changes_from_many_sides_lose_nothing(runs):
    more = [f"r{i}" for i in range(12)]
    for name in more:
        create_run(demo().model_dump(mode="json"), run_id=name)
    threads = [threading.Thread(target=waiting.enqueue, args=([name],)) for name in more]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waiting.waiting()) == sorted([*runs, *more])


@pytest.mark.usefixtures("runs")
def test_a_damaged_queue_is_one_sentence(tmp_path):
    (tmp_path / "runs" / "queue.json").write_text("{}")
    with pytest.raises(StoreError, match="expected a list of run ids"):
        waiting.waiting()


@pytest.mark.slow
def test_a_run_that_fails_does_not_stop_the_queue(monkeypatch, tmp_path):
    monkeypatch.setenv("PKT_CACHE", str(tmp_path))
    create_run((demo().model_copy(update={"data": "missing.jsonl"})).model_dump(mode="json"), run_id="bad")
    create_run(
        demo(method="sft", steps=2, n_examples=16, n_general=4, n_prompts=16).model_dump(mode="json"), run_id="good"
    )
    waiting.enqueue(["bad", "good"])
    assert waiting.work(waiting.in_its_own_process) == 2
    assert open_run("bad").status().state == "failed"
    assert "missing.jsonl" in open_run("bad").status().message
    assert open_run("good").status().state == "done"
