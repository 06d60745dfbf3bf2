"""Where in a model an activation is taken: one name for the same place in every architecture.

`block_out`    the residual stream after a block
`block_delta`  what the block added to the residual stream (output minus input)
`attn_out`     what its attention added, `mlp_out` what its MLP added (before the residual addition)
`embed`        the token embeddings, a site of its own: layers are blocks, counted from 0
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pkt_core.errors import LayerNotFound

Part = Literal["block_out", "block_delta", "attn_out", "mlp_out", "embed"]


@dataclass(frozen=True, order=True)
class Site:
    """A named place in a model."""

    part: Part
    """Which tensor of the block; `embed` belongs to no block."""
    layer: int | None = None
    """The block, counted from 0; None for `embed` only."""

    def __post_init__(self) -> None:
        if (self.layer is None) != (self.part == "embed"):
            raise LayerNotFound(
                f"Got {self.part} with layer {self.layer}; blocks need a layer from 0, `embed` takes none."
            )

    def __str__(self) -> str:
        return self.part if self.layer is None else f"{self.part}.{self.layer}"
