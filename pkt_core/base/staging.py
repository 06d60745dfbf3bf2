"""What is written is built beside its place and moved there when whole; what killed processes left beside is swept away.

The name of such a file or folder identifies its owner: `.<name>.<machine>-<process>-<start>-<chance>`. So any process can check
whether its owner still writes.

Not covered: what is written (`base/files.py`, `base/store.py`, `transfer/`).
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

_NAME = re.compile(r"\..+\.(?P<machine>[0-9a-f]{6})-(?P<pid>\d{1,9})-(?P<start>\d{1,12})-[0-9a-f]{8}")
_FORMER = re.compile(r"\.(.+\.[0-9a-f]{8}(\.tmp)?|new-.+-[0-9a-f]{4}|deleted-.+-[0-9a-f]{4})")
"""Names that earlier versions gave, which do not identify their owner."""
LONG_SECONDS = 24 * 3600.0
"""Age at which leftovers are swept whose owner cannot be checked (on another machine, or not named)."""
CLOCK_SECONDS = 30
"""How far two readings of one process's start may differ, because the system clock is adjusted."""


def beside(path: Path) -> Path:
    """A new name in the folder of `path`, hidden, that marks this process as its writer."""
    pid = os.getpid()
    return path.with_name(f".{path.name}.{_machine()}-{pid}-{_own_start(pid)}-{secrets.token_hex(4)}")


def move_over(staging: Path, folder: Path) -> None:
    """Rename a complete folder to its final name, replacing what is there, also when others do the same; durable when it returns."""
    former = beside(folder)
    try:
        while True:
            try:
                os.rename(staging, folder)
                break
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
            with suppress(FileNotFoundError):
                os.rename(folder, former)
            shutil.rmtree(former, ignore_errors=True)
    finally:
        shutil.rmtree(former, ignore_errors=True)
    sync_folder(folder.parent)


def sync_file(path: Path) -> None:
    """Wait until the disk has what was written to a file by library code."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder: a file that was renamed is not there after a power cut before."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems without it, which do not need it
            raise
    finally:
        os.close(handle)


def sweep(root: Path) -> list[Path]:
    """Remove what processes that are gone left half-written in a folder, as deep as a run's student lies; returns what that was."""
    gone = [path for path in _hidden(root, 3) if _abandoned(path)]
    for path in gone:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
    return gone


def _hidden(folder: Path, deeper: int) -> Iterator[Path]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            yield Path(entry.path)
        elif deeper:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    yield from _hidden(Path(entry.path), deeper - 1)


def _abandoned(path: Path) -> bool:
    """Whether a hidden name is one of ours whose owner is gone."""
    if (named := _NAME.fullmatch(path.name)) is not None and named["machine"] == _machine():
        start = _start(int(named["pid"]))
        return start is None or abs(start - int(named["start"])) > CLOCK_SECONDS
    if named is None and _FORMER.fullmatch(path.name) is None:
        return False
    try:
        return time.time() - path.lstat().st_mtime > LONG_SECONDS
    except OSError:
        return False


@functools.cache
def _machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


@functools.lru_cache(maxsize=1)
def _own_start(pid: int) -> int:
    """Of this process, which does not change; keyed by process number, as a fork is another."""
    return _start(pid) or 0


def _start(pid: int) -> int | None:
    """When a living process began, seconds since 1970; None where there is none."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time())
    except (psutil.Error, ValueError, OverflowError):
        return None
