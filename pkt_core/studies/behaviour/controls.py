"""A run beside its controls: which of them were carried out, and what is left of its gain when theirs is taken off.

The controls are found among other runs by their plans (`transfer/controls.py`) or, where a plan does not say enough, by their
place in the run's family. Differences are paired item by item.

Not covered: several seeds (`pkt_core.studies.families.compute`), rivals, how it is shown (`studies/behaviour/controls_text.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from statsmodels.stats.multitest import multipletests

from pkt_core.errors import ModelError, PktError, StoreError
from pkt_core.evaluation.statistics import Change, paired_change
from pkt_core.models.shape import model_shape
from pkt_core.runs.folder import Run, list_runs
from pkt_core.transfer.controls import CONTROLS, PURPOSE, Saved, control, same_layers
from pkt_core.transfer.plan import TransferPlan


@dataclass(frozen=True)
class Against:
    """One control of a run."""

    name: str
    purpose: str
    """What it takes away."""
    run: str | None
    """The run that carried it out, None where there is none."""
    changes: Mapping[str, Any] | None
    """After less before by task, as that run measured it."""
    left: Mapping[str, Change]
    """By task, share right after the run less after the control, on the same items; p is McNemar's, corrected by Holm over all."""


def controls_of(run: Run) -> list[Against]:
    """Every control that means something to the run's plan, whether it was carried out or not. Nothing for an unreadable plan.

    A control of the pairing that pairs the very layers of the run is none.
    """
    try:
        plan = TransferPlan.read(run.plan(), run.folder)
    except StoreError:
        return []
    results, known = run.results() or {}, finished(run.id)
    stays = (results.get("layers") or {}).get("student")
    found = []
    for name in CONTROLS:
        wanted = control(plan, name, student_layer=stays)
        if wanted is None or would_be_itself(plan, wanted):
            continue
        saving = control(plan, name, saved=Saved(1, 1), student_layer=stays)
        pays_back = wanted != saving  # its steps follow from lengths that a plan does not hold
        others = [one for one in known if one.plan.pairing == plan.pairing or pairs(one.results) != pairs(results)]
        other = carried_out(run, plan, name, None if pays_back else wanted, others)
        measured = other.results if other else None
        left = differences(results, measured) if measured else {}
        changes = measured.get("changes") if measured else None
        found.append(Against(name, PURPOSE[name], other.run.id if other else None, changes, left))
    return corrected(found)


def would_be_itself(plan: TransferPlan, wanted: TransferPlan) -> bool:
    """Whether a control of the pairing would pair what the plan pairs; False where a model is not here to tell."""
    if wanted.pairing == plan.pairing:
        return False
    try:
        return same_layers(plan, wanted, *(model_shape(ref).n_layers for ref in (plan.teacher, plan.student)))
    except ModelError:
        return False


def pairs(results: Mapping[str, Any]) -> Any:
    """The layers that a run paired, None where it does not say."""
    return (results.get("layers") or {}).get("pairs")


@dataclass(frozen=True)
class Finished:
    """A run that may have answered its tasks; its results are read once it is looked at."""

    run: Run
    plan: TransferPlan
    belongs: Mapping[str, Any]
    """What it is in its family; empty where it stands alone."""

    @cached_property
    def results(self) -> Mapping[str, Any]:
        """Empty where they cannot be read."""
        try:
            return self.run.results() or {}
        except PktError:
            return {}


def finished(but: str) -> list[Finished]:
    """All runs whose plan can be read, without the one named."""
    found = []
    for one in list_runs(include_recorded=True):
        try:
            if one.id != but and one.plan is not None:
                plan = TransferPlan.read(one.plan, one.folder)
                found.append(Finished(Run(one.id, one.folder, one.recorded), plan, one.family or {}))
        except PktError:
            continue
    return found


def carried_out(
    run: Run, plan: TransferPlan, name: str, wanted: TransferPlan | None, known: Iterable[Finished]
) -> Finished | None:
    """The finished run of that very plan, or of that name, seed and family."""
    try:
        family = (run.family() or {}).get("family")
    except StoreError:
        family = None
    for other in known:
        same_family = family is not None and other.belongs.get("family") == family
        named = other.belongs.get("label") == name and other.plan.seed == plan.seed
        if (other.plan == wanted or (same_family and named)) and other.results.get("right"):
            return other
    return None


def differences(results: Mapping[str, Any], control: Mapping[str, Any]) -> dict[str, Change]:
    """Run less control by task, where both answered the same items."""
    own, theirs = results.get("right") or {}, control.get("right") or {}
    return {
        task: paired_change(right(theirs[task]["after"]), right(own[task]["after"]))
        for task in own
        if task in theirs and theirs[task].get("before") == own[task].get("before")
    }


def right(answers: str) -> list[bool]:
    """`0110` item by item."""
    return [answer == "1" for answer in answers]


def corrected(found: Sequence[Against]) -> list[Against]:
    """The same with p-values corrected by Holm over all controls and tasks."""
    places = [(i, task) for i, one in enumerate(found) for task in one.left]
    if not places:
        return list(found)
    raw = [found[i].left[task].p_value for i, task in places]
    p = dict(zip(places, multipletests(raw, method="holm")[1].tolist(), strict=True))
    changed = []
    for i, one in enumerate(found):
        left = {task: replace(change, p_value=p[i, task]) for task, change in one.left.items()}
        changed.append(replace(one, left=left))
    return changed


def to_json(found: Sequence[Against]) -> list[dict[str, Any]]:
    """For machines and pages."""
    return [asdict(one) for one in found]
