"""Two models' next-token distributions after the same text, and their divergence over the shared tokens.

Not covered: whole texts token by token (behaviour.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pkt_core.activations.collect import require_fit
from pkt_core.models.loading import LoadedModel

NATS_TO_BITS = 1.4426950408889634


@torch.no_grad()
def next_logits(loaded: LoadedModel, texts: Sequence[str]) -> Float[Tensor, "text V"]:
    """Logits of the token after each text, float32 on the CPU; one text at a time, so no padding.

    Raises PromptError for a text longer than the model's context.
    """
    require_fit(loaded, texts)
    rows = []
    for text in texts:
        ids = loaded.tokenizer(text, return_tensors="pt")["input_ids"].to(loaded.device)
        rows.append(loaded.model(input_ids=ids).logits[0, -1].float().cpu())
    return torch.stack(rows)


def most_likely(loaded: LoadedModel, logits: Float[Tensor, "text V"], k: int) -> list[list[tuple[str, float]]]:
    """Per text, the k most likely next tokens as text with their probabilities, 0..1, over the model's own vocabulary."""
    top = logits.softmax(-1).topk(k)
    return [
        [(loaded.tokenizer.decode([i]), p) for i, p in zip(ids, values, strict=True)]
        for ids, values in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ]


def js_bits(
    teacher: Float[Tensor, "text V_T"],
    student: Float[Tensor, "text V_S"],
    teacher_ids: Int[Tensor, m],
    student_ids: Int[Tensor, m],
) -> Float[Tensor, text]:
    """Jensen-Shannon divergence of two next-token predictions over the shared tokens, in bits: 0 identical, 1 nothing in common.

    The shared tokens are taken as all there are: probabilities sum to 1 over them (Lin 1991, eq. 4.1).
    """
    p, q = (logits[:, ids].double().log_softmax(-1) for logits, ids in ((teacher, teacher_ids), (student, student_ids)))
    return js_of(p, q).float()


def kl_bits(p: Float[Tensor, "n V"], q: Float[Tensor, "n V"]) -> Float[Tensor, n]:
    """KL(p || q) in bits from log-probabilities in nats; infinite where q rules out what p does not.

    `torch.nn.functional.kl_div` takes its arguments the other way round and silently accepts probabilities for logarithms.
    """
    each = torch.where(p == -torch.inf, 0.0, p.exp() * (p - q))
    return (each.sum(-1) * NATS_TO_BITS).clamp(min=0)


def js_of(p: Float[Tensor, "n V"], q: Float[Tensor, "n V"]) -> Float[Tensor, n]:
    """Jensen-Shannon divergence in bits from log-probabilities in nats (Lin 1991, eq. 4.1)."""
    middle = torch.logaddexp(p, q) - torch.tensor(2.0, dtype=p.dtype).log()
    return ((kl_bits(p, middle) + kl_bits(q, middle)) / 2).clamp(0, 1)
