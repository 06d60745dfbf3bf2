"""Any measure between all teacher layers and all student layers, with its permutation null.

Each layer's own work (Grams, ranks, neighbours, bases) is done once. A null moves the prepared layers instead of preparing them
again. Held in memory: about 4 to 8 n^2 bytes a layer for most measures, a quarter of a GiB for 62 layers at n = 1024.

25 x 37 layers, n = 512, one core: 2 s for most measures, svcca 27 s, procrustes 30 s, aligned_cosine 50 to 100 s, pwcca 15 to 45 s. 200
permutations: 2 s for CKA, RSA, CCA and most neighbours, up to 35 s for the others; those four take a whole grid each time.

Not covered: streams that do not fit in memory (fitter.py); which order of samples may be drawn (null.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from pkt_core.errors import MeasureError
from pkt_core.similarity.measures import checked, named, paired, scaled, varies
from pkt_core.similarity.record import Measure, Prepare, Reading, silent

Progress = Callable[[str, float], None]
PREPARING = 0.3  # of the progress bar


@dataclass(frozen=True)
class GridNull:
    """The grid under unrelated samples of teacher and student, once for each permutation."""

    best: Float[Tensor, P]
    """The grid's maximum; its minimum where smaller is closer."""
    row_best: Float[Tensor, "P L_T"]
    """The same of each teacher layer's row."""
    cells: Float[Tensor, "P L_T L_S"]
    """All values; NaN where a layer does not vary."""


@dataclass(frozen=True)
class Prepared:
    """Both sides' layers, each with its own work done. Layers that cannot be compared are left out."""

    record: Measure
    teachers: list[Any]
    students: list[Any]
    of_teacher: list[int]
    """Which teacher layers are there."""
    of_student: list[int]
    """Which student layers are there."""
    shape: tuple[int, int]

    def spread(self, values: Float[Tensor, "*P T S"]) -> Float[Tensor, "*P L_T L_S"]:
        """Values at their layers, NaN elsewhere."""
        full = torch.full((*values.shape[:-2], *self.shape), float("nan"), dtype=torch.float64)
        full[..., torch.tensor(self.of_teacher)[:, None], torch.tensor(self.of_student)] = values
        return full


def rows(side: str, layer: object) -> int:
    """How many samples a layer has. Raises MeasureError where it is no matrix of numbers."""
    if isinstance(layer, Tensor | np.ndarray) and layer.ndim == 2:
        return len(layer)
    return len(checked(side, layer))


def prepared_side(
    record: Measure, side: str, layers: Sequence[object], prepare: Prepare, tick: Callable[[], None]
) -> dict[int, Any]:
    """Prepared layers by number, without those that do not vary."""
    prepared: dict[int, Any] = {}
    for i, layer in enumerate(layers):
        matrix = checked(side, layer)
        if varies(matrix):
            prepared[i] = prepare(scaled(record, matrix))
        tick()
    return prepared


def prepare_layers(
    name: str, teacher: Sequence[object], student: Sequence[object], reading: Reading | None, progress: Progress
) -> Prepared:
    """Each layer's own work. Raises MeasureError as `measure` does, but not for a layer that does not vary."""
    record = named(name, reading)
    if not len(teacher) or not len(student):
        raise MeasureError(f"Got {len(teacher)} teacher and {len(student)} student layers; expected at least one each.")
    counts = [rows("teacher's", layer) for layer in teacher] + [rows("student's", layer) for layer in student]
    for count in counts:
        paired(record, counts[0], count)
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        progress("Preparing layers", PREPARING * done / (len(teacher) + len(student)))

    teachers = prepared_side(record, "teacher's", teacher, record.prepare, tick)
    students = prepared_side(record, "student's", student, record.prepare_student or record.prepare, tick)
    return Prepared(
        record,
        list(teachers.values()),
        list(students.values()),
        list(teachers),
        list(students),
        (len(teacher), len(student)),
    )


def unwatched(label: str, done: float) -> None:
    """A progress callback that does nothing."""


def grid_of(
    name: str,
    teacher_layers: Sequence[object] | Float[Tensor, "L_T n d_T"],
    student_layers: Sequence[object] | Float[Tensor, "L_S n d_S"],
    reading: Reading | None = None,
    progress: Progress = unwatched,
) -> Float[Tensor, "L_T L_S"]:
    """`measure(name, ...)` of every pair of layers: matrices `[n, d]` (or a tensor `[L, n, d]`), rows paired.

    NaN where a layer does not vary. Raises MeasureError for an unknown name, rows that do not pair or are too few, values that are
    not numbers, or a missing Reading.
    """
    layers = prepare_layers(name, list(teacher_layers), list(student_layers), reading, progress)
    if not layers.teachers or not layers.students:
        return torch.full(layers.shape, float("nan"), dtype=torch.float64)

    def tick(done: float) -> None:
        progress("Comparing layers", PREPARING + (1 - PREPARING) * done)

    values = layers.record.against(layers.teachers, layers.record.stack(layers.students), tick)
    return layers.spread(values)


def null_of(
    name: str,
    teacher_layers: Sequence[object] | Float[Tensor, "L_T n d_T"],
    student_layers: Sequence[object] | Float[Tensor, "L_S n d_S"],
    orders: Int[Tensor, "P n"],
    reading: Reading | None = None,
    progress: Progress = unwatched,
) -> GridNull:
    """The grid with the student's samples reordered: in permutation p, sample `orders[p, i]` of the student stands at i.

    All layers move together, so the distribution of the maximum pays for picking the best cell. Raises MeasureError as `grid_of`
    does, and for orders that are no permutations of the samples.
    """
    layers = prepare_layers(name, list(teacher_layers), list(student_layers), reading, progress)
    n = len(teacher_layers[0])  # type: ignore[arg-type]
    if orders.shape[1] != n or not bool((orders.sort(1).values == torch.arange(n)).all()):
        raise MeasureError(f"Got orders {tuple(orders.shape)}; expected rows that each hold 0..{n - 1} once.")
    cells = torch.full((len(orders), *layers.shape), float("nan"), dtype=torch.float64)
    if layers.teachers and layers.students:
        cells = layers.spread(permuted_values(layers, orders, progress))
    closer = 1.0 if layers.record.larger_is_closer else -1.0
    signed = (closer * cells).nan_to_num(-torch.inf)
    return GridNull(closer * signed.flatten(1).amax(1), closer * signed.amax(2), cells)


def permuted_values(layers: Prepared, orders: Int[Tensor, "P n"], progress: Progress) -> Float[Tensor, "P T S"]:
    """The grid of those layers that vary, for each permutation."""
    record = layers.record
    if record.null is not None:
        return record.null(layers.teachers, layers.students, orders)
    stacked = record.stack(layers.students)
    values = []
    for p, order in enumerate(orders):
        if record.permuted_side == "teacher":  # the same pairs of rows, with the student's left where they are
            back = order.argsort()
            values.append(record.against([record.permute(t, back) for t in layers.teachers], stacked, silent))
        else:
            moved = record.stack([record.permute(s, order) for s in layers.students])
            values.append(record.against(layers.teachers, moved, silent))
        progress("Permuting samples", PREPARING + (1 - PREPARING) * (p + 1) / len(orders))
    return torch.stack(values)
