"""What a visitor may do here: which folders a page may read, and with `pkt app --demo` which models, lengths and jobs.

The host wants to put the app before strangers without handing them the machine; the researcher wants to open models and files
of their own without a thought. Both are settings of the process (`PKT_FOLDERS`, `PKT_DEMO`), so no link can change them.

Not covered: who may visit at all; the app binds to this machine unless it is told otherwise (`.streamlit/config.toml`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pkt_core.errors import PlanError
from pkt_core.files import cache_root

MOST_PROMPTS, MOST_STEPS, MOST_WAITING, MOST_CHARACTERS = 512, 300, 2, 4000
"""Of a public demo: prompts of a comparison, steps of a transfer, runs that wait, characters of a text."""
SUFFIXES = (".txt", ".jsonl", ".csv", ".json")


def demo() -> bool:
    """Whether this is a public demo: bundled models and prompts only, short runs, few at a time."""
    return os.environ.get("PKT_DEMO", "") not in ("", "0", "false")


def folders() -> list[Path]:
    """Folders whose files a page may name; the project's own and the cache are always among them."""
    named = os.environ.get("PKT_FOLDERS")
    chosen = [Path(one) for one in named.split(os.pathsep) if one] if named is not None else [Path.home(), Path.cwd()]
    own = Path(__file__).resolve().parents[1] / "assets"
    return [one.expanduser().resolve() for one in ([own, cache_root()] if demo() else [*chosen, own, cache_root()])]


def looks_like_a_path(name: str) -> bool:
    """Whether somebody who writes this means a file or folder of the machine, and not a hub id or a bundled name."""
    return (
        name.startswith((".", "/", "~", "\\"))
        or name.endswith(SUFFIXES)
        or ".." in name.split("/")
        or name.count("/") > 1
    )


def require_allowed(asked: Any) -> None:
    """Raises PlanError for the first path in a request, however deep, that leaves the folders a page may read."""
    for name in paths_in(asked):
        try:
            place = Path(name).expanduser().resolve()
        except (ValueError, OSError, RuntimeError) as error:  # a null, a loop of links, an unknown ~user
            raise PlanError(f"Got {name[:100]!r}, which cannot be a path ({error}). Check its spelling.") from error
        if not any(place.is_relative_to(folder) for folder in folders()):
            raise PlanError(
                f"Got {name[:200]}, which is outside the folders that this app may read. Start it with `pkt app --allow FOLDER`, or with PKT_FOLDERS set, to allow more."
            )


NAMES = frozenset({"teacher", "student", "prompts", "data", "general", "tasks", "task", "name", "file"})
"""Fields of requests and plans that may name a file or folder."""


def is_folder(name: str) -> bool:
    """Whether a folder of that name is here; a name that no folder can have is none."""
    try:
        return Path(name).is_dir()
    except (ValueError, OSError):
        return False


def paths_in(asked: Any, field: str = "") -> Iterator[str]:
    """Every text in a request that names a file or folder, whatever holds it; an `hf:` dataset may be a folder too."""
    if isinstance(asked, str):
        name = asked.removeprefix("hf:").split(",")[0]
        model = field in ("teacher", "student", "name") and bool(name) and is_folder(name)
        if field in NAMES and (model or looks_like_a_path(name)):
            yield name
    elif isinstance(asked, dict):
        for key, value in asked.items():
            yield from paths_in(value, key)
    elif isinstance(asked, list | tuple):
        for value in asked:
            yield from paths_in(value, field)


def require_short(plan: Any) -> None:
    """Raises PlanError in a demo for a run that would keep others waiting."""
    from pkt_core import waiting

    if not demo():
        return
    if plan.total_steps > MOST_STEPS:
        raise PlanError(f"Got {plan.total_steps} steps; this public demo runs at most {MOST_STEPS}. Lower the steps.")
    if len(waiting.waiting()) >= MOST_WAITING:
        raise PlanError(
            f"{MOST_WAITING} runs wait already, as many as this public demo lets wait. Try again in some minutes."
        )
