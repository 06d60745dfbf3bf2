"""Token by token: each model's surprisal at the token that followed, and the divergence of two models' next-token distributions.

Position i of every result is a prediction, made after i + 1 tokens, of the token that came next. All divergences are in
bits. Models with different tokenizers are never compared by position: see `bits_by_span`.

Not covered: reading texts (`studies/token_change/compute.py`), sums over texts with intervals (`dashboard/views/behaviour/page.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pkt_core.activations.spans import Span, shared_pieces, tokens_touching
from pkt_core.evaluation.divergence import NATS_TO_BITS, js_of, kl_bits

AGREE = 5  # most likely tokens of which the shared ones are counted


@dataclass(frozen=True)
class Own:
    """One model at every predicted position of a text."""

    bits: Float[Tensor, n]
    """-log2 of the probability of the token that came: 0 is certain of it."""
    entropy: Float[Tensor, n]
    """Of the whole distribution, in bits: 0 is certain, whether rightly or not; at most log2 V."""
    rank: Int[Tensor, n]
    """Place of the token that came: 1 is the most likely. Tokens exactly as likely do not push it down."""


@dataclass(frozen=True)
class Apart:
    """Two models at every predicted position of a text; the first is the one whose distribution weighs the KL."""

    kl: Float[Tensor, n]
    """KL(first || second) in bits: 0 is the same, no upper end."""
    js: Float[Tensor, n]
    """Jensen-Shannon divergence in bits: 0 is the same, 1 nothing in common."""
    agreement: Float[Tensor, n]
    """Share of the first's most likely tokens that are among the second's, 0..1."""
    same_top: Int[Tensor, n]
    """1 where both have the same most likely token."""


def own(log_probs: Float[Tensor, "n V"], next_ids: Int[Tensor, n]) -> Own:
    """What one model made of the tokens that came, from its log-probabilities in nats."""
    of_it = log_probs.gather(-1, next_ids[:, None])
    return Own(
        bits=-of_it[:, 0] * NATS_TO_BITS,
        entropy=-xlogx(log_probs).sum(-1) * NATS_TO_BITS,
        rank=1 + (log_probs > of_it).sum(-1),
    )


def apart(first: Float[Tensor, "n V"], second: Float[Tensor, "n V"]) -> Apart:
    """How far apart two models' distributions over the same tokens are, from log-probabilities in nats."""
    k = min(AGREE, first.shape[-1])
    top = [one.topk(k).indices for one in (first, second)]
    both = (top[0][:, :, None] == top[1][:, None, :]).any(-1).sum(-1)
    return Apart(
        kl=kl_bits(first, second),
        js=js_of(first, second),
        agreement=both.double() / k,
        same_top=(first.argmax(-1) == second.argmax(-1)).long(),
    )


def xlogx(log_p: Tensor) -> Tensor:
    """`p log p` in nats, 0 where p is 0."""
    return torch.where(log_p == -torch.inf, 0.0, log_p.exp() * log_p)


def among(log_probs: Float[Tensor, "n V"], ids: Int[Tensor, m]) -> Float[Tensor, "n m"]:
    """The distribution over some tokens alone, as if there were no others."""
    return log_probs[:, ids].log_softmax(-1)


def bits_by_span(
    text: str, offsets: Sequence[Sequence[Span]], bits: Sequence[Sequence[float]]
) -> list[tuple[Span, list[float]]]:
    """Surprisal in bits of each model on each shared span of the text, where each model predicted all of it.

    `bits[m][t]` belongs to token t + 1 of model m: no model predicts the first token. A piece with a first token in it
    is left out, and whitespace counts where its token has a letter, so sums over pieces may fall short of sums over tokens.
    """
    rows = []
    for span in shared_pieces(text, offsets):
        touching = [tokens_touching(one, span) for one in offsets]
        if all(tokens and tokens[0] > 0 for tokens in touching):
            needed = [sum(model_bits[t - 1] for t in tokens) for model_bits, tokens in zip(bits, touching, strict=True)]
            rows.append((span, needed))
    return rows
