"""Measures where data are extreme: one sample far longer than the others, samples repeated or equally far apart, any magnitude."""

import numpy as np
import pytest
import torch
from measured import related, takes
from torch.testing import assert_close

from pkt_core.errors import MeasureError
from pkt_core.similarity.agreement import agreement
from pkt_core.similarity.measures import MEASURES, measure
from pkt_core.similarity.pairwise import grid_of, null_of

SCALE_FREE = [name for name, record in MEASURES.items() if record.scale_invariant]


def randn(*shape, seed=0):
    return np.random.RandomState(seed).randn(*shape)


def turn(width):
    return np.linalg.qr(randn(width, width, seed=9))[0]


def test_one_sample_beyond_all_digits_is_named_or_does_no_harm():
    """1e8 times as long as the others: of X^T Y only it is left, of the distances between the others nothing is lost."""
    x, other = randn(128, 24), randn(128, 24, seed=1)
    alone = measure("rsa_euclidean", x[1:], other[1:])
    x[0] *= 1e8
    other[0] *= 1e8
    with pytest.raises(MeasureError, match="aligned_cosine is not computable.* much longer than the others"):
        measure("aligned_cosine", x, 3.3 * x @ turn(24))
    assert_close(measure("rsa_euclidean", x, 3.3 * x @ turn(24)), 1.0, atol=1e-9, rtol=0)
    assert abs(measure("rsa_euclidean", x, other) - alone) < 0.1


@pytest.mark.parametrize("length", [1e2, 1e4, 1e6])
@pytest.mark.parametrize("name", ["aligned_cosine", "debiased_linear_cka", "rsa_euclidean"])
def test_one_sample_far_longer_than_the_others_hides_nothing(name, length):
    x, other = randn(128, 24), randn(128, 24, seed=1)
    x[0] *= length
    assert_close(measure(name, x, x), 1.0, atol=1e-9, rtol=0)
    assert_close(measure(name, x, 3.3 * x @ turn(24)), 1.0, atol=1e-7, rtol=0)
    assert measure(name, x, other) < 0.6


def test_the_feature_form_hands_over_to_the_grams_where_it_would_cancel():
    x, y = randn(60, 5), randn(60, 5, seed=1)
    x[0] *= 1e8
    wide = np.pad(x, ((0, 0), (0, 60)))
    assert_close(measure("debiased_linear_cka", x, y), measure("debiased_linear_cka", wide, y))


def one_sample_apart(width):
    x = np.zeros((50, width))
    x[0] = 1
    return x


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("debiased_linear_cka", one_sample_apart(3), one_sample_apart(3)),
        ("debiased_linear_cka", one_sample_apart(200), 2 * one_sample_apart(200) + 1),
        ("debiased_linear_cka", turn(20), turn(20) @ np.linalg.qr(randn(20, 20))[0]),
        ("rsa_euclidean", np.eye(20), randn(20, 4)),
        ("rsa_euclidean", turn(20), randn(20, 4)),
        ("rsa", randn(20, 1), randn(20, 4)),
    ],
)
def test_what_varies_only_by_rounding_is_not_computable(name, x, y):
    with pytest.raises(MeasureError, match=f"{name} is not computable from these"):
        measure(name, x, y)
    assert grid_of(name, [x], [y]).isnan().all()


@pytest.mark.parametrize(
    ("name", "x", "change"),
    [
        ("rsa_euclidean", np.repeat(randn(2, 16), 20, 0), lambda x: x @ turn(16)),
        ("rsa_euclidean", np.random.RandomState(0).randint(0, 2, (100, 6)).astype(float), lambda x: 0.3 * x),
        ("rsa", np.repeat(randn(4, 16), 10, 0), lambda x: 3.3 * x),
        ("rsa", randn(40, 2), lambda x: 3.3 * x),
        ("second_order_cosine", np.repeat(randn(5, 16), 12, 0), lambda x: x),
        ("second_order_cosine", np.repeat(randn(5, 16), 12, 0), lambda x: 3.3 * x @ turn(16)),
    ],
)
def test_tied_distances_stay_ties(name, x, change):
    assert_close(measure(name, x, change(x)), 1.0, atol=1e-9, rtol=0)


def test_repeated_prompts_on_one_side_only_are_no_likeness():
    x = np.repeat(randn(5, 16), 12, 0)
    assert measure("second_order_cosine", x, randn(60, 16, seed=1)) < 0.5


def test_a_closer_look_keeps_ties_and_names_a_layer_in_which_all_are_equally_far_apart():
    x = torch.from_numpy(np.repeat(randn(4, 16), 10, 0))
    assert_close(agreement(x, 3.3 * x @ torch.from_numpy(turn(16)), draws=5).correlation, 1.0, atol=1e-6, rtol=0)
    with pytest.raises(MeasureError, match="equally far apart in the student's layer"):
        agreement(x, torch.eye(40, dtype=torch.float64), draws=5)


def test_cknna_claims_no_bound_because_it_has_none():
    generator = torch.Generator().manual_seed(209)
    x, noise = (torch.randn(14, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    assert 1.1 < measure("cknna", x, x + 0.2 * noise) < MEASURES["cknna"].high


@pytest.mark.parametrize("name", SCALE_FREE)
@pytest.mark.parametrize("scale", [1e-310, 1e-160, 1e-45, 1e-13, 1e45, 1e160, 1e300])
def test_any_magnitude_is_the_same(name, scale):
    x, y = related()
    reading = takes(name, x, y)
    atol = 1e-6 if scale == 1e-310 else 1e-9  # so small a number has fewer digits
    for one, other in ((scale * x, y), (x, scale * y), (scale * x, scale * y)):
        assert_close(measure(name, one, other, reading), measure(name, x, y, reading), atol=atol, rtol=0)
    assert_close(grid_of(name, [scale * x], [y], reading), grid_of(name, [x], [y], reading), atol=atol, rtol=0)


@pytest.mark.parametrize("name", ["mutual_knn", "jaccard", "rank_similarity", "cknna", "second_order_cosine"])
def test_neighbours_that_ties_decide_are_no_neighbours(name):
    """Of rows on one line every cosine is 1 or -1: who is near whom is rounding. A second direction ends that."""
    line, other = (np.outer(randn(60, seed=s), randn(width, seed=s + 2)) for s, width in ((1, 12), (2, 7)))
    ray, full = np.abs(line), randn(60, 6)
    for x, y in ((line, other), (line, line), (full, line), (ray, full), (line.astype(np.float32), full)):
        with pytest.raises(MeasureError, match="ties would decide"):
            measure(name, x, y)
    both = np.stack([line, np.hstack([randn(60, 2, seed=5), randn(60, 10, seed=6)])])
    found = grid_of(name, list(both), [full])
    assert found[0].isnan().all()
    assert found[1].isfinite().all()
    orders = torch.stack([torch.randperm(60, generator=torch.Generator().manual_seed(s)) for s in range(3)])
    cells = null_of(name, list(both), [full], orders).cells
    assert cells[:, 0].isnan().all()
    assert cells[:, 1].isfinite().all()


@pytest.mark.parametrize("name", ["mutual_knn", "cknna"])
def test_a_few_ties_do_no_harm(name):
    x = randn(60, 6)
    x[:20] = x[0]  # 20 of 60 have more than 10 copies of themselves
    assert np.isfinite(measure(name, x, x @ turn(6)))
    x[:40] = x[0]
    with pytest.raises(MeasureError, match="most samples have more than 10 equally near neighbours"):
        measure(name, x, x @ turn(6))
