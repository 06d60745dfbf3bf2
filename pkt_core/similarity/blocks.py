"""The sums that one mini-batch adds to a grid: unbiased HSICs of all layer pairs, permuted and reweighted ones included.

Unbiased HSIC is the inner product of two U-centred Grams, so all pairs of layers are one matrix product. The Grams are
symmetric with a zero diagonal: their upper triangles are enough, and a permuted or reweighted Gram is an index or a
factor on the triangle, never a new Gram.

Not covered: how blocks add up (fitter.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

STRIP = 128  # rows of a Gram at a time
LAYERS = 4  # whose Grams are made together
ROUNDING = 1e-6  # of two samples' lengths: a U-centred entry no larger is what float32 products leave of zero
PIECE = 2**13  # entries of a triangle at a time: what is made of them stays near the processor


@dataclass
class BlockSums:
    """Unbiased HSICs of one block, or their mean over blocks: float64 as they are, float32 where redrawn."""

    cross: Float[Tensor, "L_T L_S"]
    of_teacher: Float[Tensor, L_T]
    of_student: Float[Tensor, L_S]
    rounding_of_teacher: Float[Tensor, L_T]
    """What the two above may be for a layer that does not vary, by rounding alone."""
    rounding_of_student: Float[Tensor, L_S]
    null: Float[Tensor, "P L_T L_S"]
    """Cross terms with the samples of the smaller stack permuted."""
    drawn_cross: Float[Tensor, "D L_T L_S"]
    """Bootstrap draws of cross and own terms."""
    drawn_teacher: Float[Tensor, "D L_T"]
    drawn_student: Float[Tensor, "D L_S"]

    def shift(self, teacher: Int[Tensor, " L_T"], student: Int[Tensor, " L_S"]) -> None:
        """In place, as if each layer's activations had been multiplied by two to its power; powers are 0 or less."""
        both = 2 * (teacher[:, None] + student)
        powers = {"cross": both, "null": both, "drawn_cross": both}
        powers |= dict.fromkeys(("of_teacher", "rounding_of_teacher", "drawn_teacher"), 4 * teacher)
        powers |= dict.fromkeys(("of_student", "rounding_of_student", "drawn_student"), 4 * student)
        for name, power in powers.items():
            mine = getattr(self, name)
            mine *= torch.pow(2.0, power.double()).to(mine.dtype)

    def add(self, other: BlockSums, weight: float) -> None:
        """Self + weight x other, in place."""
        for name, mine in vars(self).items():
            mine += weight * getattr(other, name)


def entry_order(n: int) -> tuple[Int[Tensor, m], Int[Tensor, m]]:
    """Row and column of each entry above the diagonal, strip by strip: its triangle on the diagonal, then what lies right of it."""
    rows, columns = [], []
    for start in range(0, n, STRIP):
        end = min(start + STRIP, n)
        inner = torch.triu_indices(end - start, end - start, 1) + start
        rows += [inner[0], torch.arange(start, end).repeat_interleave(n - end)]
        columns += [inner[1], torch.arange(end, n).repeat(end - start)]
    return torch.cat(rows), torch.cat(columns)


