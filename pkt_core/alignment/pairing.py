"""Which teacher layer teaches which student layer. Layers are counted from 0 here; the paper counts from 1.

The paper's rule (arXiv 2510.24208v1, section 4): student layer k of L_S learns from teacher layer floor(L_T / L_S * k);
where the layer that attribution chose is nobody's partner, the nearest deeper student layer's pair is taken.
"""

from __future__ import annotations

from typing import Literal

from pkt_core.errors import LayerNotFound

Rule = Literal["floor", "last-to-last", "reversed"]


def require_layer(side: str, layer: int, n: int) -> None:
    if not 0 <= layer < n:
        raise LayerNotFound(f"The {side} has layers 0 to {n - 1}, got {layer}. Pick one of those.")


def paired_teacher_layer(student_layer: int, n_teacher: int, n_student: int) -> int:
    """The paper's partner of a student layer, in integers so that no ratio is rounded."""
    require_layer("student", student_layer, n_student)
    return max(1, n_teacher * (student_layer + 1) // n_student) - 1


def pair_layers(n_teacher: int, n_student: int, rule: Rule = "floor") -> list[int]:
    """Teacher layer for each student layer. `last-to-last` counts from the top, `reversed` is a control."""
    floor = [paired_teacher_layer(k, n_teacher, n_student) for k in range(n_student)]
    if rule == "last-to-last":
        return [max(0, n_teacher - n_student + k) for k in range(n_student)]
    return floor[::-1] if rule == "reversed" else floor


def pair_for(teacher_layer: int, n_teacher: int, n_student: int) -> tuple[int, int]:
    """The pair (teacher layer, student layer) to work on when attribution chose `teacher_layer`."""
    require_layer("teacher", teacher_layer, n_teacher)
    partners = pair_layers(n_teacher, n_student)
    student = next((k for k, partner in enumerate(partners) if partner >= teacher_layer), n_student - 1)
    return partners[student], student


def interpolation(student_layer: int, n_teacher: int, n_student: int) -> tuple[int, int, float]:
    """(a, b, weight): the state `(1 - weight) h_a + weight h_b` at the exact proportional depth."""
    require_layer("student", student_layer, n_student)
    if n_teacher == 1:
        return 0, 0, 0.0
    depth = n_teacher * (student_layer + 1) / n_student
    a = max(1, min(int(depth), n_teacher - 1))
    return a - 1, a, min(1.0, max(0.0, depth - a))
