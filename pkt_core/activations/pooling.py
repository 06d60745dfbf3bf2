"""From `[token, d_model]` to the vectors a similarity compares: mask-aware, special tokens left out.

`last`    the last real token of the prompt: what the model is about to predict        one vector per prompt
`mean`    the mean over its real, ordinary tokens: what it has read                 one vector per prompt
`tokens`  PER_PROMPT pieces of the text, evenly spread, the last one included     several vectors per prompt

Not covered: answer spans; transfer supervises those through its own masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pkt_core.activations.spans import Span, tokens_touching
from pkt_core.errors import PromptError

Pooling = Literal["last", "mean", "tokens"]


def token_groups(
    offsets: Sequence[Span],
    special: Sequence[int],
    pooling: Pooling,
    spans: Sequence[Span],
    *,
    skip_first: bool = False,
) -> list[list[int]]:
    """Which tokens are averaged into each vector; `skip_first` leaves out position 0, where activations may be massive.

    Spans are taken as they come. Raises PromptError where nothing is left of a prompt.
    """
    ordinary = [i for i, s in enumerate(special) if not s and not (skip_first and i == 0)]
    if not ordinary:
        raise PromptError(
            f"Got a prompt without a single ordinary token{' after position 0' if skip_first else ''}; expected text. "
            "Remove the prompt."
        )
    if pooling == "last":
        return [[ordinary[-1]]]
    if pooling == "mean":
        return [ordinary]
    return [tokens_touching(offsets, span) for span in spans]


def pool(activation: Float[Tensor, "token d"], groups: Sequence[Sequence[int]]) -> Float[Tensor, "piece d"]:
    """Means over groups of tokens, in float32."""
    return torch.stack([activation[torch.tensor(g, device=activation.device)].float().mean(0) for g in groups])
