"""Widgets for runs: choosing one, its status with buttons to stop and resume, and the pace of earlier runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import loaders, pulse, run_actions, state, widgets
from dashboard.params import Param
from pkt_core.errors import PktError, StoreError
from pkt_core.runs import queue as run_queue
from pkt_core.runs.folder import keeps_student as keeps_student

PLACE = "run"
STATES = {
    "queued": (":material/schedule:", "waiting to start"),
    "running": (":material/play_circle:", "running"),
    "done": (":material/check_circle:", "done"),
    "failed": (":material/error:", "failed"),
    "stopped": (":material/stop_circle:", "stopped"),
    "lost": (":material/help:", "lost"),
    "damaged": (":material/broken_image:", "damaged"),
}


def run_choice(
    label: str,
    param: Param = Param.RUN,
    *,
    running_first: bool = False,
    of: tuple[str, str] | None = None,
    finished: bool = False,
    weights: bool = False,
) -> str | None:
    """The id of a run; `auto` is the newest one, else the recorded one. With `weights`, auto prefers a run with a stored student; with
    `running_first`, a running or waiting run, of the two models `of` where there is one."""
    listed = [
        run for run in loaders.runs() if not finished or run.state in ("done", "stopped") or has_results(run.folder)
    ]
    if not listed:
        return None
    order = run_queue.waiting()
    able = [run for run in listed if not taken_out(run, run.state, order)] or listed
    suggested = able[0].id
    if running_first:
        theirs = [run for run in able if models(run.plan) == of] or able
        suggested = at_work_or_next(theirs) or theirs[0].id
    if weights:
        suggested = next((run.id for run in listed if keeps_student(run.folder)), suggested)
    held = str(state.value(param, state.AUTO))
    names = [state.AUTO, *(run.id for run in listed)]
    place = st.container()
    refused = held if held not in names else state.rejected(param, held)
    if held not in names:
        state.forget(param)
    picked = st.selectbox(f"{label} (auto is {suggested})", names, key=param.value, bind=widgets.BIND)
    if refused or (refused := state.rejected(param, picked)):
        notice = (
            f"The run {refused[:80]} cannot be shown here. Showing {suggested if picked == state.AUTO else picked}."
        )
        place.info(widgets.plain(notice))
    return suggested if picked == state.AUTO else picked


def finished_run(*, weights: bool = False) -> Any:
    """The finished run that a page is about, named and described; None and a hint where there is none."""
    chosen = run_choice("Run", finished=True, weights=weights)
    if chosen is None:
        widgets.empty(
            "No finished run yet", "Start one on the page Transfer; it takes about a minute for the demo pair."
        )
        st.page_link("views/transfer/page.py", label="Run a transfer", icon=":material/moving:")
        return None
    run = loaders.run(chosen)
    st.caption(widgets.plain(f"{chosen}: {describe(run.plan())}"))
    return run


def models(plan: dict[str, Any] | None) -> tuple[str, str]:
    """Names of the teacher and the student of a plan."""
    teacher, student = (str(((plan or {}).get(side) or {}).get("name", "")) for side in ("teacher", "student"))
    return teacher, student


def at_work_or_next(listed: Sequence[Any]) -> str | None:
    """The running run, else the next in the queue; None where there is neither."""
    ids = [run.id for run in listed if run.state == "running"] + run_queue.waiting()
    return next((run_id for run_id in ids if any(run.id == run_id for run in listed)), None)


def has_begun(run: Any) -> bool:
    """Whether a process was ever started for a run or its summary."""
    return (run.folder / "process.json").is_file()


def taken_out(run: Any, state_of_it: str, order: Sequence[str]) -> bool:
    """Whether a run or its summary was removed from the queue before it started."""
    return state_of_it == "queued" and run.id not in order and not has_begun(run)


def has_results(folder: Path) -> bool:
    """Whether a run has results, whatever happened to it afterwards."""
    return (folder / "results.json").is_file()


def is_measured(run: Any) -> bool:
    """Whether a run's behaviour was measured."""
    try:
        results = run.results()
        return results is not None and results.behaviour is not None
    except StoreError:
        return False


