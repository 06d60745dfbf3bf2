"""The runs of a family: which they are, what each is among them, and how far the seeds of one member scatter.

Not covered: which runs a family has by its plan, and its table (`studies/families/`).
"""

from __future__ import annotations

from dataclasses import dataclass

from pkt_core.errors import StoreError
from pkt_core.runs.files import Family
from pkt_core.runs.folder import Run, list_runs, open_run
from pkt_core.runs.results import RunResults


@dataclass(frozen=True)
class SeedScore:
    """One finished run among the seeds of the same plan."""

    run: str
    """Its id."""
    seed: int | None
    """None where its plan names none."""
    tasks: dict[str, float]
    """By task, share right after the transfer, 0..1."""


@dataclass(frozen=True)
class Seeds:
    """The seeds of one member of a family."""

    family: str
    """Its name."""
    label: str
    """The member."""
    seeds: list[SeedScore]
    """Of runs that are measured, as they were planned."""

    @property
    def widest(self) -> tuple[str, float, float] | None:
        """The task on which they scatter most, with its lowest and highest share, 0..1; None without a task."""
        rates: dict[str, list[float]] = {}
        for one in self.seeds:
            for task, rate in one.tasks.items():
                rates.setdefault(task, []).append(rate)
        spans = [(task, min(some), max(some)) for task, some in rates.items()]
        return max(spans, key=lambda span: span[2] - span[1], default=None)


def runs_of(family: str) -> list[Run]:
    """Its runs in the order they were planned. Raises StoreError where there are none."""
    placed = [
        (summary.family.place, open_run(summary.id))
        for summary in list_runs(include_recorded=True)
        if summary.kind == "transfer" and summary.family is not None and summary.family.family == family
    ]
    if not placed:
        raise StoreError(f"There is no family {family!r}. Start one with `pkt family`, or choose from `pkt families`.")
    return [run for _, run in sorted(placed, key=lambda one: one[0])]


def place_of(run: Run) -> Family | None:
    """What a run is in its family; None where it stands alone, or its file is damaged, which takes no table away."""
    try:
        return run.family()
    except StoreError:
        return None


def readable_results(run: Run) -> RunResults | None:
    """What came out of a run; None where nothing did, or it cannot be read."""
    try:
        return run.results()
    except StoreError:
        return None


def seeds_of(run: Run) -> Seeds | None:
    """Share right on each task of every measured run with the same label in the run's family; None where it stands alone."""
    place = place_of(run)
    if place is None:
        return None
    seeds = []
    for one in runs_of(place.family):
        other = place_of(one)
        results = readable_results(one) if other is not None and other.label == place.label else None
        if results is None or results.behaviour is None:
            continue
        try:
            seed = one.plan().get("seed")
        except StoreError:
            continue
        seeds.append(SeedScore(one.id, seed, {task: change.after for task, change in results.changes.items()}))
    return Seeds(place.family, place.label, seeds)
