"""What nothing below the first trained block changes: the input of that block, kept once for all steps.

A forward pass then begins there: the blocks below pass on what they get, and the first trained block is given what they
had made. Tokens are embedded as before, so that masks and positions are the model's own.

Not covered: training of embeddings; caches larger than LIMIT, for which every step runs the whole student.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pkt_core.activations.capture import forward_states, pad
from pkt_core.data.examples import Encoded
from pkt_core.models.loading import LoadedModel

LIMIT = 2**30  # bytes
BATCH = 32


class Below:
    """Inputs of one block for every example, float32 on the CPU."""

    def __init__(self, student: LoadedModel, layer: int, states: Float[Tensor, "tokens d"], starts: list[int]):
        self.student, self.layer, self.states, self.starts = student, layer, states, starts

    @contextmanager
    def skipped(self, chosen: Sequence[int]) -> Iterator[None]:
        """Inside, a forward pass over these examples, padded on the right, begins at the block."""
        blocks = self.student.layout.blocks
        rows = [self.states[self.starts[i] : self.starts[i + 1]] for i in chosen]
        kept = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(self.student.device, self.student.dtype)
        below = list(blocks[: self.layer])

        def give(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return ((kept, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": kept})

        handle = blocks[self.layer].register_forward_pre_hook(give, with_kwargs=True)
        for block in below:
            block.forward = pass_on
        try:
            yield
        finally:
            handle.remove()
            for block in below:
                del block.forward  # the class's own is seen again


def pass_on(hidden_states: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    """A block that does nothing."""
    return hidden_states


@torch.no_grad()
def below(student: LoadedModel, layer: int, encoded: Sequence[Encoded]) -> Below | None:
    """The inputs of a block for all examples; None where no block lies below, they are too large, or blocks return more than
    their state."""
    tokens = sum(len(example.ids) for example in encoded)
    if layer == 0 or tokens * student.d_model * 4 > LIMIT:
        return None
    arrived: list[Tensor] = []
    plain: list[bool] = []

    def look(_module: Any, args: Any, kwargs: Any) -> None:
        arrived.append(args[0] if args else kwargs["hidden_states"])

    blocks = student.layout.blocks
    handles = [blocks[layer].register_forward_pre_hook(look, with_kwargs=True)]
    handles += [
        block.register_forward_hook(lambda _m, _a, out: plain.append(isinstance(out, Tensor)))
        for block in blocks[:layer]
    ]
    starts, states = [0], []
    try:
        for start in range(0, len(encoded), BATCH):
            batch = encoded[start : start + BATCH]
            mask = pad([[1] * len(e.ids) for e in batch], 0)
            forward_states(student, pad([e.ids for e in batch], student.tokenizer.pad_token_id), mask)
            if not all(plain):
                return None
            hidden = arrived.pop().float().cpu()
            for row, example in zip(hidden, batch, strict=True):
                states.append(row[: len(example.ids)].clone())
                starts.append(starts[-1] + len(example.ids))
    finally:
        for handle in handles:
            handle.remove()
    return Below(student, layer, torch.cat(states), starts)
