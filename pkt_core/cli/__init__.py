"""The command line: `pkt pairs | compare | maps | stitch | transfer | family | sweep | factors | queue | evaluate | moved | runs | report | app`.

Every command prints a table for people; `--json PATH` (or `-` for standard output) writes the same as documented fields
for machines. A failure is one sentence on standard error and a non-zero exit status.
"""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from pkt_core import __version__
from pkt_core.base.records import to_json
from pkt_core.cli import benchmarks as cli_benchmarks
from pkt_core.cli import factors as cli_factors
from pkt_core.cli import maps as cli_maps
from pkt_core.cli import transfers as cli_transfers
from pkt_core.cli.options import (
    PROMPTS_HELP,
    DeviceName,
    DTypeName,
    Json,
    PairName,
    PartName,
    RunName,
    Student,
    Teacher,
    find_pair,
    named_run,
)
from pkt_core.cli.terminal import deliver, people, progress_bar, show_comparison, show_results, show_tasks, table
from pkt_core.runner import carry_out, mendable

SHOWN_RUNS = 100

app = typer.Typer(
    help="See whether knowledge can flow from one language model into another of a different size, and make it flow.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
cli_maps.add_to(app)
cli_transfers.add_to(app)
cli_factors.add_to(app)
cli_benchmarks.add_to(app)


def show_version(asked: bool) -> bool:
    """Print the version and stop, where asked."""
    if asked:
        typer.echo(f"pkt {__version__}")
        raise typer.Exit
    return asked


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Options of the program itself; its help is the app's."""


@app.command()
def pairs(as_json: Json = None) -> None:
    """Pairs of models to choose from, and whether they can be had here."""
    from pkt_core.models.catalog import availability, pairs

    found = [{**pair.model_dump(), "unavailable": availability(pair)} for pair in pairs()]
    rows = [[p["name"], p["title"], f"{p['needs_gib']:g} GiB", p["unavailable"] or "ready"] for p in found]
    deliver(found, as_json, lambda: table("Pairs", ["name", "teacher to student", "needs", "here"], rows))


@app.command()
def compare(
    pair: PairName = "demo",
    teacher: Teacher = None,
    student: Student = None,
    prompts: Annotated[str | None, typer.Option(help=PROMPTS_HELP)] = None,
    n_prompts: Annotated[int, typer.Option(min=64, help="At most this many prompts.")] = 512,
    pooling: Annotated[Literal["last", "mean", "tokens"], typer.Option(help="What one vector stands for.")] = "mean",
    part: Annotated[PartName, typer.Option(help="Which activation.")] = "block_out",
    measure: Annotated[str, typer.Option(help="Of similarity; a wrong name lists them all.")] = "debiased_linear_cka",
    outliers: Annotated[
        Literal["none", "clamp", "drop_top", "standardise"], typer.Option(help="Rule for dimensions that stand out.")
    ] = "none",
    skip_first: Annotated[bool, typer.Option(help="Leave out position 0 of every prompt.")] = False,
    permutations: Annotated[int, typer.Option(min=20, help="Draws of the permutation null.")] = 200,
    seed: int = 0,
    device: DeviceName = "auto",
    dtype: DTypeName = "auto",
    as_json: Json = None,
) -> None:
    """Similarity of every teacher layer with every student layer, with its null; recomposition; attribution."""
    chosen = find_pair(
        pair, teacher, student, device, dtype
    )  # first: what cannot be had is refused before torch is there
    from pkt_core.studies.comparison.compute import compare, similarity

    settings: dict[str, Any] = {"n_prompts": n_prompts, "pooling": pooling, "part": part, "outliers": outliers}
    settings |= {"skip_first": skip_first, "permutations": permutations, "seed": seed}
    with progress_bar() as progress:
        grid = similarity(chosen, measure=measure, prompts=prompts, progress=progress, **settings)
        found = replace(compare(chosen, prompts=prompts, **settings), grid=grid)
    deliver(to_json(found), as_json, lambda: show_comparison(found))


@app.command()
def evaluate(
    run: RunName,
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="Ask this task alone instead: .jsonl or .csv of prompt, answer[, choices], or a bundled one."
        ),
    ] = None,
    as_json: Json = None,
) -> None:
    """Measure a finished run again: teacher, student before and student after. With --task only that, and nothing is written."""
    opened = named_run(run)
    if task:
        from pkt_core.studies.behaviour.user_task import user_task

        with progress_bar() as progress:
            asked = [user_task(opened, task=one, progress=progress) for one in task]
        deliver([to_json(one) for one in asked], as_json, lambda: show_tasks(asked))
        return
    from pkt_core.runs.results import results_json

    results = carry_out(opened, "evaluate", reporter=progress_bar)
    deliver({"run": opened.id, **results_json(results)}, as_json, lambda: show_results(opened, results))


