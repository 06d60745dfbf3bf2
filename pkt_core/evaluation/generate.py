"""Greedy continuations of the same prompts by several models, for reading side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pkt_core.models.loading import LoadedModel


@torch.no_grad()
def continuations(loaded: LoadedModel, prompts: Sequence[str], *, new_tokens: int = 12) -> list[str]:
    """What the model writes after each prompt, greedily, without special tokens, as far as its context reaches.

    One prompt at a time, so no padding.
    """
    from transformers import GenerationConfig

    tokenizer = loaded.tokenizer
    config = GenerationConfig(
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
    found = []
    for prompt in prompts:
        encoded = tokenizer(prompt, return_tensors="pt").to(loaded.device)
        ids, mask = encoded["input_ids"], encoded["attention_mask"]
        config.max_new_tokens = max(1, min(new_tokens, loaded.context - ids.shape[1]))
        out = loaded.model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
        found.append(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))
    return found
