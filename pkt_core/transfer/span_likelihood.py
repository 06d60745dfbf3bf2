"""The likelihood of the same span of text under two models with different tokenizers.

A span is the text between two places at which both tokenizers cut. Where it is one token on both sides, the next-token
distributions are compared over the tokens both vocabularies share, all others merged. Elsewhere the span's text is an event
of its own whose probability is the product of the conditional probabilities of its tokens, the chain; the tokens it begins
with are merged with all others, because what they hold beyond the chain has no partner. GOLD (TRL) chains alike. Ours keeps
the events a partition on both sides, so that what is compared are two distributions and a divergence stays one.

Not covered: other ways to cut the same text into tokens; the chain takes the tokenizer's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import log_softmax

from pkt_core.transfer.readings import Reading, whole_spans

TINY = 1e-9  # that floating point may leave of a probability


def rest(kept: Float[Tensor, "n c"]) -> Float[Tensor, "n 1"]:
    """Log-probability of everything but the kept events; floating point may push their sum above one."""
    return (1 - kept.exp().sum(-1, keepdim=True)).clamp_min(TINY).log()


def teacher_chains(
    logits: Float[Tensor, "t V_T"],
    reading: Reading,
    student_ids: Sequence[int],
    at: Sequence[int],
    shared: tuple[Int[Tensor, m], Int[Tensor, m]],
    *,
    temperature: float,
    top_k: int,
) -> dict[str, Tensor]:
    """The teacher's log-probabilities for one example, a row per supervised position of the student.

    `length` [rows]: tokens that the student takes for the span that begins here; 0 inside a span and where none is whole.
    `chain` [rows]: the teacher's log-probability of the span's text; -inf where it is one token on both sides.
    `log_probs`, `ids` [rows, k]: the likeliest shared tokens, by the student's ids, without those that the chain begins with.
    """
    every = log_softmax(logits.float() / temperature, dim=-1)
    span_at = whole_spans(reading, at)
    kept = every[[max(0, reading.partner[t]) for t in at]][:, shared[0]]
    length, chain = torch.zeros(len(at), dtype=torch.long), torch.full((len(at),), -torch.inf)
    for row, t in enumerate(at):
        if (span := span_at.get(t)) is None:
            continue
        length[row] = span.n
        if (span.n, span.m) == (1, 1):
            continue
        span_ids = reading.ids[span.partner + 1 : span.partner + 1 + span.m]
        chain[row] = every[range(span.partner, span.partner + span.m), span_ids].sum()
        begins = (shared[0] == span_ids[0]) | (shared[1] == student_ids[t + 1])
        kept[row, begins.to(kept.device)] = -torch.inf
    top = kept.topk(min(top_k, kept.shape[-1] - 2), dim=-1)  # a chain leaves out two at most
    return {
        "log_probs": top.values,
        "ids": shared[1].to(top.indices.device)[top.indices],
        "length": length,
        "chain": chain,
    }


def chained(
    logits: Float[Tensor, "n V_S"], labels: Int[Tensor, n], recorded: Mapping[str, Tensor], temperature: float
) -> tuple[Float[Tensor, "span c"], Float[Tensor, "span c"]]:
    """Log-probabilities of student and teacher, a row per span: shared tokens, the span's text, everything else.

    The rows are those of whole spans, one after the other; `recorded` is what `teacher_chains` gave for them.
    """
    every = log_softmax(logits / temperature, dim=-1)
    begins = recorded["length"] > 0
    label_log_probs = every.gather(-1, labels[:, None])[:, 0]
    chain = label_log_probs.new_zeros(int(begins.sum())).index_add(0, begins.cumsum(0) - 1, label_log_probs)
    student, teacher = every[begins].gather(-1, recorded["ids"][begins]), recorded["log_probs"][begins]
    theirs = recorded["chain"][begins]
    single = theirs.isinf()[:, None]
    sides = []
    for tokens, text in ((student, chain), (teacher, theirs)):
        alone = torch.cat([tokens, torch.full_like(text, -torch.inf)[:, None]], -1)
        both = torch.cat([tokens, torch.where(single[:, 0], 0.0, text)[:, None]], -1)
        left = torch.where(single, rest(alone), rest(both))
        # A token is no chain: its column weighs nothing and is the same on both sides.
        sides.append(torch.cat([tokens, torch.where(single, -40.0, both[:, -1:]), left], -1))
    return sides[0], sides[1]
