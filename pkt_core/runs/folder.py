"""A run: one execution of a plan, as a folder that explains itself and that any process can watch.

`<cache>/runs/<id>/` holds `plan.json`, `status.json` (written by the one process that runs it), `events.jsonl` (a line per
step, only ever appended to), `results.json`, `student/`, `log.txt`, and `stop` once a stop was requested. Whoever carries it
out holds the kernel's lock on `run.lock` for as long: there is never a second, and the lock ends with its process. The recorded
demo run under `assets/recorded/` looks the same and is read-only.

Not covered: starting processes (`dashboard/jobs.py`, `cli/transfers.py`), what the plan, events and results mean (`pipeline.py`),
a queue over several graphics cards.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import secrets
import shutil
import stat
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock
from pydantic import BaseModel, ValidationError

from pkt_core.base.files import (
    cache_root,
    lock,
    read_file,
    read_json,
    read_regular,
    told_clearly,
    write_bytes,
    write_json,
)
from pkt_core.base.sealed import read_sealed, write_sealed
from pkt_core.base.staging import beside, sync_file, sync_folder
from pkt_core.data.prompts import assets_folder
from pkt_core.errors import PathError, StoreError
from pkt_core.runs import index
from pkt_core.runs.files import Family, PlanShape
from pkt_core.runs.results import RunResults, TrainingStep, read_results, read_steps, results_json
from pkt_core.runs.status import LATEST, SILENT_SECONDS, Process, RunStatus, State, WrittenState
from pkt_core.words.notebook import html_table

_over: dict[str, tuple[str, RunSummary]] = {}
"""Runs that are over by their folder, with what their files looked like: lists are drawn every few seconds."""
FEW = 20
"""As many runs are read from their folders at once; the index is for more."""
INDEXED = "1"
"""Changes with what a line of the index holds."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_claims: dict[Path, FileLock] = {}
"""Locks of the runs that this process carries out."""
_SUM = re.compile(rb'(?:, )?"sum": "crc32:([0-9a-f]{8})"\}')
MOST_STATUS, MOST_EVENTS = 2**20, 2**30
"""Bytes of a status or a process, and of all events, that are read."""


class Stopped(Exception):
    """A stop was requested; completed work is kept."""


@dataclass(frozen=True)
class RunSummary:
    """A line in the list of runs, plain values only."""

    id: str
    """Name of the folder."""
    folder: Path
    """Where it lies."""
    recorded: bool
    """Ships with the project, read-only."""
    state: State | Literal["damaged"]
    """As in RunStatus, or `damaged`."""
    message: str
    """The status message, or what is damaged."""
    kind: str
    """What runs, for instance `transfer`; empty where damaged."""
    method: str
    """The plan's method; empty where it names none."""
    created: float
    """Seconds since 1970; of a damaged run, when its folder last changed."""
    started: float | None
    """Seconds since 1970, None before it began."""
    finished: float | None
    """Seconds since 1970, None before it ended."""
    fraction: float
    """How much is done, 0..1."""
    plan: dict[str, Any] | None
    """None where damaged."""
    family: Family | None = None
    """As `Run.family` says; None also where it is unreadable."""