def upper_triangles(side: Float[Tensor, "L n d"]) -> tuple[Float[Tensor, "L m"], Float[Tensor, "L n"]]:
    """The n (n - 1) / 2 entries above the diagonal of each layer's U-centred Gram in the order of `entry_order`, and the squared
    lengths of its centred samples, float64.

    A few layers at a time, so that they share the processor's cores and what is made of them stays near. Products of centred
    activations are summed in float32: an entry's error is 1e-7 of the two samples' lengths, which U-centring, in float64, does
    not enlarge.
    """
    n_layers, n, d = side.shape
    triangles = torch.empty(n_layers, n * (n - 1) // 2, dtype=torch.float64)
    squares = torch.empty(n_layers, n, dtype=torch.float64)
    pieces = -(-n_layers // LAYERS)
    # One memory for all: fresh memory costs more than the subtraction.
    centred = torch.empty(-(-n_layers // pieces), n, d, device=side.device)
    parts = (whole.tensor_split(pieces) for whole in (side.detach(), triangles, squares))
    for some, into, lengths in zip(*parts, strict=True):
        x = some.float()
        fill_triangles(torch.sub(x, x.mean(1, keepdim=True), out=centred[: len(x)]), into, lengths)
    return triangles, squares


def fill_triangles(x: Float[Tensor, "L n d"], triangles: Float[Tensor, "L m"], squares: Float[Tensor, "L n"]) -> None:
    """Write the U-centred triangles and the squared lengths of centred activations; no entry below the diagonal is computed but in
    a strip's square."""
    n, place = x.shape[1], 0
    sums = torch.zeros(len(x), n, dtype=torch.float64)
    parts = []
    for start in range(0, n, STRIP):
        end = min(start + STRIP, n)
        h = end - start
        strip = (x[:, start:end] @ x[:, start:].mT).cpu()
        squares[:, start:end] = strip[:, :, :h].diagonal(dim1=1, dim2=2)
        square = strip[:, :, :h].triu(1).double()
        rows, columns = torch.triu_indices(h, h, 1)
        triangle, place = triangles[:, place : place + len(rows)], place + len(rows)
        rest, place = triangles[:, place : place + h * (n - end)].view(len(x), h, n - end), place + h * (n - end)
        triangle.copy_(square.flatten(1)[:, rows * h + columns])
        rest.copy_(strip[:, :, h:])
        sums[:, start:end] += square.sum(1) + square.sum(2) + rest.sum(2)
        sums[:, end:] += rest.sum(1)
        parts.append((triangle, start + rows, start + columns, rest, start, end))
    means = sums / (n - 2)
    shift = means - means.sum(1, keepdim=True) / (n - 1)
    for triangle, rows, columns, rest, start, end in parts:
        triangle -= means[:, rows]
        triangle -= shift[:, columns]
        rest -= means[:, start:end, None]
        rest -= shift[:, None, end:]


def block_sums(
    teacher: Float[Tensor, "L_T n d_T"],
    student: Float[Tensor, "L_S n d_S"],
    orders: Int[Tensor, "P n"],
    weights: Float[Tensor, "D n"],
) -> BlockSums:
    """All HSICs of one block of samples; orders permute them, weights hold how often each was drawn."""
    n = teacher.shape[1]
    scale = 2 / (n * (n - 3))
    (k, lengths), (other, other_lengths) = upper_triangles(teacher), upper_triangles(student)
    few_are_teachers = len(k) <= len(other)  # the smaller stack is the one that is permuted
    null = permuted_products(*((k, other) if few_are_teachers else (other, k)), orders)
    drawn = reweighted_products(k, other, weights)
    return BlockSums(
        cross=k @ other.T * scale,
        of_teacher=own_products(k) * scale,
        of_student=own_products(other) * scale,
        rounding_of_teacher=rounding(lengths),
        rounding_of_student=rounding(other_lengths),
        null=(null if few_are_teachers else null.mT) * scale,
        drawn_cross=drawn[0] * scale,
        drawn_teacher=drawn[1] * scale,
        drawn_student=drawn[2] * scale,
    )


def rounding(squares: Float[Tensor, "L n"]) -> Float[Tensor, " L"]:
    """The unbiased HSIC of entries that are `ROUNDING` times both samples' lengths, from squared lengths."""
    n = squares.shape[1]
    return ROUNDING**2 * (squares.sum(1).square() - squares.square().sum(1)).clamp_min(0) / (n * (n - 3))


def own_products(triangles: Float[Tensor, "L m"]) -> Float[Tensor, " L"]:
    """Each triangle's inner product with itself, without a second table of their size."""
    return torch.stack([one.dot(one) for one in triangles])


def permuted_products(
    few: Float[Tensor, "F m"], many: Float[Tensor, "M m"], orders: Int[Tensor, "P n"]
) -> Float[Tensor, "P F M"]:
    """Inner products of all pairs of triangles with the samples of the few reordered. float32: a null's third decimal decides nothing."""
    products = torch.zeros(len(orders), len(many), len(few))
    if not len(orders):
        return products.mT
    n = orders.shape[1]
    rows, columns = entry_order(n)
    place = torch.zeros(n, n, dtype=torch.long)
    place[rows, columns] = place[columns, rows] = torch.arange(len(rows))
    # An entry's layers lie side by side in memory, so that one look-up serves them all.
    entries = few.float().T.contiguous()
    against = many.float()
    for p, order in enumerate(orders):
        moved = place[order[rows], order[columns]]
        for start in range(0, len(moved), PIECE):
            piece = slice(start, start + PIECE)
            products[p] += against[:, piece] @ entries.index_select(0, moved[piece])
    return products.mT


def reweighted_products(
    teacher: Float[Tensor, "L_T m"], student: Float[Tensor, "L_S m"], weights: Float[Tensor, "D n"]
) -> tuple[Float[Tensor, "D L_T L_S"], Float[Tensor, "D L_T"], Float[Tensor, "D L_S"]]:
    """Inner products of all pairs and of each triangle with itself, each entry weighted by how often both its samples were drawn.

    A few entries at a time, all pairs' products are one matrix that every draw multiplies.
    """
    draws, n = weights.shape
    rows, columns = entry_order(n)
    cross = torch.zeros(draws, len(teacher) * len(student))
    self_products = torch.zeros(draws, len(teacher)), torch.zeros(draws, len(student))
    for start in range(0, len(rows) if draws else 0, PIECE):
        piece = slice(start, start + PIECE)
        a, b = teacher[:, piece].float(), student[:, piece].float()
        weight = weights[:, rows[piece]] * weights[:, columns[piece]]
        cross += weight @ (a[:, None] * b).flatten(0, 1).T
        for total, side in zip(self_products, (a, b), strict=True):
            total += weight @ side.square().T
    return cross.view(draws, len(teacher), len(student)), *self_products
