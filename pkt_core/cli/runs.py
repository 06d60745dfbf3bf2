"""The commands on existing runs: `pkt runs`, `pkt evaluate`, `pkt report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pkt_core.base.records import to_json
from pkt_core.cli.options import Json, RunName, named_run
from pkt_core.cli.terminal import deliver, progress_bar, show_results, show_tasks, table
from pkt_core.runner import carry_out

SHOWN_RUNS = 100


def evaluate(
    run: RunName,
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="Evaluate this task alone instead: .jsonl or .csv of prompt, answer[, choices], or a bundled one."
        ),
    ] = None,
    as_json: Json = None,
) -> None:
    """Measure a finished run again: teacher, student before and student after. With --task only that, and nothing is written."""
    opened = named_run(run)
    if task:
        from pkt_core.studies.behaviour.user_task import user_task

        with progress_bar() as progress:
            user_tasks = [user_task(opened, task=one, progress=progress) for one in task]
        deliver([to_json(one) for one in user_tasks], as_json, lambda: show_tasks(user_tasks))
        return
    from pkt_core.runs.results import results_json

    results = carry_out(opened, "evaluate", reporter=progress_bar)
    deliver({"run": opened.id, **results_json(results)}, as_json, lambda: show_results(opened, results))


def runs(
    every: Annotated[bool, typer.Option("--all", help=f"Show all, not the newest {SHOWN_RUNS} alone.")] = False,
    as_json: Json = None,
) -> None:
    """The runs, newest first, the recorded ones last; as JSON always all."""
    from pkt_core.runs.folder import list_runs

    listed = list_runs(include_recorded=True)
    records = [
        vars(one) | {"folder": str(one.folder), "family": one.family and one.family.model_dump()} for one in listed
    ]
    n_own = sum(not summary.recorded for summary in listed)
    left_out = 0 if every else max(0, n_own - SHOWN_RUNS)
    shown = [*listed[: n_own - left_out], *listed[n_own:]]
    rows = [[run.id, run.state, run.method, "recorded" if run.recorded else ""] for run in shown]

    def show() -> None:
        table("Runs", ["run", "state", "method", ""], rows)
        if left_out:
            Console().print(
                f"{n_own - left_out:,} of {n_own:,} runs, newest first. `pkt runs --all` shows the others too."
            )

    deliver(records, as_json, show)


def report(
    run: RunName,
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write; default: report.html in the run folder, RUN.html here for a recorded run."),
    ] = None,
    as_json: Json = None,
) -> None:
    """Write a run as one HTML page that opens offline."""
    from pkt_core.report.html_page import write_report

    opened = named_run(run)
    beside = Path(f"{opened.id}.html") if opened.recorded else opened.folder / "report.html"
    path = write_report(opened, out or beside)
    deliver({"run": opened.id, "report": str(path)}, as_json, lambda: Console().print(f"Wrote {path}"))
