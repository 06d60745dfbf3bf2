"""The three choices in making semantic bases that the paper leaves open, without the tensors that follow from them.

arXiv 2510.24208v1 takes the pseudoinverse of the unembedding and does not mention the final norm between the last block and
the unembedding, nor of heads that are badly conditioned. Its literal reading is the default here: raw states, raw head, no ridge.

Not covered: which choice is better for a transfer; the page shows what each does to recomposition, map and predictions.
"""

from __future__ import annotations

from dataclasses import dataclass

RIDGES = (0.0, 1e-6, 1e-3)


@dataclass(frozen=True)
class BasisChoice:
    """One way of making bases."""

    gain: bool = False
    """Fold the final norm's gain into the unembedding: bases of `W diag(gain)`."""
    norm: bool = False
    """Put states through the final norm first, as the model does with its last one."""
    ridge: float = 0.0
    """Added to `W^T W`, relative to its mean eigenvalue; 0 or more."""
