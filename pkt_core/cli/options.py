"""Options that several commands share, and what their values name."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pkt_core import api
from pkt_core.errors import PathError, PlanError

DEVICES = ("/dev", "/proc")
LINKS = 40  # in a row, the kernel's limit
PartName = Literal["block_out", "block_delta", "attn_out", "mlp_out"]
DeviceName = Annotated[
    Literal["auto", "cpu", "cuda", "mps", "spread"],
    typer.Option("--device", help="Device of the models; spread: over all cards, by Accelerate."),
]
DTypeName = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"], typer.Option("--dtype", help="Precision of the weights.")
]


def file_to_write(given: str | None) -> str | None:
    """The file that `--json` names, links followed; None and `-` as they are.

    Raises PathError before anything is computed where it is neither a regular file nor new: a pipe, a device, a folder, a loop.
    """
    if given in (None, "-"):
        return given
    got = f"Got --json {given[:200]!r}, which is"
    expected = "expected the path of a file, new or to be replaced, or - for standard output."
    try:
        place = Path(os.path.realpath(Path(given).parent), Path(given).name)
        for _ in range(LINKS):
            if any(place.is_relative_to(root) for root in DEVICES) and not place.is_relative_to("/dev/shm"):
                raise PathError(f"{got} a device or a process's own; {expected}")
            if not place.is_symlink():
                break
            place = place.parent / os.readlink(place)
            place = Path(os.path.realpath(place.parent), place.name)
        else:
            raise PathError(f"{got} a loop of links; {expected}")
        above = next(folder for folder in place.parents if folder.exists())
        if place.exists() and not place.is_file():
            raise PathError(f"{got} a {'folder' if place.is_dir() else 'pipe, device or socket'}; {expected}")
        if not place.name or not above.is_dir() or not os.access(above, os.W_OK):
            raise PathError(f"{got} in no folder that can be written to; {expected}")
    except OSError as error:  # too long a name, a folder that may not be entered
        raise PathError(f"{got} no path that can be written to ({error}); {expected}") from error
    return str(place)


Json = Annotated[
    str | None,
    typer.Option(
        "--json", callback=file_to_write, help="Write the result as JSON to this path, or - for standard output."
    ),
]
PROMPTS_HELP = "Bundled set, .txt, .jsonl or .csv file, or a dataset as hf:OWNER/NAME,config=,split=,text=,rows=,cut=."
RunName = Annotated[str, typer.Argument(help="A run id (see `pkt runs`) or a run folder.")]


class OfPair:
    """The options that name two models; `on_pair` gives a command what they name."""

    pair: Annotated[str, typer.Option("--pair", help="A pair of the catalogue; see `pkt pairs`.")] = "demo"
    teacher: Annotated[str | None, typer.Option(help="Hub id or local folder; with --student instead of --pair.")] = (
        None
    )
    student: Annotated[str | None, typer.Option(help="Hub id or local folder; with --teacher instead of --pair.")] = (
        None
    )
    device: DeviceName = "auto"
    dtype: DTypeName = "auto"


def options_of(kind: type) -> list[inspect.Parameter]:
    """The annotated attributes of a class as options."""
    notes = inspect.get_annotations(kind, eval_str=True)
    return [option(name, note, getattr(kind, name)) for name, note in notes.items()]


def option(name: str, note: Any, default: Any = None) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=note)


def with_options(
    command: Callable[..., None], name: str, options: Sequence[inspect.Parameter], made: Callable[[dict[str, Any]], Any]
) -> Callable[..., None]:
    """The command with options in place of its parameter `name`, which arrives as what `made` makes of their values."""
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters if p.name != name]
    names = [one.name for one in options]

    def run(**given: Any) -> None:
        values = {one: given.pop(one) for one in names}
        command(**{name: made(values)}, **given)

    run.__signature__ = inspect.Signature([*options, *keyword])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (*options, *keyword)}
    run.__doc__, run.__name__ = command.__doc__, command.__name__
    return run


def on_pair(command: Callable[..., None]) -> Callable[..., None]:
    """The command on a pair of models, its parameter `pair`: what is not available is refused before torch is there."""
    return with_options(command, "pair", options_of(OfPair), find_pair)


def find_pair(named: dict[str, Any]) -> Any:
    """The pair that the options of `OfPair` name. Raises PlanError for one side without the other."""
    teacher, student = named["teacher"], named["student"]
    if (teacher is None) != (student is None):
        raise PlanError("Got only one of --teacher and --student; expected both, or --pair.")
    name = named["pair"] if teacher is None else teacher
    return api.pair(name, student, device=named["device"], dtype=named["dtype"])


def named_run(run: str) -> Any:
    """A run by id, or by folder where the name is a path."""
    from pkt_core.runs.folder import open_run

    return open_run(Path(run) if os.sep in run else run)
