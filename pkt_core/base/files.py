"""How a file is written so that it is whole or absent, and locked; where the cache lies; the errors of a failing disk.

Imports nothing heavy, so that a page may list runs without loading torch.

Not covered: what the files mean (`base/store.py` for artefacts, `runs/folder.py` for runs).
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pkt_core.base.staging import beside, sync_folder
from pkt_core.errors import PathError, StoreError

MOST_JSON = 2**28
"""Bytes of a JSON file that are read; what is larger was not written here."""


def cache_root() -> Path:
    """Folder of artefacts and runs: PKT_CACHE, else `cache/` of a writable checkout, else `~/.cache/pkt`. May not exist yet."""
    chosen = os.environ.get("PKT_CACHE", "").strip()
    if chosen:
        return Path(chosen).expanduser().resolve()
    repository = Path(__file__).resolve().parents[2]
    cache = repository / "cache"
    if (repository / "pyproject.toml").is_file() and os.access(cache if cache.exists() else repository, os.W_OK):
        return cache
    return Path.home() / ".cache" / "pkt"


@contextmanager
def told_clearly(path: Path) -> Iterator[None]:
    """Turns an OSError inside into a StoreError: what happened to `path`, and what to do."""
    try:
        yield
    except FileNotFoundError as error:
        raise StoreError(f"{path} is missing. Restore it from a copy, or compute it again.") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                f"The disk is full: {path} could not be written. Free some space, or set PKT_CACHE to a larger disk."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreError(
                f"No permission for {path}; expected a folder you may read and write. Set PKT_CACHE to such a folder."
            ) from error
        raise StoreError(
            f"{path} could not be read or written ({error.strerror or error}). Check the disk, or set PKT_CACHE to another."
        ) from error


@contextmanager
def opened_regular(path: Path, most_bytes: int | None = None) -> Iterator[BufferedReader]:
    """A regular file named by the user, opened for reading, symlinks followed.

    Nothing is read, and nothing waited for, where the path is a folder, FIFO, device, socket or loop of links, or holds more
    than `most_bytes`: those raise PathError in one sentence, as do missing and unreadable files.
    """
    try:
        _require_regular(path, os.stat(path), most_bytes)
        # Looked at twice: what lies there may have been exchanged in between; O_NONBLOCK so that a FIFO cannot hold us up.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb") as file:
            _require_regular(path, os.fstat(file.fileno()), most_bytes)
            yield file
    except FileNotFoundError as error:
        raise PathError(f"There is no file {str(path)[:200]}. Check its spelling.") from error
    except ValueError as error:  # a null in the name
        raise PathError(f"Got {str(path)[:200]!r}, which cannot be a path ({error}). Check its spelling.") from error
    except OSError as error:
        raise PathError(
            f"{str(path)[:200]} could not be read ({error.strerror or error}). Check the path and its permissions."
        ) from error


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The bytes of a regular file named by the user. Raises PathError as `opened_regular` does."""
    with opened_regular(path, most_bytes) as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:  # it grew meanwhile
        raise PathError(f"{path} is larger than {most_bytes / 2**20:.0f} MiB, the limit. Give a smaller file.")
    return data


def _require_regular(path: Path, status: os.stat_result, most_bytes: int | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "pipe, device or socket"
        raise PathError(f"{path} is a {kind}; expected a regular file. Give the path of a file.")
    if most_bytes is not None and status.st_size > most_bytes:
        raise PathError(
            f"{path} has {status.st_size / 2**20:.0f} MiB, at most {most_bytes / 2**20:.0f} are read. Give a smaller file."
        )


def lock(path: Path, *, wait: bool) -> FileLock | None:
    """The kernel's lock on a file, which is made where it is missing; None where another holds it and this is not to wait.

    It ends with `release`, or with the process, however that ends. Raises StoreError where the file cannot be made.
    """
    file_lock = FileLock(path, thread_local=False)
    with told_clearly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file_lock.acquire(timeout=-1 if wait else 0)
        except Timeout:  # an OSError, but no fault of the disk
            return None
    return file_lock


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace the file at `path`, or leave it as it was: readers see the old content or the new, never a part.

    `durable` also waits until the disk has it and its name (some milliseconds), so that it survives a power cut; a status that is
    written at every training step passes False. Raises StoreError where the disk is full or the folder not writable.
    """
    temporary = beside(path)
    with told_clearly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            os.replace(temporary, path)
            if durable:
                sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode("utf-8"), durable=durable)


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """`write_bytes` of indented JSON. NaN and infinities are kept as Python writes them. TypeError for what JSON cannot hold."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n", durable=durable)


def read_json(path: Path, most_bytes: int = MOST_JSON) -> Any:
    """What `write_json` wrote. Raises StoreError where the file is missing, unreadable, too large or damaged."""
    return parsed(path, read_file(path, most_bytes))


def read_file(path: Path, most_bytes: int) -> bytes:
    """The bytes of a file written here. Raises StoreError where it is missing, unreadable, too large or no regular file."""
    with told_clearly(path):
        os.stat(path)  # a missing file is reported as missing
    try:
        return read_regular(path, most_bytes)
    except PathError as error:
        raise StoreError(f"{path} is damaged: {error}") from error


def parsed(path: Path, data: bytes) -> Any:
    """JSON from the bytes of a file. Raises StoreError that names the file."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is damaged: expected JSON. Delete it, or restore it from a copy.") from error
