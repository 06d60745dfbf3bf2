"""Several processes at the queue and at one run at the same moment, one of them suspended or killed while it holds the lock."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import psutil

from tests.faults.crashpoints import Watch, operations
from tests.faults.ground import TRANSFER, Command, Ground, all_over, pkt
from tests.faults.kills import Broken, at_once, began, whole_result
from tests.faults.lanes import Kind, Outcome

WRITERS = 8
EACH = 10
SUSPENDED = 11.0  # seconds: longer than any age at which a lock might be taken from who holds it


def forked(work: Callable[[], object]) -> int:
    """Process id of a child that does something and ends."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def suspended(pid: int) -> None:
    """Wait until a process has suspended itself."""
    until = time.monotonic() + 20
    while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
        if time.monotonic() > until:
            raise Broken("it never came to the lock")
        time.sleep(0.01)


def promised(
    attempt: Callable[[Ground, Random, Path], str], ground: Ground, random: Random, _index: int, room: Path
) -> Outcome:
    """An attempt that raises Broken where its promise is."""
    os.environ["PKT_CACHE"] = str(room / "cache")
    try:
        return Outcome("held", attempt(ground, random, room))
    except Broken as broken:
        return Outcome("not held", str(broken))


def new_runs(n: int) -> list[str]:
    from pkt_core.runs.folder import create_run

    return [create_run({"method": "m"}, run_id=f"n{i:03d}").id for i in range(n)]


def require_each_once(names: list[str]) -> None:
    from pkt_core.runs.queue import waiting

    order = waiting()
    if missing := sorted(set(names) - set(order)):
        raise Broken(f"{len(missing)} of {len(names)} runs are not in the queue, {missing[0]} among them")
    if len(order) > len(set(order)):
        raise Broken("a run is in the queue twice")


def enqueue_together(_ground: Ground, _random: Random, _room: Path) -> str:
    """Eight processes put ten runs each into the queue, one by one."""
    from pkt_core.runs.queue import enqueue

    names = new_runs(WRITERS * EACH)
    children = [forked(lambda own=names[i::WRITERS]: [enqueue([name]) for name in own]) for i in range(WRITERS)]
    if any(ended(pid) for pid in children):
        raise Broken("a process could not enqueue")
    require_each_once(names)
    return f"{len(names)} runs by {WRITERS} processes"


def holder_suspended(_ground: Ground, random: Random, room: Path) -> str:
    """One process is suspended while it writes the queue; others come meanwhile; it goes on."""
    from pkt_core.runs.queue import enqueue

    names = new_runs(4)

    def held() -> None:
        Watch(room / "cache", room / "told", at=random.randint(3, 4), how="stop").begin()
        enqueue(names[:1])

    holder = forked(held)
    children: list[int] = []
    try:
        suspended(holder)
        children = [forked(lambda own=name: enqueue([own])) for name in names[1:]]
        time.sleep(SUSPENDED)
    finally:
        os.kill(holder, signal.SIGCONT)
    codes = [ended(pid) for pid in (holder, *children)]
    if any(codes):
        raise Broken(f"a process could not enqueue: they ended with {codes}")
    require_each_once(names)
    last = operations(room / "told")
    return f"suspended for {SUSPENDED:g} s of {len(last)} operations"


def holder_killed(_ground: Ground, random: Random, room: Path) -> str:
    """One process is killed while it holds the lock, and its files carry a date of the future; the next must not wait."""
    from pkt_core.runs.queue import enqueue

    names = new_runs(2)
    at = random.randint(2, 5)

    def held() -> None:
        Watch(room / "cache", room / "told", at=at).begin()
        enqueue(names[:1])

    ended(forked(held))
    for path in (room / "cache" / "runs").glob("*lock*"):
        os.utime(path, (time.time() + 10**6,) * 2)
    child = forked(lambda: enqueue(names[1:]))
    until = time.monotonic() + 8
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            ended(child)
            raise Broken(f"killed before operation {at}: the next process waits for ever")
        time.sleep(0.01)
    require_each_once(names[1:])
    return f"killed before operation {at}"


def side_by_side(words: list[str], n: int, cache: Path, at: int, random: Random) -> list[Command]:
    """Start a command n times, let none past its operation `at` on files before all are there, then one after the other."""
    commands = [pkt(words, cache, name=f"side-{i}", at=at, how="stop") for i in range(n)]
    until = time.monotonic() + 5  # one that waits for a lock which a suspended one holds comes no further
    while time.monotonic() < until:
        if all(psutil.Process(one.pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE) for one in commands):
            break
        time.sleep(0.01)
    for one in random.sample(commands, n):
        os.kill(one.pid, signal.SIGCONT)
        time.sleep(random.choice([0.0, 0.4, 1.5]))
    while any(one.code is None for one in commands):  # again for one that comes to its operation only now
        for one in commands:
            with contextlib.suppress(TimeoutError):
                if one.code is None:
                    one.wait(0.05)
            if one.code is None:
                os.kill(one.pid, signal.SIGCONT)
    return commands


def claim(ground: Ground, random: Random, room: Path) -> str:
    """Four processes carry out one run."""
    cache = ground.cache("new", room)
    commands = side_by_side(TRANSFER, 4, cache, random.randint(1, 3), random)
    codes = [command.code for command in commands]
    trained = sum(command.steps() > 0 for command in commands)
    if trained != 1:
        raise Broken(f"{trained} of 4 processes trained the run; they ended with {codes}")
    if sorted(map(str, codes)) != ["0", "1", "1", "1"]:
        raise Broken(f"they ended with {codes}")
    if fell := [command.said() for command in commands if command.fell()]:
        raise Broken(f"a traceback: {fell[0]}")
    whole_result(ground, cache, "done")
    return "one of 4"


def two_workers(ground: Ground, random: Random, room: Path) -> str:
    """Three workers are started at the same moment on a queue of three."""
    cache = ground.cache("queue", room)
    workers = side_by_side(["work"], 3, cache, random.randint(1, 6), random)
    codes = [one.code for one in workers]
    with contextlib.suppress(TimeoutError):
        all_over(cache)
    if any(codes):
        raise Broken(f"they ended with {codes}: {workers[0].said()}")
    if began(room) != Counter({"q0": 1, "q1": 1, "q2": 1}):
        raise Broken(f"how many processes trained each run: {dict(began(room))}")
    if both := at_once(room):
        raise Broken(f"two runs were at work at once: {both}")
    return "three runs, one at a time"


def kinds(ground: Ground, n: int) -> list[Kind]:
    """Each race `n` times; those that cost more, less often."""
    rows = [
        ("enqueue", "8 processes, 80 runs: each is in the queue once", enqueue_together, 2 * n, 3.0, ()),
        ("suspended", "a holder suspended for 11 s loses nobody's entry", holder_suspended, -(-n // 2), 12.0, ()),
        ("killed", "a holder that was killed holds nobody up", holder_killed, 2 * n, 1.0, ()),
        ("claim", "4 processes at one run: one carries it out, three say so", claim, n, 8.0, ("done",)),
        ("workers", "3 workers at one queue: each run once, one at a time", two_workers, -(-n // 2), 15.0, ()),
    ]
    return [
        Kind(f"race-{name}", promise, partial(promised, attempt, ground), tries, 150, cost, needs)
        for name, promise, attempt, tries, cost, needs in rows
    ]
