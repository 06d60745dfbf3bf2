"""Benchmarks of a run: teacher, student before and after, and the students of further runs on the same tasks; all answers stored.

benchmark        measures every model on every task, unless stored               -> Board
benchmark_board  stored results of a run's models and those of further runs      -> Board

One model is in memory at a time. Each complete task is stored at once, so a stop loses only the task in progress.

Not covered: the content of a task (`tasks.py`), how it is scored (`asking.py`) and compared (`lines.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pkt_core.base.fingerprint import fingerprint
from pkt_core.base.progress import Progress, silent
from pkt_core.base.records import from_json, to_json
from pkt_core.base.store import list_artefacts, load_artefact, save_artefact
from pkt_core.benchmarks.asking import Stopped, measure
from pkt_core.benchmarks.lines import lines
from pkt_core.benchmarks.record import Asked, Board, Result, Role, Who
from pkt_core.benchmarks.tasks import Asking, Found, find_tasks
from pkt_core.errors import StoreError
from pkt_core.models.loading import LoadedModel, choose_device, choose_dtype, load, model_digest, release
from pkt_core.models.ref import ModelRef, short_name
from pkt_core.runs.folder import Run, open_run
from pkt_core.runs.student import Trained, open_trained, plan_of_pair
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.setup import trainable_ref

logger = logging.getLogger(__name__)
KIND = "benchmark"
VERSION = 2


@dataclass(frozen=True)
class Subject:
    """A model to measure."""

    who: Who
    digest: str
    """Digest of its weights, known without loading them."""
    held: str
    """Precision and kind of device."""
    open: Callable[[], LoadedModel]
    path: str
    """Model path for the harness's command line."""


def benchmark(
    subjects: Sequence[Subject],
    names: Sequence[str],
    asking: Asking,
    *,
    progress: Progress = silent,
    stopping: Callable[[], bool] = lambda: False,
) -> Board:
    """Measure every model on every task, unless stored. Raises BenchmarkError for a task that cannot be measured."""
    progress("Finding the tasks", 0.0)
    tasks = find_tasks(names, asking)
    wanted = [(subject, found) for subject in subjects for found in tasks if kept(subject, found) is None]
    size, done = sum(found.protocol.n for _, found in wanted) or 1, 0
    for subject in subjects:
        mine = [found for one, found in wanted if one is subject]
        if not mine:
            continue
        if stopping():
            return board(subjects, tasks, stopped=True)
        progress(f"Loading {subject.who.label}", done / size)
        loaded = subject.open()
        for found in mine:
            stage, n = f"{found.protocol.task}: measuring {subject.who.label}", found.protocol.n

            def report(part: float, stage: str = stage, n: int = n, done: int = done) -> None:
                progress(stage, (done + part * n) / size)

            try:
                result = measure(loaded, found, asking, progress=report, stopping=stopping)
            except Stopped:
                return board(subjects, tasks, stopped=True)
            save_artefact(KIND, key(subject, found), {}, to_json(result))
            done += n
        del loaded
        release()
    return board(subjects, tasks, stopped=False)


def key(subject: Subject, found: Found) -> str:
    return fingerprint(model=subject.digest, held=subject.held, protocol=found.protocol.key, version=VERSION)


def kept(subject: Subject, found: Found) -> Result | None:
    """The stored answers of a model to a task, if there are any."""
    artefact = load_artefact(KIND, key(subject, found))
    return None if artefact is None else readable(artefact[1])


def readable(stored: Mapping[str, Any]) -> Result | None:
    """Stored answers; None where another version stored them in another form, so that they are measured again."""
    try:
        return from_json(Result, stored, "A stored answer to a benchmark")
    except StoreError as error:
        logger.info("%s", error)
        return None


def board(subjects: Sequence[Subject], tasks: Sequence[Found], *, stopped: bool) -> Board:
    """Stored answers of these models to these tasks."""
    results = [(subject, kept(subject, task)) for task in tasks for subject in subjects]
    return board_of([(subject.who, result) for subject, result in results if result is not None], subjects, stopped)


def board_of(answered: Sequence[tuple[Who, Result]], subjects: Sequence[Subject], stopped: bool = False) -> Board:
    """A board of results, in the order of the tasks, then of the models."""
    return Board(
        lines=lines(answered),
        protocols={result.protocol.key: result.protocol for _, result in answered},
        asked=[
            Asked(
                label=who.label,
                task=result.protocol.task,
                group=result.group,
                protocol=result.protocol.key,
                model=result.model,
                held=result.held,
                include=result.include,
                prompts=result.prompts,
                endings=result.endings,
                cut=result.cut,
                seconds=result.seconds,
                names=result.names,
                values={f"{one.metric},{one.filter}": one.values for one in result.scores},
            )
            for who, result in answered
        ],
        models={subject.who.label: subject.path for subject in subjects},
        stopped=stopped,
    )


def stored(subjects: Sequence[Subject]) -> Board:
    """All stored answers of these models, in the order in which the tasks were first measured."""
    by_model: dict[tuple[str, str], list[Subject]] = {}
    for subject in subjects:
        by_model.setdefault((subject.digest, subject.held), []).append(subject)
    results = [result for meta in list_artefacts(KIND) if (result := readable(meta)) is not None]
    order = {key: i for i, key in enumerate(dict.fromkeys(result.protocol.key for result in results))}
    place = {subject.who: i for i, subject in enumerate(subjects)}
    answered = [
        (subject.who, result) for result in results for subject in by_model.get((result.model, result.held), [])
    ]
    return board_of(sorted(answered, key=lambda one: (order[one[1].protocol.key], place[one[0]])), subjects)


def benchmark_board(run: Run, against: Sequence[str] = ()) -> Board:
    """All stored answers of a run's three models and of the students of further runs. Raises StoreError as `subjects_of` does."""
    return stored(subjects_of(run, [open_run(name) for name in against]))


def subjects_of(run: Run, against: Sequence[Run] = ()) -> list[Subject]:
    """Student before, student after, teacher, and the students of further runs of the same pair.

    Raises StoreError as `open_trained` does, also for a further run of another pair.
    """
    trained = open_trained(run)
    plan = trained.plan
    before = trainable_ref(plan.student)
    subjects = [
        of_ref(before, Who("student before", "before")),
        of_student(trained, Who("student after", "after", run.id, plan.seed)),
        of_ref(plan.teacher, Who("teacher", "teacher")),
    ]
    for other in against:
        other_plan = plan_of_pair(other, plan)
        who = Who(label_of(other, other_plan), "other", other.id, other_plan.seed)
        subjects.append(of_student(open_trained(other), who))
    return subjects


def of_model(ref: ModelRef, role: Role = "model") -> Subject:
    """A model that belongs to no run."""
    return of_ref(ref, Who(short_name(ref.name), role))


def of_ref(ref: ModelRef, who: Who) -> Subject:
    return Subject(who, model_digest(ref), held(ref), lambda: load(ref), str(ref.folder or ref.name))


def of_student(trained: Trained, who: Who) -> Subject:
    ref, folder = trained.before, trained.folder
    path = f"{ref.folder or ref.name},peft={folder}" if trained.plan.as_adapter else str(folder)
    return Subject(who, trained.digest, held(ref), trained.load, path)


def held(ref: ModelRef) -> str:
    device = choose_device(ref.device)
    return f"{str(choose_dtype(ref.dtype, device)).removeprefix('torch.')} on {device.type}"


def label_of(run: Run, plan: TransferPlan) -> str:
    """Label of a further run: its label in its family, else its id."""
    place = run.family()
    return run.id if place is None else f"{place.label or run.id}, seed {plan.seed}"
