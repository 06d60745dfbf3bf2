"""Which teacher layer teaches which student layer. Layers are counted from 0 here; the paper counts from 1.

The paper's rule (arXiv 2510.24208v1, section 4): student layer k of L_S learns from teacher layer floor(L_T / L_S * k);
where no student layer is paired with the layer that attribution chose, the pair of the nearest deeper student layer is taken.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pkt_core.errors import LayerNotFound, PlanError

Rule = Literal["floor", "last-to-last", "reversed", "random"]


@dataclass(frozen=True, order=True)
class LayerPair:
    """A student layer and what it learns from. Ordered from shallow to deep in the student."""

    student: int
    """From 0."""
    teacher: int
    """From 0; with interpolation the shallower of the two layers."""
    deeper: int | None = None
    """The other teacher layer of an interpolation, None without one."""
    weight: float = 0.0
    """Of the deeper layer, 0..1."""


def read_pairs(text: str) -> tuple[LayerPair, ...]:
    """Pairs written `teacher:student, ...`, from shallow to deep. Raises PlanError where the text is malformed."""
    by_student: dict[int, LayerPair] = {}
    for word in text.replace(",", " ").split():
        teacher, colon, student = word.partition(":")
        if not (colon and teacher.isdecimal() and student.isdecimal()):
            raise PlanError(
                f"Got the layer pair {word[:40]!r}; write the teacher layer, a colon and the student layer, as in 5:2, "
                "with commas between pairs."
            )
        pair = LayerPair(int(student), int(teacher))
        if pair.student in by_student:
            raise PlanError(
                f"Got two teacher layers for student layer {pair.student} ({by_student[pair.student].teacher} and {pair.teacher}). "
                "Keep one: a student layer learns from one teacher layer."
            )
        by_student[pair.student] = pair
    return tuple(sorted(by_student.values()))


def write_pairs(pairs: Iterable[LayerPair]) -> str:
    """What `read_pairs` reads."""
    return ",".join(f"{pair.teacher}:{pair.student}" for pair in sorted(pairs))


def require_layer(side: str, layer: int, n: int) -> None:
    if not 0 <= layer < n:
        raise LayerNotFound(f"The {side} has layers 0 to {n - 1}, got {layer}. Pick one of those.")


def paired_teacher_layer(student_layer: int, n_teacher: int, n_student: int) -> int:
    """The paper's partner of a student layer, in integers so that no ratio is rounded."""
    require_layer("student", student_layer, n_student)
    return max(1, n_teacher * (student_layer + 1) // n_student) - 1


def pair_layers(n_teacher: int, n_student: int, rule: Rule = "floor", seed: int = 0) -> list[int]:
    """Teacher layer for each student layer. `last-to-last` counts from the top; `reversed` and `random` are controls.

    Neither gives a student layer the one of `floor` where there is another: `random` draws among the others with the seed;
    `reversed` gives the middle student layer, which is its own mirror image, the teacher layer furthest from its partner (of two
    as far the deeper).
    """
    floor = [paired_teacher_layer(k, n_teacher, n_student) for k in range(n_student)]
    if rule == "last-to-last":
        return [max(0, n_teacher - n_student + k) for k in range(n_student)]
    if rule == "random":
        draw = random.Random(seed)
        return [draw.choice([t for t in range(n_teacher) if t != right] or [right]) for right in floor]
    if rule == "reversed":

        def furthest(layer: int) -> int:
            return max(reversed(range(n_teacher)), key=lambda t: abs(t - layer))

        return [t if t != right else furthest(right) for t, right in zip(floor[::-1], floor, strict=True)]
    return floor


def pair_for(teacher_layer: int, n_teacher: int, n_student: int) -> tuple[int, int]:
    """The pair (teacher layer, student layer) to work on when attribution chose `teacher_layer`."""
    require_layer("teacher", teacher_layer, n_teacher)
    partners = pair_layers(n_teacher, n_student)
    student = next((k for k, partner in enumerate(partners) if partner >= teacher_layer), n_student - 1)
    return partners[student], student


def windowed(scores: Sequence[float], n_student: int) -> list[int]:
    """Teacher layer for each student layer: the most attributed one near its proportional depth, never shallower than the last.

    Ours, for the reconstructions of SemAlign's later versions: their abstracts state `exactly one source layer per target
    layer` and `shallow to deep`, not how it is found. The window reaches half the distance to the neighbours' layers.
    """
    n_teacher = len(scores)
    layers: list[int] = []
    reach = max(1, n_teacher // n_student) // 2
    for k in range(n_student):
        middle = paired_teacher_layer(k, n_teacher, n_student)
        low = max(middle - reach, layers[-1] if layers else 0)
        window = range(low, max(low, min(middle + reach, n_teacher - 1)) + 1)
        layers.append(max(window, key=lambda layer: scores[layer]))
    return layers


def interpolation(student_layer: int, n_teacher: int, n_student: int) -> tuple[int, int, float]:
    """(a, b, weight): the state `(1 - weight) h_a + weight h_b` at the exact proportional depth."""
    require_layer("student", student_layer, n_student)
    if n_teacher == 1:
        return 0, 0, 0.0
    depth = n_teacher * (student_layer + 1) / n_student
    a = max(1, min(int(depth), n_teacher - 1))
    return a - 1, a, min(1.0, max(0.0, depth - a))
