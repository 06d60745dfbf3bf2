"""An activation read in its model's vocabulary: its bases under the choices of `choice.py`, the nearest tokens, their ranks.

A coefficient is the cosine between the state and a token's basis (arXiv 2510.24208v1, equation 1). The nearest of many tokens
is near by chance alone: `nearest_by_chance` gives that level.

Not covered: how much of a state the bases carry together (`recomposition.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from pkt_core.alignment.basis import SemanticBasis, semantic_basis
from pkt_core.alignment.choice import BasisChoice
from pkt_core.models.loading import LoadedModel
from pkt_core.models.norms import FinalNorm, final_norm


@dataclass(frozen=True)
class SemanticLens:
    """A model's bases under a choice, and the states as these bases expect them."""

    basis: SemanticBasis
    """Its vectors at length one: only their directions are read."""
    norm: FinalNorm
    choice: BasisChoice

    def prepare(self, states: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """States as the bases meet them. With gain and norm both, the gain is in the bases and so not in the states."""
        if not self.choice.norm:
            return states.float()
        return self.norm.without_gain(states) if self.choice.gain else self.norm(states)


def semantic_lens(loaded: LoadedModel, choice: BasisChoice, norm: FinalNorm | None = None) -> SemanticLens:
    """Bases of a model. Raises ModelError where its head has too small a rank and no ridge is chosen."""
    norm = norm or final_norm(loaded)
    head = loaded.layout.head.weight.detach().float().cpu()
    basis = semantic_basis(head, ridge=choice.ridge, gain=norm.gain if choice.gain else None)
    return SemanticLens(replace(basis, vectors=normalize(basis.vectors, dim=-1)), norm, choice)


def coefficients(states: Float[Tensor, "... d"], unit: Float[Tensor, "V d"]) -> Float[Tensor, "... V"]:
    """Cosines of states with unit bases, -1..1."""
    return normalize(states.float(), dim=-1) @ unit.T


def top_tokens(scores: Float[Tensor, "L V"], nameable: Bool[Tensor, V], k: int) -> list[list[tuple[int, float]]]:
    """Per row the k highest among tokens that have a name: (token id, score), highest first."""
    best = scores.masked_fill(~nameable, -torch.inf).topk(min(k, int(nameable.sum())), dim=-1)
    return [list(zip(ids.tolist(), values.tolist(), strict=True)) for ids, values in zip(*best[::-1], strict=True)]


def ranks(scores: Float[Tensor, "L V"], nameable: Bool[Tensor, V], token: int) -> Int[Tensor, L]:
    """Where a token stands per row: 1 is the highest, ties share the better place. By chance (V + 1) / 2."""
    return 1 + ((scores > scores[:, token, None]) & nameable).sum(-1)


def ranked_differences(one: Float[Tensor, V], other: Float[Tensor, V], nameable: Bool[Tensor, V], n: int) -> list[int]:
    """The n token ids whose coefficients differ most, whichever way, largest first."""
    difference = (one - other).abs().masked_fill(~nameable, -torch.inf)
    return difference.topk(min(n, int(nameable.sum()))).indices.tolist()


def nearest_by_chance(n_tokens: int, d: int) -> float:
    """Median cosine of a state with the nearest of n random isotropic bases in d dimensions, 0..1.

    The squared cosine of random directions follows Beta(1/2, (d-1)/2); the largest of n lies below its median half the time.
    """
    from scipy.stats import beta

    one_above = 1 - 0.5 ** (1 / n_tokens)  # chance that one basis is nearer than the median of the nearest
    return float(beta.isf(min(1.0, 2 * one_above), 0.5, (d - 1) / 2) ** 0.5)
