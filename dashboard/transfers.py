"""What pages do to runs: put plans into the queue, change its order, resume a run, start a family, and what there is of each.

Not covered: the queue itself and its worker (`pkt_core.waiting`), starting processes (`jobs.py`).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboard import jobs, limits, loaders
from pkt_core import waiting
from pkt_core.errors import PlanError, StoreError
from pkt_core.runs import create_run


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
    limits.require_allowed(plan.model_dump(mode="json"))
    made = create_run(plan.model_dump(mode="json"))
    waiting.enqueue([made.id])
    jobs.work()
    return made.id


def launch_family(members: Sequence[dict[str, Any]], method: str) -> str:
    """Put all plans of a family into the queue in their order and return its name."""
    if limits.demo():
        raise PlanError(
            "This public demo runs one transfer at a time and no families. Run it on a machine of your own for that."
        )
    name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{method}-{secrets.token_hex(2)}"
    made = [
        create_run(member["plan"], family={"family": name, "label": member["label"], "place": place})
        for place, member in enumerate(members)
    ]
    waiting.enqueue([run.id for run in made])
    jobs.work()
    return name


def requeue(run_id: str) -> None:
    """Put a run that nobody starts back into the queue. Raises StoreError where it has started before."""
    waiting.enqueue([run_id])
    jobs.work()


def shift(run_id: str, by: int) -> None:
    """Move a waiting run by places, as the queue is now. Raises StoreError where it waits no longer."""
    order = waiting.waiting()
    if run_id not in order:
        raise StoreError(f"Run {run_id} does not wait in the queue any more. Look at the list again.")
    waiting.move(run_id, max(0, order.index(run_id) + by))


def resume(run_id: str) -> None:
    """Go on with a run in a process of its own, from its last checkpoint where it has one."""
    jobs.start(["transfer", "--resume", run_id], run_id)


def checkpoint_step(run: Any) -> int:
    """The step that a resumed run goes on from; 0 where it has no checkpoint."""
    from pkt_core.transfer.checkpoint import Checkpoints

    found = Checkpoints(run.folder / "checkpoints").whole()
    return int(found[-1].name.removeprefix("step-")) if found else 0


def starting(run: Any, status: Any) -> bool:
    """Whether a process was started for a run that is over, and has not told its status yet."""
    if status.state in ("queued", "running", "done"):
        return False
    process = run.process()
    return process is not None and process.pid != status.pid and process.alive()


def families() -> list[Family]:
    """All families, newest first; runs that cannot be read are left out."""
    found: dict[str, list[tuple[int, Any, str]]] = {}
    for summary in loaders.runs():
        try:
            if (belongs := summary.family) is not None:
                entry = (int(belongs["place"]), summary, str(belongs["label"]))
                found.setdefault(str(belongs["family"]), []).append(entry)
        except (StoreError, KeyError, ValueError):
            continue
    made = []
    for name, entries in found.items():
        entries.sort(key=lambda entry: entry[0])
        made.append(Family(name, [run for _, run, _ in entries], {run.id: label for _, run, label in entries}))
    return sorted(made, key=lambda family: family.created, reverse=True)
