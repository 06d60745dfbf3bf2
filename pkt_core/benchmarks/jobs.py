"""Benchmarks requested from a page: one folder per request, with its progress, executed by a separate process.

The folder has the layout of a run (`runs/folder.py`) but is not stored with the runs: its results are in the store, by model.

Not covered: starting the process (`dashboard/views/benchmarks/form.py`).
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pkt_core.base.files import cache_root
from pkt_core.base.staging import sweep
from pkt_core.benchmarks.tasks import Asking
from pkt_core.errors import PktError, StoreError
from pkt_core.runs.folder import Run, create_run, open_run


class Request(BaseModel):
    """A request: tasks and models."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    """Its student before and after, and its teacher."""
    against: list[str] = Field(default_factory=list)
    """Further runs of the same pair."""
    tasks: list[str] = Field(min_length=1)
    asking: Asking = Field(default_factory=Asking)


def root() -> Path:
    """The folder of all requests; may not exist yet."""
    return cache_root() / "benchmarks"


def create(request: Request) -> Run:
    """A new request, not started."""
    return create_run(request.model_dump(mode="json"), kind="benchmark", root=root())


def listed() -> list[Run]:
    """All requests, newest first."""
    folders = [path for path in root().iterdir() if (path / "plan.json").is_file()] if root().is_dir() else []
    return [Run(folder.name, folder) for folder in sorted(folders, key=lambda path: path.name, reverse=True)]


def read(job: Run) -> Request:
    """The request in a folder. Raises StoreError where it is damaged."""
    try:
        return Request.model_validate(job.plan())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise StoreError(
            f"{job.folder} has no valid request ({where}: {first['msg']}). Start the benchmark again."
        ) from error


def carry_out(folder: str) -> None:
    """Execute the request in a folder, and write its final status in every case."""
    from pkt_core.benchmarks import board as benchmarks_board
    from pkt_core.runner import one_sentence

    job = open_run(Path(folder))
    job.write_status("running", message="Starting", fraction=0.0)
    sweep(cache_root())

    def report(stage: str, done: float) -> None:
        job.write_status("running", message=stage, fraction=done)

    try:
        request = read(job)
        subjects = benchmarks_board.subjects_of(open_run(request.run), [open_run(name) for name in request.against])
        board = benchmarks_board.benchmark(
            subjects,
            request.tasks,
            request.asking,
            progress=report,
            stopping=job.stop_requested,
        )
    except KeyboardInterrupt:
        job.write_status("stopped", message="Interrupted from the keyboard; complete tasks are stored.")
        raise
    except Exception as error:
        job.write_status("failed", message=one_sentence(error))
        if not isinstance(error, PktError):
            raise
        return
    complete = f"{len(board.asked)} scores are stored."
    job.write_status(
        "stopped" if board.stopped else "done", message=f"Stopped; {complete}" if board.stopped else complete
    )
