"""An index of runs, kept beside them: the content of their files when last read, so that a list of a thousand opens none.

The folders stay the truth. Each line carries the stamp of the files that it was read from and is passed over where that differs;
an index that is lost, damaged or held by another process costs time and nothing else.

Not covered: the content of a line, and which stamps are compared (`runs/folder.py`).
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

NAME = ".index.sqlite"  # no run can have this name
WAIT_SECONDS = 0.2
"""For another process that writes; then the list is read from the folders."""


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, timeout=WAIT_SECONDS)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # what a power cut takes is read from the folders again
        with connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS lines (run TEXT PRIMARY KEY, stamp TEXT, line TEXT, sum INTEGER)"
            )
            yield connection


def known(root: Path) -> dict[str, tuple[str, str]]:
    """Stamp and line of each run of the folder of runs, by its name; empty where there is no index that can be read."""
    if not (root / NAME).is_file():
        return {}
    try:
        with _opened(root / NAME) as index:
            rows = index.execute("SELECT run, stamp, line, sum FROM lines").fetchall()
        return {run: (stamp, line) for run, stamp, line, checksum in rows if checksum == _sum(run, stamp, line)}
    except (sqlite3.Error, AttributeError, TypeError, UnicodeError) as error:
        if getattr(error, "sqlite_errorcode", None) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            with suppress(OSError):  # damaged, or of another version: the next list writes a new one
                (root / NAME).unlink()
        return {}


def keep(root: Path, lines: Mapping[str, tuple[str, str]], runs: frozenset[str]) -> None:
    """Add stamps and lines by run, and drop all runs but `runs`. Where that cannot be done now, the next list does it."""
    rows = [(run, stamp, line, _sum(run, stamp, line)) for run, (stamp, line) in lines.items()]
    with suppress(sqlite3.Error), _opened(root / NAME) as index:
        index.executemany("INSERT OR REPLACE INTO lines VALUES (?, ?, ?, ?)", rows)
        there = {run for (run,) in index.execute("SELECT run FROM lines")}
        index.executemany("DELETE FROM lines WHERE run = ?", [(run,) for run in there - runs])


def _sum(run: str, stamp: str, line: str) -> int:
    """A checksum: a flipped bit must not become a wrong number on a page."""
    return zlib.crc32("\0".join((run, stamp, line)).encode())
