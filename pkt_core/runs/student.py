"""The trained student of a run: that it is there and whole, what names it, and how it is loaded.

open_trained  the one way to it; a run without one, a damaged or another version's plan, another pair: one sentence  -> Trained
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from pkt_core.errors import StoreError
from pkt_core.models.catalog import Pair
from pkt_core.models.loading import LoadedModel, file_digest, load, model_digest, weights_digest
from pkt_core.models.ref import ModelRef
from pkt_core.runs.folder import Run, keeps_student
from pkt_core.runs.results import RunResults
from pkt_core.transfer.export import open_student, require_exported
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.setup import trainable_ref


@dataclass(frozen=True)
class Trained:
    """The stored trained student of a run. Nothing is loaded yet."""

    plan: TransferPlan
    """What it was trained by."""
    folder: Path
    """Its weights: a whole model, or an adapter."""
    before: ModelRef
    """The student that was trained, with the precision and the device that the trained one is loaded in."""

    @property
    def weights(self) -> str:
        """The digest of the weight files in the folder."""
        return weights_digest(self.folder)

    @property
    def digest(self) -> str:
        """The digest of the model; with an adapter, of the student before and of the adapter."""
        if self.plan.as_adapter:
            return f"{model_digest(self.before)}+{file_digest(self.folder / 'adapter_model.safetensors')}"
        return model_digest(ModelRef(name=str(self.folder)))

    @property
    def named(self) -> dict[str, object]:
        """What names teacher, student before and student after in the key of a stored result."""
        refs = (self.plan.teacher, self.plan.student)
        return {"models": [[model_digest(ref), ref.dtype, ref.device] for ref in refs], "after": self.weights}

    def load(self) -> LoadedModel:
        """The trained student. Raises ModelError or StoreError where its files are no model."""
        return open_student(self.folder, self.plan.model_copy(update={"student": self.before}))

    def load_all(self) -> dict[str, LoadedModel]:
        """Teacher, student before and student after, by the names `teacher`, `before` and `after`."""
        return {"teacher": load(self.plan.teacher), "before": load(self.before), "after": self.load()}


def open_trained(run: Run, pair: Pair | None = None) -> Trained:
    """The trained student of a run, in the precision that training used; with a pair, in that pair's precision and on its device.

    Raises StoreError where the plan is damaged or of another version, where the run is of other models than the pair, and where
    it keeps no trained student, or a damaged one.
    """
    plan = plan_of(run) if pair is None else plan_of_pair(run, pair)
    if not keeps_student(run.folder):
        raise StoreError(
            f"Run {run.id} keeps no trained student. Choose a run that finished here, or run its plan again."
        )
    folder = run.folder / "student"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    require_whole(run, tuple(as_of(path) for path in (*files, run.folder / "results.json")))
    return Trained(plan, folder, trainable_ref(plan.student) if pair is None else pair.student)


def plan_of(run: Run) -> TransferPlan:
    """The plan of a run. Raises StoreError where it is damaged or of another version."""
    return TransferPlan.read(run.plan(), run.folder / "plan.json")


def plan_of_pair(run: Run, pair: Pair | TransferPlan) -> TransferPlan:
    """The same. Raises StoreError also where its teacher or student is not the pair's."""
    plan = plan_of(run)
    actual, expected = [(one.teacher.name, one.student.name) for one in (plan, pair)]
    if actual != expected:
        raise StoreError(
            f"Run {run.id} has the teacher {actual[0]} and the student {actual[1]}; expected {expected[0]} and {expected[1]}. "
            "Choose a run of this pair."
        )
    return plan


def as_of(path: Path) -> tuple[str, int, int, int] | None:
    """What changes when a file is written; None where there is none."""
    if not path.exists():
        return None
    stat = path.stat()
    return str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns


@functools.lru_cache(maxsize=256)
def require_whole(run: Run, _files: tuple[tuple[str, int, int, int] | None, ...]) -> None:
    """Raises StoreError where the files are not those that the run exported; read once until they are written again."""
    require_exported(run.folder / "student", run.results() or RunResults())
