"""Starts a run, or the worker of the queue, as a separate process that outlives the click, the page and the server; stops a run.

Both sides communicate through the run folder only: status and events are read from there (`pkt_core.runs.folder`), a stop is a file.

Not covered: what a run does (`pkt_core.cli`); comparisons and figures, which end with the dashboard (`dashboard/engine/client.py`).
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

from dashboard import limits
from pkt_core.base.files import told_clearly
from pkt_core.runs import folder as run_folder
from pkt_core.runs import queue as run_queue

_workers: list[subprocess.Popen[bytes]] = []  # started by this server; one that finds another at work ends at once
TAIL_BYTES = 65_536  # of the log, at most, read for its last lines


def start(arguments: list[str], run_id: str | Path) -> None:
    """Start `python -m pkt_core <arguments>` for a run that exists; its output goes to the run's log.txt.

    Returns at once. Raises StoreError where there is no such run, it is recorded, or it is already running.
    """
    run = run_folder.open_run(run_id)
    run.require_writable()
    limits.require_own(run)
    run.require_idle()
    process = run_queue.start(arguments, run.folder / "log.txt", detached=True)
    run.record_process(process.pid)
    threading.Thread(target=process.wait, name=f"reaps {run_id}", daemon=True).start()


def work() -> None:
    """Make sure that a worker processes the queue; its output goes to worker.log beside the runs.

    Returns at once. Where two are started at the same moment, the later one finds the other at work and ends.
    """
    if run_queue.worker() is None:
        process = run_queue.start(["work"], run_folder.runs_root() / "worker.log", detached=True)
        _workers[:] = [*(one for one in _workers if one.poll() is None), process]
        threading.Thread(target=process.wait, name="reaps the worker", daemon=True).start()


def worker_lives() -> bool:
    """Whether a worker processes the queue, or was started and has not registered yet, which takes some seconds."""
    return run_queue.worker() is not None or any(process.poll() is None for process in _workers)


def stop(run_id: str | Path, *, kill_after: float) -> threading.Thread:
    """Request that a run ends at its next step; kill it, with its children, if it has not after `kill_after` seconds.

    Returns at once; the thread returned is over when the process is.
    """
    run = run_folder.open_run(run_id)
    limits.require_own(run)
    run.request_stop()
    waiter = threading.Thread(target=_end, args=(run, kill_after), name=f"stops {run_id}", daemon=True)
    waiter.start()
    return waiter


def _end(run: run_folder.Run, kill_after: float) -> None:
    """The process is looked up each time: while the queue starts a run, it is the worker's."""
    deadline = time.monotonic() + kill_after
    while (process := run.process()) is not None and process.alive():
        if time.monotonic() >= deadline and not _kill(process.pid):
            return
        time.sleep(0.1)


def _kill(pid: int) -> bool:
    """The process first, so that it starts no more, then its children. False where it belongs to another user and may not be killed."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        try:
            for process in [parent, *parent.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        except psutil.AccessDenied:
            return False
    return True


def log_tail(run_id: str | Path, n: int) -> str:
    """The last n lines of a run's output, a progress bar in its last state; empty where there is no log yet."""
    path = run_folder.open_run(run_id).folder / "log.txt"
    if not path.is_file():
        return ""
    with told_clearly(path), open(path, "rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
        text = log.read().decode("utf-8", errors="replace")
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.removesuffix("\n").split("\n")]
    return "\n".join(lines[-n:])
