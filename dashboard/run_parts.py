"""What pages show of a run: choosing one, its status with stop button, and the pace that earlier runs had."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import loaders, state, widgets
from dashboard.state import Param
from pkt_core.errors import PktError, StoreError

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
    label: str, param: Param = Param.RUN, *, running_first: bool = False, finished: bool = False
) -> str | None:
    """The id of a run; `auto` is the newest one (a running one first where asked), else the recorded one."""
    listed = [
        run for run in loaders.runs() if not finished or run.state in ("done", "stopped") or has_results(run.folder)
    ]
    if not listed:
        return None
    suggested = next((run for run in listed if running_first and run.state in ("running", "queued")), listed[0]).id
    held = str(state.value(param, state.AUTO))
    names = [state.AUTO, *(run.id for run in listed)]
    if held not in names:
        st.info(widgets.plain(f"The run {held[:80]} cannot be shown here; showing {suggested} instead."))
        state.forget(param)
    picked = st.selectbox(f"{label} (auto is {suggested})", names, key=param.value, bind=widgets.BIND)
    return suggested if picked == state.AUTO else picked


def has_results(folder: Path) -> bool:
    """Whether a run came to a trained student, whatever happened to it afterwards."""
    return (folder / "results.json").is_file()


def is_over(run_id: str) -> bool:
    """Whether nothing more will happen to a run."""
    try:
        return loaders.run(run_id).status().state not in ("queued", "running")
    except StoreError:
        return True


def describe(plan: dict[str, Any] | None) -> str:
    """A plan in a few words."""
    if not plan:
        return "unreadable plan"
    words = [str(plan.get("method", "?"))]
    if plan.get("map", "semantic") != "semantic":
        words.append({"permuted": "shuffled vocabulary", "random": "random bases"}.get(plan["map"], plan["map"]))
    if plan.get("output_weight") == 0:
        words.append("layer term only")
    if plan.get("layer_weight") == 0:
        words.append("output term only")
    names = [str(plan.get(side, {}).get("name", "?")).rstrip("/").split("/")[-1] for side in ("teacher", "student")]
    return f"{', '.join(words)}: {names[0]} to {names[1]}, {plan.get('steps')} steps, seed {plan.get('seed')}"


def status_line(run: Any, status: Any) -> None:
    """State, progress with time left, and the stop button while it runs."""
    icon, word = STATES[status.state]
    left, right = st.columns([5, 1], vertical_alignment="center")
    with left:
        if run.recorded:
            st.badge("recorded", icon=":material/inventory_2:", color="gray")
        st.markdown(f"{icon} **{word}** · {widgets.plain(describe(run.plan()))}")
    if status.state in ("queued", "running"):
        behind = time.time() - status.updated
        rest = widgets.left(max(0.0, status.eta_seconds - behind)) if status.eta_seconds is not None else ""
        counted = f"step {status.step} of {status.total_steps}" if status.total_steps else ""
        words = [status.message or word, "" if counted in status.message else counted, rest]
        st.progress(status.fraction, text=widgets.plain(" · ".join(w for w in words if w)))
        with right:
            if run.stop_requested():
                st.button("Stopping", disabled=True, key="stopping")
            else:
                st.button("Stop", key="stop", icon=":material/stop:", on_click=halt, args=(run.id,), width="stretch")
    elif status.message and status.state != "done":
        (st.error if status.state in ("failed", "lost") else st.info)(widgets.plain(status.message))
        if not run.recorded:
            with st.expander("Log"):
                st.code(loaders.log_tail(run.id) or "empty", language=None, wrap_lines=True)


def live_status(run_id: str) -> None:
    """The status, drawn again every second while the run goes on; the page once when it is over."""
    going = not is_over(run_id)

    @st.fragment(run_every=1.0 if going else None)
    def live() -> None:
        run = loaders.run(run_id)
        status = run.status()
        if going and status.state not in ("queued", "running"):
            st.rerun()
        status_line(run, status)

    live()


def halt(run_id: str) -> None:
    """Ask for the end; a run that cannot be asked says why on the page."""
    try:
        loaders.stop(run_id)
    except PktError as error:
        state.tell(str(error))


@dataclass(frozen=True)
class Pace:
    """How fast a finished run was."""

    run: str
    """Its id."""
    seconds_per_step: float
    """Training only."""
    batch_size: int
    """Examples a step."""
    around: float
    """Seconds for targets and evaluation."""


def pace(plan: Any) -> Pace | None:
    """The pace of the newest finished run with the same models and method, on this machine; else of the same models."""
    found: list[tuple[bool, Pace]] = []
    for summary in loaders.runs():
        other = summary.plan or {}
        same = all((other.get(side) or {}).get("name") == getattr(plan, side).name for side in ("teacher", "student"))
        if summary.state != "done" or not same:
            continue
        try:
            results = loaders.run(summary.id).results() or {}
        except StoreError:
            continue
        seconds, steps = results.get("seconds") or {}, results.get("steps") or other.get("steps")
        if seconds.get("training") and steps:
            around = sum(v for k, v in seconds.items() if k != "training")
            found.append(
                (
                    other.get("method") == plan.method,
                    Pace(summary.id, seconds["training"] / steps, other.get("batch_size", 32), around),
                )
            )
    return next((p for alike, p in found if alike), found[0][1] if found else None)