@dataclass(frozen=True)
class Run:
    """A run folder. Reading never changes it; writing is for the process that runs it."""

    id: str
    """Name of the folder; later ones sort after earlier ones."""
    folder: Path
    """Where it lies; the trained weights go to `student/` in it."""
    recorded: bool = False
    """Ships with the project: every write raises StoreError."""
    watched: bool = False
    """Another process of the same job writes: every write here is left to it."""

    def _repr_html_(self) -> str:
        """How a notebook shows it: its state, and recall of each task where it was measured."""
        try:
            status, method, results = self.status(), self.plan().get("method", ""), self.results() or RunResults()
        except StoreError as error:
            return html_table(f"Run {self.id}: {error}", [], [])
        from pkt_core.words.style import task_name  # here: it draws, and a list of runs does not

        rows = [
            [task_name(name), c.n, f"{c.before:.1%}", f"{c.after:.1%}", f"{c.low:+.1%} to {c.high:+.1%}"]
            for name, c in results.changes.items()
        ]
        columns = ["task", "items", "before", "after", "change, 95 % interval"] if rows else []
        return html_table(f"Run {self.id}: {method}, {status.state}. {status.message}", columns, rows)

    def plan(self) -> dict[str, Any]:
        """The plan it carries out. Raises StoreError where damaged."""
        return _shaped(self.folder / "plan.json", PlanShape, "not the plan of a run")

    def family(self) -> Family | None:
        """Its place in a family; None where it stands alone. StoreError where damaged."""
        path = self.folder / "family.json"
        if not os.path.lexists(path):
            return None
        return Family.model_validate(_shaped(path, Family, "not a place in a family"))

    def status(self) -> RunStatus:
        """How far it is; `lost`, or `stopped` after a stop request, where its process is gone. StoreError where damaged."""
        process, path = self.process(), self.folder / "status.json"
        alive = (
            process is not None and process.alive()
        )  # checked before reading: a process that is gone has written its last status
        try:
            status = RunStatus.model_validate(_object(path, MOST_STATUS))
        except StoreError:
            if alive or self.recorded or not _lost_in_a_power_cut(path):
                raise
            made = self.folder.stat().st_mtime
            message = f"Its status was lost in a power cut. Continue with `pkt transfer --resume {self.id}`."
            return RunStatus(kind="transfer", state="lost", message=message, created=made, updated=made)
        except ValidationError as error:
            raise StoreError(
                f"{path} is damaged: it is not a run status. Delete the run and start it again."
            ) from error
        if self.recorded or status.state not in ("queued", "running") or process is None or alive:
            return status
        if process.elsewhere() and time.time() - status.updated < SILENT_SECONDS:
            return status
        state: State = "stopped" if self.stop_requested() else "lost"
        message = (
            f"Ended by force {status.where()}. Continue with `pkt transfer --resume {self.id}`."
            if state == "stopped"
            else f"Its process is gone {status.where()} (killed, out of memory, or the machine restarted). "
            f"Read log.txt in its folder, then continue with `pkt transfer --resume {self.id}`."
        )
        return status.model_copy(update={"state": state, "message": message, "eta_seconds": None})

    def write_status(
        self,
        state: WrittenState,
        *,
        step: int | None = None,
        total_steps: int | None = None,
        fraction: float | None = None,
        message: str | None = None,
    ) -> RunStatus:
        """Replace the status; what is left out stays. Times, process and remaining seconds are filled in.

        The first `running` makes this process the writer and starts the figures anew; it also withdraws the stop request
        of an earlier attempt. Cheap enough for every step. Raises StoreError where another living process runs it.
        """
        self.require_writable()
        if self.watched:
            return self.status()
        if state == "running":
            self.claim()
        status, other = self.status(), self.process()
        if status.state == "running" and other is not None and other.pid != os.getpid() and other.alive():
            raise StoreError(f"Run {self.id} is already running in process {other.pid}. Wait for it, or stop it first.")
        begins = state == "running" and (status.state != "running" or status.pid != os.getpid())
        if begins and status.state != "queued":
            self.withdraw_stop()
        if begins:
            status = status.begun(Process.of(os.getpid()))
        status = status.advanced(state, step=step, total_steps=total_steps, fraction=fraction, message=message)
        write_json(self.folder / "status.json", status.model_dump(), durable=state != "running")
        if state != "running":
            self.release()
        return status

    def claim(self) -> None:
        """Make this process the one that carries the run out, until its end or `release`. StoreError where another does."""
        self.require_writable()
        if self.watched or ((held := _claims.get(self.folder)) is not None and held.is_locked):
            return
        if not self.folder.is_dir():
            raise StoreError(f"{self.folder} is missing. Restore it from a copy, or compute it again.")
        if (taken := lock(self.folder / "run.lock", wait=False)) is None:
            other = self.process()
            who = f"process {other.pid}" if other is not None and other.alive() else "another process"
            raise StoreError(f"Run {self.id} is already running in {who}. Wait for it, or stop it first.")
        _claims[self.folder] = taken

    def release(self) -> None:
        """Give up what `claim` took; nothing where this process had not."""
        if (held := _claims.pop(self.folder, None)) is not None:
            held.release()

    def append_event(self, event: dict[str, Any]) -> None:
        """Add one JSON line to events.jsonl, readable at once. Raises StoreError where the disk is full."""
        self.require_writable()
        if self.watched:
            return
        line = _line(event)
        path = self.folder / "events.jsonl"
        with told_clearly(path), open(path, "a+b") as file:
            if file.tell():  # an earlier writer may have been cut short in the middle of a line
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)

    def keep_events(self) -> None:
        """Wait until the disk has the events so far: steps after the last checkpoint are repeated, these are not."""
        path = self.folder / "events.jsonl"
        if not self.watched and path.is_file():
            with told_clearly(path):
                sync_file(path)
                sync_folder(self.folder)

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """Events in order, without the first `after`. A line that is torn (a write under way, or cut short), damaged, or of a
        step reported before is left out."""
        path = self.folder / "events.jsonl"
        lines = read_file(path, MOST_EVENTS).split(b"\n")[:-1] if os.path.lexists(path) else []
        kept: list[dict[str, Any]] = []
        last = -1
        for event in map(_event, lines):
            if event is None:
                continue
            if event.get("kind") == "step" and isinstance(step := event.get("step"), int):
                if step <= last:
                    continue
                last = step
            kept.append(event)
        return kept[after:]

    def steps(self) -> list[TrainingStep]:
        """The training steps among its events. Raises StoreError for one that is none of this version or an earlier one."""
        return read_steps(self.events(), str(self.folder / "events.jsonl"))

    def forget_events(self, *, after_step: int) -> None:
        """Drop the steps that a resumed training does again."""
        self.require_writable()
        if self.watched:
            return
        kept = [e for e in self.events() if e.get("kind") != "step" or e.get("step", 0) <= after_step]
        write_bytes(self.folder / "events.jsonl", b"".join(_line(event) for event in kept))

    def write_results(self, results: RunResults) -> None:
        """Replace results.json."""
        self.require_writable()
        if self.watched:
            return
        write_sealed(self.folder / "results.json", results_json(results))

    def results(self) -> RunResults | None:
        """What came out, None before it did. Raises StoreError where damaged, or of a later version."""
        path = self.folder / "results.json"
        return read_results(read_sealed(path), str(path)) if os.path.lexists(path) else None

    def request_stop(self) -> None:
        """Ask the run to end at its next step; it may have ended already."""
        self.require_writable()
        write_bytes(self.folder / "stop", b"")

    def stop_requested(self) -> bool:
        """Whether a stop was requested; the running process checks this at every step."""
        return (self.folder / "stop").is_file()

    def withdraw_stop(self) -> None:
        """Remove the stop request of an earlier attempt."""
        (self.folder / "stop").unlink(missing_ok=True)

    def heeding(self, progress: Callable[[str, float], None]) -> Callable[[str, float], None]:
        """The same progress, which raises Stopped once a stop of this run is requested: for work that can end between any two calls."""

        def told(stage: str, done: float) -> None:
            if self.stop_requested():
                raise Stopped
            progress(stage, done)

        return told

    def record_process(self, pid: int) -> None:
        """Note the process that was started for this run, so that one that dies before its first status is noticed."""
        self.require_writable()
        write_json(self.folder / "process.json", {"process": Process.of(pid).model_dump()})

    def process(self) -> Process | None:
        """The process that runs it or was started for it, a living one before a dead one; None where there was none."""
        candidates: list[Process] = []
        for name in ("status.json", "process.json"):
            try:
                content = _object(self.folder / name, MOST_STATUS)
                candidates.append(Process.model_validate(content["process"]))
            except (StoreError, ValidationError, KeyError):
                continue
        return next((process for process in candidates if process.alive()), candidates[0] if candidates else None)

    def starting(self, status: RunStatus) -> bool:
        """Whether a process was started for it that has not written a status yet; `status` is the run's."""
        process = self.process()
        return process is not None and process.pid not in (status.pid, os.getpid()) and process.alive()

    def require_idle(self) -> None:
        """Raises StoreError while a process works on this run, or another was started for it."""
        process = self.process()
        try:
            status = self.status()
            busy = status.state == "running" or self.starting(status)
        except StoreError:
            busy = process is not None and process.pid != os.getpid() and process.alive()
        if busy and process is not None:
            raise StoreError(f"Run {self.id} is running (process {process.pid}). Stop it first, then try again.")

    def delete(self) -> None:
        """Remove the folder with all it holds. Raises StoreError while it runs."""
        self.require_writable()
        self.require_idle()
        self.claim()
        gone = beside(self.folder)
        try:
            with told_clearly(self.folder):
                os.rename(self.folder, gone)
                shutil.rmtree(gone)
        finally:
            self.release()

    def require_writable(self) -> None:
        """Raises StoreError for a recorded run."""
        if self.recorded:
            raise StoreError(f"Run {self.id} is recorded and read-only. Start your own run from its plan.")


