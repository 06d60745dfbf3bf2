"""How much of an activation the vocabulary bases can carry, within one model and from one into the other, with every control.

A high recomposition cosine alone is no evidence of meaning: random isotropic bases reach 1 / sqrt(1 + d/V), which is 0.94
for Llama-2 7B. So the curve comes with its controls on the same axis: Gaussian bases, embedding rows, and the vocabulary
permuted between decomposing and recomposing. The last one breaks the pairing of coefficient and basis: what is left of it
is what the mean of all bases carries, whatever the words.

Not covered: what a single activation means (lens.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from pkt_core.alignment.basis import CHUNK, SemanticBasis
from pkt_core.alignment.maps import AlignmentMap
from pkt_core.alignment.record import CrossingCurves, Curve, RecompositionCurves

DRAWS = 5  # permutations of the vocabulary; each costs V x d x d


def frame(rows: Float[Tensor, "V d"], order: Int[Tensor, V] | None = None) -> Float[Tensor, "d d"]:
    """`S^T S` of rows at unit length: recomposition is this one matrix. order: recompose token i from row `order[i]`."""
    d = rows.shape[1]
    order = torch.arange(len(rows)) if order is None else order
    total = torch.zeros(d, d, dtype=torch.float64)
    for part, chosen in zip(rows.split(CHUNK), order.split(CHUNK), strict=True):
        total += (normalize(part.float(), dim=-1).T @ normalize(rows[chosen].float(), dim=-1)).double()
    return total.float()


def recomposition(
    states: Float[Tensor, "n d"], rows: Float[Tensor, "V d"], order: Int[Tensor, V] | None = None
) -> Float[Tensor, n]:
    """cos(h, sum_i cos(h, s_i) s_order(i)), -1..1: how parallel a state is to its recomposition from the rows as bases.

    Without an order never below 0.
    """
    return cosine_similarity(states.float(), states.float() @ frame(rows, order), dim=-1)


def over_prompts(cosines: Float[Tensor, "L n"]) -> Curve:
    """Mean with the 95 % interval of the mean."""
    mean, margin = cosines.mean(1), 1.96 * cosines.std(1) / sqrt(cosines.shape[1])
    return Curve(mean.tolist(), (mean - margin).tolist(), (mean + margin).tolist())


def over_draws(cosines: Float[Tensor, "draw L"]) -> Curve:
    """Mean with the band in which 95 % of single draws lie."""
    mean, margin = cosines.mean(0), 1.96 * cosines.std(0)
    return Curve(mean.tolist(), (mean - margin).tolist(), (mean + margin).tolist())


def through(states: Float[Tensor, "L n d"], matrix: Float[Tensor, "d d"]) -> Float[Tensor, "L n"]:
    return cosine_similarity(states.float(), states.float() @ matrix, dim=-1)


def permuted_recomposition(
    states: Float[Tensor, "L n d"], rows: Float[Tensor, "V d"], generator: torch.Generator, draws: int = DRAWS
) -> Float[Tensor, "draw L"]:
    """Mean over prompts of the recomposition cosine, for several orders of the vocabulary."""
    orders = (torch.randperm(len(rows), generator=generator) for _ in range(draws))
    return torch.stack([through(states, frame(rows, order)).mean(1) for order in orders])


def recomposition_curves(
    states: Float[Tensor, "L n d"],
    basis: SemanticBasis,
    embedding_rows: Float[Tensor, "V_in d"],
    generator: torch.Generator,
) -> RecompositionCurves:
    """All curves of one model for states of every layer."""
    n_tokens, d = basis.vectors.shape
    gaussian = torch.randn(n_tokens, d, generator=generator)
    return RecompositionCurves(
        real=over_prompts(through(states, frame(basis.vectors))),
        gaussian=over_prompts(through(states, frame(gaussian))),
        embedding_rows=over_prompts(through(states, frame(embedding_rows))),
        permuted=over_draws(permuted_recomposition(states, basis.vectors, generator)),
        closed_form=1 / sqrt(1 + d / n_tokens),
        n=states.shape[1],
        condition_number=basis.condition_number,
    )


def crossing_curves(
    teacher: Float[Tensor, "L_T n d_T"],
    student: Float[Tensor, "L_S n d_S"],
    pairing: Sequence[int],
    real: AlignmentMap,
    permuted: Sequence[AlignmentMap],
) -> CrossingCurves:
    """Paired layers through the map and through several maps of permuted vocabularies."""
    paired, student_states = teacher[list(pairing)], student.float()

    def meets(alignment: AlignmentMap) -> Tensor:
        return cosine_similarity(alignment(paired), student_states, dim=-1)

    return CrossingCurves(
        real=over_prompts(meets(real)),
        permuted=over_draws(torch.stack([meets(one).mean(1) for one in permuted])),
        pairing=list(pairing),
        n=student.shape[1],
    )
