"""The rest of a forward pass: what a model says when the state after one of its blocks is another than its own.

One ordinary pass records what each block was given besides the residual stream (masks, position embeddings); from then on
any layer's state can be replaced and only the blocks above it run again.

Not covered: generation with a replaced state.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pkt_core.models.layout import first_tensor
from pkt_core.models.loading import LoadedModel


class Resume:
    """One batch of texts, read once."""

    @torch.no_grad()
    def __init__(self, loaded: LoadedModel, ids: Int[Tensor, "prompt token"], mask: Int[Tensor, "prompt token"]):
        self.loaded = loaded
        self.given: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.outputs: list[Tensor] = []
        """Each block's own output `[prompt, token, d_model]`."""
        handles = []
        try:
            for block in loaded.layout.blocks:
                handles.append(block.register_forward_pre_hook(self.arrive, with_kwargs=True))
                handles.append(block.register_forward_hook(lambda _m, _a, out: self.outputs.append(first_tensor(out))))
            device = loaded.device
            # A cache would already hold this very batch when the blocks above run again.
            loaded.model(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False)
        finally:
            for handle in handles:
                handle.remove()

    def arrive(self, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.given.append((args[1:], {k: v for k, v in kwargs.items() if k != "hidden_states"}))

    @torch.no_grad()
    def logits(
        self, layer: int, state: Float[Tensor, "prompt token d"], where: Bool[Tensor, "prompt token"]
    ) -> Float[Tensor, "n V"]:
        """What the model says at some positions when block `layer` had given `state`; its own outputs give its own logits."""
        layout = self.loaded.layout
        state = state.to(self.loaded.device, self.loaded.dtype)
        for block, (args, kwargs) in zip(layout.blocks[layer + 1 :], self.given[layer + 1 :], strict=True):
            state = first_tensor(block(state, *args, **kwargs))
        return layout.logits(state[where.to(state.device)]).float()
