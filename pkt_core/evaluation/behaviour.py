"""What a model answers, how well it predicts general text, and how near its predictions are to the teacher's.

An item is right when greedy decoding gives the whole answer, closing mark included; that is the same as every answer
token being the most likely one after the tokens before it, so one forward pass settles it.

Not covered: sampling, multiple choice, code execution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pkt_core.activations.capture import forward_ids, pad
from pkt_core.data.examples import IGNORE, ExampleSet, encode
from pkt_core.evaluation.divergence import NATS_TO_BITS
from pkt_core.evaluation.statistics import Estimate, Recall, proportion, ratio
from pkt_core.models.loading import LoadedModel
from pkt_core.models.vocabulary import VocabularyMatch


@torch.no_grad()
def answered_right(
    loaded: LoadedModel, task: ExampleSet, *, batch_size: int = 32, progress: Callable[[float], None] = lambda _: None
) -> list[bool]:
    """For each item, in order, whether greedy decoding gives its answer."""
    encoded = encode(loaded.tokenizer, task.items, loaded.context)
    by_length = sorted(range(len(encoded)), key=lambda i: len(encoded[i].ids))
    right = [False] * len(encoded)
    for start in range(0, len(by_length), batch_size):
        chosen = by_length[start : start + batch_size]
        batch = [encoded[i] for i in chosen]
        ids, mask = (
            pad([e.ids for e in batch], loaded.tokenizer.pad_token_id),
            pad([[1] * len(e.ids) for e in batch], 0),
        )
        best = forward_ids(loaded, ids, mask)[:, :-1].argmax(-1).cpu()
        labels = pad([e.labels for e in batch], IGNORE)[:, 1:]
        ok = ((best == labels) | (labels == IGNORE)).all(-1)
        for i, correct in zip(chosen, ok.tolist(), strict=True):
            right[i] = correct
        progress(min(1.0, (start + batch_size) / len(by_length)))
    return right


def recall(right: Sequence[bool]) -> Recall:
    """Share right with Wilson's interval."""
    estimate = proportion(sum(right), len(right))
    return Recall(n=estimate.n, correct=sum(right), rate=estimate.value, low=estimate.low, high=estimate.high)


@dataclass(frozen=True)
class TextScores:
    """Sums over each text, from which ratios and their intervals are made."""

    bits: list[float]
    """Surprisal of the predicted tokens, summed, in bits."""
    n_bytes: list[int]
    """UTF-8 bytes of those tokens: the first token of a text is not predicted unless a special one precedes it."""
    kl_bits: list[float]
    """Summed KL(teacher || model) in bits; empty where vocabularies differ."""
    agreements: list[int]
    """Positions at which both have the same most likely next token."""
    positions: list[int]
    """Positions compared."""

    def bits_per_byte(self) -> Estimate:
        """Lower is better; the bootstrap is over texts."""
        return ratio(self.bits, self.n_bytes)

    def kl(self) -> Estimate:
        """Mean KL(teacher || model) in bits per position, 0 is the same."""
        return ratio(self.kl_bits, self.positions)

    def top1(self) -> Estimate:
        """Share of positions with the same most likely token, 0..1."""
        return ratio(self.agreements, self.positions, bounds=(0.0, 1.0))


@torch.no_grad()
def read_texts(
    models: dict[str, LoadedModel],
    texts: Sequence[str],
    match: VocabularyMatch,
    *,
    batch_size: int = 8,
    progress: Callable[[float], None] = lambda _: None,
) -> dict[str, TextScores]:
    """All models over the same texts, batch by batch; the one called `teacher` is what the others are compared with.

    Next-token distributions are compared over the tokens both vocabularies share, where both tokenise identically.
    """
    scores = {name: TextScores([], [], [], [], []) for name in models}
    compare = match.same_tokenizer
    for start in range(0, len(texts), batch_size):
        batch = list(texts[start : start + batch_size])
        shared: dict[str, Tensor] = {}
        for name, loaded in sorted(models.items(), key=lambda item: item[0] != "teacher"):  # the teacher first
            encoded = loaded.tokenizer(batch, return_offsets_mapping=True)
            ids, mask = pad(encoded["input_ids"], loaded.tokenizer.pad_token_id), pad(encoded["attention_mask"], 0)
            logits = forward_ids(loaded, ids, mask)
            counts = mask[:, 1:].bool().to(logits.device)
            log_probs = logits[:, :-1].float().log_softmax(-1)
            nats = -log_probs.gather(-1, ids[:, 1:, None].to(logits.device)).squeeze(-1) * counts
            scores[name].bits.extend((nats.sum(-1) * NATS_TO_BITS).tolist())
            for text, offsets in zip(batch, encoded["offset_mapping"], strict=True):
                scores[name].n_bytes.append(len(text[offsets[0][1] :].encode()))
            if not compare:
                continue
            vocabulary = match.teacher_ids if name == "teacher" else match.student_ids
            over_shared = logits[:, :-1, vocabulary.to(logits.device)].float().log_softmax(-1)
            shared.setdefault("teacher", over_shared)
            of_teacher = shared["teacher"].to(over_shared.device)
            kl = (of_teacher.exp() * (of_teacher - over_shared)).sum(-1) * counts
            same = (of_teacher.argmax(-1) == over_shared.argmax(-1)) & counts
            scores[name].kl_bits.extend((kl.sum(-1) * NATS_TO_BITS).tolist())
            scores[name].agreements.extend(same.sum(-1).tolist())
            scores[name].positions.extend(counts.sum(-1).tolist())
        progress(min(1.0, (start + batch_size) / len(texts)))
    return scores
