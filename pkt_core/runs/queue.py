"""The queue: waiting runs in an order that every process may change, and the one worker that carries them out one at a time.

`<cache>/runs/queue.json` lists run ids: new runs, and runs that ended early and are to be continued. Each change reads, changes and
replaces the file under a lock, so that two tabs do not lose each other's. The worker is a process of its own that starts each run
as another (a run that dies or is killed takes nothing with it) and ends when nothing waits.

Three locks of the kernel, each of which ends with its holder: `queue.lock` for a change, `worker.lock` for as long as a worker
works, and `turn.lock`, held by the run of the queue that is at work: it goes on when its worker is killed, and the next worker waits
for it.

Not covered: what a run does (`pipeline.py`), several workers for several cards.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError

from pkt_core.base.files import cache_root, lock, parsed, read_file, read_json, told_clearly, write_json
from pkt_core.base.sealed import read_sealed, write_sealed
from pkt_core.base.staging import sweep
from pkt_core.errors import PktError, StoreError
from pkt_core.runs.folder import MOST_STATUS, Run, open_run, runs_root
from pkt_core.runs.status import Process

EARLY = ("failed", "stopped", "lost")
"""States from which a run can be continued."""
LOOK_SECONDS = 0.2
"""Between two looks whether it is the worker's turn."""
MOST_QUEUE = 2**24
"""Bytes of a queue that are read."""


def waiting() -> list[str]:
    """Ids of the runs that wait, next one first; those that are gone, at work or done are left out."""
    return [run_id for run_id in _listed() if _waits(run_id)]


def enqueue(run_ids: Sequence[str]) -> None:
    """Put runs at the end; one that waits already keeps its place.

    Raises StoreError where a run is missing, recorded, at work, or done.
    """
    for run_id in run_ids:
        run = open_run(run_id)
        run.require_writable()
        run.require_idle()
        if (state := run.status().state) not in ("queued", *EARLY):
            raise StoreError(f"Run {run_id} is {state}; only new runs and those that ended early wait in the queue.")
    _change(lambda order: order + [run_id for run_id in run_ids if run_id not in order])


def remove(run_id: str) -> None:
    """Take a run out; it stays as a run that is not started. Raises StoreError where it does not wait."""
    _change(lambda order: _without(run_id, order))


def move(run_id: str, place: int) -> None:
    """Put a waiting run at a place, 0 is next. Raises StoreError where it does not wait."""

    def moved(order: list[str]) -> list[str]:
        rest = _without(run_id, [other for other in order if _waits(other)])
        return [*rest[:place], run_id, *rest[place:]]

    _change(moved)


def _without(run_id: str, order: list[str]) -> list[str]:
    """The others. Raises StoreError where the run does not wait."""
    if run_id not in order or not _waits(run_id):
        raise StoreError(f"Run {run_id} is not in the queue; it may have started. Check the queue again.")
    return [other for other in order if other != run_id]


def worker() -> Process | None:
    """The living worker, None where there is none."""
    path = runs_root() / "worker.json"
    if not path.is_file():
        return None
    try:
        process = Process.model_validate(read_json(path, MOST_STATUS))
    except (StoreError, ValidationError):
        return None
    return process if process.alive() else None


def work(carry_out: Callable[[Run], None]) -> int:
    """Be the worker: carry out what waits until nothing does; how many runs that were. 0 at once where a worker lives."""
    sweep(cache_root())
    with _locked():
        mine = lock(runs_root() / "worker.lock", wait=False)
        if mine is None:
            return 0
        write_json(runs_root() / "worker.json", Process.of(os.getpid()).model_dump())
    done = 0
    try:
        while (run := _next(mine)) is not None:
            carry_out(run)
            done += 1
    finally:
        mine.release()
    return done


@contextmanager
def turn() -> Iterator[None]:
    """Inside, no other run of the queue is at work; waits for one that is, whoever started it."""
    held = lock(runs_root() / "turn.lock", wait=True)
    assert held is not None, "it waited"
    try:
        yield
    finally:
        held.release()


def start(arguments: Sequence[str], log_file: Path, *, detached: bool) -> subprocess.Popen[bytes]:
    """`python -m pkt_core <arguments>` with this process's code and cache; what it prints is added to the log.

    `detached` puts it into a session of its own, so that it outlives a closed terminal and no Ctrl-C reaches it.
    """
    code = str(Path(__file__).resolve().parents[2])
    search = os.pathsep.join(filter(None, [code, os.environ.get("PYTHONPATH")]))
    environment = {"PKT_CACHE": str(runs_root().parent), "PYTHONPATH": search, "PYTHONUNBUFFERED": "1"}
    with told_clearly(log_file), open(log_file, "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "pkt_core", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=detached,
        )


def in_its_own_process(run: Run, word: str = "--resume") -> None:
    """Carry a run out as `pkt transfer` in a process of its own, what it prints in its log.txt; returns when it is over."""
    process = start(["transfer", word, run.id], run.folder / "log.txt", detached=False)
    run.record_process(process.pid)
    process.wait()


def in_its_turn(run: Run) -> None:
    """The same as a run of the queue: it holds the turn for as long as it lives, also where this process is killed."""
    in_its_own_process(run, "--run")


def forget(run_id: str) -> None:
    """Remove a run that is carried out now, wherever it waited."""
    if run_id in _listed():
        _change(lambda order: [other for other in order if other != run_id])


def _next(mine: FileLock) -> Run | None:
    """Take the first run that waits, when no other of the queue is at work; None, with the worker signed off, where none waits."""
    while True:
        with _locked():
            order = waiting()
            if not order:
                write_sealed(runs_root() / "queue.json", {"order": []})
                (runs_root() / "worker.json").unlink(missing_ok=True)
                mine.release()  # inside: a process that queues a run from now on finds no worker and starts one
                return None
            if (free := lock(runs_root() / "turn.lock", wait=False)) is not None:
                free.release()
                run = open_run(order[0])
                if run.status().state != "queued":
                    run.withdraw_stop()
                run.record_process(os.getpid())  # so that it counts as starting until its own process is there
                write_sealed(runs_root() / "queue.json", {"order": order[1:]})
                return run
        time.sleep(LOOK_SECONDS)


def _listed() -> list[str]:
    path = runs_root() / "queue.json"
    if not os.path.lexists(path):
        return []
    data = read_file(path, MOST_QUEUE)
    order = (
        parsed(path, data) if data.startswith(b"[") else read_sealed(path).get("order")
    )  # earlier versions kept the list alone
    if not isinstance(order, list) or not all(isinstance(run_id, str) for run_id in order):
        raise StoreError(
            f"{path} is damaged: expected a list of run ids. Delete it; the runs themselves are not harmed."
        )
    return order


def _waits(run_id: str) -> bool:
    try:
        run = open_run(run_id)
        status = run.status()
        if status.state == "queued":
            return True
        return status.state in EARLY and not run.recorded and not run.starting(status)
    except PktError:
        return False


def _change(change: Callable[[list[str]], list[str]]) -> None:
    with _locked():
        write_sealed(runs_root() / "queue.json", {"order": change(_listed())})


@contextmanager
def _locked() -> Iterator[None]:
    """One change at a time, over processes."""
    held = lock(runs_root() / "queue.lock", wait=True)
    assert held is not None, "it waited"
    try:
        with told_clearly(runs_root()):
            yield
    finally:
        held.release()
