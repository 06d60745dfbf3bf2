"""Dying at a chosen operation on files, and what a power cut leaves: every point at which a writing function can be cut short.

A watched process counts what it does to the files under a folder (open to write, fsync, rename, remove, make and remove
folders) by Python's audit hooks, and may end itself just before operation N:

kill    as it is
torn    what was being written then is cut at a random place: the kill came in the middle of the write
power   whatever was not fsynced is truncated, emptied or zeroed; names stay as they are
names   as `power`, and renames whose folder was not fsynced are undone
stop    it is suspended instead (SIGSTOP) and goes on when somebody lets it
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Literal

from tests.faults.lanes import Kind, Outcome

How = Literal["kill", "torn", "power", "names", "stop"]
HOWS: tuple[How, ...] = ("kill", "torn", "power", "names")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True)
class Operation:
    """One line of what a watched process did."""

    number: int
    what: str
    path: str
    """Under the watched folder; of a rename the new name."""
    at: float
    """Seconds since 1970."""


@dataclass
class Watch:
    """What a process does to the files under `root`, told line by line in `told`; it dies before operation `at`."""

    root: Path
    told: Path
    at: int | None = None
    how: How = "kill"
    delay: float = 0.0
    """Seconds from operation `at` to the end."""
    seed: int = 0
    number: int = 0
    writing: tuple[str, int] | None = None
    """The file that is being written, and how long it was before."""
    known: dict[str, Any] = field(default_factory=dict)
    """State of each file that the disk is known to have."""
    renamed: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Renames since their folder was fsynced: old name, new name, a copy of what was replaced."""

    def begin(self) -> None:
        """Watch this process from now on."""
        global _watch
        self.root = self.root.resolve()
        self.file = os.open(self.told, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.known = dict(_files(self.root))
        if _watch is None and not _hooked:
            _hook()
        _watch = self

    def happens(self, what: str, path: str, size: int = 0) -> None:
        self.number += 1
        os.write(self.file, f"{self.number}\t{what}\t{path[len(str(self.root)) + 1 :]}\t{time.time()}\n".encode())
        if self.number == self.at:
            if self.delay:
                threading.Thread(target=self._later, daemon=True).start()
            else:
                self.strike()
        self.writing = (path, size) if what == "open" else None

    def _later(self) -> None:
        time.sleep(self.delay)
        os.kill(os.getpid(), signal.SIGKILL)

    def at_the_end(self) -> None:
        """A process that is faster than its delayed end dies now."""
        if self.delay and self.at is not None and self.number >= self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def strike(self) -> None:
        """Leave the files as this kind of end does, then end."""
        random = Random(self.seed)
        if self.how == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
            return
        if self.how == "torn" and self.writing is not None:
            path, before = self.writing
            with contextlib.suppress(OSError):
                os.truncate(path, random.randint(min(before, os.stat(path).st_size), os.stat(path).st_size))
        if self.how in ("power", "names"):
            self.forget(random)
        os.kill(os.getpid(), signal.SIGKILL)

    def forget(self, random: Random) -> None:
        """What the disk was not told to keep is lost."""
        for path, state in list(_files(self.root)):
            if self.known.get(path) != state and state not in self.known.values():
                size = state[2]
                start = random.choice([0, random.randint(0, size)])
                with contextlib.suppress(OSError):
                    os.truncate(path, start)
                    if random.random() < 0.5:
                        os.truncate(path, size)  # zeros from there on
        if self.how == "names":
            for old, new, copy in reversed(self.renamed):
                with contextlib.suppress(OSError):
                    os.rename(new, old)
                    if copy is not None:
                        os.rename(copy, new)

    def synced(self, path: str) -> None:
        if os.path.isdir(path):
            self.renamed = [one for one in self.renamed if os.path.dirname(one[1]) != path]
        else:
            self.known[path] = _state(path)

    def renames(self, old: str, new: str) -> None:
        """Keep what is replaced, for the case that this rename is lost."""
        copy = None
        if self.how == "names" and os.path.isfile(new):
            copy = f"{self.told}.{self.number}"
            os.link(new, copy)
        self.renamed.append((old, new, copy))


_watch: Watch | None = None
_hooked = False


def forget_watch() -> None:
    """For a process forked from a watched one: it is another."""
    global _watch
    _watch = None


def operations(told: Path) -> list[Operation]:
    """What a watched process did; optimiser steps (`step`) among it, with number 0."""
    found = []
    for line in told.read_text().splitlines() if told.is_file() else []:
        number, what, path, at = line.split("\t")
        found.append(Operation(int(number), what, path, float(at)))
    return found


def _state(path: str) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_ino, found.st_mtime_ns, found.st_size


def _files(root: Path) -> list[tuple[str, tuple[int, int, int]]]:
    found = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):
                if stat.S_ISREG(os.lstat(path).st_mode):
                    found.append((path, _state(path)))
    return found


