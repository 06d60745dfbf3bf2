"""Do both sides have the same nearest neighbours?

All of them take the k = 10 nearest by cosine of uncentred rows, nearest first, a sample never being its own neighbour. They
look at what is near and ignore the large-scale geometry that CKA sees, so they disagree with it where a few directions
hold most of the variance. A common offset brings all cosines near 1 and with it noise into the order: they are not
translation invariant. Of samples that are equally near, which comes first is arbitrary: where such ties decide who the neighbours of
most samples are, as where all rows lie on one line, the values are not numbers.

Not covered: approximate neighbours; n x n cosines are held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from pkt_core.similarity.record import Tick, silent
from pkt_core.similarity.scale import unit_rows

K = 10
SAME = 1e-12  # a cosine distance below it is rounding of 0
MOST_TIED = 0.5  # of the samples; where more have ties at the edge of their neighbourhood, ties decide
EPSILON = 1e-6  # platonic-rep adds it to CKNNA's denominator; published values contain it


@dataclass(frozen=True)
class Neighbours:
    """A layer's neighbourhoods."""

    ids: Int[Tensor, "n k"]
    """The k nearest of each sample, nearest first."""
    near: Float[Tensor, "n k"]
    """Their cosines."""
    cosines: Float[Tensor, "n n"] | None = None
    """Cosines of all pairs, where the measure needs them."""
    own_hsic: Float[Tensor, ""] | None = None
    """`local_hsic` of the layer with itself, where the measure needs it; the order of the samples does not matter to it."""
    by_ties: bool = False
    """Whether ties decide who the neighbours are, so that their values are undefined."""

    @cached_property
    def ranks(self) -> UInt8[Tensor, "n n"]:
        """1 for the nearest, k for the last neighbour, 0 for all others."""
        n, k = self.ids.shape
        ranks = torch.zeros(n, n, dtype=torch.uint8)
        return ranks.scatter_(1, self.ids, torch.arange(1, k + 1, dtype=torch.uint8).expand(n, k))

    @cached_property
    def places(self) -> Int[Tensor, nk]:
        """Where the neighbours stand in a flattened `[n, n]` table."""
        n = len(self.ids)
        return (torch.arange(n)[:, None] * n + self.ids).flatten()


@dataclass(frozen=True)
class Table:
    """All student layers, so that one look-up serves them all."""

    layers: Sequence[Neighbours]
    """The layers themselves."""
    ranks: UInt8[Tensor, "nn L_S"]
    """Their ranks; a pair of samples is a row."""
    near: Float[Tensor, "n k L_S"]
    """Cosines of their neighbours."""

    def at(self, of_teacher: Neighbours) -> UInt8[Tensor, "n k L_S"]:
        """In each student layer, the rank of what are neighbours in the teacher layer."""
        n, k = of_teacher.ids.shape
        return self.ranks.index_select(0, of_teacher.places).view(n, k, -1)


def prepare(x: Float[Tensor, "n d"]) -> Neighbours:
    """Neighbourhoods without the cosines of all pairs."""
    cosines = all_cosines(x)
    near, ids = nearest(cosines, K + 1)
    tied = near[:, K - 1] - near[:, K] <= SAME  # the last one in and the first one out
    return Neighbours(ids[:, :K], near[:, :K], by_ties=bool(tied.double().mean() > MOST_TIED))


def prepare_with_cosines(x: Float[Tensor, "n d"]) -> Neighbours:
    """With the cosines of all pairs. Ties decide where there is but one direction, to and fro; copies of a sample do no harm."""
    cosines = all_cosines(x)
    near, ids = nearest(cosines, K)
    return Neighbours(ids, near, cosines, by_ties=bool((cosines.abs() >= 1 - SAME).all()))


