"""What a plan will take of memory and disk, before anything is loaded; refused where this device does not have it.

Estimates, not measurements: attention scores, buffers of libraries and fragmentation are in one factor, RESERVE.

Not covered: evaluation, which holds three models without gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import torch

from pkt_core.alignment.pairing import read_pairs
from pkt_core.errors import PlanError
from pkt_core.models.loading import choose_device, choose_dtype
from pkt_core.models.ref import ModelRef
from pkt_core.models.shape import ModelShape
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.settings import FITTED, LayerByLayer, Mapped, Trained
from pkt_core.transfer.targets import TOP_K

FLOAT = 4
KEPT_PER_TOKEN = 16
"""Numbers of d_model width that a block keeps per token for its backward pass: norms, projections, MLP of four times the width."""
LOGIT_COPIES = 4
"""Of the logits at once: in the model's own dtype, in float32, their softmax and its gradient."""
PROCESS = 600 * 2**20
"""What Python, torch and transformers take before any model is loaded."""
RECORDED_AT_ONCE, RECORDED_COPIES = 32, 3
"""Examples of a batch while the teacher records, and copies of their logits."""
BASIS_BYTES = 4 + 8
"""Per number of a head while its bases are made: the bases in float32, one product in float64."""
RESERVE = 1.2
GIB = 2**30


@dataclass(frozen=True)
class Estimate:
    """Bytes, by what they are for."""

    teacher: int
    """Weights of the teacher while it records its targets."""
    student: int
    """Weights of the student."""
    optimiser: int
    """Gradients and two moments of what trains."""
    activations: int
    """What the backward pass of one micro-batch needs, logits included."""
    reading: int
    """While the teacher records: logits of a batch, and the bases of both vocabularies where a map is made of them."""
    targets: int
    """On disk."""
    export: int
    """On disk: the trained student and a checkpoint of what trains."""

    @property
    def recording(self) -> int:
        """Memory while the teacher runs: both models are there."""
        return PROCESS + int(RESERVE * (self.teacher + self.student + self.reading))

    @property
    def training(self) -> int:
        """Memory while the student trains."""
        return PROCESS + int(RESERVE * (self.student + self.optimiser + self.activations))

    @property
    def memory(self) -> int:
        """The larger of the two."""
        return max(self.recording, self.training)

    @property
    def disk(self) -> int:
        return self.targets + self.export

    def sentence(self) -> str:
        """For a person."""
        parts = {
            "teacher": self.teacher,
            "student": self.student,
            "optimiser": self.optimiser,
            "activations": self.activations,
        }
        listed = ", ".join(f"{name} {size / GIB:.2g}" for name, size in parts.items())
        return f"Needs about {self.memory / GIB:.2g} GiB of memory ({listed}) and {self.disk / GIB:.2g} GiB of disk."


def trained_parameters(plan: TransferPlan, shape: ModelShape) -> int:
    """How many parameters of the student train at once, LoRA's from the width alone."""
    n_blocks = shape.n_layers if plan.every_block else 1 if isinstance(plan, LayerByLayer) else n_pairs(plan, shape)
    per_block = max(shape.block_parameters)
    if plan.rank is not None:
        # Four projections a block; in and out widths of the MLP ones are about one and four times the model's.
        per_block = min(per_block, plan.rank * shape.d_model * 14)
    return n_blocks * per_block


def n_pairs(plan: TransferPlan, student: ModelShape) -> int:
    """How many student layers are paired."""
    return len(read_pairs(plan.layer_pairs)) or max(1, plan.n_pairs or student.n_layers)


def estimate(
    plan: TransferPlan, teacher: ModelShape, student: ModelShape, *, n_examples: int, n_tokens: int, n_rows: int
) -> Estimate:
    """What the plan takes. n_tokens: of the longest example; n_rows: supervised positions of an example, on average."""
    held = {
        side: torch.finfo(dtype_of(ref)).bits // 8
        for side, ref in (("teacher", plan.teacher), ("student", plan.student))
    }
    if plan.student.dtype == "auto":
        held["student"] = FLOAT  # a student that trains is kept in float32
    trained, activations = trained_parameters(plan, student), 0
    if isinstance(plan, Trained):
        micro = plan.micro_batch or plan.batch_size
        blocks = student.n_layers if not plan.recompute else 1
        tokens = micro * n_tokens
        activations = tokens * student.d_model * (KEPT_PER_TOKEN * blocks + student.n_layers) * FLOAT
        activations += (tokens + (LOGIT_COPIES - 1) * micro * n_rows) * student.vocabulary * FLOAT
    reading = RECORDED_AT_ONCE * n_tokens * teacher.vocabulary * FLOAT * RECORDED_COPIES * plan.uses_teacher
    if isinstance(plan, Mapped) and plan.map not in FITTED:
        reading += sum(shape.vocabulary * shape.d_model for shape in (teacher, student)) * BASIS_BYTES
    per_row = (TOP_K * (FLOAT + 8)) + n_pairs(plan, student) * student.d_model * FLOAT
    return Estimate(
        teacher=teacher.n_parameters * held["teacher"] * plan.uses_teacher,
        student=student.n_parameters * held["student"],
        optimiser=3 * FLOAT * trained * plan.trains,
        activations=activations,
        reading=reading,
        targets=n_examples * n_rows * per_row * plan.uses_teacher,
        export=student.n_parameters * held["student"] + 3 * FLOAT * trained,
    )


def dtype_of(ref: ModelRef) -> torch.dtype:
    return choose_dtype(ref.dtype, choose_device(ref.device))


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device now."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


def require_disk(needed: Estimate, free: int) -> None:
    """Raises PlanError where the disk of runs and targets has less room than the plan is estimated to take."""
    if needed.disk > free:
        raise PlanError(
            f"{needed.sentence()} The disk of the cache has {free / GIB:.2g} GiB left. Free some space, or set PKT_CACHE to "
            "a larger disk."
        )


def require_memory(needed: Estimate, device: torch.device) -> None:
    """Raises PlanError where the device has less memory free than the plan is estimated to take."""
    free = free_memory(device)
    if needed.memory > free:
        raise PlanError(
            f"{needed.sentence()} This device has {free / GIB:.2g} GiB free. Use a smaller micro-batch, recompute, "
            "LoRA, dtype bfloat16 or smaller models."
        )
