"""Measures: published values, naive twins, and the invariances each record claims (and one it must not have)."""

import numpy as np
import pytest
import reference_similarity as naive
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from pkt_core.errors import MeasureError
from pkt_core.similarity import MEASURES, measure
from pkt_core.similarity.cka import gram, linear_cka, u_centred

ALL = pytest.mark.parametrize("name", list(MEASURES))


def seeded():
    """The data of Google's representation-similarity notebook, which prints the values below."""
    generator = np.random.RandomState(1337)
    x = generator.randn(100, 10)
    return x, generator.randn(100, 10) + x


def related(n=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 7, generator=generator, dtype=torch.float64)
    y = x @ torch.randn(7, 5, generator=generator, dtype=torch.float64) + torch.randn(
        n, 5, generator=generator, dtype=torch.float64
    )
    return x, y


@pytest.mark.parametrize(("name", "published"), [("linear_cka", 0.557613), ("debiased_linear_cka", 0.513456)])
def test_published_values(name, published):
    assert_close(measure(name, *seeded()), published, atol=1e-6, rtol=0)


def test_naive_twins():
    x, y = related()
    assert_close(measure("debiased_linear_cka", x, y), naive.debiased_cka(x.numpy(), y.numpy()))
    assert_close(measure("linear_cka", x, y), naive.biased_cka(x.numpy(), y.numpy()))


def test_u_centred_products_are_the_u_statistic_over_tuples():
    x, y = (side[:6] for side in related())
    k, other = u_centred(gram(x)), u_centred(gram(y))
    exact = naive.unbiased_hsic_by_tuples((x @ x.T).numpy(), (y @ y.T).numpy())
    assert_close(float((k * other).sum() / (6 * 3)), exact)
    assert_close(naive.unbiased_hsic((x @ x.T).numpy(), (y @ y.T).numpy()), exact)


def test_feature_form_equals_gram_form():
    x, y = related(n=60)
    wide = torch.cat([x, torch.zeros(60, 60, dtype=x.dtype)], dim=1)  # same Gram, more dimensions than samples
    assert_close(linear_cka(x, y), linear_cka(wide, y))


@ALL
def test_itself_is_the_highest_value(name):
    x, _ = related()
    assert_close(measure(name, x, x), MEASURES[name].high)


@ALL
def test_claimed_invariances(name):
    x, y = related()
    claims, value = MEASURES[name], measure(name, x, y)
    rotation = torch.linalg.qr(torch.randn(7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))[0]
    stretch = torch.diag(torch.tensor([10.0, 1, 1, 1, 0.1, 1, 1], dtype=torch.float64))
    for claimed, changed in [
        (claims.rotation_invariant, x @ rotation),
        (claims.scale_invariant, 3.5 * x),
        (claims.translation_invariant, x + 5),
        (claims.linear_invariant, x @ stretch),
    ]:
        same = abs(measure(name, changed, y) - value) < 1e-9
        assert same == claimed
    assert claims.linear_invariant is False  # what CKA must not have, and CCA would
    assert (abs(measure(name, y, x) - value) < 1e-12) == claims.symmetric


@ALL
@given(seed=st.integers(0, 10_000))
def test_range(name, seed):
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(8, 3, generator=generator), torch.randn(8, 20, generator=generator)
    assert MEASURES[name].low - 1e-9 <= measure(name, x, y) <= MEASURES[name].high + 1e-9


def test_independent_noise_is_nothing_debiased_and_nearly_everything_biased():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(164, 4096, generator=generator), torch.randn(164, 5120, generator=generator)
    assert abs(measure("debiased_linear_cka", x, y)) < 0.02
    assert_close(measure("linear_cka", x, y), 0.965, atol=0.005, rtol=0)
    # The positive control: the same noise is found where there is something to find.
    assert measure("debiased_linear_cka", x, x + 0.3 * torch.randn(164, 4096, generator=generator)) > 0.8


@ALL
def test_permuting_the_samples_of_one_side_removes_similarity(name):
    x, y = related(n=400)
    shuffled = y[torch.randperm(400, generator=torch.Generator().manual_seed(0))]
    assert measure(name, x, y) > 0.5
    assert measure(name, x, shuffled) < 0.1


@ALL
def test_half_precision_is_upcast(name):
    x, y = related()
    assert_close(measure(name, x.bfloat16(), y.half()), measure(name, x.bfloat16().double(), y.half().double()))


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.ones((5, 2)), np.ones((6, 2)), "Got 5 and 6 rows"),
        (np.eye(3), np.eye(3), "Got 3 samples; expected at least 4"),
        (np.ones(5), np.ones(5), "expected two dimensions"),
        (np.full((5, 2), np.nan), np.ones((5, 2)), "not numbers"),
        (np.ones((9, 2)), np.random.RandomState(0).randn(9, 2), "not computable"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(x, y, words):
    with pytest.raises(MeasureError, match=words):
        measure("debiased_linear_cka", x, y)


def test_an_unknown_name_lists_those_that_exist():
    with pytest.raises(MeasureError, match=r"no measure 'cosine'; expected one of debiased_linear_cka, linear_cka"):
        measure("cosine", np.eye(5), np.eye(5))
