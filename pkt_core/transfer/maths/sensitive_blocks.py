"""Seeking: LoRA of the student that starts from the teacher's most sensitive parameters, then fine-tuning with labels.

Zhong et al., ICLR 2024 (arXiv 2310.11451). Theirs: sensitivity over a seed set, the top layers in order, the contiguous
block of each matrix, its singular vectors as the adapter. The paper writes `W - W_extract + B A`; their code takes `B A` away
from the student's weight and lets the adapter start at (B, A), so that the student's function is unchanged at step 0 and
only what trains differs. This is the code's form.

Ours: no adapter on embedding and head, no dropout, the engine's optimiser; only blocks are ranked. With scope `layer` the
plan's pairs are taken instead of the ranking. A fused query-key-value matrix is one matrix: the block ignores its parts, as
it ignores heads.

Not covered: teachers with fewer layers or smaller matrices than the student, families whose matrices are named differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pkt_core.data.examples import Encoded
from pkt_core.errors import PlanError
from pkt_core.models.loading import LoadedModel
from pkt_core.transfer.batch import Extraction
from pkt_core.transfer.maths.matrices import matrices, oriented, turned
from pkt_core.transfer.trainable import Trainable

EXACT_BELOW = 2048  # the shorter side of a block; beyond it a full SVD takes minutes and a randomised one seconds
SPARE_RANK = 8  # of the randomised SVD
POWER_STEPS = 4


def seek(extraction: Extraction, *, every_layer: bool, rank: int) -> dict[str, Tensor]:
    """`B.K.NAME` and `A.K.NAME` for each matrix of student layer K: the adapter's first values."""
    teacher, student = extraction.teacher, extraction.student
    names = shared_matrices(teacher, student)
    if every_layer and teacher.n_layers < student.n_layers:
        raise PlanError(
            f"{teacher.name} has {teacher.n_layers} layers, fewer than the {student.n_layers} of {student.name}; seeking gives "
            "each student layer a different teacher layer. Choose a deeper teacher, or scope layer."
        )
    totals, scores = sensitivity(teacher, extraction.seed_set(teacher), names)
    factors: dict[str, Tensor] = {}
    sources = {pair.student: pair.teacher for pair in extraction.pairs}
    if every_layer:
        sources = most_sensitive(totals, student.n_layers)
    for k, layer in sources.items():
        for name in names:
            n, m = oriented(student.layout.blocks[k].get_submodule(name)).shape
            weight = oriented(teacher.layout.blocks[layer].get_submodule(name)).float()
            top, left = densest_block(scores[layer, name], n, m)
            b, a = low_rank(weight[top : top + n, left : left + m], rank)
            factors |= {f"B.{k}.{name}": b.cpu(), f"A.{k}.{name}": a.cpu()}
    return factors


def sensitivity(
    teacher: LoadedModel, seeds: Sequence[Encoded], names: Sequence[str]
) -> tuple[Float[Tensor, L_T], dict[tuple[int, str], Tensor]]:
    """`S = sum_j |theta dL(x_j, y_j)/dtheta|` in float32, L the mean loss of the answer's tokens: of each layer in all, and
    of each matrix `[out, in]` entry by entry.

    A gradient is dropped as soon as it is added up, so that what is held is the teacher, one gradient and the scores.
    """
    teacher.model.float()  # gradients of half precision vanish; the teacher is freed after this stage
    totals = torch.zeros(teacher.n_layers)
    scores: dict[tuple[int, str], Tensor] = {}
    handles: list[Any] = []
    parameters = [(k, p) for k, block in enumerate(teacher.layout.blocks) for p in block.parameters()]
    keys = {
        id(block.get_submodule(name).weight): ((k, name), turned(block.get_submodule(name)))
        for k, block in enumerate(teacher.layout.blocks)
        for name in names
    }

    def add(layer: int, parameter: nn.Parameter) -> None:
        assert parameter.grad is not None
        product = (parameter.detach() * parameter.grad).abs().cpu()
        parameter.grad = None
        totals[layer] += product.sum()
        if id(parameter) in keys:
            key, other_way = keys[id(parameter)]
            product = product.T if other_way else product
            scores[key] = scores[key] + product if key in scores else product

    try:
        for layer, parameter in parameters:
            parameter.requires_grad_(True)
            handles.append(parameter.register_post_accumulate_grad_hook(partial(add, layer)))
        for example in seeds:
            ids = torch.tensor([example.ids], device=teacher.device)
            labels = torch.tensor([example.labels], device=teacher.device)
            logits = teacher.model(input_ids=ids).logits[0, :-1].float()
            nn.functional.cross_entropy(logits, labels[0, 1:]).backward()  # -100 outside the answer is left out
    finally:
        for handle in handles:
            handle.remove()
        teacher.model.requires_grad_(False)
    return totals, scores


