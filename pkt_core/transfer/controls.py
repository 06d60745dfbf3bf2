"""The controls of a plan: ablations of its map, one of its terms, or its teacher.

A control is a plan like any other. Which ones a plan has follows from what its method uses.

Not covered: carrying them out and the table they end in (`studies/families/compute.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from pkt_core.alignment.pairing import pair_for, require_layer
from pkt_core.transfer.layers import chosen_pairs
from pkt_core.transfer.plan import TransferPlan, held_by, settings
from pkt_core.transfer.settings import ANCHORED, Mapped, Paired, RowWise, Trained, Weighted, WithTeacher

Control = Literal[
    "permuted vocabulary",
    "random bases",
    "shuffled teacher rows",
    "untrained teacher",
    "random pair of layers",
    "reversed pairing",
    "layer term only",
    "output term only",
    "no anchor",
    "no anchor, equal compute",
    "equal-compute fine-tuning",
]
CONTROLS: tuple[Control, ...] = get_args(Control)
PURPOSE: dict[Control, str] = {
    "permuted vocabulary": "the map's meaning: teacher tokens recomposed as some other student tokens",
    "random bases": "the vocabulary itself: bases with no model in them",
    "shuffled teacher rows": "the pairing of positions: each learns from another position's target",
    "untrained teacher": "what the teacher learnt: the same architecture with random weights",
    "random pair of layers": "the choice of layers: a teacher layer drawn by chance",
    "reversed pairing": "the order of depth: deep teaches shallow",
    "layer term only": "the output term",
    "output term only": "the layer term",
    "no anchor": "the anchor: nothing keeps the student near its own predictions",
    "no anchor, equal compute": "the anchor, with its compute spent on more steps",
    "equal-compute fine-tuning": "the teacher altogether: labels alone, with the compute of its forward passes spent on more steps",
}
"""What each takes away."""
FORWARD, BACKWARD = 1, 2
"""A backward pass costs twice a forward one; what does not train saves the half of it that makes weight gradients."""


@dataclass(frozen=True)
class Saved:
    """Steps that a control may take instead of what it leaves out."""

    teacher: int = 0
    """For the teacher's pass over the data."""
    anchor: int = 0
    """For writing the anchor's texts and learning from them."""


def control(
    plan: TransferPlan, name: Control, *, saved: Saved = Saved(), student_layer: int | None = None
) -> TransferPlan | None:
    """The plan of a control, None where it means nothing to the plan's method.

    `student_layer` is the one that a plan works on which names a teacher layer alone (`layer_that_stays`).
    """
    changes = changes_of(plan, name, saved, student_layer)
    if changes is None:
        return None
    given = {key: value for key, value in plan.model_dump().items() if key not in changes}
    if "method" in changes:  # the rest is what that method uses
        given = held_by(changes["method"], given)
    return TransferPlan.model_validate(given | changes)


def changes_of(plan: TransferPlan, name: Control, saved: Saved, student_layer: int | None) -> dict[str, Any] | None:
    """What a control sets otherwise."""
    semantic = isinstance(plan, Mapped) and plan.map == "semantic"
    weighted = isinstance(plan, Weighted) and plan.layer_weight > 0 and plan.output_weight > 0
    free = {"anchor": "none"} | {name: settings()[name].default for name in ANCHORED}
    steps = plan.total_steps
    anchored = isinstance(plan, Trained) and plan.anchor != "none"
    options: dict[Control, dict[str, Any] | None] = {
        "permuted vocabulary": {"map": "permuted"} if semantic else None,
        "random bases": {"map": "random", "basis": "raw"} if semantic else None,
        "shuffled teacher rows": {"rows": "shuffled"} if isinstance(plan, RowWise) and plan.rows_matter else None,
        "untrained teacher": {"teacher_weights": "untrained"} if isinstance(plan, WithTeacher) else None,
        "random pair of layers": repaired(plan, "random", student_layer) if isinstance(plan, Paired) else None,
        "reversed pairing": repaired(plan, "reversed", student_layer) if isinstance(plan, Paired) else None,
        "layer term only": {"output_weight": 0.0} if weighted else None,
        "output term only": {"layer_weight": 0.0} if weighted else None,
        "no anchor": free if anchored else None,
        "no anchor, equal compute": free | {"steps": steps + saved.anchor} if anchored else None,
        "equal-compute fine-tuning": free | {"method": "sft", "steps": steps + saved.teacher + saved.anchor}
        if plan.trains and plan.uses_teacher
        else None,
    }
    return options[name]


