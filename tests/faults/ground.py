"""What every try starts from: two tiny random models, their data, caches with runs in every state, and `pkt` as a forked process.

Built once by the project's own commands, then copied for each try, so that files look as the project writes them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.faults.crashpoints import Operation, Watch, forget_watch, operations
from tests.faults.lanes import redirected

STEPS = 8
PATIENCE = 60.0  # seconds that any command may take
TRANSFER = ["transfer", "--run", "r", "--checkpoint-seconds", "0"]
RESUME = ["transfer", "--resume", "r", "--checkpoint-seconds", "0"]
OF_THE_MOMENT = {"seconds", "memory", "versions", "command", "run", "runs"}  # what may differ between two equal results


@dataclass(frozen=True)
class Ground:
    """Folders that tries copy, and what an undisturbed process does and finds."""

    home: Path

    def did(self, name: str) -> list[Operation]:
        """What an undisturbed command (`transfer` from a queued run to its end, `evaluate`, ...) does to files."""
        return operations(self.home / f"{name}.told")

    @property
    def pair(self) -> list[str]:
        return ["--teacher", str(self.home / "teacher"), "--student", str(self.home / "student")]

    @property
    def compare(self) -> list[str]:
        few = ["--n-prompts", "64", "--permutations", "20"]
        return ["compare", *self.pair, "--prompts", str(self.home / "prompts.txt"), *few, "--json"]

    @property
    def family(self) -> list[str]:
        data, prompts = str(self.home / "data.jsonl"), str(self.home / "prompts.txt")
        words = ["--data", data, "--task", data, "--prompts", prompts, "--general", prompts, "--seeds", "1"]
        few = ["--n-prompts", "16", "--n-general", "8", "--steps", "4", "--batch-size", "4"]
        return ["family", *self.pair, *words, *few, "--rival", "sft", "--control", "none", "--name", "f"]

    def cache(self, state: str, folder: Path) -> Path:
        """A copy of the cache in a state that was built."""
        return shutil.copytree(self.home / state, folder / "cache", symlinks=True)

    def example(self, state: str) -> Path:
        """The cache itself, to look at."""
        return self.home / state


@dataclass
class Command:
    """`pkt ...` in a forked process of its own."""

    pid: int
    log: Path
    told: Path
    code: int | None = None

    def wait(self, seconds: float = PATIENCE) -> int:
        """Exit status, minus the signal where one ended it. Raises TimeoutError."""
        until = time.monotonic() + seconds
        while self.code is None:
            if time.monotonic() > until:
                raise TimeoutError(f"not over after {seconds:g} s: {self.said()}")
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
            time.sleep(0 if pid else 0.01)
        return self.code

    def said(self) -> str:
        """The last line that it printed."""
        lines = re.split(r"[\r\n]+", self.log.read_text(errors="replace").strip()) if self.log.is_file() else []
        return lines[-1].strip()[:200] if lines else ""

    def fell(self) -> bool:
        """Whether it ended in a traceback."""
        return self.log.is_file() and "Traceback (most recent call last)" in self.log.read_text(errors="replace")

    def did(self) -> list[Operation]:
        return operations(self.told)

    def steps(self) -> int:
        """Optimiser steps taken."""
        return sum(one.what == "step" for one in self.did())


def pkt(words: Sequence[str], cache: Path, *, name: str, **strike: Any) -> Command:
    """Start `pkt` on a cache; `strike` says where it dies (see `Watch`). What it does is told beside the cache."""
    beside = cache.parent
    log, told = beside / f"{name}.log", beside / f"{name}.told"
    cache.mkdir(exist_ok=True)
    pid = os.fork()
    if pid == 0:
        os.environ["PKT_CACHE"] = str(cache)
        redirected(log)
        _be_pkt(words, Watch(cache, told, **strike), beside)
    return Command(pid, log, told)


def finished(words: Sequence[str], cache: Path, name: str) -> Command:
    """The same, undisturbed to its end."""
    command = pkt(words, cache, name=name)
    command.wait()
    return command


def _be_pkt(words: Sequence[str], watch: Watch, beside: Path) -> None:
    """What `python -m pkt_core` does, in a process that has imported everything; does not return."""
    code: Any = 1
    try:
        from pkt_core import cli

        real = subprocess.Popen

        def popen(command: Any, *more: Any, **named: Any) -> Any:
            if isinstance(command, list) and command[:3] == [sys.executable, "-m", "pkt_core"]:
                return _Forked(command[3:], beside, **named)
            return real(command, *more, **named)

        subprocess.Popen = popen
        sys.argv = ["pkt", *words]
        watch.begin()
        cli.main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        watch.at_the_end()
        os._exit(code)


class _Forked:
    """Stands in for Popen where the project starts itself: a fork that lets go of every open file, as exec would."""

    def __init__(self, words: list[str], beside: Path, *, stdout: Any = None, start_new_session: bool = False, **_: Any):  # fmt: skip
        self.args, self.returncode = words, None
        self.pid = os.fork()
        if self.pid == 0:
            forget_watch()
            if start_new_session:
                os.setsid()
            if hasattr(stdout, "fileno"):
                os.dup2(stdout.fileno(), 1)
                os.dup2(1, 2)
            nothing = os.open(os.devnull, os.O_RDWR)
            for entry in os.listdir("/proc/self/fd"):  # kept as numbers: their owners may close them yet
                if int(entry) > 2 and int(entry) != nothing and os.path.exists(f"/proc/self/fd/{entry}"):
                    os.dup2(nothing, int(entry))
            told = beside / f"child-{time.time():.4f}-{os.getpid()}.told"
            told.write_text(f"0\targv\t{' '.join(words)}\t{time.time()}\n")
            _be_pkt(words, Watch(Path(os.environ["PKT_CACHE"]), told), beside)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        until = time.monotonic() + timeout if timeout is not None else float("inf")
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            time.sleep(0.005)
        return self.returncode or 0

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)


def all_over(cache: Path, seconds: float = PATIENCE) -> None:
    """Wait until every process that was started beside a cache is gone; a killed worker leaves its run at work."""
    until = time.monotonic() + seconds
    for told in cache.parent.glob("child-*.told"):
        pid = int(told.stem.rpartition("-")[2])
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > until:
                raise TimeoutError(f"process {pid} is not over after {seconds:g} s")
            time.sleep(0.02)


def in_a_fork(work: Callable[[], None]) -> None:
    """Carry out in a child what computes, so that this process can still be forked."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0, "the ground could not be built; see above"


