"""The queue: order, changes from several sides, and a worker that survives what its runs do not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from made_runs import demo

from pkt_core.base.sealed import write_sealed
from pkt_core.errors import StoreError
from pkt_core.runs import folder as run_folder
from pkt_core.runs import queue as run_queue
from pkt_core.runs.folder import create_run, open_run


@pytest.fixture
def runs(monkeypatch, tmp_path):
    monkeypatch.setenv("PKT_CACHE", str(tmp_path))
    names = ["a", "b", "c"]
    for name in names:
        create_run(demo().model_dump(mode="json"), run_id=name)
    run_queue.enqueue(names)
    return names


def test_runs_wait_in_order_and_can_be_moved_and_removed(runs):
    assert run_queue.waiting() == runs
    run_queue.move("c", 0)
    assert run_queue.waiting() == ["c", "a", "b"]
    run_queue.enqueue(["a"])  # again: it keeps its place
    assert run_queue.waiting() == ["c", "a", "b"]
    run_queue.remove("a")
    assert run_queue.waiting() == ["c", "b"]
    open_run("b").delete()
    assert run_queue.waiting() == ["c"]
    with pytest.raises(StoreError, match="is not in the queue"):
        run_queue.move("a", 0)
    for never in ("a", "nope"):
        with pytest.raises(StoreError, match=f"Run {never} is not in the queue"):
            run_queue.remove(never)
    run_queue.remove("c")
    with pytest.raises(StoreError, match="is not in the queue"):
        run_queue.remove("c")  # nor where nothing waits


@pytest.mark.usefixtures("runs")
def test_only_new_runs_wait():
    open_run("a").write_status("done")
    with pytest.raises(StoreError, match="Run a is done; only new runs and those that ended early wait"):
        run_queue.enqueue(["a"])
    assert run_queue.waiting() == ["b", "c"]


@pytest.mark.usefixtures("runs")
def test_a_worker_carries_out_one_at_a_time_and_a_second_does_nothing():
    seen = []

    def carry_out(run):
        seen.append(run.id)
        assert run_queue.worker() is not None
        assert run_queue.work(carry_out) == 0  # another worker, while this one lives
        if run.id == "a":
            run_queue.move("c", 0)  # the order may change while it works
        run.write_status("failed" if run.id == "c" else "done")

    assert run_queue.work(carry_out) == 3
    assert seen == ["a", "c", "b"]
    assert run_queue.worker() is None
    assert run_queue.waiting() == []


def test_changes_from_many_sides_lose_nothing(runs):
    more = [f"r{i}" for i in range(12)]
    for name in more:
        create_run(demo().model_dump(mode="json"), run_id=name)
    threads = [threading.Thread(target=run_queue.enqueue, args=([name],)) for name in more]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(run_queue.waiting()) == sorted([*runs, *more])


def python(code, *words, **more):
    return subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True, **more)


ENQUEUE = """
import sys
from pkt_core.runs import queue as waiting
from pkt_core.runs.folder import create_run
for i in range(int(sys.argv[2])):
    waiting.enqueue([create_run({}, run_id=f"p{sys.argv[1]}-{i}").id])
"""


@pytest.mark.usefixtures("cache")
def test_processes_that_enqueue_at_once_lose_nothing():
    many, each = 8, 8  # 8 x 200 by hand: all 1,600 there
    started = [python(ENQUEUE, str(number), str(each)) for number in range(many)]
    assert [process.communicate(timeout=120)[0] for process in started] == [""] * many
    assert sorted(run_queue.waiting()) == sorted(f"p{number}-{i}" for number in range(many) for i in range(each))


HOLDS = """
import time
from pkt_core.runs import queue as waiting
def slowly(order):
    print("holds", flush=True)
    time.sleep(0.2)
    return [*order, "b"]
waiting._change(slowly)
"""


@pytest.mark.usefixtures("cache")
def test_a_holder_that_is_suspended_loses_nothing_and_a_killed_one_holds_nobody_up():
    for name in ("a", "b", "c", "d"):
        create_run({}, run_id=name)
    run_queue.enqueue(["a"])
    holder = python(HOLDS)
    assert holder.stdout.readline() == "holds\n"
    holder.send_signal(signal.SIGSTOP)
    os.utime(run_folder.runs_root() / "queue.lock", (0, 0))  # however old it looks: its holder lives
    other = threading.Thread(target=run_queue.enqueue, args=(["c"],))
    other.start()
    other.join(0.5)
    assert other.is_alive(), "it waits"
    holder.send_signal(signal.SIGCONT)
    other.join(60)
    holder.communicate(timeout=60)
    assert run_queue.waiting() == ["a", "b", "c"]
    holder = python(HOLDS)
    assert holder.stdout.readline() == "holds\n"
    holder.kill()
    os.utime(run_folder.runs_root() / "queue.lock", (4e9, 4e9))  # dated in the future
    began = time.monotonic()
    run_queue.enqueue(["d"])
    assert time.monotonic() - began < 5
    assert run_queue.waiting() == ["a", "b", "c", "d"]
    holder.communicate()


def test_runs_that_ended_early_wait_to_go_on_and_those_at_work_or_done_do_not(runs):
    del runs
    for name, state in (("a", "stopped"), ("b", "failed"), ("c", "done")):
        run_queue.remove(name)
        open_run(name).write_status("running")
        with pytest.raises(StoreError, match="is running"):
            run_queue.enqueue([name])
        open_run(name).write_status(state, message="So it was.")
    with pytest.raises(StoreError, match="is done"):
        run_queue.enqueue(["c"])
    open_run("a").request_stop()
    run_queue.enqueue(["a", "b"])
    assert run_queue.waiting() == ["a", "b"]
    assert open_run("a").status().message == "So it was.", "waiting changes nothing of it"
    run_queue.forget("b")  # somebody carries it out by hand
    asked = []
    assert run_queue.work(lambda run: asked.append((run.id, run.stop_requested()))) == 1
    assert asked == [("a", False)], "the stop of the attempt before is withdrawn"


CLAIM = """
import sys, time
from pkt_core.errors import StoreError
from pkt_core.runs.folder import open_run
run = open_run(sys.argv[1])
while time.time() < float(sys.argv[2]): pass
try:
    run.write_status("running")
