"""Processes of the project, killed at chosen moments; afterwards everything must be there and end as if nothing had happened.

Each try copies a cache, starts a command that dies at one of its operations on files (or some time after it), looks at
what is left, and lets the next start go on.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from tests.faults import ground as grounds
from tests.faults.crashpoints import Operation, operations
from tests.faults.ground import RESUME, STEPS, TRANSFER, Command, Ground, all_over, finished, pkt, result_of
from tests.faults.lanes import Kind, Outcome

REST = 1.0  # seconds, at most, from an operation to a kill at a random moment


class Broken(Exception):
    """A promise that was not kept, in one line."""


@dataclass(frozen=True)
class Moment:
    """Where a process dies."""

    at: int
    how: str = "kill"
    delay: float = 0.0

    def strike(self, random: Random) -> dict[str, Any]:
        return {"at": self.at, "how": self.how, "delay": self.delay, "seed": random.randrange(2**32)}


def killed(words: Sequence[str], cache: Path, moment: Moment, random: Random) -> Command:
    """Start a command and see it die; from now on this process reads that cache."""
    os.environ["PKT_CACHE"] = str(cache)
    command = pkt(words, cache, name="killed", **moment.strike(random))
    if (code := command.wait()) != -signal.SIGKILL:
        raise Broken(f"it ended with {code} before it could be killed: {command.said()}")
    return command


# The reads that every kind shares. All happen in a process that computed nothing.


def listed(names: set[str]) -> dict[str, Any]:
    """The list of runs, which has to be readable and whole."""
    from pkt_core.runs.folder import list_runs

    found = {one.id: one for one in list_runs()}
    if missing := names - set(found):
        raise Broken(f"the list of runs lacks {', '.join(sorted(missing))}")
    for one in found.values():
        if one.state == "damaged":
            raise Broken(f"run {one.id} is damaged: {one.message[:100]}")
    return found


def checkpointed(cache: Path, run: str = "r") -> int:
    """Steps that are safe in a checkpoint, 0 without one."""
    from pkt_core.transfer.checkpoint import Checkpoints

    kept = Checkpoints(cache / "runs" / run / "checkpoints").load()
    return kept[1]["step"] if kept else 0


def no_half_artefact(cache: Path) -> None:
    """Every artefact that can be loaded is whole, and none that a plain kill left is damaged."""
    from pkt_core.base.store import MANIFEST, load_artefact

    for folder in (cache / "artefacts").glob("*-*"):
        kind, _, key = folder.name.partition("-")
        if kind in ("comparison", "states") and (folder / MANIFEST).exists() and load_artefact(kind, key) is None:
            raise Broken(f"the artefact {folder.name} has a manifest and is not whole")


def nothing_left_over(cache: Path, like: Path) -> None:
    """No file or folder that an undisturbed process would not have left."""
    surplus = sorted(grounds.names_in(cache) - grounds.names_in(like))
    if surplus := [name for name in surplus if "damaged" not in name]:
        raise Broken(f"left over: {', '.join(surplus[:3])}")


def ended_well(command: Command) -> Command:
    """A command that went on after a kill, and must have ended with status 0."""
    if command.code != 0:
        raise Broken(f"the next start ends with {command.code}: {command.said()}")
    return command


def whole_result(ground: Ground, cache: Path, like: str, run: str = "r", model: str = "r") -> None:
    found, true = result_of(cache, run), result_of(ground.example(like), model)
    if found is None:
        raise Broken(f"run {run} has no student or no results after it went on")
    if found[0] != true[0]:
        raise Broken(f"the student of run {run} has other weights than without a kill")
    if where := grounds.difference(found[1], true[1]):
        raise Broken(f"the results of run {run} differ from those without a kill at {where}")


def told_steps(run: str, total: int) -> None:
    """Every step is told once, in order."""
    from pkt_core.runs.folder import open_run

    steps = [event["step"] for event in open_run(run).events() if event.get("kind") == "step"]
    if steps != list(range(1, total + 1)):
        raise Broken(f"events of run {run} tell the steps {steps}")


# One function for each kind.


def transfer(
    ground: Ground, moments: Callable[[Ground, Random], Moment], random: Random, _index: int, room: Path
) -> Outcome:
    """`pkt transfer`, killed; then resumed to its end."""
    cache, moment = ground.cache("new", room), moments(ground, random)
    where = at(ground.did("transfer"), moment)
    try:
        killed(TRANSFER, cache, moment, random)
        run = listed({"r"})["r"]
        if moment.how != "power":
            no_half_artefact(cache)
        safe, trained = checkpointed(cache), result_of(cache) is not None
        if run.state != "done":
            resumed = finished(RESUME, cache, "resumed")
            again = resumed.steps()
            ended_well(resumed)
            if again > STEPS - safe:
                raise Broken(f"{again} steps were done again with step {safe} of {STEPS} in a checkpoint")
            if trained and again:
                raise Broken(f"the trained student was thrown away: {again} steps were done again")
        state = listed({"r"})["r"].state
        if state != "done":
            raise Broken(f"the run is {state} after it went on")
        whole_result(ground, cache, "done")
        told_steps("r", STEPS)
        nothing_left_over(cache, ground.example("done"))
    except Broken as broken:
        return Outcome("not held", f"{where}: {broken}")
    return Outcome("held", where)


def evaluate(ground: Ground, random: Random, _index: int, room: Path) -> Outcome:
    """`pkt evaluate` on a finished run, killed; then evaluated again."""
    undisturbed = ground.did("evaluate")
    cache, moment = ground.cache("done", room), anywhere(undisturbed, random)
    where, before = at(undisturbed, moment), result_of(ground.example("done"))
    try:
        killed(["evaluate", "r"], cache, moment, random)
        listed({"r"})
        if (left := result_of(cache)) is None or left[0] != before[0] or grounds.difference(left[1], before[1]):
            raise Broken("the results or the student are not what they were")
        ended_well(finished(["evaluate", "r"], cache, "again"))
        whole_result(ground, cache, "done")
        if (state := listed({"r"})["r"].state) != "done":
            raise Broken(f"the run is {state} after it was measured again")
        nothing_left_over(cache, ground.example("done"))
    except Broken as broken:
        return Outcome("not held", f"{where}: {broken}")
    return Outcome("held", where)


def compare(ground: Ground, random: Random, _index: int, room: Path) -> Outcome:
    """`pkt compare`, killed; then asked again."""
    undisturbed = ground.did("compare")
    cache, moment = ground.cache("new", room), anywhere(undisturbed, random)
    where, told = at(undisturbed, moment), room / "compared.json"
    try:
        killed([*ground.compare, str(told)], cache, moment, random)
        no_half_artefact(cache)
        told.unlink(missing_ok=True)
        ended_well(finished([*ground.compare, str(told)], cache, "again"))
        found, true = (json.loads(path.read_text()) for path in (told, ground.home / "compared.json"))
        if grounds.lasting(found) != grounds.lasting(true):
            raise Broken("the comparison differs from the one without a kill")
        nothing_left_over(cache, ground.example("done"))
    except Broken as broken:
        return Outcome("not held", f"{where}: {broken}")
    return Outcome("held", where)


def worker(ground: Ground, random: Random, _index: int, room: Path) -> Outcome:
    """`pkt work` on three waiting runs, killed; then two workers are started at once."""
    from pkt_core.runs.queue import waiting

    undisturbed = ground.did("work")
    cache, moment, names = ground.cache("queue", room), anywhere(undisturbed, random), {"q0", "q1", "q2"}
    where = at(undisturbed, moment)
    try:
        killed(["work"], cache, moment, random)
        states = {name: run.state for name, run in listed(names).items()}
        order = waiting()
        if len(set(order)) < len(order):
            raise Broken(f"the queue lists a run twice: {', '.join(order)}")
        if gone := [n for n in sorted(names) if states[n] == "queued" and n not in order and not alive(n)]:
            raise Broken(f"neither waiting nor begun: {', '.join(gone)}")
        workers = [pkt(["work"], cache, name=f"worker-{i}") for i in range(2)]
        for one in workers:
            one.wait()
            ended_well(one)
        all_over(cache)
        if both := at_once(room):
            raise Broken(f"two runs were at work at once: {both}")
        twice = [name for name, n in began(room).items() if n > 1]
        if twice:
            raise Broken(f"carried out twice: {', '.join(twice)}")
        for name, run in listed(names).items():
            if run.state == "queued":
                raise Broken(f"run {name} still waits after the workers ended")
            if run.state != "done":
                resumed = finished(["transfer", "--resume", name], cache, f"resumed-{name}")
                ended_well(resumed)
        for name in sorted(names):
            whole_result(ground, cache, "worked", name, name)
        nothing_left_over(cache, ground.example("worked"))
    except Broken as broken:
        all_over(cache)
        return Outcome("not held", f"{where}: {broken}")
    return Outcome("held", where)


def family(ground: Ground, random: Random, _index: int, room: Path) -> Outcome:
    """`pkt family`, killed; then the same command again."""
    undisturbed = ground.did("family")
    cache, moment = room / "cache", anywhere(undisturbed, random)
    where = at(undisturbed, moment)
    try:
        killed(ground.family, cache, moment, random)
        all_over(cache)
        listed(set())
        ended_well(finished([*ground.family, "--json", str(room / "family.json")], cache, "again"))
        runs = listed(set())
        true = json.loads((ground.home / "family.json").read_text())
        found = json.loads((room / "family.json").read_text())
        if len(runs) != 2 or any(run.state != "done" for run in runs.values()):
            raise Broken(f"the family of 2 has {len(runs)} runs: {Counter(run.state for run in runs.values())}")
        if grounds.lasting(found) != grounds.lasting(true):
            raise Broken("the table of the family differs from the one without a kill")
        surplus = [name for name in grounds.names_in(cache) if re.search(r"(^|/)\.[^/]+$", name)]
        if surplus:
            raise Broken(f"left over: {', '.join(sorted(surplus)[:3])}")
    except Broken as broken:
        return Outcome("not held", f"{where}: {broken}")
    return Outcome("held", where)


def alive(run: str) -> bool:
    """Whether a process was started for a run and lives."""
    from pkt_core.runs.folder import open_run

    process = open_run(run).process()
    return process is not None and process.alive()


def began(room: Path) -> Counter[str]:
    """How many processes trained each run."""
    found: Counter[str] = Counter()
    for told in room.glob("child-*.told"):
        did = operations(told)
        if any(one.what == "step" for one in did):
            found[did[0].path.split()[-1]] += 1
    return found


def at_once(room: Path) -> str:
    """Two runs that were written to at overlapping times by different processes; empty where there are none."""
    spans = []
    for told in room.glob("child-*.told"):
        did = operations(told)
        wrote = [one.at for one in did if one.path.startswith("runs/q") and one.what != "argv"]
        if wrote:
            spans.append((min(wrote), max(wrote), did[0].path.split()[-1]))
    spans.sort()
    for (_, end, one), (begin, _, other) in pairwise(spans):
        if begin < end:
            return f"{one} and {other}"
    return ""


# Moments.


def at(done: list[Operation], moment: Moment) -> str:
    """A moment in words."""
    found = next(one for one in done if one.number == moment.at)
    path = re.sub(r"[0-9a-f]{8,}", "*", found.path)
    return f"{moment.how}{f' {moment.delay:.2f} s after' if moment.delay else ' before'} {found.what} {path}"


def numbered(done: list[Operation]) -> list[Operation]:
    return [one for one in done if one.number]


def anywhere(done: list[Operation], random: Random) -> Moment:
    """Half at an operation, half at some time between two."""
    chosen = random.choice(numbered(done))
    if random.random() < 0.5:
        return Moment(chosen.number, random.choice(["kill", "torn"]))
    return Moment(chosen.number, delay=random.uniform(0.001, until_next(done, chosen)))


def until_next(done: list[Operation], chosen: Operation) -> float:
    """Seconds to the next operation, of which there is one before the end."""
    later = [one.at for one in done if one.number > chosen.number]
    return min(REST, max(0.002, 0.8 * ((later[0] if later else chosen.at) - chosen.at)))


def phase(done: list[Operation], name: str) -> list[Operation]:
    """The operations of one part of a transfer."""
    own = numbered(done)
    first = next(
        one.number for one in own if one.what == "rename" and re.match(r"runs/r/checkpoints/[^./]+$", one.path)
    )
    exported = next(one.number for one in own if one.number > first and re.match(r"runs/r/\.?student", one.path))
    trained = next(one.number for one in own if one.what == "rename" and one.path == "runs/r/results.json")
    return {
        "checkpoint": [one for one in own if first < one.number < exported],
        "store": [one for one in own if one.path.startswith(("artefacts/", "runs/r/checkpoints/."))],
        "measuring": [one for one in own if one.number > trained + 1],
        "any": own,
    }[name]


def in_phase(name: str, share_timed: float, hows: Sequence[str], ground: Ground, random: Random) -> Moment:
    """A moment in a part of a transfer, some of them between two operations."""
    chosen = random.choice(phase(ground.did("transfer"), name))
    if random.random() < share_timed:
        return Moment(chosen.number, delay=random.uniform(0.001, until_next(ground.did("transfer"), chosen)))
    return Moment(chosen.number, random.choice(hows))


SHARES = {
    "checkpoint": 0.3,
    "store": 0.15,
    "measuring": 0.15,
    "moment": 0.1,
    "worker": 0.1,
    "compare": 0.075,
    "family": 0.05,
    "evaluate": 0.025,
    "power": 0.05,
}


def kinds(ground: Ground, n: int) -> list[Kind]:
    """All kills, `n` of them together."""
    goes_on = (
        "the list is readable; resumed it takes only the missing steps, ends with the same weights, figures and files"
    )
    parts = {
        "checkpoint": ("after a first checkpoint", partial(in_phase, "checkpoint", 0.3, ["kill", "torn"])),
        "store": ("inside a write of the store", partial(in_phase, "store", 0.0, ["kill", "torn", "torn"])),
        "measuring": ("while behaviour is measured", partial(in_phase, "measuring", 0.6, ["kill", "torn"])),
        "moment": ("at a random moment", partial(in_phase, "any", 0.5, ["kill", "torn"])),
        "power": ("power cut", partial(in_phase, "any", 0.0, ["power"])),
    }
    found = [
        (name, f"transfer, {when}: {goes_on}", partial(transfer, ground, moments), 4.5, ("done",))
        for name, (when, moments) in parts.items()
    ] + [
        ("evaluate", "evaluate: results and student stay", partial(evaluate, ground), 2.5, ("done",)),
        ("compare", "compare: the same comparison when asked again", partial(compare, ground), 2.5, ("done",)),
        (
            "worker",
            "work: every run waits or has begun, one at a time, all end the same",
            partial(worker, ground),
            12,
            ("done", "worked"),
        ),
        ("family", "family: the same command goes on to the same table", partial(family, ground), 8, ("family",)),
    ]
    return [
        Kind(f"kill-{name}", promise, attempt, max(1, round(SHARES[name] * n)) if n else 0, 240, cost, needs)
        for name, promise, attempt, cost, needs in found
    ]
