"""How one teacher layer and one student layer agree: pair of prompts by pair of prompts, and prompt by prompt.

Representational measures (CKA, RSA) compare two tables of similarities between prompts i and j. Here are those tables,
their rank correlation with what shuffled prompts give, and which prompts have other neighbours in the two layers. Prompts are
the independent units, not pairs of prompts: the null shuffles prompts, the interval leaves out groups of prompts.

512 prompts take 0.3 s on one core, whatever the widths.

Not covered: other kernels and all pairs of layers at once (grid_of).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pkt_core.errors import MeasureError
from pkt_core.similarity import kernels
from pkt_core.similarity.geometry import ranked
from pkt_core.similarity.interval import jackknife_groups
from pkt_core.similarity.measures import checked, varies
from pkt_core.similarity.neighbours import K, Neighbours, shared, stack
from pkt_core.similarity.null import overlaps, permutations
from pkt_core.similarity.scale import near_one

FEWEST = 16  # prompts, so that each of ten groups can be left out and 10 neighbours remain
SURE = 0.05


@dataclass(frozen=True)
class Agreement:
    """Two layers over the same prompts."""

    teacher: Float[Tensor, "n n"]
    """Cosine of centred states of each two prompts in the teacher's layer, -1..1."""
    student: Float[Tensor, "n n"]
    """The same in the student's."""
    correlation: float
    """Spearman's rank correlation of the two over all pairs of different prompts, -1..1; 0 for unrelated layers."""
    left_out: Float[Tensor, G]
    """The same without each of ten groups of prompts."""
    null: Float[Tensor, P]
    """The same with the student's prompts shuffled."""
    overlap: Float[Tensor, n]
    """Per prompt, share of its 10 nearest prompts that both layers have in common, 0..1; 10 / (n - 1) by chance."""
    overlap_left_out: Float[Tensor, G]
    """Its mean without each of ten groups of prompts."""
    near_teacher: Int[Tensor, "n k"]
    """The 10 nearest prompts in the teacher's layer, nearest first."""
    near_student: Int[Tensor, "n k"]
    """The same in the student's."""


def gram(side: str, states: object) -> Float[Tensor, "n n"]:
    """Inner products of centred states. Raises MeasureError where states are no numbers, or do not vary over the prompts."""
    matrix = checked(side, states)
    if not varies(matrix):
        raise MeasureError(
            f"The {side} activations in this layer are constant over these prompts, so agreement is undefined. Choose another layer."
        )
    matrix = near_one(matrix)
    centred = matrix - matrix.mean(0)
    return centred @ centred.T


def cosines(products: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """Cosine of each two of these samples around their own mean, from their inner products; 0 for a sample at the mean."""
    centred = products - products.mean(0) - products.mean(1, keepdim=True) + products.mean()
    length = centred.diagonal().clamp_min(0).sqrt()
    return (centred / (length[:, None] * length).clamp_min(1e-300)).clamp(-1, 1)


def nearest(alike: Float[Tensor, "n n"]) -> Neighbours:
    """Each sample's 10 nearest others."""
    near, ids = alike.clone().fill_diagonal_(-torch.inf).topk(K, dim=1)
    return Neighbours(ids, near)


def rank_correlation(first: Float[Tensor, "n n"], second: Float[Tensor, "n n"]) -> float:
    """Spearman's over pairs of different samples, ties sharing their mean rank."""
    return float(ranked(1 - first).triangle @ ranked(1 - second).triangle)


def as_matrix(ranks: kernels.Kernel, n: int) -> Float[Tensor, "n n"]:
    """The symmetric matrix of a triangle, float32, whose inner products over all entries are those of the triangle."""
    rows, columns = kernels.entries(n)
    matrix = torch.zeros(n, n)
    matrix[rows, columns] = (ranks.triangle / 2**0.5).float()
    return matrix + matrix.T


def shuffled(first: kernels.Kernel, second: kernels.Kernel, orders: Int[Tensor, "P n"]) -> Float[Tensor, P]:
    """`kernels.null` for one pair of layers, ten times faster: rows and columns of whole matrices are moved."""
    one, other = (as_matrix(ranks, orders.shape[1]) for ranks in (first, second))
    one = one.flatten()
    return torch.stack([one @ other.index_select(0, p).index_select(1, p).flatten() for p in orders]).double()


def common(first: Neighbours, second: Neighbours) -> Float[Tensor, n]:
    """Per sample, the share of neighbours that both have."""
    return shared(first, stack([second]))[:, 0] / K


def agreement(
    teacher: Float[Tensor, "n d_T"], student: Float[Tensor, "m d_S"], *, draws: int = 200, seed: int = 0
) -> Agreement:
    """Two layers' states of the same prompts, one row a prompt, in random order.

    Raises MeasureError for rows that do not pair, fewer than 16 of them, or a layer that does not vary or in which all are equally
    far apart.
    """
    n = len(teacher)
    if n != len(student) or n < FEWEST:
        raise MeasureError(
            f"Got {n} teacher and {len(student)} student prompts; expected the same prompts, at least {FEWEST}."
        )
    products = [gram("teacher's", teacher), gram("student's", student)]
    alike = [cosines(one) for one in products]
    ranks, near = [ranked(1 - one) for one in alike], [nearest(one) for one in alike]
    for side, side_ranks in zip(("teacher's", "student's"), ranks, strict=True):
        if bool(side_ranks.triangle.isnan().any()):
            raise MeasureError(
                f"All prompts are equally far apart in the {side} layer, so agreement is undefined. Choose another layer."
            )
    left_out, overlap_left_out = [], []
    for index in jackknife_groups(n, 1):
        rest = [cosines(one[index][:, index]) for one in products]
        left_out.append(rank_correlation(*rest))
        overlap_left_out.append(common(nearest(rest[0]), nearest(rest[1])).mean())
    orders = permutations(n, 1, draws, torch.Generator().manual_seed(seed))
    return Agreement(
        teacher=alike[0],
        student=alike[1],
        correlation=float(ranks[0].triangle @ ranks[1].triangle),
        left_out=torch.tensor(left_out, dtype=torch.float64),
        null=shuffled(ranks[0], ranks[1], orders),
        overlap=common(*near),
        overlap_left_out=torch.stack(overlap_left_out),
        near_teacher=near[0].ids,
        near_student=near[1].ids,
    )


def pairs_of(n: int, most: int, seed: int) -> Int[Tensor, "pair two"]:
    """At most so many pairs of different samples, drawn without replacement; the same for the same seed, smaller one first."""
    rows, columns = torch.triu_indices(n, n, offset=1)
    if len(rows) > most:
        drawn = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:most].sort().values
        rows, columns = rows[drawn], columns[drawn]
    return torch.stack([rows, columns], dim=1)


def beyond_chance(n: int) -> float:
    """The smallest share of common neighbours that two unrelated layers reach for fewer than 5 of 100 prompts."""
    at_least, chances = 1.0, overlaps(n)
    for count, chance in enumerate(chances):
        if at_least < SURE:
            return count / K
        at_least -= chance
    return 1.0
