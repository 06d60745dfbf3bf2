"""Chains of pictures in frames that belong together: partners meet where spaces agree, the same bits for the same seed."""

import warnings

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pkt_core.errors import MeasureError
from pkt_core.projection.aligned import (
    REGULARISATION,
    aligned_pca,
    aligned_umap,
    fidelity,
    same_rows,
    shuffled_rows,
    warm,
)
from pkt_core.projection.maps import one_size


def chain(n=90, seed=0):
    """One latent in three spaces of different width, and a fourth that has nothing to do with it."""
    generator = torch.Generator().manual_seed(seed)
    centres = 4 * torch.randn(6, 6, generator=generator)
    latent = centres[torch.arange(n) % 6] + torch.randn(n, 6, generator=generator)
    spaces = [latent @ torch.linalg.qr(torch.randn(w, 6, generator=generator))[0].T for w in (20, 9, 6)]
    return spaces, torch.randn(n, 7, generator=generator)


def gap(a, b):
    """Mean distance of partners in units of the picture's own spread."""
    return float((a - b).norm(dim=-1).mean() / a.std(0).norm())


def test_pca_turns_one_latent_into_one_picture_and_does_not_invent_likeness():
    (one, two, three), other = chain()
    picture = aligned_pca([one, 5 * two + 1, three, other], same_rows(90, 4))
    assert gap(picture.places[0], picture.places[1]) < 1e-3
    assert gap(picture.places[1], picture.places[2]) < 1e-3
    assert gap(picture.places[2], picture.places[3]) > 0.5
    assert picture.explained is not None
    assert_close(picture.explained[0], picture.explained[1], atol=1e-6, rtol=0)
    assert all(0 < share <= 1 for share in (*picture.explained, *picture.fidelity))


def test_pca_frames_are_turned_by_partners_and_never_stretched():
    (one, two, _), _ = chain()
    true = aligned_pca([one, two], same_rows(90, 2))
    null = aligned_pca([one, two], shuffled_rows(90, 2, 0))
    assert gap(true.places[0], true.places[1]) < 1e-3 < gap(null.places[0], null.places[1])
    singular = [torch.linalg.svdvals(picture.places[1]) for picture in (true, null)]
    assert_close(singular[0], singular[1])


def test_fidelity_counts_neighbours_that_the_picture_keeps():
    flat = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).numpy()
    centred = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    assert fidelity([centred], [centred]) == (1.0,)
    far = np.random.default_rng(0).permutation(centred)
    assert fidelity([centred], [far])[0] < 0.45  # chance is 10 / 49


@pytest.mark.slow
def test_aligned_umap_is_the_same_bit_for_bit_and_umaps_own():
    import umap

    (one, two, three), other = chain()
    spaces = [one, two, three, other]
    told: list[float] = []
    picture = aligned_umap(spaces, same_rows(90, 4), seed=0, told=told.append)
    again = aligned_umap(spaces, same_rows(90, 4), seed=0)
    assert torch.equal(picture.places, again.places)
    assert not torch.equal(picture.places, aligned_umap(spaces, same_rows(90, 4), seed=1).places)
    # Partners of one latent meet; of an unrelated space they do not.
    assert gap(picture.places[0], picture.places[1]) < 0.25
    assert gap(picture.places[2], picture.places[3]) > 0.7
    assert min(picture.fidelity) > 0.3
    # Progress only rises, from nothing to nearly all.
    assert told == sorted(told)
    assert told[0] == 0
    assert 0.9 < told[-1] < 1
    # What we changed for speed changes nothing else.
    import numba

    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = umap.AlignedUMAP(
            n_neighbors=15, metric="cosine", alignment_regularisation=REGULARISATION, random_state=0, transform_seed=0
        ).fit_transform(
            [one_size(x).astype(np.float32) for x in spaces], relations=[{i: i for i in range(90)} for _ in range(3)]
        )
    numba.set_num_threads(threads)
    assert torch.equal(picture.places, torch.from_numpy(np.stack([np.asarray(x) for x in plain])))
    assert umap.layouts.tqdm.__module__.startswith("tqdm")  # put back as it was


@pytest.mark.slow
def test_shuffled_partners_do_not_meet_and_warming_is_harmless():
    (one, two, _), _ = chain()
    warm()
    order = shuffled_rows(90, 2, 0)
    null = aligned_umap([one, two], order, seed=0)
    true = aligned_umap([one, two], same_rows(90, 2), seed=0)
    assert gap(null.places[0], null.places[1][order[0]]) > 0.7 > 0.25 > gap(true.places[0], true.places[1])


def test_wrong_chains_are_one_sentence():
    (one, two, _), _ = chain()
    for spaces, partners, words in [
        ([one], [], "joins at least 2"),
        ([one, two[:40]], same_rows(90, 2), "same prompts on both sides"),
        ([one, two * 0], same_rows(90, 2), "same activation in slice 1"),
        ([one, two], [torch.zeros(90, dtype=torch.long)], "do not pair 90 prompts"),
    ]:
        for project in (aligned_pca, lambda *a: aligned_umap(*a, seed=0)):
            with pytest.raises(MeasureError, match=words):
                project(spaces, partners)