def is_over(run_id: str) -> bool:
    """Whether a run has ended and nothing is queued for it."""
    try:
        run = loaders.run(run_id)
        status = run.status()
        return status.state != "queued" and not run_actions.at_work(run, status) and run_id not in run_queue.waiting()
    except StoreError:
        return True


def describe(plan: dict[str, Any] | None) -> str:
    """A plan in a few words: its method, the ablations, the models, steps and seed."""
    if not plan:
        return "unreadable plan"
    from pkt_core.transfer.method import methods

    words = [str(plan.get("method", "?")), *taken_away(plan)]
    names = [str(plan.get(side, {}).get("name", "?")).rstrip("/").split("/")[-1] for side in ("teacher", "student")]
    known = methods().get(str(plan.get("method")))
    steps = "no training" if known and not known.trains else f"{plan.get('steps')} steps"
    return f"{', '.join(words)}: {names[0]} to {names[1]}, {steps}, seed {plan.get('seed')}"


def taken_away(plan: dict[str, Any]) -> list[str]:
    """The ablations in a plan, and maps and pairings other than its method's defaults."""
    words = []
    if plan.get("map", "semantic") not in ("semantic", usual_map(plan)):
        words.append({"permuted": "permuted vocabulary", "random": "random bases"}.get(plan["map"], plan["map"]))
    if plan.get("rows", "paired") != "paired":
        words.append("shuffled teacher rows")
    if plan.get("teacher_weights", "trained") != "trained":
        words.append("untrained teacher")
    if plan.get("pairing", "floor") != "floor":
        words.append({"random": "random pair of layers"}.get(plan["pairing"], f"{plan['pairing']} pairing"))
    if plan.get("output_weight") == 0:
        words.append("layer term only")
    if plan.get("layer_weight") == 0:
        words.append("output term only")
    return [str(word) for word in words]


def usual_map(plan: dict[str, Any]) -> str | None:
    """The default map of a plan's method; None where it has none or is not known here."""
    from pkt_core.transfer.method import methods

    known = methods().get(str(plan.get("method")))
    field = known and known.plan.model_fields.get("map")
    return field.default if field else None


def label_of(run_id: str) -> str:
    """A run's label in its family, as a prefix; empty where it belongs to none."""
    try:
        place = loaders.run(run_id).family()
    except StoreError:
        return ""
    return f"{place.label} · " if place else ""


def status_line(run: Any, status: Any) -> None:
    """State, progress with time left, and the button that stops, starts or resumes it."""
    icon, word = STATES[status.state]
    order = run_queue.waiting()
    if taken_out(run, status.state, order):
        word = "removed from the queue"
    elif status.state == "queued" and has_begun(run):
        word = "starting"
    elif run.id in order and status.state != "queued":
        word = f"{word}, waiting to resume"
    left, right = st.columns([4, 1], vertical_alignment="center")
    with left:
        if run.recorded:
            st.badge("recorded", icon=":material/inventory_2:", color="gray")
        st.markdown(f"{icon} **{word}** · {widgets.plain(describe(run.plan()))}")
    if sentence := state.told(PLACE):
        st.error(widgets.plain(sentence), icon=":material/error:")
    if run.id in order or (status.state == "queued" and not has_begun(run)):
        waits(run, order, right)
    elif status.state in ("queued", "running"):
        at_work(run, status, right)
    elif run_actions.starting(run, status):
        st.progress(0.0, text="Starting again")
    elif status.state != "done":
        ended(run, status)


def waits(run: Any, order: Sequence[str], place: Any) -> None:
    """A run that has not started: its place in the queue, or a button to queue it."""
    if run.id in order:
        at = order.index(run.id)
        st.caption(f"Number {at + 1} of {len(order)} in the queue." if at else "Next in the queue.")
        place.button(
            "Remove", key="dequeue", icon=":material/close:", on_click=act, args=(run_actions.take_out, run.id)
        )
        return
    st.caption("It is not in the queue, so it will not start.")
    place.button(
        "Put in the queue", key="requeue", icon=":material/queue:", on_click=act, args=(run_actions.requeue, run.id)
    )


