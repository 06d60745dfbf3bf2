"""How results are named: by everything that could change them. Brings no torch along, so that pages can name what they ask for.

Not covered: where results lie (`base/store.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def fingerprint(**parts: Any) -> str:
    """Name of everything that could change a result: 32 hexadecimal digits, equal in every process and on every machine.

    Takes str, int, float, bool, None, pydantic models, and lists, tuples and dicts (keyed by str) of these. The order of
    dict keys does not matter; types do (`1`, `1.0`, `"1"` and `True` are four things, a tuple counts as a list).
    Pass the version constant of the code that computes the result as one of the parts.
    Raises TypeError for anything else, such as a tensor: name what it was made from instead.
    """
    text = json.dumps(_canonical(parts), separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


def _canonical(value: Any) -> Any:
    """Nested JSON lists whose first element names the type, so that no two different values read the same."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, BaseModel):
        return ["model", type(value).__name__, _canonical(dict(value))]
    if isinstance(value, list | tuple):
        return ["list", *(_canonical(item) for item in value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return ["dict", *([key, _canonical(value[key])] for key in sorted(value))]
    raise TypeError(f"A fingerprint takes plain values and pydantic models, got {type(value).__name__}.")
