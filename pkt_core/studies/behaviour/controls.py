"""A run and its controls: which of them were run, and the paired difference between the run and each of them.

The controls are found among other runs by their plans (`transfer/controls.py`) or, where a plan is not sufficient, by their
label in the run's family. Differences are paired item by item.

Not covered: several seeds (`pkt_core.studies.families.compute`), rivals, how it is shown (`studies/behaviour/text.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from statsmodels.stats.multitest import multipletests

from pkt_core.errors import ModelError, PktError, StoreError
from pkt_core.evaluation.record import Answers, right
from pkt_core.evaluation.statistics import Change, paired_change
from pkt_core.evaluation.tasks import over_tasks
from pkt_core.models.shape import model_shape
from pkt_core.runs.family import place_of, readable_results, seeds_of
from pkt_core.runs.files import Family
from pkt_core.runs.folder import Run, list_runs
from pkt_core.runs.results import RunResults, TaughtPair
from pkt_core.studies.behaviour.record import Against, Controls, TaskTests
from pkt_core.transfer.controls import CONTROLS, PURPOSE, Saved, control, same_layers
from pkt_core.transfer.plan import TransferPlan


def controls_of(run: Run) -> Controls:
    """All controls that apply to the run's plan, run or not. Empty for an unreadable plan.

    A control of the pairing is left out where it pairs the same layers as the run.
    """
    try:
        plan = TransferPlan.read(run.plan(), run.folder)
    except StoreError:
        return Controls([])
    results, known = run.results() or RunResults(), finished(run.id)
    stays = None if results.layers is None else results.layers.student
    beside = []
    for name in CONTROLS:
        wanted = control(plan, name, student_layer=stays)
        if wanted is None or would_be_itself(plan, wanted):
            continue
        saving = control(plan, name, saved=Saved(1, 1), student_layer=stays)
        pays_back = wanted != saving  # its steps follow from lengths that a plan does not hold
        others = [one for one in known if one.plan.pairing == plan.pairing or pairs(one.results) != pairs(results)]
        other = carried_out(run, plan, name, None if pays_back else wanted, others)
        measured = other.results if other else None
        left = differences(results.right, measured.right) if measured else {}
        changes = measured.changes or None if measured else None
        beside.append(Against(name, PURPOSE[name], other.run.id if other else None, changes, left))
    return Controls(corrected(beside))


def would_be_itself(plan: TransferPlan, wanted: TransferPlan) -> bool:
    """Whether a control of the pairing would pair the same layers as the plan; False where a model is not available."""
    if wanted.pairing == plan.pairing:
        return False
    try:
        return same_layers(plan, wanted, *(model_shape(ref).n_layers for ref in (plan.teacher, plan.student)))
    except ModelError:
        return False


def pairs(results: RunResults) -> list[TaughtPair] | None:
    """The layers that a run paired; None where they were not recorded."""
    return None if results.layers is None else results.layers.every


@dataclass(frozen=True)
class Finished:
    """A run that may have measured its tasks; its results are read on first access."""

    run: Run
    plan: TransferPlan
    place: Family | None
    """Its label in its family; None where it belongs to none."""

    @cached_property
    def results(self) -> RunResults:
        """Empty where they cannot be read."""
        return readable_results(self.run) or RunResults()


def finished(but: str) -> list[Finished]:
    """All runs whose plan can be read, except the one named."""
    runs = []
    for one in list_runs(include_recorded=True):
        try:
            if one.id != but and one.plan is not None:
                plan = TransferPlan.read(one.plan, one.folder)
                runs.append(Finished(Run(one.id, one.folder, one.recorded), plan, one.family))
        except PktError:
            continue
    return runs


def carried_out(
    run: Run, plan: TransferPlan, name: str, wanted: TransferPlan | None, known: Iterable[Finished]
) -> Finished | None:
    """The finished run of the same plan, or with the same label, seed and family."""
    place = place_of(run)
    for other in known:
        same_family = place is not None and other.place is not None and other.place.family == place.family
        named = other.place is not None and other.place.label == name and other.plan.seed == plan.seed
        if (other.plan == wanted or (same_family and named)) and other.results.right:
            return other
    return None


def differences(answers: Mapping[str, Answers], control: Mapping[str, Answers]) -> dict[str, Change]:
    """Run minus control by task, where both answered the same items."""
    return {
        task: paired_change(right(control[task].after), right(of_run.after))
        for task, of_run in answers.items()
        if task in control and control[task].before == of_run.before
    }


def corrected(beside: Sequence[Against]) -> list[Against]:
    """The same with p-values corrected by Holm over all controls and tasks."""
    places = [(i, task) for i, one in enumerate(beside) for task in one.left]
    if not places:
        return list(beside)
    raw = [beside[i].left[task].p_value for i, task in places]
    p = dict(zip(places, multipletests(raw, method="holm")[1].tolist(), strict=True))
    changed = []
    for i, one in enumerate(beside):
        left = {task: replace(change, p_value=p[i, task]) for task, change in one.left.items()}
        changed.append(replace(one, left=left))
    return changed


def task_tests(run: Run) -> TaskTests:
    """The test of each task's change, and the other seeds of the same plan where the run belongs to a family."""
    results = run.results() or RunResults()
    return TaskTests(over_tasks(results.changes, results.right), seeds_of(run))
