"""Continuations of the same prompts by several models, for reading side by side: greedy, or sampled with common random numbers.

Where models sample, every prompt and step has one random number, the same for all models and whatever stands in the batch:
models with equal distributions generate equal text, so differences come from the model and not from the draw.

Not covered: beam search, chat templates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pkt_core.models.loading import LoadedModel


@dataclass(frozen=True)
class Sampling:
    """How to draw the next token."""

    temperature: float
    """Above 0; 1 is the model's own distribution, lower is nearer to greedy."""
    top_p: float
    """Only the most likely tokens that together have this probability, 0..1; 1 takes all."""
    seed: int
    """Of the random numbers."""


@torch.no_grad()
def continuations(loaded: LoadedModel, prompts: Sequence[str], *, new_tokens: int = 12) -> list[str]:
    """Greedy continuation of each prompt, without special tokens, as far as the context reaches.

    One prompt at a time, so no padding.
    """
    from transformers import GenerationConfig

    tokenizer = loaded.tokenizer
    config = GenerationConfig(
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=list(loaded.ends) or None,
        bos_token_id=tokenizer.bos_token_id,
    )
    texts = []
    for prompt in prompts:
        encoded = tokenizer(prompt, return_tensors="pt").to(loaded.device)
        ids, mask = encoded["input_ids"], encoded["attention_mask"]
        config.max_new_tokens = max(1, min(new_tokens, loaded.context - ids.shape[1]))
        out = loaded.model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
        texts.append(decoded(loaded, out[0, ids.shape[1] :]))
    return texts


def decoded(loaded: LoadedModel, row: Int[Tensor, token]) -> str:
    """Tokens as text, up to the first that ends a text, whether or not that is a special one."""
    ids = row.tolist()
    end = next((i for i, token in enumerate(ids) if token in loaded.ends), len(ids))
    return loaded.tokenizer.decode(ids[:end], skip_special_tokens=True)


def drawn(logits: Float[Tensor, "prompt V"], chance: Float[Tensor, prompt], how: Sampling) -> Int[Tensor, prompt]:
    """The token at which the cumulative probability, most likely first, passes each random number in 0..1.

    Nucleus sampling (Holtzman et al. 2020): the smallest set of most likely tokens with probability `top_p`, as if no others were.
    """
    ranked = (logits.double() / how.temperature).softmax(-1).sort(stable=True, dim=-1, descending=True)
    reached = ranked.values.cumsum(-1)
    within = reached - ranked.values < how.top_p
    reached = (ranked.values * within).cumsum(-1)
    place = (reached < chance[:, None] * reached[:, -1:]).sum(-1).clamp(max=logits.shape[-1] - 1)
    return ranked.indices.gather(-1, place[:, None])[:, 0]


def chances(prompts: Sequence[str], steps: int, seed: int) -> Float[Tensor, "prompt step"]:
    """A random number in 0..1 for each prompt and step, which depends on nothing but prompt, step and seed."""
    rows = []
    for prompt in prompts:
        name = int.from_bytes(hashlib.sha256(f"{seed}\0{prompt}".encode()).digest()[:7], "big")
        rows.append(torch.rand(steps, generator=torch.Generator().manual_seed(name), dtype=torch.float64))
    return torch.stack(rows)


class DrawnByChance:
    """Leaves one token possible: the one that is drawn. A logits processor of `generate`."""

    def __init__(self, chance: Float[Tensor, "prompt step"], how: Sampling):
        self.chance, self.how, self.step = chance, how, 0

    def __call__(self, _ids: Tensor, scores: Tensor) -> Tensor:
        token = drawn(scores, self.chance[:, self.step].to(scores.device), self.how)
        self.step += 1
        return torch.full_like(scores, -torch.inf).scatter(-1, token[:, None], 0.0)


@torch.no_grad()
def written(
    loaded: LoadedModel, prompts: Sequence[str], *, new_tokens: int = 24, sampling: Sampling | None = None
) -> list[str]:
    """Continuations of all prompts at once: padded on the left, as far as its context reaches.

    Greedy where no sampling is given. The same as one prompt at a time, but for rounding.
    """
    from transformers import GenerationConfig, LogitsProcessorList

    tokenizer = loaded.tokenizer
    room: dict[int, list[tuple[int, list[int]]]] = {}
    for i, ids in enumerate(tokenizer(list(prompts))["input_ids"]):
        room.setdefault(max(1, min(new_tokens, loaded.context - len(ids))), []).append((i, ids))
    texts = [""] * len(prompts)
    for (
        steps,
        group,
    ) in room.items():  # prompts near the end of the context get fewer tokens, and must not cut the others short
        width = max(len(ids) for _, ids in group)
        padded = torch.tensor([[tokenizer.pad_token_id] * (width - len(ids)) + ids for _, ids in group])
        mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for _, ids in group])
        more: dict[str, Any] = {}
        if sampling is not None:
            chance = chances([prompts[i] for i, _ in group], steps, sampling.seed)
            more["logits_processor"] = LogitsProcessorList([DrawnByChance(chance, sampling)])
        config = GenerationConfig(
            do_sample=False,
            max_new_tokens=steps,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=list(loaded.ends) or None,
            bos_token_id=tokenizer.bos_token_id,
        )
        out = loaded.model.generate(
            input_ids=padded.to(loaded.device), attention_mask=mask.to(loaded.device), generation_config=config, **more
        )
        for (i, _), row in zip(group, out[:, width:], strict=True):
            texts[i] = decoded(loaded, row)
    return texts