def at_work(run: Any, status: Any, place: Any) -> None:
    behind = time.time() - status.updated
    rest = widgets.left(max(0.0, status.eta_seconds - behind)) if status.eta_seconds is not None else ""
    counted = f"step {status.step} of {status.total_steps}" if status.total_steps else ""
    message = status.message or ("Loading" if status.state == "queued" else STATES[status.state][1])
    words = [message, "" if counted in status.message else counted, rest]
    st.progress(status.fraction, text=widgets.plain(" · ".join(w for w in words if w)))
    with place:
        if run.stop_requested():
            st.button("Stopping", disabled=True, key="stopping")
        else:
            args = (loaders.stop, run.id)
            st.button("Stop", key="stop", icon=":material/stop:", on_click=act, args=args, width="stretch")


def ended(run: Any, status: Any) -> None:
    """Why a run ended early, the button that resumes it, and its log."""
    if status.message:
        (st.error if status.state in ("failed", "lost") else st.info)(widgets.plain(status.message))
    if run.recorded:
        return
    label, why = how_it_goes_on(run)
    st.button(label, key="resume", icon=":material/resume:", on_click=act, args=(run_actions.resume, run.id), help=why)
    with st.expander("Log"):
        st.code(loaders.log_tail(run.id) or "empty", language=None, wrap_lines=True)


def how_it_goes_on(run: Any) -> tuple[str, str | None]:
    """The label and help of the button that resumes a run."""
    if run_actions.only_measuring_is_left(run):
        return "Measure its behaviour", "Training is complete and the student is stored; only the evaluation is left."
    if step := run_actions.checkpoint_step(run):
        return f"Resume from step {step} of {run.plan().get('steps', '?')}", None
    return (
        "Start again from the beginning",
        "It has no checkpoint. Recorded teacher outputs are reused.",
    )


def live_status(run_id: str) -> None:
    """The status, redrawn while the run is active; the whole page once when it is over."""

    def draw() -> None:
        run = loaders.run(run_id)
        status_line(run, run.status())

    if is_over(run_id):
        draw()
    else:
        pulse.live(draw, lambda: is_over(run_id))


def act(what: Callable[[str], Any], run_id: str) -> None:
    """Apply an action to a run; an error is shown on the page."""
    try:
        what(run_id)
    except PktError as error:
        state.tell(str(error), PLACE)


@dataclass(frozen=True)
class Pace:
    """The pace of a finished run."""

    run: str
    """Its id."""
    seconds_per_step: float
    """Training only."""
    batch_size: int
    """Examples per step."""
    around: float
    """Seconds for targets and evaluation."""


def pace(plan: Any) -> Pace | None:
    """The pace of the newest finished run with the same models and method, on this machine; else of the same models."""
    return next(iter(paces([plan]).values()), None)


def paces(plans: Sequence[Any]) -> dict[str, Pace]:
    """The pace of each method among the plans, which have the same models; empty where these have no finished run here."""
    by_method: dict[str, Pace] = {}
    methods = {plan.method for plan in plans}
    for summary in loaders.runs():
        other = summary.plan or {}
        same = models(other) == (plans[0].teacher.name, plans[0].student.name)
        if summary.state != "done" or not same or other.get("method") in by_method:
            continue
        if (known := pace_of(summary.id, summary.finished)) is not None:
            by_method[str(other.get("method"))] = known
        if methods <= set(by_method):
            break
    newest = next(iter(by_method.values()), None)
    return {method: by_method.get(method, newest) for method in methods} if newest else {}


@st.cache_data(max_entries=1000, show_spinner=False)
def pace_of(run_id: str, finished: float | None) -> Pace | None:
    """The pace of a run; None where it recorded none. `finished` renews it when the run was carried out again."""
    del finished
    try:
        run = loaders.run(run_id)
        results, plan = run.results(), run.plan()
    except StoreError:
        return None
    if results is None or not results.seconds.training or not results.steps:
        return None
    per_step = results.seconds.training / results.steps
    return Pace(run_id, per_step, plan.get("batch_size", 32), results.seconds.around)


def expected_seconds(plan: Any, known: Pace) -> float:
    """Expected seconds of a plan at that pace: its steps, targets and evaluation."""
    return known.seconds_per_step * plan.total_steps * getattr(plan, "batch_size", 0) / known.batch_size + known.around
