"""What a page may open: the one door for every path that a page, a link or a form can name.

A name is taken for what the core would take it for (a bundled set, a kept copy, a hub id), and for a path where it is none of
these. A path has to lead, links followed, into a folder that the app may read; only then is looked whether anything is there, so
that nobody learns what lies elsewhere. A file is regular, of a suffix we read and of limited size; a folder holds
nothing but such files and folders. The folders are a setting of the process (`PKT_FOLDERS`), so no link can change them.

Not covered: what strangers may ask for (`limits.py`), who is answered at all (`hosts.py`).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dashboard import limits
from pkt_core.base.files import cache_root, read_regular
from pkt_core.errors import PathError

PROMPTS, EXAMPLES = (".txt", ".jsonl", ".csv"), (".jsonl", ".csv")
MOST_BYTES = 20 * 2**20
"""Of a file of prompts or examples that a page names."""
MOST_ENTRIES = 10_000
"""Of a folder that a page names."""
MOST_CHARACTERS = 4096
"""Of a path, as the kernel has it."""
TEXT = (".txt", ".jsonl", ".json", ".csv")
"""Files of a folder of data that are no larger than a file of prompts; readers take them line by line, and a line may be all of it."""
SYSTEM = tuple(map(Path, ("/dev", "/proc", "/run", "/sys")))
HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
CODE = "Task files of the harness may carry code, so no page reads them. Give their folder in a terminal: `pkt benchmark RUN --include-path FOLDER`."


def folders() -> list[Path]:
    """Folders that a page may name things in, the project's own and the cache among them; none in a public demo."""
    if limits.demo():
        return []
    named = os.environ.get("PKT_FOLDERS")
    chosen = [Path(one) for one in named.split(os.pathsep) if one] if named is not None else usual()
    assets = Path(__file__).resolve().parents[1] / "assets"
    return [one.expanduser().resolve() for one in (*chosen, assets, cache_root())]


def usual() -> list[Path]:
    """The home and the folder one starts in, where these are not all of the machine, and what the hub's library keeps."""
    hub = os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or "~/.cache/huggingface", "hub")
    return [one for one in (Path.home(), Path.cwd()) if one != Path(one.anchor)] + [Path(hub)]


def place_of(name: str) -> Path:
    """Where a path leads, links followed; something may be there or not.

    Raises PathError, with the same sentence whatever is there, where that is outside the folders that a page may read. Folders and
    files whose names begin with a dot are outside, unless they are allowed themselves: keys and tokens lie there.
    """
    if "\0" in name or len(name) > MOST_CHARACTERS:
        raise PathError(f"Got {name[:100]!r}, which cannot be a path. Check its spelling.")
    home = name.startswith("~") and name[1:2] not in ("", "/")  # another user's, who is there or not
    if not home:
        place = Path(os.path.realpath(os.path.expanduser(name)))
        inside = [place.relative_to(folder) for folder in folders() if place.is_relative_to(folder)]
        visible = any(not any(part.startswith(".") for part in one.parts) for one in inside)
        if visible and not any(place.is_relative_to(system) for system in SYSTEM):
            return place
    raise PathError(
        f"Got {name[:200]!r}, which is outside the folders that this app may read. Start it with `pkt app --allow FOLDER`, or with "
        "PKT_FOLDERS set, to allow more."
    )


def file(name: str, suffixes: Sequence[str]) -> bytes:
    """What a file holds that a page names. Raises PathError where it may not be read, is missing, no regular file or too large."""
    place = place_of(name)
    if place.suffix.lower() not in suffixes:
        raise PathError(f"{name[:200]} ends in {place.suffix or 'nothing'}; expected {' or '.join(suffixes)}.")
    return read_regular(place, MOST_BYTES)


def folder(name: str, *, deep: bool) -> Path:
    """A folder that a page names; `deep`: what is in its folders counts too. A missing one is left to whoever reads it.

    Raises PathError where it may not be read, is no folder, or holds what may not be read: a pipe or device, a link that
    leads out of the folders that may be read, too much.
    """
    place, seen = place_of(name), 0
    try:
        if not stat.S_ISDIR(os.stat(place).st_mode):
            raise PathError(f"{name[:200]} is no folder; expected one. Give the path of a folder.")
        for at, inner, files in os.walk(place):
            for one in (*inner, *files):
                require_plain(Path(at, one), name, sized=deep)
            if (seen := seen + len(inner) + len(files)) > MOST_ENTRIES:
                raise PathError(
                    f"{name[:200]} holds over {MOST_ENTRIES:,} files. Give the folder that holds no others."
                )
            if not deep:
                break
    except FileNotFoundError:
        return place
    except OSError as error:
        raise PathError(
            f"{name[:200]} could not be read ({error.strerror}). Check the path and its permissions."
        ) from error
    return place


