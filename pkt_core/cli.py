"""The command line: `pkt pairs | compare | transfer | evaluate | runs | report | app`.

Every command prints a table for people; `--json PATH` (or `-` for standard output) writes the same as documented fields
for machines. A failure is one sentence on standard error and a non-zero exit status.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from pkt_core.errors import PktError, PlanError

app = typer.Typer(
    help="See whether knowledge can flow from one language model into another of a different size, and make it flow.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
WIDE = 8  # student layers that fit side by side in a terminal
people = Console(stderr=True)  # standard output is for results alone, so that it can be piped

PartName = Literal["block_out", "block_delta", "attn_out", "mlp_out"]
PairName = Annotated[str, typer.Option("--pair", help="A pair of the catalogue; see `pkt pairs`.")]
Teacher = Annotated[str | None, typer.Option(help="Hub id or local folder; with --student instead of --pair.")]
Student = Annotated[str | None, typer.Option(help="Hub id or local folder; with --teacher instead of --pair.")]
DeviceName = Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option("--device", help="Where models are held.")]
DTypeName = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"], typer.Option("--dtype", help="Precision they are held in.")
]
Json = Annotated[
    str | None, typer.Option("--json", help="Write the result as JSON to this path, or - for standard output.")
]
RunName = Annotated[str, typer.Argument(help="A run id (see `pkt runs`) or a run folder.")]


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """A bar with time left on standard error; nothing where that is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=people, transient=True, disable=not people.is_terminal) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda stage, done: bar.update(task, description=stage, completed=done)


def table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    shown = Table(title=title, title_justify="left")
    for column in columns:
        shown.add_column(column)
    for row in rows:
        shown.add_row(*(str(cell) for cell in row))
    Console().print(shown)


