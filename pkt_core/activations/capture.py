"""Record activations at sites while the model runs, and run the rest of a model from a replaced state.

`with Capture(loaded, sites) as seen: loaded.model(...)`: hooks are placed on entry and removed on exit, also after an error. We read
the modules themselves rather than `output_hidden_states`, whose last entry is after the final norm in some families and before it in
others.

`Resume(loaded, ids, mask)`: one ordinary pass records what each block was given besides the residual stream (masks, position
embeddings); from then on any layer's state can be replaced and only the blocks above it run again.

Not covered: generation with a replaced state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pkt_core.models.layout import first_tensor
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site


class Capture:
    """After each forward pass, `capture[site]` is the activation `[prompt, token, d_model]` of that pass.

    keep_grad: keep activations in the autograd graph and retain their gradients, for attribution and for losses.
    """

    def __init__(self, loaded: LoadedModel, sites: Sequence[Site], *, keep_grad: bool = False):
        self.loaded, self.keep_grad = loaded, keep_grad
        self.sites = [loaded.require(site) for site in sites]
        self.seen: dict[Site, Tensor] = {}

    def __getitem__(self, site: Site) -> Tensor:
        return self.seen[site]

    def __enter__(self) -> Capture:
        layout = self.loaded.layout
        self.handles: list[Any] = []
        try:
            for site in self.sites:
                self.handles += self.hooks(layout, site)
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def hooks(self, layout: Any, site: Site) -> list[Any]:
        def keep(_module: Any, _args: Any, output: Any) -> None:
            self.put(site, first_tensor(output))

        if site.part == "embed":
            return [layout.embed.register_forward_hook(keep)]
        assert site.layer is not None
        block = layout.blocks[site.layer]
        if site.part == "attn_out":
            return [layout.attentions[site.layer].register_forward_hook(keep)]
        if site.part == "mlp_out":
            return [layout.mlps[site.layer].register_forward_hook(keep)]
        if site.part == "block_out":
            return [block.register_forward_hook(keep)]
        arrived: list[Tensor] = []

        def arrive(_module: Any, args: Any, kwargs: Any) -> None:
            arrived.append(args[0] if args else kwargs["hidden_states"])

        def leave(_module: Any, _args: Any, output: Any) -> None:
            self.put(site, first_tensor(output) - arrived.pop())

        return [block.register_forward_pre_hook(arrive, with_kwargs=True), block.register_forward_hook(leave)]

    def put(self, site: Site, activation: Tensor) -> None:
        if activation.ndim == 2:  # OPT's MLP sees prompts and tokens as one dimension
            shape = next((a.shape[:2] for a in self.seen.values() if a.ndim == 3), None)
            activation = activation.reshape(*(shape or (1, -1)), activation.shape[-1])
        if self.keep_grad:
            if activation.requires_grad:
                activation.retain_grad()
        else:
            activation = activation.detach()
        self.seen[site] = activation


def forward_ids(loaded: LoadedModel, ids: Tensor, mask: Tensor) -> Tensor:
    """Logits `[prompt, token, V]` in the model's own dtype; grad mode is the caller's.

    Without a cache: nothing is continued, and a block that is run again in a backward pass would read what it put there.
    """
    given = {"input_ids": ids.to(loaded.device), "attention_mask": mask.to(loaded.device)}
    return loaded.model(**given, use_cache=False).logits


def forward_states(loaded: LoadedModel, ids: Tensor, mask: Tensor) -> None:
    """The same where only sites are read: without the head, which is a third of a small model with a large vocabulary."""
    loaded.model.base_model(input_ids=ids.to(loaded.device), attention_mask=mask.to(loaded.device), use_cache=False)


def pad(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """Rows of unequal length to one tensor, padded on the right."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


class Resume:
    """The rest of a forward pass over one batch of texts, read once: the model's predictions when a block's output is replaced."""

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
            forward_states(loaded, ids, mask)  # without a cache, which would hold this batch when blocks run again
        finally:
            for handle in handles:
                handle.remove()

    def arrive(self, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.given.append((args[1:], {k: v for k, v in kwargs.items() if k != "hidden_states"}))

    @torch.no_grad()
    def logits(
        self, layer: int, state: Float[Tensor, "prompt token d"], where: Bool[Tensor, "prompt token"]
    ) -> Float[Tensor, "n V"]:
        """Logits at some positions when block `layer` had given `state`; its own outputs give its own logits."""
        layout = self.loaded.layout
        state = state.to(self.loaded.device, self.loaded.dtype)
        for block, (args, kwargs) in zip(layout.blocks[layer + 1 :], self.given[layer + 1 :], strict=True):
            state = first_tensor(block(state, *args, **kwargs))
        return layout.logits(state[where.to(state.device)]).float()
