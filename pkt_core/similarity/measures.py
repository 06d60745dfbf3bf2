"""Every similarity measure by name.

Not covered: whole grids and their null (pairwise.py), streams (fitter.py).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pkt_core.errors import MeasureError
from pkt_core.similarity.record import Measure, Reading
from pkt_core.similarity.records import RECORDS
from pkt_core.similarity.scale import near_one

__all__ = ["MEASURES", "Measure", "checked", "measure", "named", "scaled"]

MEASURES: dict[str, Measure] = {record.name: record for record in RECORDS}
STILL = 1e-10  # of the largest entry: less spread than this is rounding of a constant
NO_REALS = "cOSUMm"  # NumPy's kinds of types that are not real numbers


def as_float64(side: str, given: object) -> Tensor:
    """Any table of real numbers as a float64 tensor, whatever its strides and byte order. Raises MeasureError for what is none."""
    kind = type(given).__name__
    if isinstance(given, Tensor):
        kind = f"{str(given.dtype).removeprefix('torch.')}, {given.layout}"
        if given.layout == torch.strided and not (given.is_complex() or given.is_meta):
            return given.detach().cpu().double()
    else:
        try:
            array = np.asarray(given)
            kind = f"{kind} of {array.dtype}"
            if array.dtype.kind not in NO_REALS:
                with np.errstate(over="ignore"):  # what float64 cannot hold becomes infinite, which is reported below
                    return torch.from_numpy(np.array(array, dtype=np.float64, order="C"))
        except (TypeError, ValueError, RuntimeError):  # ragged lists, records, lists of what is no number
            pass
    raise MeasureError(
        f"The {side} activations are not a table of real numbers (got {kind}); expected a dense tensor, an array or rows of equal length."
    )


def checked(side: str, given: object) -> Tensor:
    """The matrix in float64, or MeasureError."""
    matrix = as_float64(side, given)
    if matrix.ndim != 2 or min(matrix.shape) == 0:
        raise MeasureError(
            f"The {side} activations have shape {tuple(matrix.shape)}; expected two dimensions, samples x width."
        )
    if not bool(torch.isfinite(matrix).all()):
        raise MeasureError(f"The {side} activations hold values that are not numbers. Check the model's precision.")
    return matrix


def scaled(record: Measure, matrix: Tensor) -> Tensor:
    """The matrix at a magnitude whose squares can be held, where the measure does not see magnitude."""
    return near_one(matrix) if record.scale_invariant else matrix


def varies(matrix: Tensor) -> bool:
    """Whether samples differ by more than rounding."""
    return bool((matrix - matrix[0]).abs().max() > STILL * matrix.abs().max())


def paired(record: Measure, n: int, other: int) -> None:
    """MeasureError where rows do not pair or are too few."""
    if n != other:
        raise MeasureError(f"Got {n} and {other} rows; expected the same samples on both sides.")
    if n < record.minimum_n:
        raise MeasureError(
            f"Got {n} samples; expected at least {record.minimum_n} for {record.name}{record.why_minimum}. Add prompts."
        )


def named(name: object, reading: Reading | None = None) -> Measure:
    """The record of that name, its Reading filled in. Raises MeasureError for an unknown name or a Reading that lacks."""
    if not isinstance(name, str) or name not in MEASURES:
        raise MeasureError(f"There is no measure {name!r}; expected one of {', '.join(MEASURES)}.")
    return MEASURES[name].with_reading(reading)


def measure(name: object, x: object, y: object, reading: Reading | None = None) -> float:
    """Similarity of two matrices `[n, d1]`, `[n, d2]` (torch, numpy or lists, any real type), rows paired, the teacher's first.

    Raises MeasureError for an unknown name, what is no matrix of finite real numbers, shapes that do not pair, too few rows, data
    without variance, or a missing Reading.
    """
    record = named(name, reading)
    first, second = checked("first", x), checked("second", y)
    paired(record, len(first), len(second))
    for side, matrix in (("first", first), ("second", second)):
        if not varies(matrix):
            raise MeasureError(
                f"{name} is not computable: the {side} activations do not vary over these samples. Check for constant activations."
            )
    value = record.function(scaled(record, first), scaled(record, second))
    if value != value:
        raise MeasureError(
            f"{name} is not computable from these {len(first)} samples: {record.why_not}. Add different prompts."
        )
    return value
