"""Options that several commands share, and what their values name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pkt_core import api
from pkt_core.errors import PathError, PlanError

DEVICES = ("/dev", "/proc")
LINKS = 40  # that follow one another, as the kernel has it
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


def file_to_write(given: str | None) -> str | None:
    """The file that `--json` names, links followed; None and `-` as they are.

    Raises PathError before anything is computed where it is neither a regular file nor new: a pipe, a device, a folder, a loop.
    """
    if given in (None, "-"):
        return given
    asked = f"Got --json {given[:200]!r}, which is"
    expected = "expected the path of a file, new or to be replaced, or - for standard output."
    try:
        place = Path(os.path.realpath(Path(given).parent), Path(given).name)
        for _ in range(LINKS):
            if any(place.is_relative_to(root) for root in DEVICES) and not place.is_relative_to("/dev/shm"):
                raise PathError(f"{asked} a device or a process's own; {expected}")
            if not place.is_symlink():
                break
            place = place.parent / os.readlink(place)
            place = Path(os.path.realpath(place.parent), place.name)
        else:
            raise PathError(f"{asked} a loop of links; {expected}")
        above = next(folder for folder in place.parents if folder.exists())
        if place.exists() and not place.is_file():
            raise PathError(f"{asked} a {'folder' if place.is_dir() else 'pipe, device or socket'}; {expected}")
        if not place.name or not above.is_dir() or not os.access(above, os.W_OK):
            raise PathError(f"{asked} in no folder that can be written to; {expected}")
    except OSError as error:  # too long a name, a folder that may not be entered
        raise PathError(f"{asked} no path that can be written to ({error}); {expected}") from error
    return str(place)


Json = Annotated[
    str | None,
    typer.Option(
        "--json", callback=file_to_write, help="Write the result as JSON to this path, or - for standard output."
    ),
]
PROMPTS_HELP = "Bundled set, .txt, .jsonl or .csv file, or a dataset as hf:OWNER/NAME,config=,split=,text=,rows=,cut=."
RunName = Annotated[str, typer.Argument(help="A run id (see `pkt runs`) or a run folder.")]


def find_pair(name: str, teacher: str | None, student: str | None, device: Any, dtype: Any) -> Any:
    if (teacher is None) != (student is None):
        raise PlanError("Got only one of --teacher and --student; expected both, or --pair.")
    return api.pair(name if teacher is None else teacher, student, device=device, dtype=dtype)


def named_run(run: str) -> Any:
    """A run by id, or by folder where the name is a path."""
    from pkt_core.runs.folder import open_run

    return open_run(Path(run) if os.sep in run else run)
