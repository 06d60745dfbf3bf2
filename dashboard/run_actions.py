"""Actions on runs: queue plans, reorder the queue, resume a run, start a family; and the list of families.

Not covered: the queue itself and its worker (`pkt_core.runs.queue`), starting processes (`jobs.py`).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboard import access, jobs, limits, loaders
from pkt_core.errors import StoreError
from pkt_core.runs import queue as run_queue
from pkt_core.runs.folder import create_run, create_runs, keeps_student
from pkt_core.studies.families.record import PlannedRun


@dataclass(frozen=True)
class Family:
    """A family of runs."""

    name: str
    """As stored with its runs."""
    runs: list[Any]
    """Summaries in the planned order."""
    labels: dict[str, str]
    """The label of each run in the family, by run id."""

    @property
    def created(self) -> float:
        return float(max(run.created for run in self.runs))

    def among(self, *states: str) -> list[Any]:
        """Its runs in any of these states."""
        return [run for run in self.runs if run.state in states]


def launch(plan: Any) -> str:
    """Put a run of this plan into the queue, make sure that a worker is running, and return its id."""
    limits.require_short(plan)
    access.require_allowed(plan.model_dump(mode="json"))
    with limits.place():
        made = create_run(plan.model_dump(mode="json"))
        limits.own(made)
        run_queue.enqueue([made.id])
    jobs.work()
    return made.id


def launch_family(members: Sequence[PlannedRun], method: str) -> str:
    """Put all plans of a family into the queue in their order and return its name."""
    limits.require_here("runs one transfer at a time, no families and no sweeps")
    access.require_allowed([member.plan for member in members])
    name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{method}-{secrets.token_hex(2)}"
    made = create_runs(
        [(member.plan, {"family": name, "label": member.label, "place": place}) for place, member in enumerate(members)]
    )
    run_queue.enqueue([run.id for run in made])
    jobs.work()
    return name


def requeue(run_id: str) -> None:
    """Put a run into the queue that is new or ended early. Raises StoreError where it is running or done."""
    limits.require_own(loaders.run(run_id))
    with limits.place():
        run_queue.enqueue([run_id])
    jobs.work()


def take_out(run_id: str) -> None:
    """Take a waiting run out of the queue. Raises StoreError where it does not wait."""
    limits.require_own(loaders.run(run_id))
    run_queue.remove(run_id)


def shift(run_id: str, by: int) -> None:
    """Move a waiting run by places in the current queue. Raises StoreError where it is no longer waiting."""
    order = run_queue.waiting()
    if run_id not in order:
        raise StoreError(f"Run {run_id} is no longer waiting in the queue. Reload the list.")
    place = max(0, order.index(run_id) + by)
    limits.require_own_among(order, order.index(run_id), place)
    run_queue.move(run_id, place)


def resume(run_id: str) -> None:
    """Queue a run that ended early: it continues from its last checkpoint, or with the evaluation where training is complete."""
    requeue(run_id)


def checkpoint_step(run: Any) -> int:
    """The step from which a resumed run continues; 0 where it has no checkpoint."""
    from pkt_core.transfer.checkpoint import Checkpoints

    return Checkpoints(run.folder / "checkpoints").steps()


def only_measuring_is_left(run: Any) -> bool:
    """Whether a run is fully trained and its student is stored, so that resuming only evaluates it."""
    try:
        results = run.results()
    except StoreError:
        return False
    return results is not None and results.complete and keeps_student(run.folder)


def starting(run: Any, status: Any) -> bool:
    """Whether a process was started for a run that had ended, and has not written its status yet."""
    return status.state not in ("queued", "running", "done") and run.starting(status)


def at_work(run: Any, status: Any) -> bool:
    """Whether a process carries the run out or is about to, so that it must not be started again."""
    return (
        status.state == "running" or starting(run, status) or (status.state == "queued" and run.process() is not None)
    )


def families() -> list[Family]:
    """All families, newest first; runs that cannot be read are left out."""
    members: dict[str, list[tuple[int, Any, str]]] = {}
    for summary in loaders.runs():
        if (place := summary.family) is not None:
            members.setdefault(place.family, []).append((place.place, summary, place.label))
    made = []
    for name, entries in members.items():
        entries.sort(key=lambda entry: entry[0])
        made.append(Family(name, [run for _, run, _ in entries], {run.id: label for _, run, label in entries}))
    return sorted(made, key=lambda family: family.created, reverse=True)
