"""Two measures that read activations through the models' own vocabularies. Nothing is fitted, so chance has no dimensions to use.

`semantic_cosine` maps the teacher's activation into the student's space by the semantic map and takes the cosine.
`next_token_agreement` reads both layers as if they were the last (the logit lens) and compares what they predict.

Not covered: where the map and the heads come from (alignment/, models/); only tensors and a function are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pkt_core.errors import MeasureError
from pkt_core.similarity.record import Head, Prepare, Reading, Tick, silent
from pkt_core.similarity.scale import unit_rows

AT_A_TIME = 2**24  # probabilities held at once, float32: 64 MiB, whatever the number of samples


def of_width(side: str, x: Float[Tensor, "n d"], expected: int) -> Float[Tensor, "n d"]:
    """Itself, or MeasureError where the Reading belongs to a model of another width."""
    if x.shape[1] != expected:
        raise MeasureError(f"The {side} activations are {x.shape[1]} wide; this Reading expects {expected}.")
    return x


def semantic_sides(reading: Reading) -> tuple[Prepare, Prepare]:
    """Unit rows in the student's space, of either side."""
    matrix = reading.matrix
    if matrix is None:
        raise MeasureError(
            "semantic_cosine needs the semantic map; this Reading has no matrix. Pass `Reading(matrix=...)`."
        )
    matrix = matrix.detach().cpu().double()
    return (
        lambda x: unit_rows(of_width("teacher's", x, matrix.shape[1]) @ matrix.T),
        lambda y: unit_rows(of_width("student's", y, matrix.shape[0])),
    )


def permute_rows(prepared: Float[Tensor, "n d"], order: Int[Tensor, n]) -> Float[Tensor, "n d"]:
    """The same samples in another order."""
    return prepared[order]


def stack_rows(students: Sequence[Tensor]) -> Float[Tensor, "nd L_S"]:
    return torch.stack([rows.flatten() for rows in students], dim=1)


def semantic_cosine(
    teachers: Sequence[Tensor], stacked: Float[Tensor, "nd L_S"], tick: Tick = silent
) -> Float[Tensor, "L_T L_S"]:
    """Mean cosine between M x_i and y_i. -1..1, larger is closer. Rows are not centred."""
    values = torch.stack([rows.flatten() for rows in teachers]) @ stacked / len(teachers[0])
    tick(1.0)
    return values.clamp(-1, 1)


@dataclass(frozen=True)
class Normed:
    """A layer's samples after the final norm, with the head that will read them."""

    states: Float[Tensor, "n d"]
    """float32."""
    head: Head
    """The side's own."""


def agreement_sides(reading: Reading) -> tuple[Prepare, Prepare]:
    """Each side through its own final norm."""
    teacher, student = reading.teacher, reading.student
    if teacher is None or student is None:
        raise MeasureError(
            "next_token_agreement needs both models' heads; this Reading lacks one. Pass `Reading(teacher=..., student=...)`."
        )
    if len(teacher.weight) != len(student.weight):
        raise MeasureError(
            f"Got heads of {len(teacher.weight)} and {len(student.weight)} tokens; expected the rows of the shared tokens, index-aligned."
        )

    @torch.no_grad()
    def normed(side: str, head: Head, x: Tensor) -> Normed:
        wide = of_width(side, x, head.weight.shape[1])
        return Normed(head.norm(wide.to(head.weight.device, torch.float32)).float(), head)

    return lambda x: normed("teacher's", teacher, x), lambda y: normed("student's", student, y)


def permute_normed(prepared: Normed, order: Int[Tensor, n]) -> Normed:
    """The same samples in another order."""
    return Normed(prepared.states[order], prepared.head)


def with_negative_entropy(layers: Sequence[Normed], rows: slice) -> tuple[Tensor, Tensor]:
    """Probabilities `[L, rows, m]`, and for each layer the sum over them of p log p."""
    logs = layers[0].head.log_probabilities(torch.stack([layer.states[rows] for layer in layers])).cpu()
    probabilities = logs.exp()
    return probabilities, (probabilities * logs).flatten(1).sum(1, dtype=torch.float64)


def next_token_agreement(
    teachers: Sequence[Normed], students: Sequence[Normed], tick: Tick = silent
) -> Float[Tensor, "L_T L_S"]:
    """1 - Jensen-Shannon divergence (bits) of the next-token predictions, mean over samples. 0..1, larger is closer.

    With s = p + q it is half of sum s log2 s - sum p log2 p - sum q log2 q (Lin 1991, eq. 4.1, rearranged). Samples are taken a
    few at a time, all layers together, so that `samples x vocabulary` is never held.
    """
    n, m = len(teachers[0].states), len(teachers[0].head.weight)
    at_a_time = max(1, AT_A_TIME // (m * (len(teachers) + len(students))))
    total = torch.zeros(len(teachers), len(students), dtype=torch.float64)
    for start in range(0, n, at_a_time):
        rows = slice(start, start + at_a_time)
        (p, p_log_p), (q, q_log_q) = with_negative_entropy(teachers, rows), with_negative_entropy(students, rows)
        total -= p_log_p[:, None] + q_log_q
        both = torch.empty_like(p[0])
        logs = torch.empty_like(both)
        for i, j in torch.cartesian_prod(torch.arange(len(p)), torch.arange(len(q))).tolist():
            torch.add(p[i], q[j], out=both)
            torch.log(both.clamp_min_(1e-38), out=logs)
            total[i, j] += (both * logs).sum(dtype=torch.float64)
        tick(min(n, start + at_a_time) / n)
    return (total / (2 * n * torch.tensor(2.0, dtype=torch.float64).log())).clamp(0, 1)