def _hook() -> None:
    global _hooked
    _hooked = True
    inside = threading.local()

    def watched(path: Any, dir_fd: Any = -1) -> str | None:
        if isinstance(path, int) or _watch is None:
            return None
        text = os.fsdecode(os.fspath(path))
        if isinstance(dir_fd, int) and dir_fd >= 0:
            text = os.path.join(os.readlink(f"/proc/self/fd/{dir_fd}"), text)
        text = os.path.abspath(text)
        return text if text.startswith(f"{_watch.root}{os.sep}") else None

    def audit(event: str, given: tuple[Any, ...]) -> None:
        if _watch is None or getattr(inside, "busy", False):
            return
        inside.busy = True
        try:
            if event == "open" and given[2] & WRITES and (path := watched(given[0])):
                appends = os.path.getsize(path) if os.path.isfile(path) and not given[2] & os.O_TRUNC else 0
                _watch.happens("open", path, appends)
            elif event == "os.rename" and (path := watched(given[1])):
                _watch.happens("rename", path)
                _watch.renames(os.path.abspath(os.fsdecode(os.fspath(given[0]))), path)
            elif event in ("os.remove", "os.rmdir") and (path := watched(given[0], given[1])):
                if os.path.lexists(path):
                    _watch.happens(event[3:], path)
            elif event == "os.mkdir" and (path := watched(given[0], given[2])) and not os.path.isdir(path):
                _watch.happens("mkdir", path)
        finally:
            inside.busy = False

    sys.addaudithook(audit)
    real = os.fsync

    def fsync(file: Any) -> None:
        number = file if isinstance(file, int) else file.fileno()
        path = os.readlink(f"/proc/self/fd/{number}")
        if _watch is not None and watched(path):
            _watch.happens("fsync", path)
            _watch.synced(path)
        real(number)

    os.fsync = fsync
    import safetensors.torch
    from torch.optim.optimizer import register_optimizer_step_post_hook

    serialize = safetensors.torch.serialize_file

    def serialize_file(tensors: Any, filename: Any, *more: Any, **named: Any) -> None:
        if _watch is not None and (path := watched(filename)):  # written in Rust, which tells no audit hook
            _watch.happens("open", path)
        serialize(tensors, filename, *more, **named)

    safetensors.torch.serialize_file = serialize_file

    def stepped(*_: Any) -> None:
        if _watch is not None:
            os.write(_watch.file, f"0\tstep\t\t{time.time()}\n".encode())

    register_optimizer_step_post_hook(stepped)


# Functions that write, each with what may be found afterwards.


@dataclass(frozen=True)
class Scenario:
    """A function that writes into the cache, and whether what is found afterwards is one of the whole states."""

    name: str
    prepare: Callable[[Path], None]
    write: Callable[[Path], None]
    read: Callable[[Path], Any]
    """What is there now, as a plain value."""
    allowed: tuple[Any, ...]
    """Values that are whole."""