def require_plain(entry: Path, name: str, *, sized: bool) -> None:
    """Raises PathError where something in a folder is neither a regular file nor a folder, or a link that leads out.

    `sized`: also where it is text and too large.
    """
    status = os.lstat(entry)
    if stat.S_ISLNK(status.st_mode):
        try:
            place_of(os.path.realpath(entry))
            status = os.stat(entry)
        except (PathError, OSError) as error:
            raise PathError(
                f"{name[:200]} holds the link {entry.name[:80]!r}, which leads nowhere or outside the folders that this app may read. Replace it by a copy."
            ) from error
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise PathError(f"{name[:200]} holds {entry.name[:80]!r}, which is no regular file. Take it away.")
    if sized and entry.suffix.lower() in TEXT and status.st_size > MOST_BYTES:
        raise PathError(
            f"{name[:200]} holds {entry.name[:80]!r} of {status.st_size / 2**20:.0f} MiB; at most {MOST_BYTES >> 20} are read of a file that a "
            "page names. Split it, or work in a terminal."
        )


def own(path: Path) -> bytes:
    """What a file of the project's own holds. Raises PathError where it is missing."""
    return read_regular(path, 2**30)


def model(name: str) -> None:
    """Raises PathError where a model's name is a folder that a page may not name."""
    if name and not name.startswith("demo:"):
        if not is_hub_id(name):
            folder(name, deep=False)
        limits.require_here("has its own pair of models only")


def prompts(name: str) -> None:
    """Raises PathError where prompts are a file or a folder of a data set that a page may not name, PromptError for a wrong spelling."""
    from pkt_core.data.hub_datasets import PREFIX, source_of
    from pkt_core.data.prompts import bundled
    from pkt_core.data.row_files import KEPT

    if name.startswith(PREFIX):
        source = source_of(name)
        if not is_hub_id(source.name):
            folder(source.name, deep=True)
        limits.require_here("has its own prompts only, and yours")
    elif name and not name.startswith(KEPT) and name not in bundled():
        file(name, PROMPTS)


def examples(name: str) -> None:
    """Raises PathError where examples are a file that a page may not name."""
    from pkt_core.data.examples import bundled
    from pkt_core.data.row_files import KEPT

    if name and not name.startswith(KEPT) and name not in bundled():
        file(name, EXAMPLES)


def is_hub_id(name: str) -> bool:
    """Whether a name means something on the hub: it is spelt so, and nothing here has it, which libraries would take first."""
    return HUB_ID.fullmatch(name) is not None and name.strip(".") != "" and not os.path.lexists(name)


DOORS: dict[str, Callable[[str], object]] = {
    **dict.fromkeys(("teacher", "student", "name"), model),
    **dict.fromkeys(("prompts", "general"), prompts),
    **dict.fromkeys(("data", "tasks", "task"), examples),
}
"""Fields of requests and plans that may name a file or folder, and what they may name."""


def require_allowed(request: Any) -> None:
    """Raises PathError for the first name in a request or plan, however deep, that may not be opened."""
    for field, name in names_in(request):
        DOORS[field](name)


def require_benchmark(tasks: Sequence[str], *, include: str | None, data: str | None) -> None:
    """The same of a request for a benchmark, whose data are a folder and whose tasks the harness's too."""
    for name in tasks:
        if Path(name).suffix.lower() in EXAMPLES:
            examples(name)
    if include:
        raise PathError(CODE)
    if data:
        folder(data, deep=True)


def names_in(request: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a request that may name a file or folder, with its field."""
    if isinstance(request, str):
        if field in DOORS:
            yield field, request
    elif isinstance(request, dict):
        for key, value in request.items():
            yield from names_in(value, key)
    elif isinstance(request, list | tuple):
        for value in request:
            yield from names_in(value, field)