def deliver(result: Any, path: str | None, show: Callable[[], None]) -> None:
    """JSON to standard output alone, or JSON to a file and the table to the screen."""
    if path == "-":
        sys.stdout.write(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        return
    if path:
        from pkt_core.store import write_text

        write_text(Path(path), json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    show()


def find_pair(name: str, teacher: str | None, student: str | None, device: Any, dtype: Any) -> Any:
    from pkt_core.catalog import availability, custom_pair, pair

    if (teacher is None) != (student is None):
        raise PlanError("Got only one of --teacher and --student; expected both, or --pair.")
    chosen = custom_pair(teacher, student) if teacher and student else pair(name)
    chosen = chosen.held(device, dtype)
    if problem := availability(chosen):
        raise PlanError(problem)
    return chosen


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
    prompts: Annotated[str | None, typer.Option(help="Bundled prompt set or a .txt, .jsonl or .csv file.")] = None,
    n_prompts: Annotated[int, typer.Option(min=64, help="At most this many prompts.")] = 512,
    pooling: Annotated[Literal["last", "mean", "tokens"], typer.Option(help="What one vector stands for.")] = "mean",
    part: Annotated[PartName, typer.Option(help="Which activation.")] = "block_out",
    permutations: Annotated[int, typer.Option(min=20, help="Draws of the permutation null.")] = 200,
    seed: int = 0,
    device: DeviceName = "auto",
    dtype: DTypeName = "auto",
    as_json: Json = None,
) -> None:
    """Similarity of every teacher layer with every student layer, with its null; recomposition; attribution."""
    from pkt_core.pipeline import compare

    chosen = find_pair(pair, teacher, student, device, dtype)
    with progress_bar() as progress:
        found = compare(
            chosen,
            prompts=prompts,
            n_prompts=n_prompts,
            pooling=pooling,
            part=part,
            permutations=permutations,
            seed=seed,
            progress=progress,
        )

    def show() -> None:
        grid = found.grid
        if found.student.n_layers <= WIDE:
            columns = ["teacher layer", *(f"student {j}" for j in range(found.student.n_layers))]
            rows = [[i, *(f"{v:.3f}" for v in row)] for i, row in enumerate(grid.values.tolist())]
        else:  # a terminal is too narrow for the whole grid; --json and the dashboard have it
            columns = ["teacher layer", "most similar student layer", "similarity"]
            nearest = [max(range(len(row)), key=row.__getitem__) for row in grid.values.tolist()]
            rows = [[i, j, f"{grid.values[i, j]:.3f}"] for i, j in enumerate(nearest)]
        table(f"Debiased CKA of {found.teacher.name} and {found.student.name}, {grid.n} samples", columns, rows)
        t, s, best = grid.best
        Console().print(
            f"Most similar: teacher layer {t} and student layer {s}, {best:.3f}. By chance the largest of all cells stays below "
            f"{grid.noise_level:.3f} in 95 % of {len(grid.null_max)} permutations.\n"
            f"Attribution and pairing choose teacher layer {found.chosen[0]} and student layer {found.chosen[1]}."
        )

    deliver(found.to_json(), as_json, show)


@app.command()
def transfer(
    pair: PairName = "demo",
    teacher: Teacher = None,
    student: Student = None,
    method: Annotated[
        Literal["semalign-v1", "sft", "logit-kd"], typer.Option(help="How the student is taught.")
    ] = "semalign-v1",
    data: Annotated[str | None, typer.Option(help="Example set to train on: bundled name or .jsonl/.csv file.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    steps: Annotated[int, typer.Option(min=1)] = 300,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    learning_rate: Annotated[float, typer.Option(min=0)] = 1e-3,
    teacher_layer: Annotated[int | None, typer.Option(min=0, help="From 0; left out: by attribution.")] = None,
    student_layer: Annotated[int | None, typer.Option(min=0, help="From 0; left out: by pairing.")] = None,
    map: Annotated[
        Literal["semantic", "permuted", "random"], typer.Option(help="Alignment map; permuted and random are controls.")
    ] = "semantic",
    part: Annotated[PartName, typer.Option(help="Which activation is matched.")] = "block_delta",
    scope: Annotated[Literal["layer", "all"], typer.Option(help="What trains: the paired layer, or all.")] = "layer",
    adapter: Annotated[Literal["full", "lora"], typer.Option(help="All of its parameters, or LoRA.")] = "full",
    lora_rank: Annotated[int, typer.Option(min=1, max=1024)] = 16,
    positions: Annotated[
        Literal["answer", "all"], typer.Option(help="Positions that predict the answer, or all.")
    ] = "answer",
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
            plan = TransferPlan.model_validate(
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


def named_run(run: str) -> Any:
    """A run by id, or by folder where the name is a path."""
    from pkt_core.runs import open_run

    return open_run(Path(run) if os.sep in run else run)


def carry_out(run: Any, what: str) -> dict[str, Any]:
    """Run a stage of the pipeline in its run folder, its status kept true whatever happens."""
    from pkt_core import pipeline
    from pkt_core.transfer.plan import TransferPlan

    plan = TransferPlan.model_validate(run.plan())
    with progress_bar() as bar:
        said = ""

        def progress(stage: str, done: float) -> None:
            nonlocal said
            bar(stage, done)
            if stage != said:
                said = stage
                run.write_status("running", message=stage, fraction=done)

        try:
            progress("Starting", 0.0)
            results = (
                pipeline.transfer(plan, run, progress=progress)
                if what == "transfer"
                else pipeline.evaluate(run, progress=progress)
            )
            results["command"] = command_for(plan)
            run.write_results(results)
        except KeyboardInterrupt:
            run.write_status("stopped", message="Interrupted from the keyboard.")
            raise
        except Exception as error:
            run.write_status("failed", message=one_sentence(error))
            raise
    stopped = results.get("steps", plan.steps) < plan.steps
    run.write_status(
        "stopped" if stopped else "done",
        message=f"Stopped after step {results['steps']} of {plan.steps}." if stopped else "Done.",
    )
    return results


def command_for(plan: Any) -> str:
    """The command that does the same again."""
    from pkt_core.catalog import demo_pair

    demo = demo_pair()
    words = ["pkt", "transfer"]
    same = plan.teacher.name == demo.teacher.name and plan.student.name == demo.student.name
    words += ["--pair", "demo"] if same else ["--teacher", plan.teacher.name, "--student", plan.student.name]
    for name in ("device", "dtype"):
        if (value := getattr(plan.student, name)) != "auto":
            words += [f"--{name}", value]
    defaults = {"data": demo.examples if same else None, "prompts": demo.prompts if same else "general"}
    for name, field in type(plan).model_fields.items():
        value = getattr(plan, name)
        if name in ("teacher", "student", "tasks"):
            continue
        if (value != defaults.get(name, field.default) and value is not None) or name in ("method", "seed"):
            words += [f"--{name.replace('_', '-')}", str(value)]
    if not same or plan.tasks != demo.tasks:
        for name in plan.tasks:
            words += ["--task", name]
    return shlex.join(words)


def show_results(run: Any, results: dict[str, Any]) -> None:
    if "changes" not in results:
        Console().print(f"Run {run.id}: {run.status().message}")
        return
    rows = [
        [
            name,
            c["n"],
            f"{c['prior']:.1%}",
            f"{c['before']:.1%}",
            f"{c['after']:.1%}",
            f"{c['difference']:+.1%} [{c['low']:+.1%}, {c['high']:+.1%}]",
            f"{c['p_value']:.2g}",
        ]
        for name, c in results["changes"].items()
    ]
    layers = results["layers"]
    title = f"Run {run.id}: recall, teacher layer {layers['teacher']} to student layer {layers['student']}"
    table(title, ["task", "n", "prior", "before", "after", "change [95 %]", "p"], rows)
    rows = []
    for who, found in results["behaviour"].items():
        bits, kl, top = found["bits_per_byte"], found["kl_to_teacher"], found["top1_agreement"]
        rows.append(
            [
                who,
                f"{bits['value']:.3f} [{bits['low']:.3f}, {bits['high']:.3f}]",
                f"{kl['value']:.3f} [{kl['low']:.3f}, {kl['high']:.3f}]" if kl else "-",
                f"{top['value']:.1%}" if top else "-",
            ]
        )
    table("General text", ["model", "bits per byte [95 %]", "KL to teacher, bits", "same top token"], rows)


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
    out: Annotated[Path | None, typer.Option(help="Where to write; left out: report.html in the run folder.")] = None,
    as_json: Json = None,
) -> None:
    """Write a run as one HTML page that opens offline."""
    from pkt_core.report.writeup import write_report

    opened = named_run(run)
    path = write_report(opened, out or opened.folder / "report.html")
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


def one_sentence(error: BaseException) -> str:
    """What went wrong, for the status of a run and for standard error."""
    if isinstance(error, PktError):
        return str(error)
    if (isinstance(error, OSError) and error.errno == errno.ENOSPC) or "No space left" in str(error):
        return "The disk is full: nothing more could be written. Free some space and run the command again."
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return "Memory ran out. Use a smaller batch size, dtype bfloat16, or a smaller model."
    text = " ".join(str(error).split())[:200]
    return f"Unexpected {type(error).__name__}: {text}. This is a fault of the program; please report it with the log."


def main() -> None:
    """Entry point: errors a person can cause are one sentence and exit status 1."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # read when transformers is first imported
    # Threads that wait for work sleep instead of spinning: a run and the dashboard share the cores of one machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if not sys.warnoptions:
        warnings.simplefilter("ignore", FutureWarning)  # of libraries, about each other; tests still see them
    try:
        app()
    except PktError as error:
        people.print(f"pkt: {error}", style="red", markup=False, highlight=False)
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        people.print(f"pkt: {one_sentence(error)}", style="red", markup=False)
        raise SystemExit(1) from None
