"""Options that several commands share, and what their values name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pkt_core.errors import PlanError

PartName = Literal["block_out", "block_delta", "attn_out", "mlp_out"]
PairName = Annotated[str, typer.Option("--pair", help="A pair of the catalogue; see `pkt pairs`.")]
Teacher = Annotated[str | None, typer.Option(help="Hub id or local folder; with --student instead of --pair.")]
Student = Annotated[str | None, typer.Option(help="Hub id or local folder; with --teacher instead of --pair.")]
DeviceName = Annotated[
    Literal["auto", "cpu", "cuda", "mps", "spread"],
    typer.Option("--device", help="Where models are held; spread: over all cards, by Accelerate."),
]
DTypeName = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"], typer.Option("--dtype", help="Precision they are held in.")
]
Json = Annotated[
    str | None, typer.Option("--json", help="Write the result as JSON to this path, or - for standard output.")
]
PROMPTS_HELP = "Bundled set, .txt, .jsonl or .csv file, or a dataset as hf:OWNER/NAME,config=,split=,text=,rows=,cut=."
RunName = Annotated[str, typer.Argument(help="A run id (see `pkt runs`) or a run folder.")]


def find_pair(name: str, teacher: str | None, student: str | None, device: Any, dtype: Any) -> Any:
    from pkt_core.catalog import availability, custom_pair, pair

    if (teacher is None) != (student is None):
        raise PlanError("Got only one of --teacher and --student; expected both, or --pair.")
    chosen = custom_pair(teacher, student) if teacher and student else pair(name)
    chosen = chosen.held(device, dtype)
    if problem := availability(chosen):
        raise PlanError(problem)
    return chosen


def named_run(run: str) -> Any:
    """A run by id, or by folder where the name is a path."""
    from pkt_core.runs import open_run

    return open_run(Path(run) if os.sep in run else run)
