"""A transfer as a family: its seeds, rivals and controls, the number of runs and the expected time.

Not covered: the members themselves (`pkt_core.studies.families.compute`, through the engine), their table (`views/families/page.py`).
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
    """The choices, as a request to the engine."""
    rivals = [method for method in plan_form.ordered() if method != plan.method]
    controls = plan_choices.controls_of(plan)
    opened = state.named(Param.SEEDS, Param.RIVALS, Param.CONTROLS)
    with st.expander("Seeds, rivals and controls of a family", expanded=opened):
        seeds = widgets.amount(
            "Seeds per plan", Param.SEEDS, low=1, high=100, default=3, help="Starting with the plan's own seed. A single seed shows no variation."
        )  # fmt: skip
        usual = [method for method in USUAL_RIVALS if method in rivals]
        chosen = widgets.several(
            "Rivals", rivals, Param.RIVALS, default=usual, help="Other methods on the same data with the same steps."
        )
        against: list[str] = []
        if controls:
            against = widgets.several(
                "Controls", controls, Param.CONTROLS, default=controls, help="The same transfer with one ingredient removed. If a control gains as much, the removed ingredient did not cause the gain."
            )  # fmt: skip
        else:
            st.caption("No control applies to this method.")
    return {"plan": plan.model_dump(mode="json"), "rivals": chosen, "controls": against, "seeds": seeds}


def button(task: Task) -> None:
    """The button that queues all members, with their number."""
    members = task.record.members if task.status == "done" else []
    n = f" ({len(members)} runs)" if members else ""
    st.button(
        f"Run as a family{n}",
        key="start-family",
        icon=":material/account_tree:",
        disabled=not members,
        on_click=start,
        args=(members,),
        help="Queues the transfer, its rivals and its controls with several seeds on the same data; the results form one table.",
    )


def in_words(task: Task) -> str:
    """The number of runs and the expected time from earlier runs, or why the family cannot run."""
    if task.status == "failed":
        return f"This family cannot run: {task.error}"
    if task.status != "done":
        return "Computing the members of the family."
    family: PlannedFamily = task.record
    plans = [loaders.read_plan(member.plan) for member in family.members]
    labels = list(dict.fromkeys(member.label for member in family.members))
    sentence = f"The family: {len(plans)} runs of {len(labels)} plans ({'; '.join(labels)})"
    known, without = run_widgets.paces(plans), " ".join(["", *family.left_out])
    if not known:
        return f"{sentence}; the time is estimated after the first run.{without}"
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
