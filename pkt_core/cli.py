"""The command line: `pkt pairs | compare | maps | stitch | transfer | evaluate | moved | runs | report | app`.

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

from pkt_core import cli_maps
from pkt_core.carrying import carry_out, mendable
from pkt_core.errors import PlanError
from pkt_core.options import (
    PROMPTS_HELP,
    DeviceName,
    DTypeName,
    Json,
    MapName,
    MethodName,
    PairName,
    PartName,
    RunName,
    Student,
    Teacher,
    find_pair,
    named_run,
)
from pkt_core.terminal import deliver, people, progress_bar, show_comparison, show_results, table

app = typer.Typer(
    help="See whether knowledge can flow from one language model into another of a different size, and make it flow.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
cli_maps.add_to(app)


@app.command()
def pairs(as_json: Json = None) -> None:
    """Pairs of models to choose from, and whether they can be had here."""
    from pkt_core.catalog import availability, pairs

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
    from pkt_core.looking import compare, similarity

    chosen = find_pair(pair, teacher, student, device, dtype)
    settings: dict[str, Any] = {"n_prompts": n_prompts, "pooling": pooling, "part": part, "outliers": outliers}
    settings |= {"skip_first": skip_first, "permutations": permutations, "seed": seed}
    with progress_bar() as progress:
        grid = similarity(chosen, measure=measure, prompts=prompts, progress=progress, **settings)
        found = replace(compare(chosen, prompts=prompts, **settings), grid=grid)
    deliver(found.to_json(), as_json, lambda: show_comparison(found))


@app.command()
def transfer(
    pair: PairName = "demo",
    teacher: Teacher = None,
    student: Student = None,
    method: Annotated[MethodName, typer.Option(help="How the student is taught.")] = "semalign-v1",
    data: Annotated[str | None, typer.Option(help="Example set to train on: bundled name or .jsonl/.csv file.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    steps: Annotated[int, typer.Option(min=1)] = 300,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    learning_rate: Annotated[float, typer.Option(min=0)] = 1e-3,
    teacher_layer: Annotated[int | None, typer.Option(min=0, help="From 0; left out: by attribution.")] = None,
    student_layer: Annotated[int | None, typer.Option(min=0, help="From 0; left out: by pairing.")] = None,
    map: Annotated[
        MapName | None,
        typer.Option(help="Alignment map; permuted and random are controls. Left out: the method's own."),
    ] = None,
    part: Annotated[
        PartName | None, typer.Option(help="Which activation is matched. Left out: the method's own.")
    ] = None,
    scope: Annotated[
        Literal["layer", "all"] | None,
        typer.Option(help="What trains: the paired layer, or all. Left out: the method's own."),
    ] = None,
    adapter: Annotated[Literal["full", "lora"], typer.Option(help="All of its parameters, or LoRA.")] = "full",
    lora_rank: Annotated[int, typer.Option(min=1, max=1024)] = 16,
    positions: Annotated[
        Literal["answer", "all"] | None,
        typer.Option(help="Positions that predict the answer, or all. Left out: the method's own."),
    ] = None,
    strength: Annotated[
        float | None, typer.Option(min=0, max=10, help="Of stitch: share of the way to the mapped teacher.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="Of logit-kd.")] = 1.0,
    layer_weight: Annotated[float, typer.Option(help="Of semalign-v1's layer term; 0 leaves the output term.")] = 1.0,
    output_weight: Annotated[float, typer.Option(help="Of semalign-v1's output term; 0 leaves the layer term.")] = 1.0,
    task: Annotated[
        list[str] | None, typer.Option(help="Example set to measure behaviour on; may be repeated.")
    ] = None,
    n_task_items: Annotated[int | None, typer.Option(min=1, help="At most this many items of each task.")] = None,
    prompts: Annotated[str | None, typer.Option(help="Prompt set for alignment before and after.")] = None,
    n_prompts: Annotated[int, typer.Option(min=16)] = 256,
    general: Annotated[str, typer.Option(help="Prompt set for bits per byte and agreement.")] = "general",
    n_general: Annotated[int, typer.Option(min=2)] = 200,
    n_examples: Annotated[int | None, typer.Option(min=1, help="At most this many training examples.")] = None,
    run: Annotated[str | None, typer.Option(help="Carry out the plan of this queued run instead.")] = None,
    device: DeviceName = "auto",
    dtype: DTypeName = "auto",
    as_json: Json = None,
) -> None:
    """Teach the student through the teacher's activations (or a rival method), then measure what changed."""
    from pydantic import ValidationError

    from pkt_core.runs import create_run
    from pkt_core.transfer.plan import TransferPlan

    if run is not None:
        opened = named_run(run)
    else:
        chosen = find_pair(pair, teacher, student, device, dtype)
        examples = data or chosen.examples
        if examples is None:
            raise PlanError(
                "This pair has no examples of its own; give --data with a .jsonl or .csv of prompt and answer."
            )
        try:
            plan = TransferPlan.said(
                {
                    "teacher": chosen.teacher,
                    "student": chosen.student,
                    "data": examples,
                    "n_examples": n_examples,
                    "method": method,
                    "map": map,
                    "teacher_layer": teacher_layer,
                    "student_layer": student_layer,
                    "part": part,
                    "scope": scope,
                    "adapter": adapter,
                    "lora_rank": lora_rank,
                    "positions": positions,
                    "strength": strength,
                    "temperature": temperature,
                    "layer_weight": layer_weight,
                    "output_weight": output_weight,
                    "steps": steps,
                    "batch_size": batch_size,
                    "learning_rate": learning_rate,
                    "seed": seed,
                    "tasks": tuple(task) if task else chosen.tasks or (examples,),
                    "n_task_items": n_task_items,
                    "general": general,
                    "n_general": n_general,
                    "prompts": prompts or chosen.prompts,
                    "n_prompts": n_prompts,
                }
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise PlanError(f"{first['loc'][0]}: got {first['input']!r}; {first['msg']}.") from error
        opened = create_run(plan.model_dump(mode="json"))
    results = carry_out(opened, "transfer")
    deliver({"run": opened.id, **results}, as_json, lambda: show_results(opened, results))


@app.command()
def evaluate(run: RunName, as_json: Json = None) -> None:
    """Measure a finished run again: teacher, student before and student after."""
    opened = named_run(run)
    results = carry_out(opened, "evaluate")
    deliver({"run": opened.id, **results}, as_json, lambda: show_results(opened, results))


@app.command()
def runs(as_json: Json = None) -> None:
    """All runs, newest first, the recorded ones last."""
    from dataclasses import asdict

    from pkt_core.runs import list_runs

    found = [asdict(summary) for summary in list_runs(include_recorded=True)]
    for row in found:
        row.update({k: str(v) for k, v in row.items() if isinstance(v, Path)})
    rows = [[r["id"], r["state"], r.get("method", ""), "recorded" if r["recorded"] else ""] for r in found]
    deliver(found, as_json, lambda: table("Runs", ["run", "state", "method", ""], rows))


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
    from pkt_core.report.writeup import write_report

    opened = named_run(run)
    beside = Path(f"{opened.id}.html") if opened.recorded else opened.folder / "report.html"
    path = write_report(opened, out or beside)
    deliver({"run": opened.id, "report": str(path)}, as_json, lambda: Console().print(f"Wrote {path}"))


@app.command(name="app")
def start_app(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
    headless: Annotated[bool, typer.Option(help="Do not open a browser.")] = False,
) -> None:
    """Open the dashboard on this machine."""
    import subprocess

    import dashboard

    page = Path(dashboard.__file__).parent / "app.py"
    options = ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", str(headless).lower()]
    raise typer.Exit(subprocess.call([sys.executable, "-m", "streamlit", "run", str(page), *options]))


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
