"""Cached access to what pages show: the catalogue, prompts, runs, and the engine's computations.

Arguments are plain names and numbers, so that Streamlit's caches key on everything that matters. Caches are for speed only;
the project's store and run folders are authoritative.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from dashboard import access, limits
from dashboard.engine.client import Engine, Task

if TYPE_CHECKING:
    from pkt_core.models.catalog import Pair


@st.cache_resource(on_release=Engine.end, show_spinner=False)
def engine() -> Engine:
    """The one engine of this server."""
    return Engine()


@st.cache_data(show_spinner=False)
def pair_names() -> dict[str, Pair]:
    """The catalogue by name, in order."""
    from pkt_core.models.catalog import pairs

    return {pair.name: pair for pair in pairs() if pair.bundled or not limits.demo()}


def ships(name: str) -> bool:
    """Whether a pair of that name is in the catalogue and needs no download."""
    known = pair_names().get(name)
    return known is not None and known.bundled


@st.cache_data(ttl=60, show_spinner=False)
def unavailable(name: str, teacher: str = "", student: str = "") -> str | None:
    """Why a pair cannot be used here, as one sentence, also for a wrong name; None where it can."""
    from pkt_core.errors import PktError
    from pkt_core.models import catalog

    try:
        limits.require_pair(name)
        access.require_allowed({"teacher": teacher, "student": student})
        return catalog.availability(catalog.custom_pair(teacher, student) if name == "custom" else catalog.pair(name))
    except PktError as error:
        return str(error)


@st.cache_data(show_spinner=False)
def prompt_sets() -> list[str]:
    """Names of the bundled prompt sets."""
    from pkt_core.data.prompts import bundled

    return bundled()


@st.cache_data(max_entries=32, show_spinner=False)
def kept(path: str, stamp: tuple[int, int]) -> str:
    """The name of a stored copy of the file, keyed by its modification time and size. Raises PktError for a bad file."""
    from pkt_core.data.prompt_files import keep

    del stamp
    return keep(Path(path).name, access.file(path, access.PROMPTS))


def file_as_it_is(path: str) -> str:
    """The name of a copy of the file's current content, so that results never come from an earlier version; the path itself where
    it cannot be read, which the engine then reports."""
    from pkt_core.errors import PktError

    try:
        stat = access.place_of(path).stat()
        return kept(path, (stat.st_mtime_ns, stat.st_size))
    except (OSError, ValueError, PktError):
        return path


def keep_prompts(name: str, data: bytes) -> tuple[str | None, str]:
    """Store an uploaded file: the name of the copy, or None and one sentence about what is wrong."""
    from pkt_core.data.prompt_files import keep
    from pkt_core.errors import PktError

    try:
        limits.require_room(data)
        return keep(name, data), ""
    except PktError as error:
        return None, str(error)


@dataclass(frozen=True)
class PromptFacts:
    """What a form says of a prompt set."""

    n: int
    """Prompts."""
    labels: list[str]
    """Names of their labels."""


@st.cache_data(ttl=600, max_entries=32, show_spinner=False)
def prompt_facts(name: str) -> PromptFacts | None:
    """The number of prompts in a set and the names of their labels; None where it cannot be read."""
    from pkt_core.data.prompts import load_prompts
    from pkt_core.errors import PktError

    try:
        access.require_allowed({"prompts": name})
        loaded = load_prompts(name)
    except PktError:
        return None
    return PromptFacts(n=len(loaded), labels=list(loaded.labels))


@st.cache_data(ttl=600, max_entries=32, show_spinner=False)
def prompt_count(pooling: str, prompts: str | None = None, lines: str | None = None) -> tuple[str, str]:
    """The number of prompts, with repeats, and why they do not suffice for a similarity grid. The first is empty where they cannot
    be read, the second where they suffice."""
    from pkt_core.data.prompts import load_prompts, pasted
    from pkt_core.errors import PktError

    counted = ""
    try:
        access.require_allowed({"prompts": prompts})
        loaded = pasted(lines or "") if prompts is None else load_prompts(prompts)
        counted = loaded.counted
        loaded.require_samples(pooling)
    except PktError as error:
        return counted, str(error) if counted else ""
    return counted, ""


@st.cache_data(max_entries=8, show_spinner=False)
def prompt_list(prompts: str | None = None, lines: str | None = None) -> tuple[list[str], dict[str, list[str]]]:
    """Texts of a prompt set by number, and their labels. Raises PromptError where there is no such set."""
    from pkt_core.data.prompts import load_prompts, pasted

    access.require_allowed({"prompts": prompts})
    loaded = pasted(lines or "") if prompts is None else load_prompts(prompts)
    return list(loaded.texts), {name: list(values) for name, values in loaded.labels.items()}


def ask(function: str, arguments: dict[str, Any], *, again: bool = False) -> Task:
    """A computation; starts it where it was not requested before."""
    return engine().ask(function, arguments, again=again)


def soon(task: Task, seconds: float = 1.0) -> Task:
    """The task, after waiting up to `seconds` for it to finish: a quick result needs no progress bar."""
    end = time.monotonic() + seconds
    while not task.over and time.monotonic() < end:
        time.sleep(0.01)
    return task


def asked_before(function: str, arguments: dict[str, Any]) -> bool:
    """Whether this computation was requested before with these arguments, whatever its others were."""
    tasks = list(engine().tasks.values())
    return any(task.function == function and arguments.items() <= task.arguments.items() for task in tasks)


def known(function: str, arguments: dict[str, Any]) -> Task | None:
    """A computation that was requested before; starts nothing."""
    return engine().known(function, arguments)


def runs() -> list[Any]:
    """Summaries of all runs, newest first, recorded ones last. Not cached: a run changes every second."""
    from pkt_core.runs.folder import list_runs

    return list_runs(include_recorded=True)


def outcome(run_id: str, folder: Path) -> dict[str, float]:
    """A run's outcome in at most four numbers; empty where nothing was measured or its results cannot be read."""
    try:
        written = (folder / "results.json").stat().st_mtime_ns
    except OSError:
        return {}
    return outcome_then(run_id, str(folder), written)


