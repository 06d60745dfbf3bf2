"""The final norm taken apart: what it does to a state, and the gain and bias it leaves behind.

A norm is `gain * normalise(h) + bias`, where normalise divides by the root mean square (Llama, Qwen, Gemma) or centres first
(GPT-2, OPT, NeoX). Gain and bias are found by probing the module, not by the names of its weights: Gemma keeps `gain - 1`.

Not covered: norms of another form, which are refused; norms inside the blocks.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pkt_core.errors import ModelError
from pkt_core.models.loading import LoadedModel

LOUD = 1e3  # probes are so long that the norm's epsilon does not count


@dataclass(frozen=True)
class FinalNorm:
    """The norm between the last block and the head, float32 on the CPU."""

    kind: Literal["none", "root mean square", "layer"]
    """What it divides by; `layer` also takes away the mean."""
    gain: Float[Tensor, d]
    """Multiplies each dimension; ones where there is no norm."""
    bias: Float[Tensor, d]
    """Added afterwards; zeros where there is none."""
    module: nn.Module | None
    """A copy of the model's own."""

    @torch.no_grad()
    def __call__(self, states: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """States as the head reads them."""
        return states.float() if self.module is None else self.module(states.float())

    def without_gain(self, states: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """States as a head with the gain folded in reads them: times `W diag(gain)` they give the model's logits.

        A dimension of gain 0, which that head does not see, is 0.
        """
        return torch.where(self.gain == 0, 0.0, self(states) / torch.where(self.gain == 0, 1.0, self.gain))


@torch.no_grad()
def final_norm(loaded: LoadedModel) -> FinalNorm:
    """The final norm of a model. Raises ModelError where it is of another form than gain * normalise(h) + bias."""
    d, module = loaded.d_model, loaded.layout.final_norm
    if module is None:
        return FinalNorm("none", torch.ones(d), torch.zeros(d), None)
    module = copy.deepcopy(module).float().cpu()
    bias = module(torch.zeros(d))
    probe = zero_mean(d) * LOUD  # both kinds treat it identically: it has no mean to remove
    gain = (module(probe) - bias) / (probe / rms(probe))
    seen = torch.randn(8, d, generator=torch.Generator().manual_seed(0)) * LOUD + LOUD
    centred = seen - seen.mean(-1, keepdim=True)
    forms: tuple[tuple[Literal["root mean square", "layer"], Tensor], ...] = (
        ("root mean square", seen),
        ("layer", centred),
    )
    for kind, states in forms:
        expected = gain * states / rms(states) + bias
        if torch.allclose(module(seen), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max() + 1e-6)):
            return FinalNorm(kind, gain, bias, module)
    raise ModelError(
        f"{loaded.name} ends in a {type(module).__name__} that is neither a root-mean-square nor a layer norm, so its gain "
        "cannot be isolated. Read its states without the final norm."
    )


def rms(states: Tensor) -> Tensor:
    return states.square().mean(-1, keepdim=True).sqrt()


def zero_mean(d: int) -> Tensor:
    """No entry is 0 and all together are: 1, -1, 1, -1, ..., with 2 as the last where d is odd."""
    signs = torch.ones(d)
    signs[1::2] = -1
    if d % 2:
        signs[-3:] = torch.tensor([-1.0, -1.0, 2.0])
    return signs
