"""The command line: `pkt pairs | compare | maps | stitch | transfer | family | sweep | factors | queue | evaluate | moved | runs | report | app`.

Every command prints a table for people; `--json PATH` (or `-` for standard output) writes the same as documented fields
for machines. A failure is one sentence on standard error and a non-zero exit status. A command's module is imported when
the command is chosen; `pkt --help` reads its sentence from the docstring, so that none is repeated.
"""

from __future__ import annotations

import ast
import os
import sys
import warnings
from importlib import import_module
from importlib.abc import InspectLoader
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from pkt_core import __version__

COMMANDS = {
    "comparison": ("pairs", "compare"),
    "maps": ("maps", "stitch", "moved"),
    "transfers": ("transfer", "family", "families", "queue", "work"),
    "factors": ("sweep", "factors"),
    "runs": ("runs", "evaluate", "report"),
    "benchmarks": ("benchmark",),
    "dashboard": ("app",),
}
"""The modules here, and the functions in them that are commands."""


class LaterCommand(TyperCommand):
    """A command whose module is not imported before the command is chosen."""

    def __init__(self, name: str, module: str):
        super().__init__(name)
        self.module = module

    def loaded(self) -> TyperCommand:
        """The command itself, with its options."""
        alone = typer.Typer(add_completion=False)
        alone.command(self.name)(getattr(import_module(f"{__name__}.{self.module}"), str(self.name)))
        command = typer.main.get_command(alone)
        assert isinstance(command, TyperCommand)
        return command

    def make_context(self, *given: Any, **more: Any) -> Any:
        return self.loaded().make_context(*given, **more)


class Program(TyperGroup):
    """All commands, by name alone until one of them is chosen."""

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        for module, names in COMMANDS.items():
            for name in names:
                self.add_command(LaterCommand(name, module))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        for module, names in COMMANDS.items():
            for node in ast.parse(source_of(f"{__name__}.{module}")).body:
                if isinstance(node, ast.FunctionDef) and node.name in names:
                    self.commands[node.name].help = ast.get_docstring(node)
        super().format_help(ctx, formatter)


def source_of(module: str) -> str:
    """The text of a module that is not imported for it."""
    spec = find_spec(module)
    assert spec is not None
    assert isinstance(spec.loader, InspectLoader)
    return spec.loader.get_source(module) or ""


app = typer.Typer(
    cls=Program,
    help="Compare two language models of different size, transfer knowledge between them, and measure what changed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def show_version(wanted: bool) -> bool:
    """Print the version and stop, where set."""
    if wanted:
        typer.echo(f"pkt {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Options of the program itself; its help is the app's."""


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
        from pkt_core.cli.terminal import people
        from pkt_core.runner import mendable

        if (sentence := mendable(error)) is None:
            raise
        people.print(f"pkt: {sentence}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(1) from None
