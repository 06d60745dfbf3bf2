"""Running benchmarks: the form, starting a separate process, its progress, and stopping it.

Not covered: the results (`views/benchmarks/page.py`).
"""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import access, jobs, limits, loaders, pulse, run_widgets, state, widgets
from dashboard.params import Param
from pkt_core.base.files import cache_root
from pkt_core.benchmarks.jobs import Request, create, listed
from pkt_core.benchmarks.record import Readiness
from pkt_core.benchmarks.tasks import Asking
from pkt_core.errors import PktError
from pkt_core.runs.folder import Run
from pkt_core.runs.status import RunStatus

PLACE = "benchmarks"
ITEMS = 200  # per task, by default
OFFERED = ["demo/unknown-seen", "demo/unknown-unseen", "demo/known-unseen", "humaneval", "mbpp", "gsm8k", "mmlu"]
CODE = ("humaneval", "mbpp")
READY = Readiness(missing=None, unavailable=None, why="")
"""Until the engine has answered."""


def kept() -> int:
    """The number of benchmark results in the store."""
    return sum(1 for _ in (cache_root() / "artefacts").glob("benchmark-*"))


def asked_of(run_id: str) -> Run | None:
    """The newest request for a run, None where there is none."""
    for job in listed():
        try:
            if job.plan().get("run") == run_id:
                return job
        except PktError:
            continue
    return None


def going_on() -> Run | None:
    """The running request of any session; None where there is none."""
    for job in listed():
        try:
            if job.status().state in ("queued", "running") and job.process() is not None:
                return job
        except PktError:
            continue
    return None


def start(run_id: str, against: list[str], tasks: list[str], asking: Asking) -> None:
    """Start a request; an error is shown on the page."""
    try:
        limits.require_here("runs no benchmarks")
        access.require_benchmark(tasks, include=asking.include, data=asking.data)
        job = create(Request(run=run_id, against=against, tasks=tasks, asking=asking))
        jobs.start(["benchmark", "--job", str(job.folder)], job.folder)
    except PktError as error:
        state.tell(str(error), PLACE)


def stop(folder: Path) -> None:
    """Request that it ends after its current batch; kill it where it has not within a minute."""
    try:
        jobs.stop(folder, kill_after=60)
    except PktError as error:
        state.tell(str(error), PLACE)


def progress(run_id: str) -> None:
    """The newest request for this run, redrawn while it is active; the whole page once when it is over."""
    job = asked_of(run_id)
    if job is None:
        return

    def over() -> bool:
        return job.status().state not in ("queued", "running")

    def draw() -> None:
        line(job, job.status())

    if over():
        draw()
    else:
        pulse.live(draw, over)


def line(job: Run, status: RunStatus) -> None:
    text, button = st.columns([5, 1], vertical_alignment="center")
    if status.state in ("queued", "running"):
        rest = status.eta_seconds
        left = widgets.left(max(0.0, rest - (time.time() - status.updated))) if rest is not None else ""
        stage = status.message or "Starting: loading the harness's list of tasks"
        text.progress(status.fraction, text=widgets.plain(" · ".join(part for part in (stage, left) if part)))
        if job.stop_requested():
            button.button("Stopping", disabled=True, key="benchmark-stopping")
        else:
            button.button("Stop", key="benchmark-stop", icon=":material/stop:", on_click=stop, args=(job.folder,))
        return
    if status.state == "done":
        return
    if status.state == "lost":
        st.error(
            "The process ended unexpectedly; completed results are stored. Run it again to continue.",
            icon=":material/error:",
        )
    else:
        (st.error if status.state == "failed" else st.info)(widgets.plain(status.message))
    with st.expander("Log"):
        st.code(jobs.log_tail(job.folder, 40) or "empty", language=None, wrap_lines=True)


def form(run_id: str, against: list[str]) -> None:
    """The settings, and the button that starts the benchmarks."""
    if sentence := state.told(PLACE):
        st.error(widgets.plain(sentence), icon=":material/error:")
    task = loaders.soon(loaders.ask("benchmark_sandbox", {}), 3.0)
    ready: Readiness = task.record if task.status == "done" else READY
    if ready.missing:
        st.warning(widgets.plain(ready.missing), icon=":material/extension:")
    left, middle, right = st.columns([3, 1, 1])
    with left:
        tasks = picked_tasks()
    with middle:
        limit = widgets.amount(
            "Maximum items per task",
            Param.BENCHMARK_LIMIT,
            low=0,
            high=100_000,
            default=ITEMS,
            help="The first items in the harness's order, unless spread (Advanced). 0: all items, which is the full benchmark.",
        )
    with right:
        shots = widgets.number(
            "Few-shot examples",
            Param.BENCHMARK_SHOTS,
            low=0,
            high=64,
            auto="task's",
            step=1,
            help="Examples before each item. A task defined with 0 keeps 0.",
        )
    allow_code = code_switch(tasks, ready)
    with widgets.advanced(*ADVANCED):
        asking = advanced().model_copy(update={"limit": limit or None, "shots": shots, "allow_code": allow_code})
    busy = going_on()
    st.button(
        "Run on all models",
        type="primary",
        icon=":material/play_arrow:",
        key="benchmark-start",
        on_click=start,
        args=(run_id, against, tasks, asking),
        disabled=not tasks or bool(ready.missing) or busy is not None,
        help=f"{busy.id} is running; wait for it or stop it." if busy else "Stored results are reused.",
    )
    widgets.command(command_of(run_id, against, tasks, asking))


