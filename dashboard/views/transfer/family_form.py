"""A transfer as a family: its seeds, rivals and controls, how many runs that makes and how long they will take.

Not covered: what the members are (`pkt_core.studies.families.compute`, asked of the engine), their table (`views/families/page.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dashboard import loaders, run_actions, run_widgets, state, widgets
from dashboard.engine.client import Task
from dashboard.params import Param
from dashboard.views.transfer import plan_choices, plan_form
from pkt_core.studies.families.record import PlannedFamily, PlannedRun

USUAL_RIVALS = ("sft", "logit-kd")


def draw(plan: Any) -> dict[str, Any]:
    """The choices, as the engine wants them."""
    rivals = [method for method in plan_form.ordered() if method != plan.method]
    controls = plan_choices.controls_of(plan)
    opened = state.named(Param.SEEDS, Param.RIVALS, Param.CONTROLS)
    with st.expander("Seeds, rivals and controls of a family", expanded=opened):
        seeds = widgets.amount(
            "Seeds of each", Param.SEEDS, low=1, high=100, default=3, help="From the plan's own seed on. One seed shows no spread."
        )  # fmt: skip
        usual = [method for method in USUAL_RIVALS if method in rivals]
        chosen = widgets.several(
            "Rivals", rivals, Param.RIVALS, default=usual, help="The same data and steps by another method."
        )
        against: list[str] = []
        if controls:
            against = widgets.several(
                "Controls", controls, Param.CONTROLS, default=controls, help="The same transfer with something taken away. What a control reaches too was not the work of what it lacks."
            )  # fmt: skip
        else:
            st.caption("No control means anything to this method.")
    return {"plan": plan.model_dump(mode="json"), "rivals": chosen, "controls": against, "seeds": seeds}


def button(task: Task) -> None:
    """Starts all members at once; their number is on it."""
    members = task.record.members if task.status == "done" else []
    n = f" ({len(members)} runs)" if members else ""
    st.button(
        f"Run as a family{n}",
        key="start-family",
        icon=":material/account_tree:",
        disabled=not members,
        on_click=start,
        args=(members,),
        help="The transfer, its rivals and its controls with several seeds on the same data, one after the other, ending in one table.",
    )


def in_words(task: Task) -> str:
    """How many runs and how long, from the pace of earlier runs; what is wrong with a family that cannot be."""
    if task.status == "failed":
        return f"As a family it cannot run: {task.error}"
    if task.status != "done":
        return "Working out the members of the family."
    family: PlannedFamily = task.record
    plans = [loaders.read_plan(member.plan) for member in family.members]
    labels = list(dict.fromkeys(member.label for member in family.members))
    sentence = f"The family: {len(plans)} runs of {len(labels)} plans ({'; '.join(labels)})"
    known, without = run_widgets.paces(plans), " ".join(["", *family.left_out])
    if not known:
        return f"{sentence}; how long it takes shows after the first run.{without}"
    seconds = sum(run_widgets.expected_seconds(plan, known[plan.method]) for plan in plans)
    return f"{sentence}, about {widgets.spent(seconds)} one after the other.{without}"


def start(members: Sequence[PlannedRun]) -> None:
    """Put all members into the queue; errors wait for the page to be drawn."""
    try:
        name = run_actions.launch_family(members, str(members[0].plan["method"]))
    except widgets.PktError as error:
        state.tell(str(error))
        return
    state.open_family(name)
    state.open_run(state.AUTO)
