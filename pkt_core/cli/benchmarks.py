"""The command `pkt benchmark`: tasks of lm-evaluation-harness on a run's three models, on further runs, or on any model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from pkt_core.cli.options import DeviceName, DTypeName, Json, named_run
from pkt_core.cli.terminal import deliver, progress_bar, table
from pkt_core.errors import BenchmarkError

if TYPE_CHECKING:
    from pkt_core.benchmarks.record import Board


def benchmark(
    run: Annotated[
        str | None, typer.Argument(help="A run id or folder: its student before and after, and its teacher.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="A task or group of the harness; may be repeated.")] = None,
    against: Annotated[list[str] | None, typer.Option(help="A further run of the same pair; may be repeated.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Hub id or folder, in place of a run; may be repeated.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Folder of local items, such as humaneval.jsonl.")] = None,
    include_path: Annotated[str | None, typer.Option(help="Folder of further tasks in the harness's format.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many items of each task, its first ones.")] = None,
    spread: Annotated[bool, typer.Option("--spread", help="Those items spaced evenly over the task.")] = False,
    shots: Annotated[int | None, typer.Option(min=0, help="Few-shot examples; default: the task's own.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Default: the harness's own.")] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Put prompts through the model's chat template.")] = False,
    batch_size: Annotated[int, typer.Option(min=1)] = 8,
    decoding: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE in place of the task's, such as max_gen_toks=256.")
    ] = None,
    allow_code: Annotated[
        bool,
        typer.Option(
            "--allow-code", help="Run code that a model wrote, in a sandbox; without it such tasks are refused."
        ),
    ] = False,
    device: DeviceName = "auto",
    dtype: DTypeName = "auto",
    job: Annotated[
        str | None, typer.Option(hidden=True, help="A folder with a request, as the dashboard makes them.")
    ] = None,
    as_json: Json = None,
) -> None:
    """Scores on the benchmarks of lm-evaluation-harness, with intervals, paired changes and minimum detectable effects."""
    if job is not None:
        from pkt_core.benchmarks.jobs import carry_out

        carry_out(job)
        return
    from pkt_core.base.records import to_json
    from pkt_core.benchmarks import board as benchmarks_board
    from pkt_core.benchmarks.tasks import Asking, require_harness
    from pkt_core.models.ref import ModelRef

    require_harness()
    if not task:
        raise BenchmarkError("Got no task. Name one with --task, such as --task gsm8k; `lm-eval ls tasks` lists them.")
    if (run is None) == (not model):
        raise BenchmarkError("Got a run and models, or neither; expected a run or --model. Name one of them.")
    asking = Asking(
        limit=limit,
        spread=spread,
        shots=shots,
        seed=seed,
        chat=chat,
        batch_size=batch_size,
        decoding=dict(map(setting, decoding or [])),
        data=data,
        include=include_path,
        allow_code=allow_code,
    )
    if run is not None:
        subjects = benchmarks_board.subjects_of(named_run(run), [named_run(one) for one in against or []])
    else:
        subjects = [benchmarks_board.of_model(ModelRef(name=name, device=device, dtype=dtype)) for name in model or []]
    with progress_bar() as progress:
        board = benchmarks_board.benchmark(subjects, task, asking, progress=progress)
    deliver(to_json(board), as_json, lambda: show(board))


def setting(given: str) -> tuple[str, Any]:
    """`NAME=VALUE`, numbers and truth values as such."""
    import json

    name, sign, value = given.partition("=")
    if not sign or not name:
        raise BenchmarkError(f"Got --decoding {given}; expected NAME=VALUE, such as max_gen_toks=256.")
    try:
        return name, json.loads(value.lower() if value in ("True", "False") else value)
    except ValueError:
        return name, value


def show(board: Board) -> None:
    from pkt_core.benchmarks import text as benchmarks_text

    for title, columns, rows in benchmarks_text.terminal(board):
        table(title, columns, rows)
    for sentence in benchmarks_text.all_of(board):
        Console().print(sentence, markup=False, highlight=False)