def all_cosines(x: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    unit = unit_rows(x)
    return unit @ unit.T


def nearest(cosines: Float[Tensor, "n n"], k: int) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Cosines and ids of the k nearest of each sample, nearest first."""
    near, ids = cosines.clone().fill_diagonal_(-torch.inf).topk(k, dim=1)
    return near, ids


def permute(prepared: Neighbours, order: Int[Tensor, n]) -> Neighbours:
    """Neighbourhoods of the same samples in another order."""
    cosines = prepared.cosines
    return Neighbours(
        ids=order.argsort()[prepared.ids[order]],
        near=prepared.near[order],
        cosines=None if cosines is None else cosines[order][:, order],
        own_hsic=prepared.own_hsic,
        by_ties=prepared.by_ties,
    )


def stack(students: Sequence[Neighbours]) -> Table:
    return Table(
        students,
        ranks=torch.stack([layer.ranks.flatten() for layer in students], dim=1),
        near=torch.stack([layer.near for layer in students], dim=2),
    )


def by_teacher(
    one: Callable[[Neighbours, Table], Tensor],
) -> Callable[[Sequence[Neighbours], Table, Tick], Tensor]:
    """The grid of a measure that holds one teacher layer against all student layers."""

    def against(teachers: Sequence[Neighbours], table: Table, tick: Tick = silent) -> Float[Tensor, "L_T L_S"]:
        rows, arbitrary = [], torch.tensor([layer.by_ties for layer in table.layers])
        for i, of_teacher in enumerate(teachers):
            rows.append(torch.where(arbitrary | of_teacher.by_ties, torch.nan, one(of_teacher, table)))
            tick((i + 1) / len(teachers))
        return torch.stack(rows)

    return against


def shared(of_teacher: Neighbours, table: Table) -> Float[Tensor, "n L_S"]:
    """How many neighbours each sample has in common on both sides, 0..k."""
    return (table.at(of_teacher) > 0).sum(1).double()


@by_teacher
def mutual_knn(of_teacher: Neighbours, table: Table) -> Float[Tensor, L_S]:
    """Share of neighbours in common. 0..1, larger is closer, k / (n - 1) by chance. Huh et al. 2024, appendix A."""
    return shared(of_teacher, table).mean(0) / K


@by_teacher
def jaccard(of_teacher: Neighbours, table: Table) -> Float[Tensor, L_S]:
    """Neighbours in common over neighbours on either side. 0..1, larger is closer. Schumacher et al. 2021, section 2."""
    common = shared(of_teacher, table)
    return (common / (2 * K - common)).mean(0)


def rank_scores() -> Float[Tensor, "k k+1"]:
    """What a common neighbour of rank a on one side and b on the other counts: 2 / ((1 + |a - b|) (a + b)); 0 for b = 0."""
    a, b = torch.arange(1, K + 1, dtype=torch.float64)[:, None], torch.arange(K + 1, dtype=torch.float64)
    return torch.where(b > 0, 2 / ((1 + (a - b).abs()) * (a + b)), 0)


def harmonic() -> Float[Tensor, k + 1]:
    """1 + 1/2 + ... + 1/m for m = 0..k; 1 for m = 0, where nothing is divided."""
    return (1 / torch.arange(1, K + 1, dtype=torch.float64)).cumsum(0)[[0, *range(K)]]


@by_teacher
def rank_similarity(of_teacher: Neighbours, table: Table) -> Float[Tensor, L_S]:
    """Common neighbours, counting more the nearer and the more alike their ranks. 0..1, larger is closer.

    Wang et al. 2020, as in resi: per sample, the sum of `rank_scores` over the m common neighbours divided by the m-th
    harmonic number. A sample with the single common neighbour ranked first on both sides scores 1, like one with all ten.
    """
    ranks = table.at(of_teacher)
    scores = rank_scores()[torch.arange(K)[:, None], ranks.int()].sum(1)
    return (scores / harmonic()[(ranks > 0).sum(1)]).mean(0)


@by_teacher
def second_order_cosine(of_teacher: Neighbours, table: Table) -> Float[Tensor, L_S]:
    """Cosine between each sample's distances to the neighbours it has on either side, averaged over samples.

    Hamilton et al. 2016, eq. 2, as in resi: distances are 1 - cosine, over the union of both sides' neighbours. 0..1, larger is
    closer; near 1 for anything in high dimensions, because there all distances are alike. A sample whose neighbours all lie where it
    lies has no direction: 1 where that is so on both sides, 0 where it is so on one.
    """
    assert of_teacher.cosines is not None
    n, values = len(of_teacher.ids), []
    for layer, ranks in zip(table.layers, table.at(of_teacher).unbind(-1), strict=True):
        assert layer.cosines is not None
        only_teacher = (
            ranks == 0
        )  # the union is the student's neighbours and those of the teacher's that are not among them
        a = 1 - torch.cat([of_teacher.cosines.gather(1, layer.ids), of_teacher.near], dim=1)
        b = 1 - torch.cat([layer.near, layer.cosines.gather(1, of_teacher.ids)], dim=1)
        kept = torch.cat([torch.ones(n, K, dtype=torch.bool), only_teacher], dim=1)
        a, b = ((side * (kept & (side > SAME))) for side in (a, b))
        alike = torch.cosine_similarity(a, b, dim=1, eps=1e-300)
        values.append(torch.where((a == 0).all(1) & (b == 0).all(1), 1.0, alike).mean())
    return torch.stack(values)


def local_hsic(of_teacher: Neighbours, table: Table) -> Float[Tensor, L_S]:
    """Unbiased HSIC (Song et al. 2012, eq. 5) of both cosine matrices, all entries but common neighbours set to zero.

    The zeroed matrices are not symmetric, since being a neighbour is not; eq. 5 is taken as it stands.
    """
    n = len(of_teacher.ids)
    ranks = table.at(of_teacher)
    common = ranks > 0
    on_teacher = common * of_teacher.near[:, :, None]
    # The student's cosines of the same pairs are among those of its nearest, or masked.
    on_student = common * table.near.gather(1, (ranks.long() - 1).clamp_min(0))
    back = of_teacher.ids.flatten() * n + torch.arange(n).repeat_interleave(
        K
    )  # the same pairs, read the other way round
    returned = (of_teacher.ranks.flatten()[back] > 0)[:, None] & (table.ranks.index_select(0, back) > 0)
    product = (on_teacher * on_student * returned.view(n, K, -1)).sum((0, 1))
    columns = torch.zeros(n, ranks.shape[2], dtype=torch.float64)
    columns.index_add_(0, of_teacher.ids.flatten(), on_teacher.flatten(0, 1))
    total = product + on_teacher.sum((0, 1)) * on_student.sum((0, 1)) / ((n - 1) * (n - 2))
    return (total - 2 * (columns * on_student.sum(1)).sum(0) / (n - 2)) / (n * (n - 3))


def prepare_with_own_hsic(x: Float[Tensor, "n d"]) -> Neighbours:
    """For cknna, which divides by it."""
    neighbours = prepare(x)
    return replace(neighbours, own_hsic=local_hsic(neighbours, stack([neighbours]))[0])


@by_teacher
def cknna(of_teacher: Neighbours, table: Table) -> Float[Tensor, L_S]:
    """CKA of cosines, restricted to common neighbours. Larger is closer; not bounded by 1. Huh et al. 2024, appendix A.

    As platonic-rep computes it: unbiased HSIC, and 1e-6 in the denominator, so that X with itself is a little below 1. Its
    masks are not symmetric, so swapping the sides changes the fourth decimal. The cross term is masked by the neighbours that both sides
    have, each own term by its side's, so Cauchy and Schwarz give no bound: few samples may pass 1. NaN where an own HSIC is not positive.
    """
    own_term, others = (
        of_teacher.own_hsic,
        torch.stack([layer.own_hsic for layer in table.layers if layer.own_hsic is not None]),
    )
    assert own_term is not None
    values = local_hsic(of_teacher, table) / ((own_term * others).clamp_min(0).sqrt() + EPSILON)
    return torch.where((own_term > 0) & (others > 0), values, torch.nan)
