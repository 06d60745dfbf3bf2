"""Multiple choice by likelihood, and a model's confidence in its own greedy answer.

Both common scorings come from one pass over each choice: the most likely choice as it stands, and the one most likely per
UTF-8 byte, which does not favour short ones. (lm-evaluation-harness calls them `acc` and `acc_norm`; its norm is by character.)

Not covered: choices named by letters in the prompt (write the letters as choices), free-form answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pkt_core.activations.capture import forward_ids, pad
from pkt_core.data.examples import IGNORE, Encoded, Example, encode
from pkt_core.models.loading import LoadedModel


@torch.no_grad()
def log_likelihoods(
    loaded: LoadedModel,
    encoded: Sequence[Encoded],
    *,
    batch_size: int = 16,
    progress: Callable[[float], None] = lambda _: None,
) -> Float[Tensor, item]:
    """Log-probability in nats of each item's whole answer after its prompt."""
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i].ids))
    totals = torch.zeros(len(encoded), dtype=torch.float64)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = [encoded[i] for i in chosen]
        ids = pad([e.ids for e in batch], loaded.tokenizer.pad_token_id)
        mask = pad([[1] * len(e.ids) for e in batch], 0)
        labels = pad([e.labels for e in batch], IGNORE)[:, 1:]
        log_probs = forward_ids(loaded, ids, mask)[:, :-1].float().log_softmax(-1).cpu()
        each = log_probs.gather(-1, labels.clamp(min=0)[:, :, None])[:, :, 0].double()
        totals[chosen] = (each * (labels != IGNORE)).sum(-1)
        progress(min(1.0, (start + batch_size) / len(order)))
    return totals


def choice_scores(loaded: LoadedModel, items: Sequence[Example], **how: object) -> list[Float[Tensor, choice]]:
    """For each item, the log-probability of each of its choices, nats."""
    each = [Example(item.prompt, choice) for item in items for choice in item.choices]
    flat = log_likelihoods(loaded, encode(loaded.tokenizer, each, loaded.context), **how)  # type: ignore[arg-type]
    return list(flat.split([len(item.choices) for item in items]))


def picked_plain(item: Example, scores: Float[Tensor, choice]) -> tuple[bool, float]:
    """Whether the most likely choice is the answer, and the probability it has among the choices."""
    return item.choices[int(scores.argmax())] == item.answer, float(scores.softmax(-1).max())


def picked_per_byte(item: Example, scores: Float[Tensor, choice]) -> tuple[bool, float]:
    """The same with each choice's log-probability divided by its UTF-8 bytes."""
    lengths = torch.tensor([len(choice.encode()) for choice in item.choices], dtype=scores.dtype)
    return picked_plain(item, scores / lengths)


def chance(items: Sequence[Example]) -> float:
    """Share right by choosing at random, 0..1."""
    return sum(1 / len(item.choices) for item in items) / len(items)


def first_label(one: Encoded) -> int:
    """Where the answer begins, which need not be as far from the end as it is long: some tokenizers end a text by a token of their own."""
    return next(i for i, label in enumerate(one.labels) if label != IGNORE)


@torch.no_grad()
def own_confidence(loaded: LoadedModel, encoded: Sequence[Encoded], *, batch_size: int = 16) -> list[float]:
    """Probability of the model's own greedy continuation, as many tokens as the expected answer has, 0..1."""
    confidences = [0.0] * len(encoded)
    by_steps: dict[int, list[int]] = {}
    for i, one in enumerate(encoded):
        by_steps.setdefault(sum(label != IGNORE for label in one.labels), []).append(i)
    for steps, members in by_steps.items():
        for start in range(0, len(members), batch_size):
            chosen = members[start : start + batch_size]
            prompts = [encoded[i].ids[: first_label(encoded[i])] for i in chosen]
            sure = torch.zeros(len(chosen), dtype=torch.float64)
            rows = [list(ids) for ids in prompts]
            for _ in range(
                steps
            ):  # answers are a few tokens long; padded on the right, so positions are those of the text
                mask = pad([[1] * len(ids) for ids in rows], 0)
                logits = forward_ids(loaded, pad(rows, loaded.tokenizer.pad_token_id), mask).float().cpu()
                last = torch.stack([logits[k, len(ids) - 1] for k, ids in enumerate(rows)]).double().log_softmax(-1)
                sure += last.max(-1).values
                for ids, token in zip(rows, last.argmax(-1).tolist(), strict=True):
                    ids.append(token)
            for i, value in zip(chosen, sure.exp().tolist(), strict=True):
                confidences[i] = value
    return confidences
