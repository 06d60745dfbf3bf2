"""Similarity measures: what they accept, what they say when they cannot, and the identities CKA rests on."""

import numpy as np
import pytest
import reference_similarity as naive
import torch
from measured import related, takes
from torch.testing import assert_close

from pkt_core.errors import MeasureError
from pkt_core.similarity.cka import gram, u_centred
from pkt_core.similarity.measures import MEASURES, measure

ALL = pytest.mark.parametrize("name", list(MEASURES))


def test_every_promised_name_is_there_and_the_default_comes_first():
    promised = """debiased_linear_cka linear_cka rbf_cka mutual_knn cknna jaccard second_order_cosine rank_similarity svcca pwcca
    mean_squared_cca procrustes rsa rsa_euclidean aligned_cosine linear_regression_r2 semantic_cosine next_token_agreement"""
    assert list(MEASURES) == promised.split()
    assert all(record.label and record.chance and record.source for record in MEASURES.values())


def test_u_centred_products_are_the_u_statistic_over_tuples():
    x, y = (side[:6] for side in related())
    k, other = u_centred(gram(x)), u_centred(gram(y))
    exact = naive.unbiased_hsic_by_tuples((x @ x.T).numpy(), (y @ y.T).numpy())
    assert_close(float((k * other).sum() / (6 * 3)), exact)
    assert_close(naive.unbiased_hsic((x @ x.T).numpy(), (y @ y.T).numpy()), exact)


@pytest.mark.parametrize("name", ["linear_cka", "debiased_linear_cka"])
def test_feature_form_equals_gram_form(name):
    x, y = (side + 3 for side in related(n=60))
    wide = torch.cat([x, torch.zeros(60, 60, dtype=x.dtype)], dim=1)  # same Gram, more dimensions than samples
    assert_close(measure(name, x, y), measure(name, wide, y))
    record = MEASURES[name]
    assert_close(record.function(x, y), record.compare(record.prepare(x), record.prepare(y)))


def test_independent_noise_is_nothing_debiased_and_nearly_everything_biased():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(164, 4096, generator=generator), torch.randn(164, 5120, generator=generator)
    assert abs(measure("debiased_linear_cka", x, y)) < 0.02
    assert_close(measure("linear_cka", x, y), 0.965, atol=0.005, rtol=0)
    # The positive control: the same noise is found where there is something to find.
    assert measure("debiased_linear_cka", x, x + 0.3 * torch.randn(164, 4096, generator=generator)) > 0.8


@ALL
def test_half_precision_is_upcast(name):
    x, y = related()
    x, y = x.bfloat16(), y.half()
    reading = takes(name, x, y)
    assert_close(measure(name, x, y, reading), measure(name, x.double(), y.double(), reading))


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.ones((5, 2)), np.ones((6, 2)), "Got 5 and 6 rows"),
        (np.eye(3), np.eye(3), "Got 3 samples; expected at least 4"),
        (np.ones(5), np.ones(5), "expected two dimensions"),
        (np.full((5, 2), np.nan), np.ones((5, 2)), "not numbers"),
        (np.ones((9, 2)), np.random.RandomState(0).randn(9, 2), "not computable: the first activations do not vary"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(x, y, words):
    with pytest.raises(MeasureError, match=words):
        measure("debiased_linear_cka", x, y)


@ALL
def test_constant_activations_and_too_few_samples_are_named_by_every_measure(name):
    x, y = related()
    record, reading = MEASURES[name], takes(name, x, y)
    with pytest.raises(MeasureError, match=f"{name} is not computable: the second activations do not vary"):
        measure(name, x, 0.1 + 0 * y, reading)
    few = record.minimum_n - 1
    with pytest.raises(MeasureError, match=f"Got {few} samples; expected at least {record.minimum_n} for {name}"):
        measure(name, x[:few], y[:few], reading)
    assert np.isfinite(measure(name, x[: few + 1], y[: few + 1], reading))


def test_neighbour_measures_say_how_many_they_look_at():
    with pytest.raises(
        MeasureError,
        match="Got 10 samples; expected at least 12 for mutual_knn, because each sample needs more than 10 others",
    ):
        measure("mutual_knn", np.eye(10), np.eye(10))


def test_samples_that_are_mostly_the_same_are_named():
    x, y = related(n=20)
    y = y[:1].repeat(20, 1)
    y[1] += 1.0  # one sample differs: there is variance, but none to compare
    with pytest.raises(MeasureError, match="rbf_cka is not computable from these 20 samples"):
        measure("rbf_cka", x, y)


def test_an_unknown_name_lists_those_that_exist():
    with pytest.raises(MeasureError, match=r"no measure 'cosine'; expected one of debiased_linear_cka, linear_cka"):
        measure("cosine", np.eye(5), np.eye(5))
