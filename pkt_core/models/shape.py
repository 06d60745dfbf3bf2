"""A model's size, from its configuration alone: no weight is read."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pkt_core.models.layout import find_layout
from pkt_core.models.loading import from_numbers, load_config
from pkt_core.models.ref import ModelRef


@dataclass(frozen=True)
class ModelShape:
    """Numbers of parameters and sizes."""

    n_parameters: int
    """Of the whole model, tied weights once."""
    block_parameters: tuple[int, ...]
    """Of each block."""
    d_model: int
    """Width of the residual stream."""
    vocabulary: int
    """Rows of the head."""

    @property
    def n_layers(self) -> int:
        return len(self.block_parameters)


def model_shape(ref: ModelRef) -> ModelShape:
    """The shape of a model. Raises ModelError where its configuration is not available."""
    config = load_config(ref)
    with torch.device("meta"):
        model = from_numbers(ref, config)
    layout = find_layout(model)
    return ModelShape(
        n_parameters=sum(p.numel() for p in model.parameters()),
        block_parameters=tuple(sum(p.numel() for p in block.parameters()) for block in layout.blocks),
        d_model=layout.head.weight.shape[1],
        vocabulary=layout.head.weight.shape[0],
    )
