"""Several processes on one plan: `accelerate launch` starts them, each takes its share of every batch.

Gradients are added up by hand after the backward pass rather than by a wrapper around the model: losses here read the
student's inside through hooks, and which parameters train changes from phase to phase. The sum over processes is the
gradient of the whole batch, so one process and several do the same steps up to rounding.

Not covered: sharding one model over several devices while it trains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Processes:
    """This process and those beside it; a single one where nothing was launched."""

    def __init__(self, device: torch.device):
        from accelerate import PartialState

        self.state = PartialState(cpu=device.type == "cpu")

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files."""
        return bool(self.state.is_main_process)

    @property
    def n(self) -> int:
        return int(self.state.num_processes)

    def share(self, chosen: Sequence[int]) -> list[int]:
        """This process's part of a batch; may be empty."""
        return list(chosen[self.state.process_index :: self.n])

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by the sum over all processes."""
        if self.n == 1:
            return
        for parameter in parameters:
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = self.add(gradient)

    def add(self, tensor: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        from accelerate.utils import reduce

        return tensor if self.n == 1 else reduce(tensor, "sum")

    def agree(self, value: Any) -> Any:
        """The first process's value, in every process."""
        from accelerate.utils import broadcast_object_list

        return value if self.n == 1 else broadcast_object_list([value])[0]

    def wait(self) -> None:
        """Until all processes are here."""
        self.state.wait_for_everyone()
