"""Runs the pipeline in a separate process, so that no click waits for, ends or blocks a computation.

The dashboard's process never loads a model: comparisons and UMAPs run in a child process that can be ended to free its memory.
Results arrive as JSON and are cached by request; the project's store is authoritative.

Not covered: transfers, which are runs with a folder each (`jobs.py`).
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import threading
import time
from collections import OrderedDict, deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from dashboard import limits
from dashboard.engine.registry import read

# Spinning threads slow each other down eightfold when a transfer runs at the same time; these sleep instead.
CALM = {"OMP_WAIT_POLICY": "passive"}
SLOW = {"stitching"}  # functions that must not keep a comparison waiting; a UMAP is another
STOPPED = "The computation was ended early, by its stop button or to free memory. Start it again."
KEPT = 64  # answers held in memory; older ones are read from the store again


@dataclass
class Task:
    """One request and its progress."""

    function: str
    """One of `registry.FUNCTIONS`."""
    arguments: dict[str, Any]
    """Plain names and numbers."""
    status: Literal["waiting", "working", "done", "failed"] = "waiting"
    """Its state."""
    stage: str = "Waiting for the engine"
    """The current stage, as a sentence."""
    fraction: float = 0.0
    """The fraction done, 0..1."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Rows of the answer that arrived before its end, from functions that stream them."""
    result: dict[str, Any] | None = None
    """The answer's JSON form."""
    error: str | None = None
    """One sentence for the user."""
    fault: bool = False
    """Whether the error is a fault of the program rather than something the user can fix."""
    asked_by: set[str] = field(default_factory=set)
    """Sessions that requested it, in a public demo."""
    began: float = field(default_factory=time.monotonic)
    """When it was requested."""
    stage_from: tuple[float, float] = (0.0, 0.0)
    """When the current stage began, and the fraction done by then."""
    told_at: float = 0.0
    """When the fraction was last updated."""

    def tell(self, stage: str, fraction: float) -> None:
        """Record progress; within one stage, the time left is estimated from its pace."""
        now = time.monotonic()
        if stage != self.stage:
            self.stage_from = (now, fraction)
        self.stage, self.fraction, self.told_at = stage, min(1.0, max(0.0, fraction)), now

    @property
    def left(self) -> float | None:
        """Seconds left at the pace of the current stage; None until a twentieth of the whole is done at that pace."""
        began, at = self.stage_from
        done = self.fraction - at
        if self.over or done < 0.05:
            return None
        return max(0.0, (self.told_at - began) / done * (1 - self.fraction) - (time.monotonic() - self.told_at))

    @functools.cached_property
    def record(self) -> Any:
        """The answer as the record that `registry` lists for the function. Raises StoreError where it does not fit."""
        assert self.result is not None, "only a finished task has an answer"
        return read(self.function, self.result)

    @property
    def over(self) -> bool:
        return self.status in ("done", "failed")


class Lane:
    """One child process and its requests, processed in order."""

    def __init__(self) -> None:
        self.lock = threading.Condition()
        self.queue: deque[Task] = deque()
        self.process: subprocess.Popen[str] | None = None
        self.current: Task | None = None
        threading.Thread(target=self.serve, daemon=True).start()

    def add(self, task: Task) -> None:
        with self.lock:
            self.queue.append(task)
            self.lock.notify()

    def start(self) -> subprocess.Popen[str]:
        """The child process, started where there is none."""
        with self.lock:
            if self.process is None or self.process.poll() is not None:
                command = [sys.executable, "-m", "dashboard.engine.worker", "--warm"]
                self.process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**CALM, **os.environ}
                )
            return self.process

    def end(self) -> None:
        """End the child: its current task fails with a sentence, and its memory is freed."""
        with self.lock:
            process, self.process = self.process, None
            if process is None or process.stdin is None or process.stdout is None:
                return
            process.kill()
            process.wait()
            with suppress(OSError):  # half a request may still be in the pipe
                process.stdin.close()
            if self.current is None:  # else the thread that reads it closes it
                process.stdout.close()

    def serve(self) -> None:
        while True:
            with self.lock:
                while not self.queue:
                    self.lock.wait()
                task = self.current = self.queue.popleft()
            try:
                self.work(task)
            except (OSError, ValueError) as error:  # the child was ended between two lines
                task.error, task.fault = f"the engine could not be reached ({error})", True
            task.status = "done" if task.result is not None else "failed"
            self.current = None

    def work(self, task: Task) -> None:
        process = self.start()
        assert process.stdin is not None
        assert process.stdout is not None
        task.status, task.stage = "working", "Starting the engine"
        process.stdin.write(json.dumps({"function": task.function, "arguments": task.arguments}) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            message = json.loads(line)
            if "stage" in message:
                task.tell(message["stage"], float(message["fraction"]))
                continue
            if "rows" in message:
                task.rows.extend(message["rows"])
                continue
            task.result, task.error = message.get("result"), message.get("error") or message.get("fault")
            task.fault = "fault" in message
            return
        process.stdout.close()
        task.error = STOPPED


class Engine:
    """All requests of all visitors; equal requests are answered once."""

    def __init__(self) -> None:
        self.tasks: OrderedDict[str, Task] = OrderedDict()
        self.lock = threading.Lock()
        self.lanes = {"quick": Lane(), "slow": Lane()}

    def ask(self, function: str, arguments: dict[str, Any], *, again: bool = False) -> Task:
        """The task for this request: a new one, or the one already running or done."""
        key = json.dumps([function, arguments], sort_keys=True)
        with self.lock:
            task = self.tasks.get(key)
            if task is None or (again and task.status == "failed"):
                if refused := limits.too_many([one.asked_by for one in self.tasks.values() if not one.over]):
                    return Task(function, arguments, status="failed", error=refused)
                task = self.tasks[key] = Task(function, arguments)
                slow = function in SLOW or arguments.get("method") == "umap"
                self.lanes["slow" if slow else "quick"].add(task)
            if limits.demo():
                task.asked_by.add(limits.visitor())
            self.tasks.move_to_end(key)
            for old in [k for k, t in self.tasks.items() if t.over][: max(0, len(self.tasks) - KEPT)]:
                del self.tasks[old]
            return task

    def known(self, function: str, arguments: dict[str, Any]) -> Task | None:
        """The task for this request if there is one; starts nothing."""
        return self.tasks.get(json.dumps([function, arguments], sort_keys=True))

    def at_work(self) -> list[Task]:
        """Running and waiting tasks."""
        with self.lock:
            return [task for task in self.tasks.values() if not task.over and task.function != "warm_projection"]

    def warm(self) -> None:
        """Start the quick lane's process ahead of the first request."""
        self.lanes["quick"].start()

    def warm_maps(self) -> None:
        """Let the slow lane import and compile UMAP in the background; once, when a map is first shown."""
        self.ask("warm_projection", {"method": "umap"})

    def stop(self, task: Task) -> None:
        """End a computation; its rows so far and all results are kept. PlanError where another visitor requested it."""
        limits.require_nobody_else([task.asked_by])
        for lane in self.lanes.values():
            with lane.lock:
                if task in lane.queue:
                    lane.queue.remove(task)
                    task.status, task.error = "failed", STOPPED
            if lane.current is task:
                lane.end()

    def release(self) -> None:
        """End both processes and free their memory; results are kept. PlanError where another visitor waits for one."""
        limits.require_nobody_else([task.asked_by for task in self.at_work()])
        self.end()

    def end(self) -> None:
        """The same regardless of other visitors, when the server ends."""
        for lane in self.lanes.values():
            lane.end()
