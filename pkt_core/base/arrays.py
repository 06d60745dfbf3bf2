"""Numbers in rows and tables as fields of a record: NumPy in the program, nested lists in JSON.

Apart from `records.py`, which commands import that never see an array. A record with such a field compares by identity
(`eq=False`), because `==` of arrays is elementwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


def array(values: Any) -> NDArray[np.float64]:
    """A copy of a tensor, an array or nested lists in float64, with not-a-number for None. Raises ValueError for anything else."""
    try:
        return np.array(values.tolist() if hasattr(values, "tolist") else values, dtype=np.float64)
    except TypeError as error:
        raise ValueError("no table of numbers") from error


def lists(values: Any) -> Any:
    """Nested lists of a tensor or an array, with None for what is not a number: JSON has no NaN."""

    def each(value: Any) -> Any:
        return [each(v) for v in value] if isinstance(value, list) else value if value == value else None

    return each(values.tolist())


def rounded(table: Any) -> list[list[float]]:
    """Coordinates for a screen: six significant digits would be more than a pixel needs."""
    return [[round(value, 4) for value in row] for row in table.tolist()]


@dataclass(frozen=True)
class _Codec:
    """How pydantic reads and writes an array of so many dimensions."""

    dimensions: int

    def read(self, values: Any) -> NDArray[np.float64]:
        """The array. Raises ValueError where it has other dimensions; one without entries fits all."""
        given = array(values)
        if given.ndim != self.dimensions and given.size:
            raise ValueError(f"{given.ndim} dimensions of numbers, expected {self.dimensions}")
        return given if given.ndim == self.dimensions else given.reshape((0,) * self.dimensions)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        del source, handler
        # Their type is named, because pydantic writes infinities as null where it has to guess.
        written: CoreSchema = core_schema.nullable_schema(core_schema.float_schema())
        for _ in range(self.dimensions):
            written = core_schema.list_schema(written)
        return core_schema.no_info_plain_validator_function(
            self.read, serialization=core_schema.plain_serializer_function_ser_schema(lists, return_schema=written)
        )


Vector = Annotated[NDArray[np.float64], _Codec(1)]
"""A row of numbers."""
Table = Annotated[NDArray[np.float64], _Codec(2)]
"""Rows and columns of numbers."""
