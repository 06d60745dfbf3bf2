"""What the teacher says about the training data, computed once: then the teacher is no longer needed.

For each example, at each supervised position: the teacher's activation mapped into student space (semalign-v1), or its
most likely next tokens (logit-kd). A position t is supervised when it predicts a token that counts, the token t + 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pkt_core.activations.capture import Capture, forward_ids, pad
from pkt_core.alignment.maps import AlignmentMap
from pkt_core.examples import IGNORE, Encoded
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site
from pkt_core.transfer.plan import TransferPlan

TOP_K = 256
TARGETS_VERSION = 1


def supervised(example: Encoded, positions: str) -> list[int]:
    """Positions whose next token counts."""
    if positions == "all":
        return list(range(len(example.ids) - 1))
    return [t for t, label in enumerate(example.labels[1:]) if label != IGNORE]


@dataclass(frozen=True)
class Targets:
    """One row per supervised position, examples one after the other."""

    starts: list[int]
    """First row of each example, and the number of rows at the end."""
    tensors: dict[str, Tensor]
    """`states [rows, d_student]` or `log_probs [rows, k]` and `ids [rows, k]`; empty for methods without a teacher."""

    def of(self, chosen: Sequence[int]) -> dict[str, Tensor]:
        """The rows of the chosen examples, in that order."""
        rows = torch.cat([torch.arange(self.starts[i], self.starts[i + 1]) for i in chosen])
        return {name: tensor[rows] for name, tensor in self.tensors.items()}


def row_starts(encoded: Sequence[Encoded], positions: str) -> list[int]:
    starts = [0]
    for example in encoded:
        starts.append(starts[-1] + len(supervised(example, positions)))
    return starts


@torch.no_grad()
def teacher_targets(
    teacher: LoadedModel,
    encoded: Sequence[Encoded],
    plan: TransferPlan,
    layer: int,
    alignment: AlignmentMap | None,
    *,
    batch_size: int = 32,
    progress: Callable[[float], None] = lambda _: None,
) -> Targets:
    """Run the teacher over the data once: mapped states where there is a map, else its most likely tokens. Tensors are on the CPU, float32 (ids: int64)."""
    site = Site(plan.part, layer)
    parts: dict[str, list[Tensor]] = {}
    with Capture(teacher, [site]) as seen:
        for start in range(0, len(encoded), batch_size):
            batch = encoded[start : start + batch_size]
            ids, mask = (
                pad([e.ids for e in batch], teacher.tokenizer.pad_token_id),
                pad([[1] * len(e.ids) for e in batch], 0),
            )
            logits = forward_ids(teacher, ids, mask)
            for i, example in enumerate(batch):
                at = torch.tensor(supervised(example, plan.positions), device=logits.device)
                if alignment is not None:
                    parts.setdefault("states", []).append(alignment(seen[site][i, at].float().cpu()))
                else:
                    log_probs = torch.log_softmax(logits[i, at].float() / plan.temperature, dim=-1)
                    top = log_probs.topk(min(TOP_K, log_probs.shape[-1]), dim=-1)
                    parts.setdefault("log_probs", []).append(top.values.cpu())
                    parts.setdefault("ids", []).append(top.indices.cpu())
            progress(min(1.0, (start + batch_size) / len(encoded)))
    return Targets(row_starts(encoded, plan.positions), {name: torch.cat(rows) for name, rows in parts.items()})
