"""Vocabulary-defined semantic bases: for each token, the latent vector whose logits are nearest to naming that token alone.

With an unembedding `W [V, d]` (logits `W h`), the basis of token i is row i of `W (W^T W)^-1`, the transposed pseudoinverse
(arXiv 2401.16184; arXiv 2510.24208v1, section 3). One d x d Cholesky factor in float64 gives it where W has full column
rank; an SVD of the V x d matrix is never formed.

Not covered: what the bases are used for (maps.py, lens.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pkt_core.errors import ModelError

SINGULAR = 1e-13  # of the largest eigenvalue of W^T W: smaller values are zero to float64 precision
CHUNK = 16384  # vocabulary rows in float64 at a time: 16384 x 4096 are half a GiB


@dataclass(frozen=True)
class SemanticBasis:
    """A model's semantic bases."""

    vectors: Float[Tensor, "V d"]
    """Row i is the basis of token i, not normalised, float32."""
    condition_number: float
    """Largest over smallest singular value of the unembedding; above 1e6 bases from float32 logits are unreliable."""
    residual: float
    """Largest absolute entry of `pinv(W) W - I`; 0 is exact."""
    gain_folded: bool
    """Whether the final norm's gain was multiplied into the unembedding first."""
    rank: int
    """Singular values of the unembedding above 3e-7 of the largest; fewer than d leave it without a pseudoinverse of this kind."""
    solved_condition_number: float
    """The same ratio of what was inverted, the ridge included."""

    def unit(self) -> Float[Tensor, "V d"]:
        """The bases at length one."""
        return torch.nn.functional.normalize(self.vectors, dim=-1)


def semantic_basis(
    head: Float[Tensor, "V d"], *, ridge: float = 0.0, gain: Float[Tensor, d] | None = None
) -> SemanticBasis:
    """Bases of an unembedding. ridge: relative to the mean eigenvalue of `W^T W`. gain: of the final norm, to fold in.

    Raises ModelError where W has no full column rank and no ridge is given.
    """
    weight = head.float() if gain is None else head.float() * gain.float()
    gram = sum(part.double().T @ part.double() for part in weight.split(CHUNK))
    assert isinstance(gram, Tensor)
    d = gram.shape[0]
    if not bool(torch.isfinite(gram).all()):
        raise ModelError("The unembedding holds values that are not numbers. Check the model's files and precision.")
    eigenvalues = torch.linalg.eigvalsh(gram)
    gram_ridged = gram + ridge * eigenvalues.mean() * torch.eye(d, dtype=gram.dtype, device=gram.device)
    factor, info = torch.linalg.cholesky_ex(gram_ridged)
    added = ridge * float(eigenvalues.mean())
    if int(info) or float(eigenvalues[0]) + added <= SINGULAR * float(eigenvalues[-1]):
        raise ModelError(
            f"The unembedding [{weight.shape[0]}, {d}] has less than full rank, so its pseudoinverse is not defined this way. "
            "Set a ridge such as 1e-6."
        )
    inverse = torch.cholesky_inverse(factor)
    residual = float((inverse @ gram - torch.eye(d, dtype=gram.dtype, device=gram.device)).abs().max())
    return SemanticBasis(
        vectors=torch.cat([(part.double() @ inverse).float() for part in weight.split(CHUNK)]),
        condition_number=float((eigenvalues[-1] / eigenvalues[0].clamp_min(1e-300)).sqrt()),
        residual=residual,
        gain_folded=gain is not None,
        rank=int((eigenvalues > SINGULAR * eigenvalues[-1]).sum()),
        solved_condition_number=float(((eigenvalues[-1] + added) / (eigenvalues[0] + added).clamp_min(1e-300)).sqrt()),
    )