@st.cache_data(max_entries=4096, show_spinner=False)
def outcome_then(run_id: str, folder: str, written: int) -> dict[str, float]:  # noqa: ARG001 - part of the key
    """The same, cached by the time the results were written: a list of hundreds of runs reads each of them once."""
    from pkt_core.errors import StoreError
    from pkt_core.runs.folder import open_run
    from pkt_core.studies.behaviour.text import outcome

    try:
        results = open_run(run_id).results()
        return {} if results is None else outcome(results)
    except StoreError:
        return {}


def run(run_id: str) -> Any:
    """An open run. Raises StoreError where there is none of that name."""
    from pkt_core.runs.folder import open_run

    return open_run(run_id)


def keep_task(name: str, data: bytes) -> tuple[str | None, str]:
    """Store an uploaded task: the name of the copy, or None and one sentence about what is wrong."""
    from pkt_core.data.examples import keep_examples
    from pkt_core.errors import PktError

    try:
        limits.require_room(data)
        return keep_examples(name, data), ""
    except PktError as error:
        return None, str(error)


def task_as_it_is(path: str) -> str:
    """The name of a copy of the file's current content, so that results never come from an earlier version. Raises PromptError, and
    PathError where pages may not read it."""
    from pkt_core.data.examples import bundled, keep_examples, load_examples
    from pkt_core.data.row_files import KEPT

    if path in bundled() or path.startswith(KEPT):
        load_examples(path)
        return path
    return keep_examples(Path(path).name, access.file(path, access.EXAMPLES))


@st.cache_data(max_entries=32, show_spinner=False)
def task_items(name: str, n: int | None, seed: int) -> list[tuple[str, str]]:
    """Prompt and answer of the task's items under a plan, in order. Raises PromptError where the task is not here."""
    from pkt_core.data.examples import load_examples

    return [(item.prompt, item.answer) for item in load_examples(name).sample(n, seed).items]


def plan_of(settings: dict[str, Any]) -> Any:
    """A plan from a pair and the transfer page's settings. Raises PlanError in one sentence where they conflict."""
    from pkt_core.models import catalog
    from pkt_core.transfer.plan import TransferPlan

    given = dict(settings)
    name, teacher, student = (given.pop(key, None) for key in ("pair", "teacher", "student"))
    device, dtype = given.pop("device", "auto"), given.pop("dtype", "auto")
    limits.require_pair(name)
    access.require_allowed({**given, "teacher": teacher, "student": student})
    chosen = catalog.custom_pair(teacher or "", student or "") if name == "custom" else catalog.pair(name)
    return TransferPlan.of_pair(chosen.held(device, dtype), given)


def read_plan(stored: dict[str, Any]) -> Any:
    """A plan from its JSON form."""
    from pkt_core.transfer.plan import TransferPlan

    return TransferPlan.model_validate(stored)


def command_of(plan: Any) -> str:
    """The terminal command that does the same."""
    from pkt_core.runner import command_for

    return command_for(plan)


def stop(run_id: str) -> None:
    """Request that a run ends after its current step; kill it where it has not within half a minute."""
    from dashboard import jobs

    jobs.stop(run_id, kill_after=30)


def log_tail(run_id: str, n: int = 40) -> str:
    """The last lines of a run's log."""
    from dashboard import jobs

    return jobs.log_tail(run_id, n)


@st.cache_data(max_entries=4, show_spinner=False)
def student_archive(run_id: str, finished: float) -> bytes:
    """The trained student of a run as a zip file; `finished` renews it when the run was carried out again."""
    import io
    import zipfile

    del finished
    folder = (run(run_id).folder / "student").resolve()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.resolve().is_relative_to(folder):
                archive.write(path, f"{run_id}/{path.relative_to(folder)}")
    return buffer.getvalue()


@st.cache_data(max_entries=8, show_spinner=False)
def report_page(run_id: str, finished: float, others: int) -> bytes:
    """The run as one self-contained HTML page; renewed when the run was evaluated again, or another ended that may be its control."""
    import tempfile

    from pkt_core.report.html_page import write_report

    del finished, others
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        write_report(run(run_id), path)
        return access.own(path)