@app.command()
def runs(
    every: Annotated[bool, typer.Option("--all", help=f"Show all, not the newest {SHOWN_RUNS} alone.")] = False,
    as_json: Json = None,
) -> None:
    """The runs, newest first, the recorded ones last; as JSON always all."""
    from pkt_core.runs.folder import list_runs

    listed = list_runs(include_recorded=True)
    found = [
        vars(one) | {"folder": str(one.folder), "family": one.family and one.family.model_dump()} for one in listed
    ]
    own = sum(not summary.recorded for summary in listed)
    left_out = 0 if every else max(0, own - SHOWN_RUNS)
    shown = [*listed[: own - left_out], *listed[own:]]
    rows = [[run.id, run.state, run.method, "recorded" if run.recorded else ""] for run in shown]

    def show() -> None:
        table("Runs", ["run", "state", "method", ""], rows)
        if left_out:
            Console().print(f"{own - left_out:,} of {own:,} runs, newest first. `pkt runs --all` shows the others too.")

    deliver(found, as_json, show)


@app.command()
def report(
    run: RunName,
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write; left out: report.html in the run folder, RUN.html here for a recorded run."),
    ] = None,
    as_json: Json = None,
) -> None:
    """Write a run as one HTML page that opens offline."""
    from pkt_core.report.html_page import write_report

    opened = named_run(run)
    beside = Path(f"{opened.id}.html") if opened.recorded else opened.folder / "report.html"
    path = write_report(opened, out or beside)
    deliver({"run": opened.id, "report": str(path)}, as_json, lambda: Console().print(f"Wrote {path}"))


@app.command(name="app")
def start_app(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
    headless: Annotated[bool, typer.Option(help="Do not open a browser.")] = False,
    allow: Annotated[
        list[Path] | None,
        typer.Option(
            help="A folder whose models and files pages may name; may be repeated. Left out: your home and this folder."
        ),
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="For strangers: bundled models and prompts only, short runs, few at a time.")
    ] = False,
) -> None:
    """Open the dashboard on this machine."""
    import subprocess

    import dashboard

    page = Path(dashboard.__file__).parent / "app.py"
    options = ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", str(headless).lower()]
    options += ["--server.maxUploadSize", "1"] if demo else []
    told = {"PKT_FOLDERS": os.pathsep.join(str(one.resolve()) for one in allow)} if allow else {}
    told |= {"PKT_DEMO": "1"} if demo else {}
    raise typer.Exit(
        subprocess.call([sys.executable, "-m", "streamlit", "run", str(page), *options], env={**os.environ, **told})
    )


def main() -> None:
    """Entry point: errors a person can cause are one sentence and exit status 1."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # read when transformers is first imported
    # Threads that wait for work sleep instead of spinning: a run and the dashboard share the cores of one machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if not sys.warnoptions:
        warnings.simplefilter("ignore", FutureWarning)  # of libraries, about each other; tests still see them
    try:
        app()
    except Exception as error:
        if (sentence := mendable(error)) is None:
            raise
        people.print(f"pkt: {sentence}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(1) from None
