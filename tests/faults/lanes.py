"""A kind of fault, one try of it, and how tries are carried out: in forked lanes, each with a time limit.

The parent imports everything once and computes nothing, so that a fork is a fresh process of the project that starts in
milliseconds. A lane that says nothing in time is ended with all its descendants, and that try counts as not held.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import resource
import selectors
import shutil
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

import psutil

WHERE = "where.txt"
"""File in which a try says what it is about to do, for the case that it never comes back."""
MEMORY = 6 * 2**30  # bytes of address space that a try may add: a damaged header must not take the machine's memory


@dataclass(frozen=True)
class Outcome:
    """How a try ended."""

    verdict: Literal["held", "harmless", "not held"]
    """`harmless`: the value differs, and nobody could know or it is as legitimate as before; told apart from `held`."""
    detail: str = ""
    """What happened, in one line; for `not held` what broke the promise."""


@dataclass(frozen=True)
class Kind:
    """One row of the table."""

    name: str
    promise: str
    """What held means."""
    attempt: Callable[[Random, int, Path], Outcome]
    """One try from a seeded source of chance, its number and an empty folder of its own."""
    tries: int
    limit: float
    """Seconds that one try may take."""
    cost: float = 1.0
    """Seconds that one usually takes; shares out a bounded time."""
    needs: tuple[str, ...] = ()
    """Caches that have to be built for it (see `ground.build`)."""
    at_once: bool = False
    """All tries at the same time: that is what is tried."""


@dataclass(frozen=True)
class Tried:
    index: int
    outcome: Outcome


def warm_up() -> None:
    """Import what commands import, compute nothing."""
    import pkt_core

    for module in pkgutil.walk_packages(pkt_core.__path__, "pkt_core."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    importlib.import_module("transformers.models.llama.modeling_llama")
    importlib.import_module("transformers.models.llama.tokenization_llama")


def carry_out(
    kind: Kind, indices: list[int], *, seed: int, lanes: int, until: float, room: Path, keep: bool
) -> list[Tried]:
    """The tries of a kind, in order of their numbers; those that time left out are missing."""
    waiting, found = deque(indices), []
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())

        def lane() -> None:
            one = stack.enter_context(contextlib.closing(_Lane(kind, seed, room, keep)))
            selector.register(one.answers, selectors.EVENT_READ, one)
            give(one)

        def give(one: _Lane) -> None:
            if waiting and time.monotonic() < until:
                one.give(waiting.popleft())
            else:
                selector.unregister(one.answers)
                one.close()

        for _ in range(len(indices) if kind.at_once else min(lanes, len(indices))):
            lane()
        while selector.get_map():
            for key, _ in selector.select(0.2):
                one = key.data
                if (told := one.answer()) is not None:
                    found.append(told)
                    give(one)
                else:
                    found.append(
                        Tried(one.index, Outcome("not held", f"{one.where()}: the process died without a word"))
                    )
                    selector.unregister(one.answers)
                    one.close()
                    lane()
            for key in list(selector.get_map().values()):
                one = key.data
                if time.monotonic() - one.began > kind.limit:
                    found.append(
                        Tried(one.index, Outcome("not held", f"{one.where()}: not over after {kind.limit:g} s"))
                    )
                    selector.unregister(one.answers)
                    one.close()
                    lane()
    return sorted(found, key=lambda tried: tried.index)


class _Lane:
    """A forked process that carries out tries one after the other."""

    def __init__(self, kind: Kind, seed: int, room: Path, keep: bool):
        asked, self.asks = os.pipe()
        answers, answered = os.pipe()
        self.kind, self.room, self.index, self.began = kind, room, -1, time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.asks)
            os.close(answers)
            _serve(kind, seed, room, keep, os.fdopen(asked), os.fdopen(answered, "w"))
        os.close(asked)
        os.close(answered)
        self.answers = os.fdopen(answers)

    def give(self, index: int) -> None:
        self.index, self.began = index, time.monotonic()
        with contextlib.suppress(BrokenPipeError):  # it has died: reading tells
            os.write(self.asks, f"{index}\n".encode())

    def answer(self) -> Tried | None:
        line = self.answers.readline()
        return Tried(self.index, Outcome(**json.loads(line))) if line else None

    def where(self) -> str:
        """What the try that is under way said of itself."""
        path = self.room / f"{self.kind.name}-{self.index}" / WHERE
        return path.read_text() if path.is_file() else "somewhere"

    def close(self) -> None:
        if self.pid:
            end(self.pid)
            os.waitpid(self.pid, 0)
            os.close(self.asks)
            self.answers.close()
            self.pid = 0


def _serve(kind: Kind, seed: int, room: Path, keep: bool, asked: Iterator[str], answered) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    redirected(room / "lanes.log")
    limit = psutil.Process().memory_info().vms + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    for line in asked:
        index = int(line)
        folder = room / f"{kind.name}-{index}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            outcome = kind.attempt(Random(f"{seed}/{kind.name}/{index}"), index, folder)
        except BaseException as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(last.filename).name}:{last.lineno}"
            outcome = Outcome("not held", f"{type(error).__name__} at {where}: {' '.join(str(error).split())[:160]}")
            traceback.print_exc()
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
        answered.write(json.dumps({"verdict": outcome.verdict, "detail": outcome.detail}) + "\n")
        answered.flush()
    os._exit(0)


def redirected(log: Path) -> None:
    """Standard output and error go to a file, standard input is empty."""
    sys.stdout.flush()
    sys.stderr.flush()
    for fd, path, flags in ((0, os.devnull, os.O_RDONLY), (1, log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, fd)
        os.close(opened)
    os.dup2(1, 2)


def end(pid: int) -> None:
    """End a process that we started, and all its descendants."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in [*parent.children(recursive=True), parent]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
