"""The linear maps inside a block, in one orientation whichever class keeps them."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


def turned(module: nn.Module) -> bool:
    """Whether it is GPT-2's Conv1D, a linear map that keeps its weight as `[in, out]`."""
    return type(module).__name__ == "Conv1D"


def matrices(block: nn.Module) -> dict[str, nn.Module]:
    """The linear maps inside a module by name, itself under the empty name."""
    return {name: m for name, m in block.named_modules() if isinstance(m, nn.Linear) or turned(m)}


def oriented(module: nn.Module) -> Float[Tensor, "out in"]:
    """The weight itself, not a copy, as `[out, in]`."""
    weight: Tensor = module.weight.data  # type: ignore[assignment]
    return weight.T if turned(module) else weight
