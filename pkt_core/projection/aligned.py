"""A chain of latent spaces of the same prompts as one picture each, in frames that belong together.

The spaces may differ in width: AlignedUMAP uses only the neighbour graph of each (McInnes et al., umap-learn's
`AlignedUMAP`), and pulls partners in neighbouring slices together as far as their neighbourhoods agree. The pull is
fixed at 0.01: at 0.1 spaces that share half of their structure already look the same. PCA with an orthogonal
Procrustes turn of each slice onto the one before is the quick picture, with a meaning of its own.

Not covered: joining spaces by an alignment map (maps.py), who changed neighbours (turnover.py).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.decomposition import PCA
from torch import Tensor

from pkt_core.errors import MeasureError
from pkt_core.projection.maps import NEIGHBOURS, checked, neighbours, one_size, shared

REGULARISATION = 0.01
UMAP_NEIGHBOURS = 15
TOLD_EVERY = 5  # epochs of 200 between two progress reports
ALONE = 0.35  # share of the time that laying out each slice alone takes, about
TINY = 32  # points that suffice to have everything compiled

Told = Callable[[float], None]
compiled: dict[Any, Any] = {}


@dataclass(frozen=True)
class Chain:
    """One picture per slice, all in one frame."""

    places: Float[Tensor, "slice n 2"]
    """Where each prompt lies; UMAP units have no meaning, those of PCA are shares of each space's own size."""
    fidelity: tuple[float, ...]
    """Per slice, the share of each prompt's 10 nearest neighbours that are still its neighbours in the picture, 0..1."""
    explained: tuple[float, ...] | None
    """Per slice, the share of the variance that the two axes hold (PCA only), 0..1."""


def checked_chain(slices: Sequence[Tensor], partners: Sequence[Tensor]) -> None:
    """MeasureError where there is no chain to draw."""
    if len(slices) < 2:
        raise MeasureError(f"Got {len(slices)} latent spaces; a chain joins at least 2. Choose more layers or models.")
    assert len(partners) == len(slices) - 1
    for other in slices[1:]:
        n = checked(slices[0], other)
    for i, points in enumerate(slices):
        if float((points.double() - points.double().mean(0)).abs().max()) == 0:
            raise MeasureError(f"All prompts have the same activation in slice {i}; choose another layer or pooling.")
    for order in partners:
        if sorted(order.tolist()) != list(range(n)):
            raise MeasureError(f"The partners do not pair {n} prompts one to one; expected each row once.")


def same_rows(n: int, slices: int) -> list[Int[Tensor, n]]:
    """The true pairing of a chain: each row is the same prompt in every slice."""
    return [torch.arange(n) for _ in range(slices - 1)]


