"""Rows of a user's file: .txt (a text a line), .jsonl (an object a line) or .csv (a table with a heading).

Prompts and examples are both read here, so that a file is read right in both or refused in one sentence that names the line. A
line ends in LF or CRLF and nowhere else: U+2028, U+0085 and form feed are characters of a text. A carriage return alone is
refused outside quoted cells and JSON strings, because half of all programs take it for the end of a line.

Not covered: which fields a row needs (`data/prompt_files.py` for prompts, `data/examples.py` for examples).
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pkt_core.base.files import read_regular
from pkt_core.errors import PathError, PromptError

SUFFIXES = (".txt", ".jsonl", ".csv")
KEPT = "kept:"
MOST_BYTES = 50 * 2**20  # of a file; far more than both models would read in an hour
MOST_CHARACTERS = 10**6  # of one text; a model reads some thousands and would cut the rest off
MOST_LEVELS = 100  # of a nested JSON value; Python itself gives up at some hundreds
MARKS = {  # the longer first: UTF-32 in little-endian order begins as UTF-16 does
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
QUOTED = re.compile(r'"[^"]*+(?:""[^"]*+)*+"')  # a whole quoted cell
SURROGATE = re.compile("[\ud800-\udfff]")
CELL_END = re.compile(r",|\r?\n|$")

Row = dict[str, Any]


def shown(name: str) -> str:
    """How prompts or examples are named on screen: a kept copy by the name of the file that was kept, others as they are."""
    return re.sub(rf"^{KEPT}(.+)-[0-9a-f]{{16}}(\.\w+)?$", r"\1\2", name)


def stem_of(file_name: str, otherwise: str) -> str:
    """The part of a kept copy's name that identifies the original file: letters, digits, lines; `otherwise` where none is left."""
    return re.sub(r"\W+", "-", Path(file_name).stem, flags=re.ASCII).strip("-")[:40] or otherwise


def exists(name: str) -> bool:
    """Whether anything lies at a path; no exception, whatever the name is."""
    return os.path.exists(os.path.expanduser(name))


def read_file(path: str | Path, most_bytes: int = MOST_BYTES) -> bytes:
    """The bytes of a file named by the user. Raises PromptError where it is no readable regular file or has too many."""
    try:
        return read_regular(Path(os.path.expanduser(path)), most_bytes)
    except PathError as error:
        raise PromptError(str(error)) from error


