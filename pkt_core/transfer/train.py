"""The training loop of every method: it yields one StepReport a step and knows nothing of files or screens.

Same plan, same models and same machine give the same weights: batches come from the plan's seed alone.

Not covered: checkpoints and resuming, several devices.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from pkt_core.activations.capture import Capture, forward_ids, pad
from pkt_core.errors import PlanError
from pkt_core.examples import Encoded
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site
from pkt_core.transfer.methods import TERMS
from pkt_core.transfer.objectives import label_cross_entropy
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.targets import Targets, supervised
from pkt_core.transfer.trainable import Trainable


@dataclass(frozen=True)
class StepReport:
    """What one step did."""

    step: int
    """Steps done, from 1."""
    total: int
    """Steps the plan asks for."""
    seconds: float
    """Since training began."""
    terms: dict[str, float]
    """Each term of the loss as it was added, and `cross_entropy` (nats) in any case, for comparison across methods."""
    alignment: float | None
    """Mean cosine of the trained site to the mapped teacher in this batch, -1..1; None for methods without a map."""


def batches(n: int, size: int, steps: int, seed: int) -> Iterator[list[int]]:
    """Indexes of examples, reshuffled every epoch, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    left: list[int] = []
    for _ in range(steps):
        while len(left) < min(size, n):
            left += torch.randperm(n, generator=generator).tolist()
        yield left[:size]
        left = left[size:]


def train(
    student: LoadedModel,
    trainable: Trainable,
    plan: TransferPlan,
    layer: int,
    encoded: Sequence[Encoded],
    targets: Targets,
) -> Iterator[StepReport]:
    """Train in place. Raises PlanError when the loss is no longer a number."""
    # The student stays in eval mode: dropout would make targets and states differ by chance.
    torch.manual_seed(plan.seed)
    optimizer = torch.optim.AdamW(trainable.parameters, lr=plan.learning_rate, weight_decay=0.0)
    site, began = Site(plan.part, layer), time.monotonic()
    pad_id = student.tokenizer.pad_token_id
    with Capture(student, [site], keep_grad=True) as seen:
        for step, chosen in enumerate(batches(len(encoded), plan.batch_size, plan.steps, plan.seed), 1):
            batch = [encoded[i] for i in chosen]
            ids, mask = pad([e.ids for e in batch], pad_id), pad([[1] * len(e.ids) for e in batch], 0)
            logits = forward_ids(student, ids, mask)
            rows = [(i, t) for i, e in enumerate(batch) for t in supervised(e, plan.positions)]
            prompt, position = (torch.tensor(column, device=logits.device) for column in zip(*rows, strict=True))
            wanted = {name: tensor.to(logits.device) for name, tensor in targets.of(chosen).items()}
            labels = ids.to(logits.device)[prompt, position + 1]
            chosen_logits, state = logits[prompt, position].float(), seen[site][prompt, position].float()
            terms = TERMS[plan.method](plan, chosen_logits, state, labels, wanted)
            loss: Tensor = torch.stack(list(terms.values())).sum()
            if not torch.isfinite(loss):
                raise PlanError(
                    f"The loss is no longer a number at step {step}. Lower the learning rate ({plan.learning_rate:g})."
                )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trainable.parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            with torch.no_grad():
                entropy = float(label_cross_entropy(chosen_logits, labels))
                near = float(cosine_similarity(state, wanted["states"], dim=-1).mean()) if "states" in wanted else None
            yield StepReport(
                step=step,
                total=plan.steps,
                seconds=time.monotonic() - began,
                terms={name: float(term.detach()) for name, term in terms.items()} | {"cross_entropy": entropy},
                alignment=near,
            )
