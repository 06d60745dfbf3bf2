"""The control of a plan, and its layers in words: derived from a plan rather than settings of it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import loaders, selection, state, widgets
from dashboard.params import Param
from pkt_core.alignment.pairing import read_pairs, require_layer
from pkt_core.alignment.record import LayerAttribution
from pkt_core.studies.comparison.record import Comparison

NO_CONTROL = "none"


def controls_of(plan: Any) -> list[Any]:
    """The controls that apply to a plan."""
    from pkt_core.transfer.controls import CONTROLS, control

    return [name for name in CONTROLS if control(plan, name) is not None]


def control(plan: Any) -> str:
    """The choice of a control, with the ingredient it removes."""
    from pkt_core.transfer.controls import PURPOSE

    known = [NO_CONTROL, *controls_of(plan)]
    if str(state.value(Param.CONTROL, NO_CONTROL)) not in known and state.held(Param.CONTROL):
        state.forget(Param.CONTROL)  # a control of the previous method only
    if len(known) == 1:
        st.caption("No control applies to this method.")
        return NO_CONTROL
    chosen: Any = widgets.choice(
        "Control", known, Param.CONTROL, help="The same transfer without its semantic correspondence, one of its loss terms, or its trained teacher."
    )  # fmt: skip
    if chosen != NO_CONTROL:
        st.caption(widgets.plain(f"What it removes: {PURPOSE[chosen]}."))
    return str(chosen)


def controlled(plan: Any, name: Any) -> Any:
    """The plan of a control; None while the engine computes the parts that depend on both models."""
    from pkt_core.transfer.controls import control as made
    from pkt_core.transfer.controls import follows_from_models

    if name == NO_CONTROL:
        return plan
    if not follows_from_models(plan, name):
        return made(plan, name)
    request = {"plan": plan.model_dump(mode="json"), "control": name}
    task = loaders.soon(loaders.ask("control_plan", request))
    record = widgets.result(task, "Computing the control", lambda: loaders.ask("control_plan", request, again=True))
    return None if record is None else loaders.read_plan(record.plan)


def layers_in_words(comparison: Comparison | None, plan: Any) -> str:
    """The pairing of layers in words; `comparison` is None where there is none yet."""
    from pkt_core.transfer.method import method_of

    output_only = not method_of(plan).layers
    if output_only and plan.every_block:
        return "All student layers train; no layer of the teacher is matched."
    if plan.layer_pairs and output_only:
        students = ", ".join(str(pair.student) for pair in read_pairs(plan.layer_pairs))
        return f"By hand: student layers {students} train; no layer of the teacher is matched."
    if plan.layer_pairs:
        listed = ", ".join(f"{pair.teacher} teaches {pair.student}" for pair in read_pairs(plan.layer_pairs))
        otherwise = "" if plan.pairing == "floor" else f", but with teacher layers from the {plan.pairing} pairing"
        return f"By hand: {listed} (teacher layer, student layer){otherwise}."
    teacher, student = plan.teacher_layer, plan.student_layer
    if (teacher, student) == (None, None) and plan.n_pairs != 1:
        many = (
            "Every student layer" if plan.n_pairs == 0 else f"The {plan.n_pairs} student layers of highest attribution"
        )
        return f"{many} will be trained, each on the teacher layer that the {plan.pairing} pairing assigns."
    by = "chosen by attribution and pairing" if (teacher, student) == (None, None) else chosen_in_the_bar()
    if comparison is not None and None in (teacher, student):
        teacher, student = partner(comparison, plan)
    if student is None and teacher is None:
        return "Attribution will select the teacher layer when the run starts, and the pairing its student layer."
    if output_only:
        which = (
            f"Student layer {student}"
            if student is not None
            else f"The student layer paired with teacher layer {teacher}"
        )
        return f"{which} trains, {by}; no layer of the teacher is matched."
    one, other = ("to be paired" if layer is None else layer for layer in (teacher, student))
    return f"Teacher layer {one} teaches student layer {other}, {by}."


def chosen_in_the_bar() -> str:
    """Where the layers of a plan that names them come from."""
    held = any(state.whole(param, -1, 0, 10_000) >= 0 for param in (Param.TEACHER_LAYER, Param.STUDENT_LAYER))
    return "chosen in the sidebar" if held else "as in the recorded runs of this pair"


def partner(comparison: Comparison, plan: Any) -> tuple[int, int]:
    """Both layers that the plan will use, where none or one is given."""
    main = paired(plan, comparison.teacher.n_layers, comparison.student.n_layers, comparison.attribution)[1]
    return main.teacher, main.student


def paired(plan: Any, n_teacher: int, n_student: int, attribution: LayerAttribution | None) -> Any:
    """All pairs of layers that the plan will use, as far as known now, and the main one."""
    from pkt_core.transfer.layers import chosen_pairs

    for layer, n, side in ((plan.teacher_layer, n_teacher, "teacher"), (plan.student_layer, n_student, "student")):
        if layer is not None:
            require_layer(side, layer, n)
    for pair in read_pairs(plan.layer_pairs):
        require_layer("teacher", pair.teacher, n_teacher)
        require_layer("student", pair.student, n_student)
    scores = None if attribution is None else attribution.scores.tolist()
    return chosen_pairs(plan, n_teacher, n_student, scores)


def found_layers() -> Comparison | None:
    """The comparison that suggests layers, where there is one."""
    return selection.recorded() or selection.compared()
