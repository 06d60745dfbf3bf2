"""Stitching in closed form: one matrix of the student is changed so that its block outputs the mapped teacher state.

No step of training and no label. For each pair, with k the inputs of the MLP's last matrix, r = carry(h_T) - h_S at the matched
site, means over the supervised positions of the data and C = E[k k^T] over general text:

    dW = strength * E[r k^T] (E[k k^T] + GUARD * C + ridge)^-1

which is the least-squares answer to `dW k = r` among changes that leave the matrix's outputs on general text nearly as they are.
The form is that of MEMIT (Meng et al. 2023, arXiv 2210.07229, equation 14), who take r from an optimisation per edited fact,
k from the subject's last token and sums instead of means. Ours: r from the mapped teacher, all positions of the data, means on
both sides so that GUARD does not depend on how much text there is, and pairs one after the other from shallow to deep, each
seeing what those before it changed. With `steer`, r is the same for every row: the teacher's steering vector (steering.py).

Not covered: families whose MLP output is normalised before it is added (Gemma).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pkt_core.activations.capture import Capture, forward_states, pad
from pkt_core.activations.collect import require_fit
from pkt_core.alignment.pairing import LayerPair
from pkt_core.data.examples import Encoded
from pkt_core.errors import PlanError
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site
from pkt_core.transfer.batch import Extraction
from pkt_core.transfer.maths.matrices import matrices, oriented
from pkt_core.transfer.maths.steering import steering_vector
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.readings import supervised, usable
from pkt_core.transfer.targets import Wanted, teacher_rows
from pkt_core.transfer.trainable import Trainable

GUARD = 10.0
"""Weight of general text beside the data. Measured on the demo pair (teacher layer 5 to student layer 2, ridge map, strength 1,
200 facts each; recall of unknown facts in seen forms / of known facts in seen forms, per cent, and bits per byte on 60 general
texts, some of which the map may have been fitted on; the student as it was: 8 / 100 / 1.877): guard 0 2.5 / 10 / 2.32, 0.1 4 / 13 / 2.07, 1 4 / 34 / 1.93, 10 7.5 / 89 / 1.88,
100 8.5 / 100 / 1.88. No value transfers facts, nor does layer 3 to 1, the Procrustes or the logit-preserving map, or the
answer's positions alone; 10 is the least that leaves general text as it was, while the matrix still moves (by 0.76 of its norm).

