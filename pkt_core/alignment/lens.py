"""How bases are made of a model's head and how states meet them, under the choices of `choice.py`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jaxtyping import Float
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
