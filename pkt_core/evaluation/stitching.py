"""What the student predicts when one of its layers is given the teacher's state instead of its own.

A map may bring the teacher's states near the student's and still lose what the layers above read in them; the loss of the
stitched model tests those layers. Good stitching is not shared information either: models of unrelated tasks can be stitched
(Smith et al. 2025), so it stands beside the same map fitted to shuffled pairs.

Not covered: stitching layers that are trained on the loss.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pkt_core.activations.paired import PairedBatch
from pkt_core.evaluation.divergence import NATS_TO_BITS

Map = Callable[[Tensor], Tensor]


def scored(batch: PairedBatch) -> Bool[Tensor, "prompt token"]:
    """Positions whose prediction of the next token counts: paired, and so is the token to come."""
    return torch.nn.functional.pad(batch.paired[:, :-1] & batch.paired[:, 1:], (0, 1))


def n_bytes(batch: PairedBatch) -> Float[Tensor, prompt]:
    """UTF-8 bytes of the tokens to come, per prompt."""
    return (batch.n_bytes.roll(-1, 1) * scored(batch)).sum(1).float()


def bits(batch: PairedBatch, layer: int, state: Float[Tensor, "prompt token d"]) -> Float[Tensor, prompt]:
    """Surprisal of the following tokens in bits, summed per prompt, when the student's `layer` had given `state`."""
    where = scored(batch)
    log_probs = batch.resume.logits(layer, state, where).log_softmax(-1)
    following = batch.ids.roll(-1, 1)[where].to(log_probs.device)
    nats = torch.zeros(where.shape)
    nats[where] = -log_probs.gather(1, following[:, None])[:, 0].cpu()
    return nats.sum(1) * NATS_TO_BITS


def own_bits(batch: PairedBatch) -> Float[Tensor, prompt]:
    """The student as it is, at the same positions."""
    return bits(batch, len(batch.resume.outputs) - 1, batch.resume.outputs[-1])


def stitched_bits(batch: PairedBatch, teacher_layer: int, student_layer: int, mapped: Map) -> Float[Tensor, prompt]:
    """The student from `student_layer` on, given the mapped states of `teacher_layer`; unpaired positions keep their own."""
    student_states = batch.resume.outputs[student_layer].float().cpu()
    state = torch.where(batch.paired[:, :, None], mapped(batch.teacher[teacher_layer]), student_states)
    return bits(batch, student_layer, state)
