"""Teacher and student states of the same prompts in one two-dimensional picture, with how far it can be trusted.

Both clouds are centred and brought to one size, then projected together: an alignment map fixes direction, not scale, and
without this the larger cloud would own the axes. Distances in a UMAP mean little; the neighbour overlap, measured in the
original spaces, is what the colours show.

Not covered: chains of several spaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from pkt_core.errors import MeasureError

MAX_POINTS = 1000
MIN_POINTS = 12
NEIGHBOURS = 10


@dataclass(frozen=True)
class Projection:
    """Two clouds in one plane."""

    teacher_xy: Float[Tensor, "n 2"]
    """Mapped teacher states."""
    student_xy: Float[Tensor, "n 2"]
    """Student states; row i is the same prompt."""
    explained: float | None
    """Share of the variance the two axes hold (PCA only), 0..1."""
    trust_teacher: float
    """Share of each teacher state's 10 nearest neighbours that are still its neighbours in the picture, 0..1."""
    trust_student: float
    """The same for the student."""


def checked(teacher: Tensor, student: Tensor) -> int:
    n = len(teacher)
    if n != len(student):
        raise MeasureError(
            f"Got {n} teacher and {len(student)} student points; expected the same prompts on both sides."
        )
    if not MIN_POINTS <= n <= MAX_POINTS:
        raise MeasureError(
            f"Got {n} points; a projection takes {MIN_POINTS} to {MAX_POINTS}. Choose a sample of the prompts."
        )
    if not (torch.isfinite(teacher).all() and torch.isfinite(student).all()):
        raise MeasureError("The activations hold values that are not numbers. Check the models' precision.")
    return n


def neighbours(points: np.ndarray, k: int, metric: str) -> np.ndarray:
    """`[n, k]` indexes of each point's nearest others."""
    return NearestNeighbors(n_neighbors=k, metric=metric).fit(points).kneighbors(return_distance=False)


def shared(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Per row, the share of indexes that both have."""
    return np.array([len(set(a) & set(b)) / len(a) for a, b in zip(first, second, strict=True)])


def neighbour_overlap(
    teacher: Float[Tensor, "n d1"], student: Float[Tensor, "m d2"], k: int = NEIGHBOURS
) -> Float[Tensor, n]:
    """Per prompt, share of the k nearest prompts (cosine, centred) that both spaces agree on, 0..1; chance k / (n - 1)."""
    checked(teacher, student)
    neighbour_ids = [neighbours((x.double() - x.double().mean(0)).numpy(), k, "cosine") for x in (teacher, student)]
    return torch.from_numpy(shared(*neighbour_ids)).float()


def one_size(points: Tensor) -> np.ndarray:
    centred = points.double() - points.double().mean(0)
    return (centred / centred.norm().clamp_min(1e-30) * len(points) ** 0.5).numpy()


def project_together(
    teacher: Float[Tensor, "n d"], student: Float[Tensor, "m d"], *, method: Literal["pca", "umap"], seed: int
) -> Projection:
    """One PCA or UMAP of both clouds, in student space; the same picture for the same seed.

    Raises MeasureError for fewer than 12 or more than 1,000 points, unpaired sides, or values that are not numbers.
    """
    n = checked(teacher, student)
    clouds = np.concatenate([one_size(teacher), one_size(student)])
    explained = None
    if method == "pca":
        pca = PCA(2, svd_solver="full").fit(clouds)
        picture = pca.transform(clouds)
        # The sign of a principal axis is arbitrary: the point farthest out is drawn on the positive side.
        picture *= np.sign(picture[np.abs(picture).argmax(0), [0, 1]])
        explained = float(pca.explained_variance_ratio_.sum())
    else:
        import umap

        reducer = umap.UMAP(n_neighbors=min(15, n - 1), metric="cosine", random_state=seed, n_jobs=1)
        picture = reducer.fit_transform(clouds)
    trusts = []
    for part in (slice(0, n), slice(n, 2 * n)):
        near = neighbours(clouds[part], NEIGHBOURS, "cosine"), neighbours(picture[part], NEIGHBOURS, "euclidean")
        trusts.append(float(shared(*near).mean()))
    xy = torch.from_numpy(np.ascontiguousarray(picture)).float()
    return Projection(xy[:n], xy[n:], explained, *trusts)