def scenarios() -> list[Scenario]:
    """The functions that write what is read back."""
    import torch

    from pkt_core.base import files, store
    from pkt_core.runs import folder as run_folder
    from pkt_core.runs import queue as run_queue
    from pkt_core.runs.results import Examples, RunResults
    from pkt_core.transfer.checkpoint import Checkpoints

    def checkpoints(cache: Path) -> Any:
        return Checkpoints(cache / "checkpoints", 0.0)

    def checkpoint_of(step: int) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"a": torch.full((3000,), float(step)), "b": torch.arange(step)}, {"step": step, "spent": 1.5}

    def artefact_of(n: int) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"a": torch.full((3000,), float(n))}, {"n": n}

    def plain(found: Any) -> Any:
        return found and ({name: tensor.tolist() for name, tensor in found[0].items()}, found[1])

    plans = [{"method": "m", "text": "x" * 3000}]

    def results(sign: str) -> RunResults:
        return RunResults(examples=Examples("made", 1, sign * 900))

    def run(_cache: Path) -> Any:
        return run_folder.create_run(plans[0], run_id="one")

    def state_of(_cache: Path) -> Any:
        [one] = run_folder.list_runs() or [None]
        return one and (one.state, one.plan)

    return [
        Scenario(
            "files.write_bytes",
            lambda cache: files.write_bytes(cache / "file", b"old" * 3000),
            lambda cache: files.write_bytes(cache / "file", b"new" * 5000),
            lambda cache: (cache / "file").read_bytes(),
            (b"old" * 3000, b"new" * 5000),
        ),
        Scenario(
            "store.save_artefact, new",
            lambda _: None,
            lambda _: store.save_artefact("kind", "key", *artefact_of(1)) and None,
            lambda _: plain(store.load_artefact("kind", "key")),
            (None, plain(artefact_of(1))),
        ),
        Scenario(
            "store.save_artefact, again",
            lambda _: store.save_artefact("kind", "key", *artefact_of(1)) and None,
            lambda _: store.save_artefact("kind", "key", *artefact_of(2)) and None,
            lambda _: plain(store.load_artefact("kind", "key")),
            (None, plain(artefact_of(1)), plain(artefact_of(2))),
        ),
        Scenario(
            "Checkpoints.save",
            lambda cache: checkpoints(cache).save(*checkpoint_of(1)),
            lambda cache: checkpoints(cache).save(*checkpoint_of(2)),
            lambda cache: plain(checkpoints(cache).load()),
            (plain(checkpoint_of(1)), plain(checkpoint_of(2))),
        ),
        Scenario(
            "runs.create_run",
            lambda _: None,
            lambda cache: run(cache) and None,
            state_of,
            (None, ("queued", plans[0])),
        ),
        Scenario(
            "waiting.enqueue",
            lambda cache: run(cache) and None,
            lambda _: run_queue.enqueue(["one"]),
            lambda _: run_queue.waiting(),
            ([], ["one"]),
        ),
        Scenario(
            "Run.write_results",
            lambda cache: run(cache).write_results(results("1")),
            lambda _: run_folder.open_run("one").write_results(results("2")),
            lambda _: run_folder.open_run("one").results(),
            (results("1"), results("2")),
        ),
    ]


def kinds(room: Path, n: int) -> list[Kind]:
    """One kind for each function: each point at which it can die in each way, at most `n` of them."""
    found = []
    for scenario in scenarios():
        folder = room / scenario.name.replace(" ", "-")
        folder.mkdir()
        code = _cut_short(scenario, Watch(folder / "cache", folder / "told"))
        assert code == 0, f"{scenario.name} fails without any fault"
        points = operations(folder / "told")[-1].number
        name = f"cut-{scenario.name.replace(', ', '-')}"
        promise = "whole, the old or the new, wherever it is cut short"
        found.append(Kind(name, promise, partial(attempt, scenario, points), min(n, points * len(HOWS)), 20, 0.2))
    return found


def attempt(scenario: Scenario, points: int, random: Random, index: int, room: Path) -> Outcome:
    """Die at one point in one way, then read what is there. Every pair of both comes up once."""
    order = list(range(points * len(HOWS)))
    Random(0).shuffle(order)
    at, how = order[index % len(order)] // len(HOWS) + 1, HOWS[order[index % len(order)] % len(HOWS)]
    watch = Watch(room / "cache", room / "told", at=at, how=how, seed=random.randrange(2**32))
    code = _cut_short(scenario, watch)
    last = operations(room / "told")[-1]
    where = f"{how} before operation {at}, {last.what} {re.sub(r'[0-9a-f]{8,}', '*', last.path)}"
    if code != -signal.SIGKILL:
        return Outcome("not held", f"{where}: it ended with {code} instead of being killed")
    os.environ["PKT_CACHE"] = str(room / "cache")
    try:
        found = scenario.read(room / "cache")
    except Exception as error:
        return Outcome("not held", f"{where}: {type(error).__name__}: {' '.join(str(error).split())[:100]}")
    if found not in scenario.allowed:
        return Outcome("not held", f"{where}: found {str(found)[:60]}, neither the old nor the new")
    return Outcome("held", where)


def _cut_short(scenario: Scenario, watch: Watch) -> int:
    """Carry out in a watched child; its exit status, minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.environ["PKT_CACHE"] = str(watch.root)
            watch.root.mkdir(exist_ok=True)
            scenario.prepare(watch.root)
            watch.begin()
            scenario.write(watch.root)
            watch.happens("end", f"{watch.root}/")
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
