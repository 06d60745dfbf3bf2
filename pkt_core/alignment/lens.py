"""How bases are made and how states meet them: the three choices that the paper leaves open.

arXiv 2510.24208v1 takes the pseudoinverse of the unembedding and says nothing of the final norm between the last block and
the unembedding, nor of heads that are badly conditioned. Its literal reading is the default here: raw states, raw head, no ridge.

Not covered: which choice is better for a transfer; the page shows what each does to recomposition, map and predictions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from pkt_core.alignment.basis import SemanticBasis, semantic_basis
from pkt_core.models.loading import LoadedModel
from pkt_core.models.norms import FinalNorm, final_norm

RIDGES = (0.0, 1e-6, 1e-3)


@dataclass(frozen=True)
class BasisChoice:
    """One way of making bases."""

    gain: bool = False
    """Fold the final norm's gain into the unembedding: bases of `W diag(gain)`."""
    norm: bool = False
    """Put states through the final norm first, as the model does with its last one."""
    ridge: float = 0.0
    """Added to `W^T W`, relative to its mean eigenvalue."""


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