def build(ground: Ground, states: set[str]) -> None:
    """The caches that are asked for, and what is always there; some seconds each.

    `new` run r has not begun, `queue` three runs wait, `worked` they are done, `family` a family is done, `stopped` r was killed
    half-way, `done` r and a comparison are finished, prompts and a task are kept, two runs wait and
    one was lost before it began.
    """
    home, cache = ground.home, ground.home / "work" / "cache"
    in_a_fork(lambda: _build_files(home))

    def carry_out(words: Sequence[str], name: str, **strike: Any) -> None:
        command = pkt(words, cache, name=name, **strike)
        code = command.wait(3 * PATIENCE)
        assert code == (-signal.SIGKILL if strike else 0), f"{' '.join(words)} ended with {code}: {command.said()}"
        shutil.copy(command.told, home / command.told.name)

    def begin_from(state: str) -> None:
        cache.parent.mkdir(exist_ok=True)
        shutil.copytree(home / state, cache)

    def keep_as(state: str) -> None:
        shutil.move(cache, home / state)

    if states & {"done", "stopped"}:
        begin_from("new")
        carry_out(TRANSFER, "transfer")
        carry_out(["evaluate", "r"], "evaluate")
        carry_out([*ground.compare, str(home / "compared.json")], "compare")
        in_a_fork(lambda: _keep(home))
        keep_as("done")
    if "worked" in states:
        begin_from("queue")
        carry_out(["work"], "work")
        keep_as("worked")
    if "family" in states:
        carry_out([*ground.family, "--json", str(home / "family.json")], "family")
        keep_as("family")
    if "stopped" in states:
        half = rf"runs/r/checkpoints/[^./]*0*{STEPS // 2}$"
        [saved] = [one for one in ground.did("transfer") if re.match(half, one.path) and one.what == "rename"]
        begin_from("new")
        carry_out(TRANSFER, "stopped", at=saved.number + 1)
        keep_as("stopped")