def repaired(plan: TransferPlan, rule: str, student_layer: int | None) -> dict[str, Any]:
    """The teacher layer left to another rule; the student layer stays where it was chosen."""
    changes: dict[str, Any] = {"teacher_layer": None, "pairing": rule, "interpolate": False}
    if plan.teacher_layer is not None and plan.student_layer is None:
        changes["student_layer"] = student_layer
    return changes


def follows_from_models(plan: TransferPlan, name: Control) -> bool:
    """Whether a control's plan needs both models' shapes: for the steps that it saves, the student layer that stays, or to
    decide whether another pairing differs."""
    changed = control(plan, name)
    return changed is not None and (
        changed.pairing != plan.pairing or changed != control(plan, name, saved=Saved(1, 1))
    )


def layer_that_stays(plan: TransferPlan, n_teacher: int, n_student: int) -> int | None:
    """The student layer of a plan, None where it is left to attribution or drawn. Raises LayerNotFound for one that is not there."""
    for side, layer, n in (("teacher", plan.teacher_layer, n_teacher), ("student", plan.student_layer, n_student)):
        if layer is not None:
            require_layer(side, layer, n)
    if plan.teacher_layer is None or plan.student_layer is not None:
        return plan.student_layer
    return pair_for(plan.teacher_layer, n_teacher, n_student)[1]


def same_layers(plan: TransferPlan, other: TransferPlan, n_teacher: int, n_student: int) -> bool:
    """Whether two plans pair the same layers, wherever attribution may lead them."""
    anywhere = [[float(i == layer) for i in range(n_teacher)] for layer in range(n_teacher)]
    return all(
        chosen_pairs(plan, n_teacher, n_student, scores) == chosen_pairs(other, n_teacher, n_student, scores)
        for scores in anywhere
    )


def steps_for_teacher(
    plan: Trained, *, teacher_parameters: int, student_parameters: int, trained_parameters: int, n_examples: int
) -> int:
    """Steps of plain fine-tuning that cost as much as the teacher's one pass over the data.

    In products of parameters and tokens: the teacher's forward pass over all examples, against a student's forward pass,
    its backward pass through activations, and the weight gradients of what trains, over a batch.
    """
    teacher = FORWARD * teacher_parameters * n_examples
    step = (FORWARD + BACKWARD / 2) * student_parameters + BACKWARD / 2 * trained_parameters
    return round(teacher / (step * min(plan.batch_size, n_examples)))


def steps_for_anchor(plan: Trained, *, anchor_tokens: int, example_tokens: float) -> int:
    """Steps without an anchor that cost as much as the anchor does, all its texts counted at their full length.

    Writing costs two forward passes a token (one to write it, one to record its predictions), of three that a step takes.
    """
    if plan.anchor == "none":
        return 0
    batch = plan.batch_size * example_tokens
    learning = plan.steps * plan.anchor_batch * anchor_tokens
    writing = plan.n_anchor * anchor_tokens * 2 * FORWARD / (FORWARD + BACKWARD)
    return round((learning + writing) / batch)


@dataclass(frozen=True)
class Member:
    """One plan of a family."""

    label: str
    """What sets it apart: a method or a control; its seed is the plan's."""
    plan: TransferPlan