def most_sensitive(totals: Float[Tensor, L_T], n_student: int) -> dict[int, int]:
    """Teacher layer for each student layer: the most sensitive ones in their order."""
    return dict(enumerate(sorted(totals.topk(n_student).indices.tolist())))


def densest_block(scores: Float[Tensor, "n_T m_T"], n: int, m: int) -> tuple[int, int]:
    """First row and column of the contiguous n x m block with the largest sum: four shifted slices of a summed-area table."""
    table = torch.zeros(scores.shape[0] + 1, scores.shape[1] + 1, dtype=torch.float64)
    table[1:, 1:] = scores.double().cumsum(0).cumsum(1)
    rows, columns = scores.shape[0] - n + 1, scores.shape[1] - m + 1
    sums = table[n:, m:] - table[:rows, m:] - table[n:, :columns] + table[:rows, :columns]
    best = int(sums.argmax())
    return best // columns, best % columns


def low_rank(block: Float[Tensor, "n m"], rank: int) -> tuple[Float[Tensor, "n rank"], Float[Tensor, "rank m"]]:
    """`B = U_r Sigma_r`, `A = V_r^T`; columns beyond the block's own rank are zero."""
    k = min(rank, *block.shape)
    if min(block.shape) < EXACT_BELOW:
        u, s, vt = torch.linalg.svd(block, full_matrices=False)
        v = vt.T
    else:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            u, s, v = torch.svd_lowrank(block, q=min(k + SPARE_RANK, *block.shape), niter=POWER_STEPS)
    b, a = block.new_zeros(block.shape[0], rank), block.new_zeros(rank, block.shape[1])
    b[:, :k], a[:k] = u[:, :k] * s[:k], v[:, :k].T
    return b, a


def shared_matrices(teacher: LoadedModel, student: LoadedModel) -> list[str]:
    """Names of the matrices that both models' blocks have. Raises PlanError where there are none, or the student's is larger."""
    ours, theirs = matrices(student.layout.blocks[0]), matrices(teacher.layout.blocks[0])
    names = [name for name in ours if name in theirs]
    if not names:
        raise PlanError(
            f"{teacher.name} and {student.name} have no matrices of the same name; seeking needs two models of one family. "
            "Choose such a pair or another method."
        )
    for name in names:
        (n, m), (rows, columns) = oriented(ours[name]).shape, oriented(theirs[name]).shape
        if n > rows or m > columns:
            raise PlanError(
                f"{name} is {n} x {m} in {student.name} and {rows} x {columns} in {teacher.name}; seeking cuts a block of the "
                "student's size out of the teacher's matrix. Choose a larger teacher or another method."
            )
    return names


def plant(student: LoadedModel, extract: dict[str, Tensor], rank: int) -> Trainable:
    """Take `B A` away from the student's weights and let LoRA start at (B, A); baking merges it back into the weights."""
    from peft import LoraConfig, get_peft_model

    keys = [key.removeprefix("A.") for key in extract if key.startswith("A.")]
    modules = {key: student.layout.blocks[int(key.split(".")[0])].get_submodule(key.split(".", 1)[1]) for key in keys}
    full = {id(module): name for name, module in student.model.named_modules()}
    config = LoraConfig(
        r=rank,
        lora_alpha=rank,  # scale 1
        target_modules=[full[id(module)] for module in modules.values()],
        fan_in_fan_out=any(map(turned, modules.values())),
    )
    peft = get_peft_model(student.model, config)
    with torch.no_grad():
        for key, base in modules.items():
            a, b = (extract[f"{side}.{key}"].to(student.device) for side in "AB")
            adapter = student.model.get_submodule(full[id(base)])
            adapter.lora_A["default"].weight.copy_(a)  # type: ignore[operator, index, union-attr]
            adapter.lora_B["default"].weight.copy_(b)  # type: ignore[operator, index, union-attr]
            oriented(base).sub_(b @ a)

    def bake() -> None:
        peft.merge_and_unload()

    parameters = [p for p in student.model.parameters() if p.requires_grad]
    return Trainable(student.model, parameters, bake=bake)