def read_kept(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """The bytes of a kept copy, whose name ends in the digest of what was kept. Raises PromptError where it holds anything else."""
    data = read_file(path, most_bytes)
    if hashlib.sha256(data).hexdigest()[:16] != path.stem.rpartition("-")[2]:
        raise PromptError(
            f"The kept copy {path.name} is damaged: it differs from what was uploaded. Delete it and upload the file again."
        )
    return data


def read_rows(name: str, suffix: str, data: bytes) -> list[tuple[int, Row]]:
    """Each row with the number of the line in which it begins; blank lines are left out. `name` is what to call the file.

    A .txt gives rows with `text`, cells of a .csv are text, and its columns without a heading are left out. Raises PromptError in one
    sentence for whatever could only be read wrongly.
    """
    if suffix not in SUFFIXES:
        raise PromptError(f"{name} ends in {suffix or 'nothing'}; expected .txt, .jsonl or .csv.")
    text = decode(name, data)
    if suffix == ".txt":
        return [(number, {"text": line}) for number, line in text_lines(name, text)]
    return list(csv_rows(name, text) if suffix == ".csv" else json_rows(name, text))


def decode(name: str, data: bytes) -> str:
    """UTF-8 text, a byte order mark at its start left out. Raises PromptError for other encodings."""
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            raise PromptError(f"{name} could not be read as UTF-8 text: it is {encoding}. Save it as UTF-8.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise PromptError(f"{name}, line {number}, could not be read as UTF-8 text. Save the file as UTF-8.") from error
    if "\0" in text:
        number = text[: text.index("\0")].count("\n") + 1
        raise PromptError(
            f"{name}, line {number}, holds a NUL byte; a text has none, but UTF-16 is full of them. Save the file as UTF-8."
        )
    if second := re.search(r"(?:^|\n)\ufeff", text):
        number = text[: second.end()].count("\n") + 1
        raise PromptError(
            f"{name}, line {number}, begins with a byte order mark, as where files were joined. Delete that invisible character."
        )
    return text


def text_lines(name: str, text: str) -> Iterator[tuple[int, str]]:
    """Each line that is not blank, with its number from 1. Raises PromptError for a carriage return that ends no line."""
    odd = "\0" in text or SURROGATE.search(text)  # only where it was pasted
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if "\r" in line:
            raise PromptError(
                f"{name}, line {number}, holds a carriage return that ends no line; expected lines that end in LF or CRLF. "
                "Save it with those."
            )
        if line.strip():
            if odd or len(line) > MOST_CHARACTERS:
                require_texts(f"{name}, line {number},", line)
            yield number, line


def json_rows(name: str, text: str) -> Iterator[tuple[int, Row]]:
    """The object of each line that is not blank."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{name}, line {number},"
        try:
            row = json.loads(line, object_pairs_hook=without_doubles)
        except RecursionError as error:
            raise PromptError(
                f"{where} is nested too deep; expected at most {MOST_LEVELS} levels. Flatten it."
            ) from error
        except json.JSONDecodeError as error:
            raise PromptError(
                f"{where} is not JSON ({error.msg}); expected one object on each line. Fix that line."
            ) from error
        except PromptError as error:
            raise PromptError(f"{where} {error}") from error
        except ValueError as error:
            raise PromptError(
                f"{where} holds a number of thousands of digits; expected shorter ones. Write it as text."
            ) from error
        if not isinstance(row, dict):
            raise PromptError(f"{where} is JSON but not an object; expected one object on each line. Fix that line.")
        if "\\u" in line or len(line) > MOST_CHARACTERS or line.count("[") + line.count("{") > MOST_LEVELS:
            require_texts(where, row)  # in no other line can anything be wrong
        yield number, row


def without_doubles(pairs: list[tuple[str, Any]]) -> Row:
    """An object of JSON. Raises PromptError where a key stands in it twice: Python would silently take the last one."""
    row = dict(pairs)
    if len(row) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise PromptError(f"names {twice[:40]!r} twice in one object. Keep one of the two.")
    return row


def csv_rows(name: str, text: str) -> Iterator[tuple[int, Row]]:
    """The rows of a table by their headings; a quoted cell may hold several lines. Every row has a cell for every heading."""
    if len(text) > csv.field_size_limit():
        csv.field_size_limit(len(text))  # of the whole process; how long a text may be is checked below
    lines = text.split("\n")
    reader = csv.reader((line + "\n" for line in lines), strict=True)
    heading: list[str] = []
    first = 1  # line of the row that is being read
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise PromptError(f"{name}, {broken_row(lines, first)}") from error
        number, first = first, reader.line_num + 1
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        if not heading:
            heading = cells
            named = [cell for cell in heading if cell]
            if twice := next((one for i, one in enumerate(named) if one in named[:i]), None):
                raise PromptError(f"{name}, line {number}, has two columns called {twice[:40]!r}. Rename one of them.")
            continue
        if any(cells[len(heading) :]):
            raise PromptError(
                f"{name}, line {number}, has {len(cells)} cells, but the heading has {len(heading)}. Put a text with commas in "
                'double quotes: "like, this".'
            )
        if len(cells) < len(heading):
            raise PromptError(
                f"{name}, line {number}, lacks the column {heading[len(cells)][:40]!r}: it has {len(cells)} cells, but the heading "
                f"has {len(heading)}. Add the missing ones, empty if need be."
            )
        if max(map(len, cells)) > MOST_CHARACTERS:
            require_texts(f"{name}, line {number},", cells)
        yield number, {key: cell for key, cell in zip(heading, cells, strict=False) if key}


def broken_row(lines: list[str], first: int) -> str:
    """What is wrong with the row that begins in line `first`, by line: a quoted cell that does not end where it should, or a line."""
    row, place = "\n".join(lines[first - 1 :]), 0

    def line(place: int) -> int:
        return first + row[:place].count("\n")

    while row[place : place + 1] == '"':
        quoted = QUOTED.match(row, place)
        if quoted is None:
            return f'line {line(place)}, begins a quoted cell that is never closed. Close it, or double a quote that is meant: "".'
        end = CELL_END.match(row, quoted.end())
        if end is None:
            return (
                f"line {line(place)}, begins a quoted cell with text behind its closing quote in line {line(quoted.end())}. Put a "
                'comma there, or double a quote that is meant: "".'
            )
        place = end.end()
    return f"line {line(place)}, holds a carriage return that ends no line; expected lines that end in LF or CRLF. Save it with those."


def require_texts(where: str, value: Any, level: int = 0) -> None:
    """Raises PromptError where a text inside is too long or cannot be written as UTF-8, or the value is nested too deep."""
    if isinstance(value, str):
        if len(value) > MOST_CHARACTERS:
            raise PromptError(
                f"{where} holds a text of {len(value):,} characters; expected at most {MOST_CHARACTERS:,}. Cut it into several."
            )
        if SURROGATE.search(value):
            raise PromptError(
                f"{where} holds half of a surrogate pair, which is no character (such as \\ud83d without its other half). "
                "Write the whole character."
            )
        if "\0" in value:
            raise PromptError(f"{where} holds the character NUL (\\u0000), which no text has. Delete it.")
    elif level > MOST_LEVELS:
        raise PromptError(f"{where} is nested too deep; expected at most {MOST_LEVELS} levels. Flatten it.")
    elif isinstance(value, dict):
        for key, inner in value.items():
            require_texts(where, key)
            require_texts(where, inner, level + 1)
    elif isinstance(value, list):
        for inner in value:
            require_texts(where, inner, level + 1)