What limits it is what it aims at: the mapped teacher state, read by the student's head, gives the first token of the answer for 4 %
of the facts (ridge) or 25 % (logit-preserving), the student itself for 10 %. With 32 facts and guard 0 the student comes to answer
exactly as many as the target does (28 %), so the edit arrives; with 1,044 facts one matrix is too small and they blur (8 %).
"""
RIDGE = 1e-6  # relative to the mean of the diagonal: only so that the system has one answer
BATCH = 32
REFUSED = (
    "{} does not add the output of its MLP's last matrix to the residual stream unchanged, so stitch cannot move the stream "
    "by editing that matrix. Choose a student such as Llama, Qwen, GPT-2, OPT or Phi, or another method."
)


@torch.no_grad()
def change_matrices(
    extraction: Extraction, *, strength: float, steer: bool = False, shuffled: bool = False
) -> dict[str, Tensor]:
    """`change.K [d_S, w]` for each student layer K: dW at strength 1. The student is left as it was.

    strength: how far a pair is moved for those that follow it; `steer` and `shuffled` are described in `shifts`.
    """
    student = extraction.student
    modules = {pair.student: last_matrix(student, pair.student) for pair in extraction.pairs}
    originals = {k: oriented(module).clone() for k, module in modules.items()}
    changes: dict[str, Tensor] = {}
    try:
        for pair in sorted(extraction.pairs):
            residual, inner, guard = moments(extraction, pair, shifts(extraction, pair, steer=steer, shuffled=shuffled))
            change = solve(residual, inner, guard, GUARD)
            changes[f"change.{pair.student}"] = change.float().cpu()
            add(modules[pair.student], changes[f"change.{pair.student}"], strength)
    finally:
        for k, module in modules.items():
            oriented(module).copy_(originals[k])
    return changes


def solve(
    residual: Float[Tensor, "d w"], inner: Float[Tensor, "w w"], guard: Float[Tensor, "w w"], weight: float
) -> Float[Tensor, "d w"]:
    """`E[r k^T] (E[k k^T] + weight C + ridge)^-1`, float64."""
    system = inner + weight * guard
    system = system + RIDGE * system.diagonal().mean() * torch.eye(len(system), dtype=system.dtype)
    solution: Tensor = torch.linalg.solve(system, residual.T)
    return solution.T


def moments(
    extraction: Extraction, pair: LayerPair, towards: Callable[[slice, Tensor], Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """`E[r k^T]` and `E[k k^T]` over the data, `E[k k^T]` over general text; float64 on the CPU."""
    plan, student = extraction.plan, extraction.student
    width = oriented(last_matrix(student, pair.student)).numel() // student.d_model
    residual, inner, guard = (torch.zeros(n, width, dtype=torch.float64) for n in (student.d_model, width, width))
    used, done = has_target(extraction), 0
    for keys, states in own_rows(student, extraction.encoded, plan, pair.student):
        part = slice(done, done + len(states))
        rest = towards(part, states)[used[part]]
        residual += rest.T @ keys[used[part]]
        inner += keys[used[part]].T @ keys[used[part]]
        done += len(states)
    done = int(used.sum())
    n = 0
    for keys, _ in own_rows(student, general(extraction), plan.model_copy(update={"positions": "all"}), pair.student):
        guard += keys.T @ keys
        n += len(keys)
    return residual / done, inner / done, guard / n


def shifts(
    extraction: Extraction, pair: LayerPair, *, steer: bool, shuffled: bool
) -> Callable[[slice, Tensor], Tensor]:
    """How far the states of a stretch of rows are to move: each to its mapped state (`shuffled`: to another row's), or with
    `steer` all by one steering vector."""
    if steer:
        vector = steering_vector(extraction, pair)
        return lambda _part, states: vector.expand_as(states)
    wanted = carried(extraction, pair)
    if shuffled:
        generator = torch.Generator().manual_seed(extraction.plan.seed)
        wanted = wanted[torch.randperm(len(wanted), generator=generator)]
    return lambda part, states: wanted[part].double() - states


def carried(extraction: Extraction, pair: LayerPair) -> Float[Tensor, "n d_S"]:
    """The mapped teacher states at every supervised position of the data."""
    rows = []
    for start in range(0, len(extraction.encoded), BATCH):
        batch = extraction.encoded[start : start + BATCH]
        readings = extraction.readings[start : start + BATCH]
        wanted = Wanted(states=True, logits=False, by_rank=False, temperature=1.0, maps=extraction.maps, shared=None)
        recorded = teacher_rows(extraction.teacher, batch, readings, extraction.plan, [pair], wanted)
        rows += [row[f"states.{pair.student}"] for row in recorded]
    return torch.cat(rows)


def has_target(extraction: Extraction) -> Bool[Tensor, n]:
    """Which supervised positions the teacher has a state for: all of them with one tokenizer."""
    both, at = zip(extraction.readings, extraction.encoded, strict=True), extraction.plan.positions
    return torch.tensor([used for reading, e in both for used in usable(reading, e, at, "state")])


def general(extraction: Extraction) -> list[Encoded]:
    """General text as the student's tokens; what is predicted there plays no part."""
    require_fit(extraction.student, list(extraction.texts))
    return [Encoded(ids, ids) for ids in extraction.student.tokenizer(list(extraction.texts))["input_ids"]]


def own_rows(
    student: LoadedModel, encoded: Sequence[Encoded], plan: TransferPlan, layer: int
) -> Iterator[tuple[Float[Tensor, "n w"], Float[Tensor, "n d_S"]]]:
    """The student's inputs of the matrix and its states at the matched site, a row per supervised position; float64."""
    module, site, whole = last_matrix(student, layer), Site(plan.part, layer), Site("mlp_out", layer)
    passed: list[tuple[Tensor, Tensor]] = []
    handle = module.register_forward_hook(lambda _module, args, output: passed.append((args[0], output)))
    try:
        with Capture(student, [whole, site]) as seen:
            for start in range(0, len(encoded), BATCH):
                batch = encoded[start : start + BATCH]
                ids = pad([e.ids for e in batch], student.tokenizer.pad_token_id)
                forward_states(student, ids, pad([[1] * len(e.ids) for e in batch], 0))
                keys, output = passed.pop()
                if passed or not torch.equal(output.reshape(-1), seen[whole].reshape(-1)):
                    raise PlanError(REFUSED.format(student.name))
                rows = [(i, t) for i, e in enumerate(batch) for t in supervised(e, plan.positions)]
                prompt, position = torch.tensor(rows, device=student.device).T
                keys, states = (x.reshape(*ids.shape, -1)[prompt, position].double().cpu() for x in (keys, seen[site]))
                yield keys, states
    finally:
        handle.remove()


def last_matrix(student: LoadedModel, layer: int) -> nn.Module:
    """The matrix whose output is the MLP's. Raises PlanError where something comes between it and the residual stream."""
    linear_maps = [*matrices(student.layout.mlps[layer]).values()] if student.layout.sublayers else []
    if not linear_maps or oriented(linear_maps[-1]).shape[0] != student.d_model:
        raise PlanError(REFUSED.format(student.name))
    return linear_maps[-1]


def add(module: nn.Module, change: Float[Tensor, "out in"], strength: float) -> None:
    """`W + strength dW`, in place."""
    weight = oriented(module)
    weight.add_(strength * change.to(weight))


def stitch(student: LoadedModel, pairs: Sequence[LayerPair], extract: dict[str, Tensor], strength: float) -> Trainable:
    """Change the matrices once; nothing trains."""
    for pair in pairs:
        add(last_matrix(student, pair.student), extract[f"change.{pair.student}"], strength)
    return Trainable(student.model, [])
