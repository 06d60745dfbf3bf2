"""Which layers a plan pairs: those drawn by hand, those it names, or those that attribution and its rule give.

Needs no model, so that a page shows the pairs before anything is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

from pkt_core.alignment.pairing import LayerPair, interpolation, pair_for, pair_layers, read_pairs, windowed
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.settings import LayerByLayer


def chosen_pairs(
    plan: TransferPlan, n_teacher: int, n_student: int, scores: Sequence[float] | None
) -> tuple[tuple[LayerPair, ...], LayerPair]:
    """The pairs of layers from shallow to deep, and the one that stands for all of them.

    `scores` is the attribution of each teacher layer; None takes the last layer where the plan leaves it open.
    Raises PlanError where drawn pairs cannot be read.
    """
    rule = pair_layers(n_teacher, n_student, plan.pairing, plan.seed)
    many = False
    if plan.layer_pairs:
        drawn = read_pairs(plan.layer_pairs)  # with another rule, a control: the students stay, their teachers do not
        chosen = [p if plan.pairing == "floor" else LayerPair(p.student, rule[p.student]) for p in drawn]
        many = True
    elif plan.teacher_layer is not None and plan.student_layer is not None:
        chosen = [LayerPair(plan.student_layer, plan.teacher_layer)]
    elif plan.student_layer is not None:
        chosen = [LayerPair(plan.student_layer, rule[plan.student_layer])]
    elif plan.n_pairs == 0 and plan.teacher_layer is None:
        if isinstance(plan, LayerByLayer) and scores is not None and plan.pairing == "floor":
            rule = windowed(scores, n_student)
        chosen = [LayerPair(k, teacher) for k, teacher in enumerate(rule)]
        many = True
    else:
        order = by_score(scores) if scores is not None else [n_teacher - 1]
        wanted = [plan.teacher_layer] if plan.teacher_layer is not None else order
        students = list(dict.fromkeys(pair_for(layer, n_teacher, n_student)[1] for layer in wanted))
        chosen = [LayerPair(k, rule[k]) for k in students[: max(1, plan.n_pairs)]]
        if plan.teacher_layer is not None:
            chosen = [LayerPair(chosen[0].student, plan.teacher_layer)]
    if plan.interpolates:
        mixed = [interpolation(pair.student, n_teacher, n_student) for pair in chosen]
        chosen = [LayerPair(p.student, a, b, weight) for p, (a, b, weight) in zip(chosen, mixed, strict=True)]
    pairs = tuple(sorted(chosen))
    return pairs, pairs[-1] if many else chosen[0]


def by_score(scores: Sequence[float]) -> list[int]:
    """Teacher layers, most attributed first; of equal ones the shallower."""
    return sorted(range(len(scores)), key=lambda layer: -scores[layer])