def picked_tasks() -> list[str]:
    """Tasks by name: suggested ones or any other of the harness."""
    given = st.multiselect(
        "Tasks",
        OFFERED,
        default=OFFERED[:3],
        key=Param.BENCHMARK_TASKS.value,
        bind=widgets.BIND,
        accept_new_options=True,
        help="Type the name of any task or group of lm-evaluation-harness, or the path of a .jsonl or .csv file with prompt, answer "
        "and optionally choices. demo/ tasks are the facts of the demo pair.",
    )
    return [str(one) for one in given]


def code_switch(tasks: list[str], ready: Readiness) -> bool:
    """Whether generated code may run; not in the link, so that no link can enable it."""
    if not any(name.startswith(CODE) for name in tasks):
        return False
    if ready.unavailable:
        st.warning(widgets.plain(ready.unavailable), icon=":material/lock:")
        return False
    return st.toggle("Run generated code in the sandbox", value=False, help=ready.why or None)


ADVANCED = (
    Param.BENCHMARK_DATA,
    Param.BENCHMARK_CHAT,
    Param.BENCHMARK_BATCH,
    Param.BENCHMARK_SEED,
    Param.BENCHMARK_TOKENS,
    Param.BENCHMARK_SPREAD,
)


def advanced() -> Asking:
    """The remaining settings."""
    left, right = st.columns(2)
    with left:
        data = widgets.line(
            "Folder of local items",
            Param.BENCHMARK_DATA,
            placeholder="the hub",
            help="Files in the hub's schema, such as humaneval.jsonl or gsm8k/test.jsonl; for machines without access to the hub.",
        )
        chat = widgets.toggle(
            "Chat template", Param.BENCHMARK_CHAT, help="Apply each model's chat template to the prompts."
        )
    with right:
        batch = widgets.amount("Batch size", Param.BENCHMARK_BATCH, low=1, high=512, default=8)
        seed = widgets.number("Seed", Param.BENCHMARK_SEED, low=0, high=2**31 - 1, auto="the harness's own", step=1)
        spread = widgets.toggle(
            "Spread items over the task",
            Param.BENCHMARK_SPREAD,
            help="Instead of the first items, which are often the easiest or all of one kind.",
        )
        tokens = widgets.number(
            "Maximum answer length (tokens)", Param.BENCHMARK_TOKENS, low=1, high=32_768, auto="the task's own", step=1
        )
    return Asking(
        data=data or None,
        chat=chat,
        batch_size=batch,
        seed=seed,
        spread=spread,
        decoding={"max_gen_toks": tokens} if tokens else {},
    )


def command_of(run_id: str, against: list[str], tasks: list[str], asking: Asking) -> str:
    """The terminal command that does the same."""
    words = ["pkt", "benchmark", run_id]
    for name in tasks:
        words += ["--task", name]
    for name in against:
        words += ["--against", name]
    for flag, value in (
        ("--limit", asking.limit),
        ("--shots", asking.shots),
        ("--seed", asking.seed),
        ("--data", asking.data),
    ):
        words += [] if value is None else [flag, str(value)]
    for name, value in asking.decoding.items():
        words += ["--decoding", f"{name}={value}"]
    words += ["--spread"] * asking.spread + ["--chat"] * asking.chat + ["--allow-code"] * asking.allow_code
    words += ["--batch-size", str(asking.batch_size)] if asking.batch_size != 8 else []
    return shlex.join(words)


def students(run_id: str) -> list[str]:
    """Further runs of the same pair with a stored student, newest first."""
    this_run = next((run for run in loaders.runs() if run.id == run_id), None)
    if this_run is None or this_run.plan is None:
        return []

    def pair(plan: dict[str, Any]) -> list[Any]:
        return [(plan.get(side) or {}).get("name") for side in ("teacher", "student")]

    return [
        run.id
        for run in loaders.runs()
        if run.id != run_id
        and run.plan
        and pair(run.plan) == pair(this_run.plan)
        and run_widgets.keeps_student(run.folder)
    ]
