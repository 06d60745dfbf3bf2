"""A started run is a process of its own: it outlives its starter, is told to stop, and is ended by force if it does not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from dashboard import jobs
from pkt_core.errors import StoreError
from pkt_core.runs import folder as run_folder
from pkt_core.runs import queue as run_queue

STAND_IN = """
import os, sys, time
from pkt_core.runs.folder import open_run

what, run_id = sys.argv[1:]
run = open_run(run_id)
print("cache", os.environ["PKT_CACHE"], flush=True)
if what == "dies":
    sys.exit("no such model")
run.write_status("running", total_steps=1000)
if what == "stubborn":
    import subprocess
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    run.append_event({"child": child.pid})
for step in range(1000):
    if run.stop_requested() and what != "stubborn":
        run.write_status("stopped", message="Stopped when asked.")
        break
    run.write_status("running", step=step + 1)
    time.sleep(0.02)
"""

WORKER = """
from pkt_core.runs.queue import work

def carry_out(run):
    print("did", run.id, flush=True)
    run.write_status("running")
    run.write_status("done")

work(carry_out)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m pkt_core` runs the script above: the real package, with a `__main__` of ours found first."""
    package = tmp_path / "code" / "pkt_core"
    package.mkdir(parents=True)
    real = Path(run_folder.__file__).parents[1]
    (package / "__init__.py").write_text(f"__path__.append({str(real)!r})\n__version__ = 'test'\n")
    (package / "__main__.py").write_text(STAND_IN)
    monkeypatch.chdir(tmp_path / "code")


def wait_for(run: run_folder.Run, condition: Callable[[run_folder.Run], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition(run):
        assert time.monotonic() < deadline, f"{run.status()}\n{jobs.log_tail(run.id, 20)}"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.usefixtures("stand_in")
def test_a_run_starts_detached_and_stops_when_asked(cache):
    run = run_folder.create_run({})
    began = time.monotonic()
    jobs.start(["works", run.id], run.id)
    assert time.monotonic() - began < 2, "no click waits for it"
    assert run.status().state in ("queued", "running")
    wait_for(run, lambda run: run.status().step > 0)
    process = run.process()
    assert os.getsid(process.pid) == process.pid != os.getsid(0), "a session of its own"
    with pytest.raises(StoreError, match=r"is running.*Stop it first"):
        jobs.start(["works", run.id], run.id)
    jobs.stop(run.id, kill_after=60).join()
    assert run.status().state == "stopped"
    assert run.status().message == "Stopped when asked."
    assert jobs.log_tail(run.id, 5) == f"cache {cache}"
    wait_for(run, lambda _: not psutil.pid_exists(process.pid))  # reaped, no zombie stays


@pytest.mark.usefixtures("stand_in")
def test_one_that_does_not_listen_is_ended_with_its_children():
    run = run_folder.create_run({})
    jobs.start(["stubborn", run.id], run.id)
    wait_for(run, lambda run: bool(run.events()) and run.status().step > 0)
    began = time.monotonic()
    waiter = jobs.stop(run.id, kill_after=0.5)
    assert time.monotonic() - began < 0.4, "no click waits for it"
    assert run.status().state == "running"
    waiter.join()
    assert time.monotonic() - began >= 0.5
    assert run.status().state == "stopped"
    assert "by force" in run.status().message
    wait_for(run, lambda run: gone(run.events()[0]["child"]), seconds=10)


@pytest.mark.usefixtures("stand_in")
def test_one_that_dies_at_once_is_lost_with_its_last_words():
    run = run_folder.create_run({})
    jobs.start(["dies", run.id], run.id)
    wait_for(run, lambda run: run.status().state == "lost")
    assert "log.txt" in run.status().message
    assert jobs.log_tail(run.id, 1) == "no such model"


@pytest.mark.usefixtures("stand_in")
def test_a_run_outlives_the_server_that_started_it():
    run = run_folder.create_run({})
    code = (
        "import sys, time; from dashboard.jobs import start; start(['works', sys.argv[1]], sys.argv[1]); time.sleep(60)"
    )
    search = str(Path(jobs.__file__).parents[1])
    server = subprocess.Popen([sys.executable, "-c", code, run.id], env={**os.environ, "PYTHONPATH": search})
    try:
        wait_for(run, lambda run: run.status().step > 0)
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        before = run.status().step
        wait_for(run, lambda run: run.status().step > before + 3)
        assert run.status().state == "running"
    finally:
        server.kill()
        jobs.stop(run.id, kill_after=5).join()
    assert run.status().state == "stopped"


@pytest.mark.usefixtures("stand_in")
def test_a_worker_carries_out_what_waits_and_there_are_never_two(cache, tmp_path):
    (tmp_path / "code" / "pkt_core" / "__main__.py").write_text(WORKER)
    names = [run_folder.create_run({}).id for _ in range(3)]
    run_queue.enqueue(names)
    began = time.monotonic()
    for _ in range(3):  # three clicks at once
        jobs.work()
    assert time.monotonic() - began < 2, "no click waits for it"
    assert jobs.worker_lives()  # at once, before it has signed on
    for name in names:
        wait_for(run_folder.open_run(name), lambda run: run.status().state == "done")
    wait_for(run_folder.open_run(names[0]), lambda _: run_queue.worker() is None)
    told = [line for line in (cache / "runs" / "worker.log").read_text().splitlines() if line.startswith("did")]
    assert sorted(told) == sorted(f"did {name}" for name in names), "each once"
    wait_for(run_folder.open_run(names[0]), lambda _: not jobs.worker_lives())
    late = run_folder.create_run({}).id
    run_queue.enqueue([late])
    jobs.work()
    wait_for(run_folder.open_run(late), lambda run: run.status().state == "done")


def test_what_cannot_start_is_told():
    with pytest.raises(StoreError, match="There is no run"):
        jobs.start(["works"], "nothing")


def test_log_tail_shows_a_progress_bar_as_it_stood_last():
    run = run_folder.create_run({})
    assert jobs.log_tail(run.id, 3) == ""
    (run.folder / "log.txt").write_bytes(b"one\ntwo\r\n 10%\r 50%\r100%\nhalf \xff\n" * 2)
    assert jobs.log_tail(run.id, 3) == "two\n100%\nhalf �"
    (run.folder / "log.txt").write_bytes(b"x" * 200_000 + b"\nend\n")
    assert jobs.log_tail(run.id, 1) == "end"
