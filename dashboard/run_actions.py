"""What pages do to runs: put plans into the queue, change its order, resume a run, start a family, and what there is of each.

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
    """A family as a list of them shows it."""

    name: str
    """As its runs name it."""
    runs: list[Any]
    """Summaries in the order they were planned."""
    labels: dict[str, str]
    """What each run is in it, by run id."""

    @property
    def created(self) -> float:
        return float(max(run.created for run in self.runs))

    def among(self, *states: str) -> list[Any]:
        """Its runs in any of these states."""
        return [run for run in self.runs if run.state in states]


def launch(plan: Any) -> str:
    """Put a run of this plan into the queue, see to it that a worker lives, and return its id."""
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
    """Put a run that nobody starts into the queue, new or ended early. Raises StoreError where it is at work or done."""
    limits.require_own(loaders.run(run_id))
    with limits.place():
        run_queue.enqueue([run_id])
    jobs.work()


def take_out(run_id: str) -> None:
    """Take a waiting run out of the queue. Raises StoreError where it does not wait."""
    limits.require_own(loaders.run(run_id))
    run_queue.remove(run_id)


def shift(run_id: str, by: int) -> None:
    """Move a waiting run by places, as the queue is now. Raises StoreError where it waits no longer."""
    order = run_queue.waiting()
    if run_id not in order:
        raise StoreError(f"Run {run_id} does not wait in the queue any more. Look at the list again.")
    place = max(0, order.index(run_id) + by)
    limits.require_own_among(order, order.index(run_id), place)
    run_queue.move(run_id, place)


def resume(run_id: str) -> None:
    """Go on with a run that ended early, when its turn comes: from its last checkpoint, or with measuring where it is trained."""
    requeue(run_id)


def checkpoint_step(run: Any) -> int:
    """The step that a resumed run goes on from; 0 where it has no checkpoint."""
    from pkt_core.transfer.checkpoint import Checkpoints

    return Checkpoints(run.folder / "checkpoints").steps()


def only_measuring_is_left(run: Any) -> bool:
    """Whether a run did all its steps and keeps its student, so that going on measures it and trains nothing."""
    try:
        results = run.results()
    except StoreError:
        return False
    return results is not None and results.complete and keeps_student(run.folder)


def starting(run: Any, status: Any) -> bool:
    """Whether a process was started for a run that is over, and has not told its status yet."""
    return status.state not in ("queued", "running", "done") and run.starting(status)


def at_work(run: Any, status: Any) -> bool:
    """Whether somebody carries a run out or is about to, so that nobody else may start it."""
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