def runs_root() -> Path:
    """Folder of all runs; may not exist yet."""
    return cache_root() / "runs"


def recorded_root() -> Path:
    """Folder of the runs that ship with the project."""
    return assets_folder() / "recorded"


def create_run(
    plan: dict[str, Any],
    *,
    kind: str = "transfer",
    run_id: str | None = None,
    family: dict[str, Any] | None = None,
    root: Path | None = None,
) -> Run:
    """A new run in state `queued`, named by the time (UTC), the plan's method (else the kind) and four random digits.

    `root` is another folder than that of runs, for work that is no transfer and is not listed among them.

    Raises StoreError where `run_id` is taken or no plain name, or the disk is full.
    """
    if run_id is None:
        method = re.sub(r"[^a-z0-9]+", "-", str(plan.get("method", "")).lower())[:40].strip("-")
        run_id = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{method or kind}-{secrets.token_hex(2)}"
    folder = (root or runs_root()) / _checked(run_id)
    if folder.exists() or (recorded_root() / run_id).exists():
        raise StoreError(f"There is a run {run_id!r} already; expected a new name. Choose another, or delete that run.")
    staging, now = beside(folder), time.time()
    with told_clearly(folder):
        try:
            write_sealed(staging / "plan.json", plan)
            if family is not None:
                write_sealed(staging / "family.json", family)
            write_json(
                staging / "status.json", RunStatus(kind=kind, state="queued", created=now, updated=now).model_dump()
            )
            os.rename(staging, folder)
            sync_folder(folder.parent)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return Run(run_id, folder)


