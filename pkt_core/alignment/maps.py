"""From teacher space to student space, always as one `d_student x d_teacher` matrix, with or without a bias.

Training-free: `semantic` (SemAlign v1: decompose on the teacher's bases, recompose on the student's) and `logit-preserving`.
Fitted on paired states: `affine`, `ridge`, `procrustes`. Controls: the vocabulary of one side permuted, random bases.

Not covered: learned projectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from pkt_core.alignment.basis import CHUNK, SemanticBasis, semantic_basis

RIDGE = 1e-2  # default penalty of fitted maps, relative to the mean variance of x


@dataclass(frozen=True)
class AlignmentMap:
    """A linear or affine map; call it on teacher activations."""

    matrix: Float[Tensor, "d_S d_T"]
    """float32."""
    bias: Float[Tensor, d_S] | None
    """None for linear maps."""
    kind: str
    """What made it."""

    def __call__(self, state: Float[Tensor, "... d_T"]) -> Float[Tensor, "... d_S"]:
        mapped = state.float() @ self.matrix.T
        return mapped if self.bias is None else mapped + self.bias


def semantic_map(
    teacher: SemanticBasis, student: SemanticBasis, teacher_ids: Int[Tensor, m], student_ids: Int[Tensor, m]
) -> AlignmentMap:
    """`M = S_S S_T^T` over matched unit bases: the direction of SemAlign v1's equations 1 and 2.

    Their coefficients (one per token) and the length of the teacher state cancel in a cosine, so one constant matrix
    does the work of a `tokens x vocabulary` table.
    """
    total = torch.zeros(student.vectors.shape[1], teacher.vectors.shape[1], dtype=torch.float64)
    for of_teacher, of_student in zip(teacher_ids.split(CHUNK), student_ids.split(CHUNK), strict=True):
        total += (
            normalize(student.vectors[of_student], dim=-1).T @ normalize(teacher.vectors[of_teacher], dim=-1)
        ).double()
    return AlignmentMap(total.float(), None, "semantic")


def permuted_vocabulary_map(
    teacher: SemanticBasis,
    student: SemanticBasis,
    teacher_ids: Int[Tensor, m],
    student_ids: Int[Tensor, m],
    generator: torch.Generator,
) -> AlignmentMap:
    """The control of `semantic_map`: the same bases, but each teacher token recomposed as some other student token."""
    order = torch.randperm(len(student_ids), generator=generator)
    return AlignmentMap(semantic_map(teacher, student, teacher_ids, student_ids[order]).matrix, None, "permuted")


def random_basis_map(d_teacher: int, d_student: int, m: int, generator: torch.Generator) -> AlignmentMap:
    """The control with no model in it: m Gaussian unit bases on either side."""
    total = torch.zeros(d_student, d_teacher)
    for start in range(0, m, CHUNK):
        n = min(CHUNK, m - start)
        of_student = normalize(torch.randn(n, d_student, generator=generator), dim=-1)
        total += of_student.T @ normalize(torch.randn(n, d_teacher, generator=generator), dim=-1)
    return AlignmentMap(total, None, "random")


def logit_preserving_map(
    head_teacher: Float[Tensor, "V_T d_T"],
    head_student: Float[Tensor, "V_S d_S"],
    teacher_ids: Int[Tensor, m],
    student_ids: Int[Tensor, m],
) -> AlignmentMap:
    """`pinv(W_S) W_T` over matched rows: the student state whose logits are nearest the teacher's, in least squares."""
    student = semantic_basis(head_student[student_ids])
    return AlignmentMap(student.vectors.T @ head_teacher[teacher_ids].float(), None, "logit-preserving")


def affine_map(x: Float[Tensor, "n d_T"], y: Float[Tensor, "n d_S"]) -> AlignmentMap:
    """Least squares with intercept, of smallest norm where samples do not fix it: the stitch by direct matching.

    Csiszarik et al. 2021, section 3. With fewer samples than dimensions it repeats its samples and nothing else.
    """
    x, y = x.double(), y.double()
    mean_x, mean_y = x.mean(0), y.mean(0)
    matrix = torch.linalg.lstsq(x - mean_x, y - mean_y, driver="gelsd").solution.T
    return AlignmentMap(matrix.float(), (mean_y - matrix @ mean_x).float(), "affine")


def scaled(alignment: AlignmentMap, x: Float[Tensor, "n d_T"], y: Float[Tensor, "n d_S"]) -> AlignmentMap:
    """The same direction with the one number fitted that a training-free map leaves open: the length of its images.

    The image keeps the map's direction up to sign: a negative scale is not taken, since a map that points away is wrong.
    """
    mapped, y = alignment(x).double(), y.double()
    scale = ((mapped * y).sum() / mapped.square().sum().clamp_min(1e-300)).clamp_min(0).float()
    bias = None if alignment.bias is None else scale * alignment.bias
    return AlignmentMap(scale * alignment.matrix, bias, alignment.kind)


def split(joint: AlignmentMap, widths: int) -> list[AlignmentMap]:
    """A map to several student layers side by side as one map each."""
    biases = [None] * (len(joint.matrix) // widths) if joint.bias is None else joint.bias.split(widths)
    return [
        AlignmentMap(matrix, bias, joint.kind) for matrix, bias in zip(joint.matrix.split(widths), biases, strict=True)
    ]


def ridge_map(x: Float[Tensor, "n d_T"], y: Float[Tensor, "n d_S"], penalty: float) -> AlignmentMap:
    """Ridge regression with intercept from teacher to student states; penalty relative to the mean variance of x."""
    x, y = x.double(), y.double()
    mean_x, mean_y = x.mean(0), y.mean(0)
    cx, cy = x - mean_x, y - mean_y
    gram = cx.T @ cx
    gram = gram + penalty * gram.diagonal().mean() * torch.eye(gram.shape[0], dtype=gram.dtype)
    matrix = torch.linalg.solve(gram, cx.T @ cy).T
    return AlignmentMap(matrix.float(), (mean_y - matrix @ mean_x).float(), "ridge")


def procrustes_map(x: Float[Tensor, "n d_T"], y: Float[Tensor, "n d_S"]) -> AlignmentMap:
    """The rotation (rectangular: semi-orthogonal) with scale and shift that brings x nearest to y."""
    x, y = x.double(), y.double()
    mean_x, mean_y = x.mean(0), y.mean(0)
    cx, cy = x - mean_x, y - mean_y
    u, singular, v = torch.linalg.svd(cy.T @ cx, full_matrices=False)
    rotation = u @ v
    # Where the map drops dimensions of x, only the energy it keeps may set the scale.
    scale = singular.sum() / (cx @ rotation.T).square().sum().clamp_min(1e-300)
    matrix = scale * rotation
    return AlignmentMap(matrix.float(), (mean_y - matrix @ mean_x).float(), "procrustes")


@dataclass(frozen=True)
class HeldOutError:
    """How far a map's images are from the true states, on pairs it was not fitted on."""

    cosine: float
    """Mean cosine, -1..1, higher is closer."""
    r2: float
    """Explained share of the variance, up to 1; below 0 is worse than the mean. Means nothing for maps without scale."""


def held_out_error(alignment: AlignmentMap, x: Float[Tensor, "n d_T"], y: Float[Tensor, "n d_S"]) -> HeldOutError:
    """Apply a map to teacher states and compare with the student's."""
    mapped, y = alignment(x), y.float()
    missed = (mapped - y).square().sum() / (y - y.mean(0)).square().sum().clamp_min(1e-30)
    return HeldOutError(float(cosine_similarity(mapped, y, dim=-1).mean()), float(1 - missed))
