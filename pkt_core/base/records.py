"""Results as frozen dataclasses, to JSON and back: what was stored or crosses a process border is checked, field by field.

A record needs no method of its own for this. Not-a-number and infinities travel as Python's JSON writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from pkt_core.errors import StoreError

T = TypeVar("T")


_adapters: dict[Any, Any] = {}
"""Pydantic's adapter of each kind, made once."""


def _adapter(kind: Any) -> Any:
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def to_json(record: Any, *, sparse: bool = False) -> dict[str, Any]:
    """A record as plain dicts, lists, texts and numbers; `sparse`: without the fields that hold their defaults."""
    plain: dict[str, Any] = _adapter(type(record)).dump_python(record, mode="json", exclude_defaults=sparse)
    return plain


def from_json(kind: type[T], data: Any, what: str) -> T:
    """The record of a kind that `to_json` gave. Raises StoreError in one sentence for a missing, unknown or odd field.

    what: names the source in that sentence, such as a file or a stored result.
    """
    try:
        record: T = _adapter(kind).validate_python(data)
    except (ValidationError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": ("depth",), "msg": "too deep"}
        where = ".".join(map(str, first["loc"]))[:80]
        raise StoreError(
            f"{what} is not a valid {kind.__name__} of this version ({where}: {first['msg'][:120]}). Compute it again, or use the version that wrote it."
        ) from error
    if (unknown := _unknown(record, data)) is not None:
        raise StoreError(
            f"{what} has the field {unknown!r}, which {kind.__name__} of this version does not have. Use the version that wrote it."
        )
    return record


def _derived(record: Any, name: str) -> bool:
    """Whether a record works this value out from its fields, so that what was stored of it may be passed over."""
    return isinstance(getattr(type(record), name, None), property)


def _unknown(record: Any, data: Any, where: str = "") -> str | None:
    """The first field, however deep, that the record did not take: pydantic passes over it in silence."""
    if is_dataclass(record) and isinstance(data, Mapping):
        names = {one.name for one in fields(record)}
        if extra := sorted(name for name in map(str, set(data) - names) if not _derived(record, name)):
            return f"{where}{extra[0]}"
        below = [(name, getattr(record, name), data[name]) for name in names if name in data]
    elif isinstance(record, Mapping) and isinstance(data, Mapping):
        below = [(str(key), record[key], data[key]) for key in record if key in data]
    elif (
        isinstance(record, list | tuple)
        and isinstance(data, list | tuple)
        and record
        and not isinstance(record[0], float | int | str)
    ):
        below = [(str(i), *pair) for i, pair in enumerate(zip(record, data, strict=False))]
    else:
        return None
    return next(filter(None, (_unknown(inner, value, f"{where}{name}.") for name, inner, value in below)), None)
