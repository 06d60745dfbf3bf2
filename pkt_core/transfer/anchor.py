"""The anchor: text the student generated before training, on which it is held to its own earlier predictions or states.

It needs only the student: no label, no teacher, no external text. A pretrained student knows more than any small corpus
covers, and its own samples are the cheapest record of it (self-generated replay; Learning without
Forgetting, arXiv 1606.09282, holds outputs on the new data instead).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import log_softmax

from pkt_core.activations.capture import Capture, forward_ids, pad
from pkt_core.errors import PlanError
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site
from pkt_core.transfer.objectives import distillation_kl
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.settings import Trained

TOKENS = 32  # of a text it writes, at most
FEWEST_TOKENS = 4
TOP_K = 256
BATCH = 256


@dataclass(frozen=True)
class Anchor:
    """Texts, with the untrained-on student's predictions and states at each of their tokens."""

    texts: list[list[int]]
    """Token ids, each text once."""
    starts: list[int]
    """First row of each text, and the number of rows at the end."""
    log_probs: Float[Tensor, "rows k"]
    """Of its k most likely next tokens."""
    ids: Int[Tensor, "rows k"]
    """Those tokens."""
    states: Float[Tensor, "rows L d"] | None
    """Block outputs of every layer; None where only outputs are held."""
    variance: Float[Tensor, L] | None
    """Of the states of each layer, summed over dimensions: the unit in which they may move."""

    def rows(self, chosen: Sequence[int]) -> Tensor:
        """Row numbers of some texts, in that order."""
        return torch.cat([torch.arange(self.starts[i], self.starts[i + 1]) for i in chosen])


@torch.no_grad()
def written(student: LoadedModel, n: int, seed: int) -> list[list[int]]:
    """Texts sampled at temperature 1 from a bare beginning, each once; fewer than n where it repeats itself.

    Raises PlanError where it writes nothing but beginnings.
    """
    tokenizer = student.tokenizer
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    ends = {*student.ends, tokenizer.pad_token_id}
    texts: dict[tuple[int, ...], None] = {}
    with torch.random.fork_rng(devices=[student.device] if student.device.type == "cuda" else []):
        torch.manual_seed(seed)
        for start in range(0, n, BATCH):
            ids = torch.full((min(BATCH, n - start), 1), 0 if first is None else first, device=student.device)
            written = student.model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
                max_new_tokens=TOKENS - 1, pad_token_id=tokenizer.pad_token_id, eos_token_id=list(student.ends) or None,
            )  # fmt: skip
            for row in written.tolist():
                end = next((i + 1 for i, token in enumerate(row) if i and token in ends), len(row))
                if end >= FEWEST_TOKENS:
                    texts[tuple(row[:end])] = None
    if not texts:
        raise PlanError(f"{student.name} generates no text to anchor it to. Use anchor none.")
    return [list(text) for text in texts]


@torch.no_grad()
def anchor_for(student: LoadedModel, plan: TransferPlan) -> Anchor | None:
    """What the plan holds the student to, None where to nothing. Call it before anything is trained."""
    if not isinstance(plan, Trained) or plan.anchor == "none":
        return None
    texts = written(student, plan.n_anchor, plan.seed)
    sites = [Site("block_out", layer) for layer in range(student.n_layers)] if plan.anchor == "states" else []
    starts, log_probs, ids, states = [0], [], [], []
    for text in texts:
        starts.append(starts[-1] + len(text))
    with Capture(student, sites) as seen:
        for start in range(0, len(texts), 32):
            batch = texts[start : start + 32]
            mask = pad([[1] * len(text) for text in batch], 0)
            logits = forward_ids(student, pad(batch, student.tokenizer.pad_token_id), mask)
            kept = mask.bool().to(logits.device)
            top = log_softmax(logits[kept].float(), -1).topk(min(TOP_K, logits.shape[-1]), -1)
            log_probs.append(top.values.cpu())
            ids.append(top.indices.cpu())
            if sites:
                states.append(torch.stack([seen[site][kept].float().cpu() for site in sites], dim=1))
    held = torch.cat(states) if states else None
    variance = None if held is None else held.var(0).sum(-1)
    return Anchor(texts, starts, torch.cat(log_probs), torch.cat(ids), held, variance)


def anchor_term(student: LoadedModel, anchor: Anchor, chosen: Sequence[int]) -> Tensor:
    """How far the student is from what it was on some of the texts, a mean over tokens.

    Outputs: KL(before || now) in nats. States: squared distance in units of each layer's variance, mean over layers.
    """
    texts = [anchor.texts[i] for i in chosen]
    mask = pad([[1] * len(text) for text in texts], 0)
    sites = [Site("block_out", layer) for layer in range(student.n_layers)] if anchor.states is not None else []
    with Capture(student, sites, keep_grad=True) as seen:
        logits = forward_ids(student, pad(texts, student.tokenizer.pad_token_id), mask)
    kept, rows = mask.bool().to(logits.device), anchor.rows(chosen)
    if anchor.states is None:
        recorded = anchor.log_probs[rows].to(logits.device), anchor.ids[rows].to(logits.device)
        return distillation_kl(logits[kept].float(), *recorded, 1.0)
    assert anchor.variance is not None
    now = torch.stack([seen[site][kept].float() for site in sites], dim=1)
    before, variance = anchor.states[rows].to(now.device), anchor.variance.to(now.device)
    return ((now - before).square().sum(-1) / variance).mean()