def _build_files(home: Path) -> None:
    """Models, texts, and the caches in which nothing has run yet."""
    from transformers import AutoModelForCausalLM

    from pkt_core.runs.folder import create_run
    from pkt_core.runs.queue import enqueue
    from pkt_core.transfer.plan import TransferPlan
    from tests import fakes
    from tests.faults.corruptions import write_user_files

    redirected(home / "build.log")
    fakes.folder(home / "teacher", layers=3, width=32)
    fakes.folder(home / "student", seed=1, layers=2)
    AutoModelForCausalLM.from_pretrained(home / "teacher").save_pretrained(home / "sharded", max_shard_size="60KB")
    fakes.tokenizer().save_pretrained(home / "sharded")
    assert (home / "sharded" / "model.safetensors.index.json").is_file()
    write_user_files(home)
    said = [("Paris is a city in", " France."), ("Rome is a city in", " Italy."), ("the quick brown", " fox jumps")] * 2
    rows = [{"prompt": f"{i} {prompt}", "answer": answer} for i, (prompt, answer) in enumerate(said)]
    (home / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts = [f"prompt {i} about {what}" for i, what in enumerate([*fakes.TEXT[:2], "Rome and Paris"] * 24)]
    (home / "prompts.txt").write_text("".join(f"{text}\n" for text in texts))
    data, prompts = str(home / "data.jsonl"), str(home / "prompts.txt")
    plan = TransferPlan(
        teacher={"name": str(home / "teacher")}, student={"name": str(home / "student")}, data=data, tasks=(data,),
        prompts=prompts, general=prompts, n_prompts=16, n_general=8, steps=STEPS, batch_size=4,
    ).model_dump(mode="json")  # fmt: skip
    os.environ["PKT_CACHE"] = str(home / "new")
    create_run(plan, run_id="r")
    os.environ["PKT_CACHE"] = str(home / "queue")
    for name in ("q0", "q1", "q2"):
        create_run({**plan, "steps": 4}, run_id=name)
    enqueue(["q0", "q1", "q2"])


def _keep(home: Path) -> None:
    """What a person keeps in the cache besides runs, and a queue."""
    from pkt_core.base.files import write_json
    from pkt_core.data.examples import keep_examples
    from pkt_core.data.prompt_files import keep
    from pkt_core.runs.folder import create_run, open_run, runs_root
    from pkt_core.runs.queue import enqueue
    from pkt_core.runs.status import Process

    os.environ["PKT_CACHE"] = str(home / "work" / "cache")
    (home / "kept.txt").write_text(keep("mine.txt", (home / "prompts.txt").read_bytes()))
    (home / "kept-task.txt").write_text(keep_examples("mine.jsonl", (home / "data.jsonl").read_bytes()))
    plan = open_run("r").plan()
    for place, name in enumerate(("w0", "w1", "w2")):
        create_run(plan, run_id=name, family={"family": "f", "label": "ours", "place": place})
    enqueue(["w0", "w1"])
    open_run("w2").record_process(os.getpid())
    write_json(runs_root() / "worker.json", Process.of(os.getpid()).model_dump())  # of a worker that is gone by now


def lasting(value: Any) -> Any:
    """Results without what differs from one time to the next."""
    if isinstance(value, dict):
        return {key: lasting(one) for key, one in value.items() if key not in OF_THE_MOMENT}
    return [lasting(one) for one in value] if isinstance(value, list) else value


def result_of(cache: Path, run: str = "r") -> tuple[str, Any] | None:
    """Digest of the trained weights and the lasting figures of a run; None where either is missing or cannot be read."""
    from pkt_core.errors import PktError
    from pkt_core.runs.folder import open_run
    from pkt_core.runs.results import results_json

    folder = cache / "runs" / run
    try:
        weights = hashlib.sha256((folder / "student" / "model.safetensors").read_bytes()).hexdigest()
        results = open_run(folder).results()
        told = results and results_json(results)
    except (OSError, PktError):
        return None
    return told and (weights, lasting(told))


def difference(one: Any, other: Any, name: str = "") -> str:
    """Where two values part, as a path of keys; empty where they do not."""
    if isinstance(one, dict) and isinstance(other, dict) and set(one) == set(other):
        return next((found for key in one if (found := difference(one[key], other[key], f"{name}.{key}"))), "")
    return "" if json.dumps(one) == json.dumps(other) else name or "everywhere"


def names_in(cache: Path) -> set[str]:
    """Every path in a cache but locks, logs and what notes processes."""
    found = (str(path.relative_to(cache)) for path in cache.rglob("*"))
    passing = re.compile(r"(lock|log\.txt|process\.json|worker\.json|\.log|\.sqlite\S*|\.db\S*|queue\.json)$")
    return {name for name in found if not passing.search(name)}
