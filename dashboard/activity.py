"""Current activity, at the foot of the sidebar on every page: memory of the device, computations, running and waiting runs.

The user sees at a glance whether the machine is busy and when it will be done, and gets a notice of a run that ended while another
page was open.
"""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from dashboard import device, loaders, pulse, run_widgets, state, widgets
from pkt_core.runs import queue as run_queue


def draw() -> None:
    """The foot of the sidebar, drawn again with every tick."""
    pulse.part(foot)


def foot() -> None:
    memory()
    computations()
    runs()


def memory() -> None:
    """Used and free memory of the graphics cards, else of the machine."""
    cards = device.cards()
    for name, used, total in cards:
        st.progress(min(1.0, used / total), text=widgets.plain(f"{name}: {used:.1f} of {total:.0f} GiB used"))
    if not cards:
        free, total = device.memory_gib()
        st.progress(1 - free / total, text=widgets.plain(f"CPU memory: {total - free:.1f} of {total:.0f} GiB used"))


def computations() -> None:
    """The engine's computations, for all visitors."""
    tasks = loaders.engine().at_work()
    working = [task for task in tasks if task.status == "working"]
    for task in working:
        words = [task.stage, widgets.left(task.left)]
        st.progress(task.fraction, text=widgets.plain(" · ".join(word for word in words if word)))
    if waits := len(tasks) - len(working):
        st.caption(f"{waits} {'computation' if waits == 1 else 'computations'} waiting.")


def runs() -> None:
    """Running runs with the time left, the number waiting, and a notice for each that ended since the last tick."""
    at_work = [run for run in loaders.runs() if run.state == "running"]
    for run in at_work:
        status = loaders.run(run.id).status()
        behind = time.time() - status.updated
        rest = "" if status.eta_seconds is None else widgets.left(max(0.0, status.eta_seconds - behind))
        words = [f"{run.method} {status.message}".strip(), rest]
        st.progress(run.fraction, text=widgets.plain(" · ".join(word for word in words if word)))
    if waits := len(run_queue.waiting()):
        st.caption(f"{waits} {'run' if waits == 1 else 'runs'} waiting in the queue.")
    if not at_work and not waits:
        st.caption("No transfer is running.")
    for run_id in state.ended_since([run.id for run in at_work]):
        notify(run_id)


def notify(run_id: str) -> None:
    """A notice that a run ended, with its final state."""
    try:
        run: Any = loaders.run(run_id)
        status = run.status()
    except widgets.PktError:
        return
    icon, word = run_widgets.STATES[status.state]
    st.toast(widgets.plain(f"{run_widgets.describe(run.plan())}: {word}"), icon=icon, duration="long")
