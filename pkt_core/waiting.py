"""The queue: runs that wait, in an order that anyone may change, and the one worker that carries them out one at a time.

`<cache>/runs/queue.json` lists run ids. Each change reads, changes and replaces the file under a lock, so that two tabs
do not lose each other's. The worker is a process of its own that starts each run as another (a run that dies or is killed
takes nothing with it) and ends when nothing waits.

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

from pydantic import ValidationError

from pkt_core.errors import PktError, StoreError
from pkt_core.files import read_json, told_clearly, write_json
from pkt_core.runs import Run, open_run, runs_root
from pkt_core.status import Process

LOCK_SECONDS = 10.0
"""A lock this old belongs to a process that was killed."""


def waiting() -> list[str]:
    """Ids of the runs that wait, next one first; those that are gone or no longer queued are left out."""
    return [run_id for run_id in _listed() if _queued(run_id)]


def enqueue(run_ids: Sequence[str]) -> None:
    """Put runs at the end; one that waits already keeps its place. Raises StoreError where a run is missing or not queued."""
    for run_id in run_ids:
        if open_run(run_id).status().state != "queued":
            raise StoreError(f"Run {run_id} has started before; only new runs wait in the queue. Resume it instead.")
    _change(lambda order: order + [run_id for run_id in run_ids if run_id not in order])


def remove(run_id: str) -> None:
    """Take a run out; it stays as a queued run that nobody starts. Raises StoreError where it does not wait."""
    _change(lambda order: _without(run_id, order))


def move(run_id: str, place: int) -> None:
    """Put a waiting run at a place, 0 is next. Raises StoreError where it does not wait."""

    def moved(order: list[str]) -> list[str]:
        rest = _without(run_id, order)
        return [*rest[:place], run_id, *rest[place:]]

    _change(moved)


def _without(run_id: str, order: list[str]) -> list[str]:
    """The others. Raises StoreError where the run does not wait."""
    if run_id not in order:
        raise StoreError(f"Run {run_id} does not wait in the queue; it may have started. Look at the list again.")
    return [other for other in order if other != run_id]


def worker() -> Process | None:
    """The living worker, None where there is none."""
    path = runs_root() / "worker.json"
    if not path.is_file():
        return None
    try:
        found = Process.model_validate(read_json(path))
    except (StoreError, ValidationError):
        return None
    return found if found.alive() else None


def work(carry_out: Callable[[Run], None]) -> int:
    """Be the worker: carry out what waits until nothing does; how many runs that were. 0 at once where a worker lives."""
    with _locked():
        if worker() is not None:
            return 0
        write_json(runs_root() / "worker.json", Process.of(os.getpid()).model_dump())
    done = 0
    while (run := _next()) is not None:
        carry_out(run)
        done += 1
    return done


def start(arguments: Sequence[str], log_file: Path, *, detached: bool) -> subprocess.Popen[bytes]:
    """`python -m pkt_core <arguments>` with this process's code and cache; what it prints is added to the log.

    `detached` puts it into a session of its own, so that it outlives a closed terminal and no Ctrl-C reaches it.
    """
    code = str(Path(__file__).resolve().parents[1])
    search = os.pathsep.join(filter(None, [code, os.environ.get("PYTHONPATH")]))
    told = {"PKT_CACHE": str(runs_root().parent), "PYTHONPATH": search, "PYTHONUNBUFFERED": "1"}
    with open(log_file, "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "pkt_core", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **told},
            start_new_session=detached,
        )


def in_its_own_process(run: Run) -> None:
    """Carry a run out as `pkt transfer --run` in a process of its own, what it prints in its log.txt; returns when it is over."""
    process = start(["transfer", "--run", run.id], run.folder / "log.txt", detached=False)
    run.record_process(process.pid)
    process.wait()


def _next() -> Run | None:
    """Take the first run that waits; None, with the worker signed off, where none does."""
    with _locked():
        order = waiting()
        write_json(runs_root() / "queue.json", order[1:])
        if not order:
            (runs_root() / "worker.json").unlink(missing_ok=True)
            return None
    return open_run(order[0])


def _listed() -> list[str]:
    path = runs_root() / "queue.json"
    found = read_json(path) if path.is_file() else []
    if not isinstance(found, list) or not all(isinstance(run_id, str) for run_id in found):
        raise StoreError(
            f"{path} is damaged: expected a list of run ids. Delete it; the runs themselves are not harmed."
        )
    return found


def _queued(run_id: str) -> bool:
    try:
        return open_run(run_id).status().state == "queued"
    except PktError:
        return False


def _change(change: Callable[[list[str]], list[str]]) -> None:
    with _locked():
        write_json(runs_root() / "queue.json", change(waiting()))


@contextmanager
def _locked() -> Iterator[None]:
    """One change at a time, over processes."""
    lock = runs_root() / "queue.lock"
    with told_clearly(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                break
            except FileExistsError:
                _break_if_abandoned(lock)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _break_if_abandoned(lock: os.PathLike[str]) -> None:
    try:
        age = time.time() - os.stat(lock).st_mtime
    except FileNotFoundError:
        return
    if age > LOCK_SECONDS:
        os.unlink(lock)
    time.sleep(0.01)
