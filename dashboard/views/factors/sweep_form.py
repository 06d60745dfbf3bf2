"""A sweep: one short transfer at every pair of layers, queued as a family.

Not covered: its results (`views/factors/page.py`, `views/families/page.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard import loaders, run_actions, run_widgets, selection, state, widgets
from dashboard.engine.client import Task
from dashboard.params import Param
from pkt_core.studies.families.record import PlannedFamily, PlannedRun

STEPS, MOST = 150, 64
PLACE = "sweep"


def draw() -> None:
    """The form, the expected time, and the button."""
    from pkt_core.transfer.plan import held_by

    st.subheader("Try every pair of layers", anchor=False)
    left, middle, right, last = st.columns(4)
    with left:
        method = widgets.choice("Method", methods_of_layers(), Param.SWEEP_METHOD)
    with middle:
        steps = widgets.amount("Steps per run", Param.SWEEP_STEPS, low=1, high=100_000, default=STEPS, step=50)
    with right:
        at_most = widgets.amount(
            "Maximum pairs of layers", Param.SWEEP_MOST, low=4, high=4096, default=MOST, help="If there are more, an evenly spread subset is used."
        )  # fmt: skip
    with last:
        seeds = widgets.amount("Seeds per pair", Param.SWEEP_SEEDS, low=1, high=100, default=1)
    defaults = {"method": method, "steps": steps, "n_task_items": 300, "n_general": 60, "learning_rate": 3e-3}
    settings = held_by(method, defaults)  # a method without steps takes none
    plan = loaders.plan_of({**selection.pair_request(), **settings})
    request = {"plan": plan.model_dump(mode="json"), "at_most": at_most, "seeds": seeds}
    task = loaders.soon(loaders.ask("sweep_members", request), 0.6)
    members = task.record.members if task.status == "done" else []
    st.button(
        f"Try every pair of layers ({len(members)} runs)" if members else "Try every pair of layers",
        key="start-sweep",
        type="primary",
        icon=":material/grid_view:",
        disabled=not members,
        on_click=start,
        args=(members,),
    )
    st.caption(widgets.plain(in_words(task)))
    if not task.over:
        widgets.waiting(task, "Computing the pairs of layers")
    if sentence := state.told(PLACE):
        st.error(widgets.plain(sentence), icon=":material/error:")


def methods_of_layers() -> list[str]:
    """Methods that depend on the pair of layers, those that use one pair by default first."""
    from pkt_core.transfer.method import methods

    paired = [name for name, method in methods().items() if method.paired]
    return sorted(paired, key=lambda name: methods()[name].plan.model_fields["n_pairs"].default != 1)


def in_words(task: Task) -> str:
    """The number of runs and the expected time, or why the sweep cannot run."""
    if task.status == "failed":
        return f"This sweep cannot run: {task.error}"
    if task.status != "done":
        return "Computing the pairs of layers."
    family: PlannedFamily = task.record
    plans = [loaders.read_plan(member.plan) for member in family.members]
    sentence = f"{len(plans)} runs with 300 items per task and 60 general texts, queued one after the other"
    known = run_widgets.paces(plans[:1])
    if not known:
        return f"{sentence}; the time is estimated after the first run."
    return f"{sentence}, about {widgets.spent(sum(run_widgets.expected_seconds(p, known[p.method]) for p in plans))} at the pace of earlier runs."


def start(members: Sequence[PlannedRun]) -> None:
    """Put all of them into the queue; errors wait for the page to be drawn."""
    try:
        name = run_actions.launch_family(members, f"layers-{members[0].plan['method']}")
    except widgets.PktError as error:
        state.tell(str(error), PLACE)
        return
    state.open_family(name)