except StoreError as error:
    sys.exit(str(error))
print("mine", flush=True)
sys.stdin.read()
"""


@pytest.mark.usefixtures("cache")
def test_of_processes_that_claim_a_run_at_once_exactly_one_wins():
    for number in range(4):  # 60 by hand
        run = create_run({}, run_id=f"run-{number}")
        at = str(time.time() + 3)
        pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
        started = [python(CLAIM, run.id, at, **pipes) for _ in range(4)]
        said = [process.stderr.readline() if process.stdout.readline() == "" else "mine" for process in started]
        told = [process.communicate("") for process in started]
        assert len(told) == 4
        assert said.count("mine") == 1
        assert sum(f"Run {run.id} is already running in " in one for one in said) == 3
        run.write_status("running")  # the winner is gone, and its claim with it
        run.write_status("stopped")


RUN = """
import sys, time
from pkt_core.runs import queue as waiting
from pkt_core.runs.folder import open_run
run = open_run(sys.argv[1])
with waiting.turn():
    run.claim()
    while not run.stop_requested():
        run.write_status("running", step=1)
        run.append_event({"at": time.time()})
        time.sleep(0.05)
    run.write_status("done")
"""
WORK = """
import subprocess, sys
from pkt_core.runs import queue as waiting
RUN = sys.argv[1]
def carry_out(run):
    process = subprocess.Popen([sys.executable, "-c", RUN, run.id])
    run.record_process(process.pid)
    process.wait()
print("worker", waiting.work(carry_out), flush=True)
"""


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_run_of_a_killed_worker_goes_on_and_no_second_is_at_work_beside_it(runs):
    del runs
    first = python(WORK, RUN)
    until(lambda: open_run("a").events())
    first.kill()
    first.wait()
    assert run_queue.worker() is None
    second, third = python(WORK, RUN), None
    try:
        until(lambda: run_queue.worker() is not None)
        third = python(WORK, RUN)
        assert third.communicate()[0] == "worker 0\n", "never two"
        time.sleep(1)
        assert open_run("a").status().state == "running"
        assert run_queue.waiting() == ["b", "c"], "the others wait as long"
        for name in ("a", "b", "c"):
            until(lambda name=name: open_run(name).events())
            open_run(name).request_stop()
        assert second.communicate(timeout=60)[0] == "worker 2\n"
    finally:
        for name in ("a", "b", "c"):
            open_run(name).request_stop()
        for process in (first, second, third):
            if process is not None:
                process.kill()
                process.wait()
                process.stdout.close()
    spans = [[event["at"] for event in open_run(name).events()] for name in ("a", "b", "c")]
    assert spans[0][-1] < spans[1][0]
    assert spans[1][-1] < spans[2][0]


@pytest.mark.usefixtures("runs")
def test_a_queue_of_an_earlier_version_opens_and_any_byte_that_is_another_is_noticed(tmp_path):
    path = tmp_path / "runs" / "queue.json"
    data = path.read_bytes()
    path.write_text(json.dumps(["b", "a"]))
    assert run_queue.waiting() == ["b", "a"]
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
        with pytest.raises(StoreError, match="is damaged"):
            run_queue.waiting()
    write_sealed(path, {"order": ["c", 7]})
    with pytest.raises(StoreError, match="expected a list of run ids"):
        run_queue.waiting()


@pytest.mark.usefixtures("runs")
def test_a_damaged_queue_is_one_sentence(tmp_path):
    (tmp_path / "runs" / "queue.json").write_text("{}")
    with pytest.raises(StoreError, match="expected a list of run ids"):
        run_queue.waiting()


@pytest.mark.slow
def test_a_run_that_fails_does_not_stop_the_queue(monkeypatch, tmp_path):
    monkeypatch.setenv("PKT_CACHE", str(tmp_path))
    create_run((demo().model_copy(update={"data": "missing.jsonl"})).model_dump(mode="json"), run_id="bad")
    create_run(
        demo(method="sft", steps=2, n_examples=16, n_general=4, n_prompts=16).model_dump(mode="json"), run_id="good"
    )
    run_queue.enqueue(["bad", "good"])
    assert run_queue.work(run_queue.in_its_own_process) == 2
    assert open_run("bad").status().state == "failed"
    assert "missing.jsonl" in open_run("bad").status().message
    assert open_run("good").status().state == "done"