def create_runs(members: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[Run]:
    """New runs of a family, each from its plan and its place there: all of them or, where one cannot be written, none."""
    made: list[Run] = []
    try:
        for plan, family in members:
            made.append(create_run(plan, family=family))
    except BaseException:
        for run in made:
            run.delete()
        raise
    return made


def open_run(run: str | Path) -> Run:
    """A run by its name (own or recorded), or by its folder where a Path is given. Damaged ones open too; reading them raises.

    Names never leave the folder of runs: one with a separator raises StoreError, and so does a missing run, with near names.
    """
    if isinstance(run, Path):
        folder = run.resolve()
        if not (folder / "plan.json").is_file():
            raise StoreError(
                f"{run} is not a run: expected a folder with a plan.json. Choose a folder that `pkt transfer` wrote."
            )
        return Run(folder.name, folder, recorded=folder.is_relative_to(recorded_root().resolve()))
    for root, recorded in ((runs_root(), False), (recorded_root(), True)):
        if (root / _checked(run)).is_dir():
            return Run(run, root / run, recorded)
    names = [summary.id for summary in list_runs(include_recorded=True)]
    near = difflib.get_close_matches(run, names, n=3, cutoff=0.4) or names[:3]
    raise StoreError(
        f"There is no run {run!r}; " + (f"near ones: {', '.join(near)}." if near else "no run exists yet.")
    )


def keeps_student(folder: Path) -> bool:
    """Whether the trained student of the run in that folder is still there."""
    return any((folder / "student").glob("*.safetensors"))


def list_runs(*, include_recorded: bool = False) -> list[RunSummary]:
    """All runs, newest first, damaged ones among them; recorded ones, if included, at the end."""
    listed: list[RunSummary] = []
    for root, recorded in ((runs_root(), False), (recorded_root(), True))[: 1 + include_recorded]:
        summaries = _summaries(root, recorded)
        listed += sorted(summaries, key=lambda summary: (summary.created, summary.id), reverse=True)
    return listed


def _summaries(root: Path, recorded: bool) -> list[RunSummary]:
    """Lines in no order; a run that is over is read again only when its files changed, by this process or any before it."""
    names = [entry.name for entry in os.scandir(root) if _ID.fullmatch(entry.name)] if root.is_dir() else []
    stamps = {name: stamp for name in names if (stamp := _stamp(f"{root}/{name}")) is not None}
    listed, unread = [], []
    for name, stamp in stamps.items():
        known = _over.get(f"{root}/{name}")
        if known is not None and known[0] == stamp:
            listed.append(known[1])
        else:
            unread.append(name)
    indexed = index.known(root) if len(unread) > FEW else {}
    news = {}
    for name in unread:
        run, stamp = Run(name, root / name, recorded), stamps[name]
        summary = _from_index(run, stamp, indexed.get(name))
        if summary is None:
            summary = _read_summary(run)
            if stays := _stays(summary):
                news[name] = (stamp, _line_of(summary))
        else:
            stays = True
        if stays:
            _over[f"{root}/{name}"] = (stamp, summary)
        listed.append(summary)
    if news and len(names) > FEW and not recorded:
        index.keep(root, news, frozenset(names))
    return listed


def _stays(summary: RunSummary) -> bool:
    """Whether a run cannot change until a process writes a file of it: a process that is gone does not come back."""
    if summary.state == "queued":
        return not (summary.folder / "process.json").exists()
    return summary.state in ("done", "failed", "stopped", "lost")


def _stamp(folder: str) -> str | None:
    """A stamp that changes when any file of a run is written; None where it is no folder."""
    stamps = [INDEXED]
    for name in ("", "/plan.json", "/status.json", "/family.json"):
        try:
            info = os.stat(folder + name)
        except OSError:
            stamps.append("-")
            continue
        if not name and not stat.S_ISDIR(info.st_mode):
            return None
        stamps.append(f"{info.st_mtime_ns}.{info.st_size}.{info.st_ino}")
    return " ".join(stamps)


def _line_of(summary: RunSummary) -> str:
    """A line of the index; without its location, because the cache may be moved."""
    values = {k: v for k, v in vars(summary).items() if k not in ("folder", "recorded")}
    return json.dumps({**values, "family": summary.family and summary.family.model_dump()})


def _from_index(run: Run, stamp: str, kept: tuple[str, str] | None) -> RunSummary | None:
    """The summary that a line of the index holds; None where the run has changed since."""
    if kept is None or kept[0] != stamp:
        return None
    try:
        values = json.loads(kept[1])
        family = values["family"] and Family.model_validate(values["family"])
        return RunSummary(folder=run.folder, recorded=run.recorded, **{**values, "family": family})
    except (TypeError, ValueError, KeyError):
        return None


def _read_summary(run: Run) -> RunSummary:
    head: dict[str, Any] = {"id": run.id, "folder": run.folder, "recorded": run.recorded}
    try:
        plan, status = run.plan(), run.status()
    except StoreError as error:
        made = min(max(run.folder.stat().st_mtime, 0.0), LATEST) if run.folder.exists() else 0.0
        head |= {"state": "damaged", "message": str(error), "kind": "", "method": "", "created": made}
        return RunSummary(**head, started=None, finished=None, fraction=0.0, plan=None)
    shared = ("state", "message", "kind", "created", "started", "finished", "fraction")
    values = {name: getattr(status, name) for name in shared}
    try:
        family = run.family()
    except StoreError:
        family = None
    return RunSummary(**head, **values, method=str(plan.get("method", "")), plan=plan, family=family)


def _checked(run_id: str) -> str:
    if not _ID.fullmatch(run_id) or ".." in run_id:
        raise StoreError(
            f"{run_id!r} is not a valid run name; expected letters, digits, dots and dashes. Pick one from the list."
        )
    return run_id


def _lost_in_a_power_cut(path: Path) -> bool:
    """Whether a status has its name and not its content: those of training steps are not waited for until the disk has them."""
    try:
        json.loads(read_regular(path, MOST_STATUS))
    except PathError:
        return False
    except (ValueError, RecursionError):
        return True
    return False


def _object(path: Path, most_bytes: int) -> dict[str, Any]:
    value = read_json(path, most_bytes)
    if not isinstance(value, dict):
        raise StoreError(f"{path} is damaged: expected a JSON object. Delete it, or restore it from a copy.")
    return value


def _shaped(path: Path, shape: type[BaseModel], otherwise: str) -> dict[str, Any]:
    """A sealed file whose known entries are of the kinds that every reader relies on. Raises StoreError."""
    value = read_sealed(path)
    try:
        shape.model_validate(value)
    except (ValidationError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": ("depth",), "msg": "too deep"}
        where = ".".join(map(str, first["loc"]))[:80]
        raise StoreError(
            f"{path} is damaged: it is {otherwise} ({where}: {first['msg']}). Restore it from a copy."
        ) from error
    return value


def _line(event: dict[str, Any]) -> bytes:
    """An event as a line that ends in a checksum of what is before it."""
    body = json.dumps(event, ensure_ascii=False).encode("utf-8")[:-1]
    return body + (b", " if event else b"") + b'"sum": "crc32:%08x"}\n' % zlib.crc32(body)


def _event(line: bytes) -> dict[str, Any] | None:
    """The event of a line; None where it is torn or its checksum does not fit. Earlier versions wrote none."""
    checksum = _SUM.search(line, max(0, len(line) - 30))
    if checksum is not None and checksum.end() == len(line):
        body = line[: checksum.start()]
        if zlib.crc32(body) != int(checksum[1], 16):
            return None
        line = body + b"}"
    elif b"crc32:" in line[-30:] or b'"sum": "' in line[-30:]:
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None
