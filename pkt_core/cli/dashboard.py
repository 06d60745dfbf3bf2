"""The command `pkt app`: the dashboard on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer


def app(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
    headless: Annotated[bool, typer.Option(help="Do not open a browser.")] = False,
    allow: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder whose models and files the pages may open; may be repeated. Default: your home and this folder."
        ),
    ] = None,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="For public access: bundled models and prompts only, short runs, few at a time."),
    ] = False,
) -> None:
    """Open the dashboard on this machine."""
    import subprocess

    import dashboard

    page = Path(dashboard.__file__).parent / "app.py"
    options = ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", str(headless).lower()]
    options += ["--server.maxUploadSize", "1"] if demo else []
    environment = {"PKT_FOLDERS": os.pathsep.join(str(one.resolve()) for one in allow)} if allow else {}
    environment |= {"PKT_DEMO": "1"} if demo else {}
    raise typer.Exit(
        subprocess.call(
            [sys.executable, "-m", "streamlit", "run", str(page), *options], env={**os.environ, **environment}
        )
    )
