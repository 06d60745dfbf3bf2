"""What a plan will take of this device, known in a second, and what it took."""

from __future__ import annotations

import resource
import shutil
import sys

import torch

from pkt_core.base.files import cache_root
from pkt_core.data.examples import encode, load_examples
from pkt_core.errors import ModelError, PlanError
from pkt_core.models.catalog import Pair
from pkt_core.models.loading import choose_device, choose_dtype, load_tokenizer
from pkt_core.models.shape import model_shape
from pkt_core.transfer.estimate import Estimate, estimate, free_memory, require_disk, require_memory
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.readings import supervised
from pkt_core.transfer.record import PairNeeds, PlanNeeds

LOOKED_AT = 256  # examples whose length stands for all


def plan_needs(plan: TransferPlan) -> PlanNeeds:
    """What a plan takes, and whether it fits. Raises as `needs` does."""
    needed, device = needs(plan), choose_device(plan.student.device)
    refused = None
    try:
        require_disk(needed, free_disk())
        require_memory(needed, device)
    except PlanError as error:
        refused = str(error)
    free = free_memory(device)
    return PlanNeeds(needed.memory, needed.disk, free, str(device), needed.sentence(), refused, depths(plan))


def depths(plan: TransferPlan) -> dict[str, int] | None:
    """Layers of both models; None where one is not available here: the teacher's targets may be stored."""
    try:
        return {"teacher": model_shape(plan.teacher).n_layers, "student": model_shape(plan.student).n_layers}
    except ModelError:
        return None


def pair_needs(pair: Pair) -> PairNeeds:
    """What both models take as they would be loaded, from their configurations. Raises ModelError where one is not here."""
    device = choose_device(pair.teacher.device)
    each = choose_dtype(pair.teacher.dtype, device).itemsize
    sizes = {side: model_shape(getattr(pair, side)).n_parameters for side in ("teacher", "student")}
    return PairNeeds(sizes, each * sum(sizes.values()), free_memory(device), str(device))


def needs(plan: TransferPlan) -> Estimate:
    """Memory and disk of a plan, from both configurations and the student's tokenizer; no weight is read.

    Raises ModelError, PromptError or PlanError where the plan names what is not there.
    """
    plan.check_settings()
    student = model_shape(plan.student)
    try:
        teacher = model_shape(plan.teacher)
    except ModelError:  # its targets may be stored: the run checks
        teacher = student
    examples = load_examples(plan.data).sample(plan.n_examples, plan.seed)
    encoded = encode(load_tokenizer(plan.student), examples.items[:LOOKED_AT], sys.maxsize)
    rows = [len(supervised(example, plan.positions)) for example in encoded]
    return estimate(
        plan,
        teacher,
        student,
        n_examples=len(examples),
        n_tokens=max(len(example.ids) for example in encoded),
        n_rows=round(sum(rows) / len(rows)),
    )


def require_device(plan: TransferPlan) -> Estimate:
    """The same, or PlanError where the device has less memory, or the disk less room."""
    needed = needs(plan)
    require_memory(needed, choose_device(plan.student.device))
    require_disk(needed, free_disk())
    return needed


def free_disk() -> int:
    """Bytes left where runs and targets are kept."""
    there = next(folder for folder in (cache_root(), *cache_root().parents) if folder.exists())
    return shutil.disk_usage(there).free


def peak_memory(device: torch.device) -> int:
    """The most bytes this process has held so far: of the graphics card, else of the machine."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024  # macOS reports bytes, Linux kibibytes