def shuffled_rows(n: int, slices: int, seed: int) -> list[Int[Tensor, n]]:
    """The null: between any two slices, partners dealt out at random."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randperm(n, generator=generator) for _ in range(slices - 1)]


def fidelity(slices: Sequence[np.ndarray], places: Sequence[np.ndarray]) -> tuple[float, ...]:
    """Share of the 10 nearest neighbours (cosine, full space) that are neighbours in the picture; chance 10 / (n - 1)."""
    return tuple(
        float(shared(neighbours(full, NEIGHBOURS, "cosine"), neighbours(flat, NEIGHBOURS, "euclidean")).mean())
        for full, flat in zip(slices, places, strict=True)
    )


def aligned_pca(slices: Sequence[Tensor], partners: Sequence[Tensor]) -> Chain:
    """Two principal components of each slice, turned or mirrored onto the slice before so that partners lie nearest.

    No scaling: a slice whose two axes hold little of its variance looks small, as it should. Raises MeasureError where
    the slices do not make a chain.
    """
    checked_chain(slices, partners)
    full = [one_size(points) for points in slices]
    places: list[np.ndarray] = []
    explained: list[float] = []
    for i, points in enumerate(full):
        pca = PCA(2, svd_solver="full").fit(points)
        flat = pca.transform(points)
        explained.append(float(pca.explained_variance_ratio_.sum()))
        if i == 0:  # the sign of a principal axis is arbitrary: the point farthest out is drawn on the positive side
            flat = flat * np.sign(flat[np.abs(flat).argmax(0), [0, 1]])
        else:
            u, _, v = np.linalg.svd(flat[partners[i - 1].numpy()].T @ places[-1])
            flat = flat @ (u @ v)
        places.append(flat)
    return Chain(torch.from_numpy(np.stack(places)).float(), fidelity(full, places), tuple(explained))


def aligned_umap(
    slices: Sequence[Tensor], partners: Sequence[Tensor], *, seed: int, told: Told = lambda _: None
) -> Chain:
    """AlignedUMAP of the chain (cosine, centred, 15 neighbours, regularisation 0.01): the same bits for the same seed.

    `told` is called with the share done, 0..1. Only one thread computes, since two would race for the same points. Raises
    MeasureError where the slices do not make a chain.
    """
    checked_chain(slices, partners)
    full = [one_size(points).astype(np.float32) for points in slices]
    relations = [{i: int(j) for i, j in enumerate(order)} for order in partners]
    with quiet_umap(len(slices), told):
        import umap

        pictures = umap.AlignedUMAP(
            n_neighbors=min(UMAP_NEIGHBOURS, len(full[0]) - 1),
            metric="cosine",
            alignment_regularisation=REGULARISATION,
            random_state=seed,  # of the graphs, which are exact at these sizes
            transform_seed=seed,  # of the layout; umap's own default is 42 whatever the random state
            # Each slice is first laid out alone, and only its graph is used: these two make that layout cheap. They
            # change no bit of the result, which a test holds against umap's own defaults.
            init="random",
            negative_sample_rate=1,
        ).fit_transform(full, relations=relations)
    places = [np.asarray(one) for one in pictures]
    if not all(np.isfinite(one).all() for one in places):
        raise MeasureError("Some prompts have no neighbours, so UMAP cannot place them. Use PCA.")
    return Chain(torch.from_numpy(np.stack(places)).float(), fidelity(full, places), None)


def warm() -> None:
    """Import UMAP and have all of it compiled, on a few random points: a minute on a busy machine, once per process."""
    generator = torch.Generator().manual_seed(0)
    tiny = [torch.randn(TINY, width, generator=generator) for width in (8, 6)]
    aligned_umap(tiny, same_rows(TINY, 2), seed=0)
    with quiet_umap(0, lambda _: None):
        import umap

        umap.UMAP(n_neighbors=5, metric="cosine", random_state=0, n_jobs=1, n_epochs=20).fit_transform(tiny[0].numpy())


@contextmanager
def quiet_umap(slices: int, told: Told) -> Iterator[None]:
    """Inside, umap-learn runs on one thread, reports its progress, and compiles its aligned layout once, not at every call.

    umap-learn offers neither, so two names are replaced for the while and put back after: `tqdm`, which it wraps around
    its epochs, and the aligned layout itself, by the same code with an `njit` that caches what it compiled.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
        import numba
        from umap import aligned_umap, layouts

    loops = 0

    def tqdm(epochs: Any, **_: Any) -> Iterator[Any]:
        nonlocal loops
        alone = loops < slices  # umap lays out each slice, then all together, which takes longer
        start, share = (ALONE * loops / slices, ALONE / slices) if alone else (ALONE, 1 - ALONE)
        loops += 1
        total = len(epochs)
        for i in epochs:
            if i % TOLD_EVERY == 0:
                told(start + share * i / total)
            yield i

    def njit(function: Any, **options: Any) -> Any:
        if function not in compiled:
            compiled[function] = numba.njit(function, **{**options, "parallel": False})
        return compiled[function]

    layout = aligned_umap.optimize_layout_aligned_euclidean
    known = {
        **layout.__globals__,
        "numba": SimpleNamespace(njit=njit, typed=numba.typed, types=numba.types),
        "tqdm": tqdm,
    }
    remembering = FunctionType(layout.__code__, known, layout.__name__, layout.__defaults__)
    own_tqdm, threads = layouts.tqdm, numba.get_num_threads()
    layouts.tqdm, aligned_umap.optimize_layout_aligned_euclidean = tqdm, remembering
    numba.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "n_jobs value", UserWarning)
            yield
    finally:
        layouts.tqdm, aligned_umap.optimize_layout_aligned_euclidean = own_tqdm, layout
        numba.set_num_threads(threads)
