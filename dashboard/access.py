"""Which files a page may open: one check for every path that a page, a link or a form can name.

A name is resolved as the core resolves it (a bundled set, a stored copy, a hub id), and is a path where it is none of these. A path
must lead, symbolic links followed, into a folder that the app may read. Only then is its existence checked, so that no answer reveals
what lies elsewhere. A file must be regular, of a supported suffix and of limited size; a folder may hold only such files and folders.
The allowed folders are a setting of the process (`PKT_FOLDERS`), so no link can change them.

Not covered: limits of a public demo (`limits.py`), which requests are answered at all (`hosts.py`).
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
"""Size of a file of prompts or examples that a page names."""
MOST_ENTRIES = 10_000
"""Files and folders in a folder that a page names."""
MOST_CHARACTERS = 4096
"""Length of a path; the limit of the kernel."""
TEXT = (".txt", ".jsonl", ".json", ".csv")
"""Text files in a folder of data, limited to the size of a file of prompts: readers go line by line, and one line may be the whole file."""
SYSTEM = tuple(map(Path, ("/dev", "/proc", "/run", "/sys")))
HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
CODE = "The harness's task files may contain code, so no page reads them. Pass their folder in a terminal: `pkt benchmark RUN --include-path FOLDER`."


def folders() -> list[Path]:
    """Folders that pages may read, including the project's assets and the cache; none in a public demo."""
    if limits.demo():
        return []
    named = os.environ.get("PKT_FOLDERS")
    chosen = [Path(one) for one in named.split(os.pathsep) if one] if named is not None else usual()
    assets = Path(__file__).resolve().parents[1] / "assets"
    return [one.expanduser().resolve() for one in (*chosen, assets, cache_root())]


def usual() -> list[Path]:
    """The home and working folders, unless one is the root of the file system, and the cache of the hub's library."""
    hub = os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or "~/.cache/huggingface", "hub")
    return [one for one in (Path.home(), Path.cwd()) if one != Path(one.anchor)] + [Path(hub)]


def place_of(name: str) -> Path:
    """The target of a path, symbolic links followed; it need not exist.

    Raises PathError for a target outside the allowed folders, with the same sentence whether it exists or not. Hidden folders and files
    (names that begin with a dot) count as outside unless they are allowed themselves, because keys and tokens are kept there.
    """
    if "\0" in name or len(name) > MOST_CHARACTERS:
        raise PathError(f"Got {name[:100]!r}, which cannot be a path. Check its spelling.")
    home = name.startswith("~") and name[1:2] not in (
        "",
        "/",
    )  # another user's home: whether that user exists stays undisclosed
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
    """The content of a file that a page names. Raises PathError where it may not be read, is missing, not regular or too large."""
    place = place_of(name)
    if place.suffix.lower() not in suffixes:
        raise PathError(f"{name[:200]} ends in {place.suffix or 'nothing'}; expected {' or '.join(suffixes)}.")
    return read_regular(place, MOST_BYTES)


def folder(name: str, *, deep: bool) -> Path:
    """A folder that a page names; `deep`: its subfolders are checked too. A missing folder is left to its reader.

    Raises PathError where it may not be read, is no folder, or holds too many files, a pipe or device, or a link that
    leads out of the allowed folders.
    """
    place, seen = place_of(name), 0
    try:
        if not stat.S_ISDIR(os.stat(place).st_mode):
            raise PathError(f"{name[:200]} is no folder; expected a folder. Give the path of one.")
        for at, inner, files in os.walk(place):
            for one in (*inner, *files):
                require_plain(Path(at, one), name, sized=deep)
            if (seen := seen + len(inner) + len(files)) > MOST_ENTRIES:
                raise PathError(
                    f"{name[:200]} holds over {MOST_ENTRIES:,} files, the most that a page reads. Give a folder with only the files needed."
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
    """Raises PathError for an entry that is neither a regular file nor a folder, or a link that leads out of the allowed folders.

    `sized`: also for a text file that is too large.
    """
    status = os.lstat(entry)
    if stat.S_ISLNK(status.st_mode):
        try:
            place_of(os.path.realpath(entry))
            status = os.stat(entry)
        except (PathError, OSError) as error:
            raise PathError(
                f"{name[:200]} holds the link {entry.name[:80]!r}, which is broken or leads outside the folders that this app may read. Replace it by a copy."
            ) from error
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise PathError(f"{name[:200]} holds {entry.name[:80]!r}, which is no regular file. Remove it.")
    if sized and entry.suffix.lower() in TEXT and status.st_size > MOST_BYTES:
        raise PathError(
            f"{name[:200]} holds {entry.name[:80]!r} of {status.st_size / 2**20:.0f} MiB; pages read files of at most {MOST_BYTES >> 20} "
            "MiB. Split it, or work in a terminal."
        )


def own(path: Path) -> bytes:
    """The content of one of the project's own files. Raises PathError where it is missing."""
    return read_regular(path, 2**30)


def model(name: str) -> None:
    """Raises PathError where a model's name is a folder that pages may not read."""
    if name and not name.startswith("demo:"):
        if not is_hub_id(name):
            folder(name, deep=False)
        limits.require_here("offers its own pair of models only")


def prompts(name: str) -> None:
    """Raises PathError where prompts are a file or a folder that pages may not read, PromptError for a misspelt data set."""
    from pkt_core.data.hub_datasets import PREFIX, source_of
    from pkt_core.data.prompts import bundled
    from pkt_core.data.row_files import KEPT

    if name.startswith(PREFIX):
        source = source_of(name)
        if not is_hub_id(source.name):
            folder(source.name, deep=True)
        limits.require_here("offers its own prompts only, and those you upload")
    elif name and not name.startswith(KEPT) and name not in bundled():
        file(name, PROMPTS)


def examples(name: str) -> None:
    """Raises PathError where examples are a file that pages may not read."""
    from pkt_core.data.examples import bundled
    from pkt_core.data.row_files import KEPT

    if name and not name.startswith(KEPT) and name not in bundled():
        file(name, EXAMPLES)


def is_hub_id(name: str) -> bool:
    """Whether a name is a hub id: it is spelt like one, and no local path has it, which libraries would prefer."""
    return HUB_ID.fullmatch(name) is not None and name.strip(".") != "" and not os.path.lexists(name)


DOORS: dict[str, Callable[[str], object]] = {
    **dict.fromkeys(("teacher", "student", "name"), model),
    **dict.fromkeys(("prompts", "general"), prompts),
    **dict.fromkeys(("data", "tasks", "task"), examples),
}
"""Fields of requests and plans that may name a file or folder, with the check for each."""


def require_allowed(request: Any) -> None:
    """Raises PathError for the first name in a request or plan, however deep, that may not be opened."""
    for field, name in names_in(request):
        DOORS[field](name)


def require_benchmark(tasks: Sequence[str], *, include: str | None, data: str | None) -> None:
    """The same for a benchmark request: its data are a folder, and its tasks may be the harness's."""
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
