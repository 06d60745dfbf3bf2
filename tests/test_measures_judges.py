"""Measures held against parts of other people's libraries, where none has the whole measure: SciPy, scikit-learn, statsmodels.

Versions are those of the installed environment. ckatorch, pytorch-cka and calibrated-similarity judge elsewhere
(test_measures_values.py, test_measures_pairwise.py). No library on a package index has CKNNA, rank similarity or the
second-order cosine; published values and naive twins judge those.
"""

import numpy as np
import pytest
from measured import TOKENS, related, takes
from scipy.linalg import orthogonal_procrustes, subspace_angles
from scipy.spatial.distance import cosine, jensenshannon, pdist
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.neighbors import NearestNeighbors
from statsmodels.multivariate.cancorr import CanCorr

from pkt_core.similarity.measures import measure
from pkt_core.similarity.regression import RIDGE, halves


@pytest.fixture
def sides():
    x, y = related(n=80)
    return (x + 0.4).numpy(), (y - 0.2).numpy()


def correlations(x, y):
    """statsmodels does not centre by itself in every version, so the data come centred."""
    return CanCorr(y - y.mean(0), x - x.mean(0)).cancorr


def test_canonical_correlations_are_statsmodels(sides):
    expected = correlations(*sides)
    assert measure("mean_squared_cca", *sides) == pytest.approx(float(np.mean(expected**2)), abs=1e-9)


def test_canonical_correlations_are_scipys_principal_angles(sides):
    centred = [side - side.mean(0) for side in sides]
    assert measure("mean_squared_cca", *sides) == pytest.approx(
        float(np.mean(np.cos(subspace_angles(*centred)) ** 2)), abs=1e-9
    )


def test_svcca_is_scikit_learns_pca_and_statsmodels(sides):
    rng = np.random.default_rng(0)
    sides = [np.concatenate([side, 1e-2 * rng.normal(size=(len(side), 3))], 1) for side in sides]  # something to drop
    kept = [PCA(0.99, svd_solver="full").fit_transform(side) for side in sides]
    assert kept[0].shape[1] < sides[0].shape[1]
    assert measure("svcca", *sides) == pytest.approx(float(np.mean(correlations(*kept))), abs=1e-9)


def test_pwcca_is_statsmodels_with_the_weights_of_the_paper(sides):
    x, y = (side - side.mean(0) for side in sides)
    found = CanCorr(y, x)
    variates = x @ found.x_cancoef[:, : len(found.cancorr)]
    weights = np.abs((variates / np.linalg.norm(variates, axis=0)).T @ x).sum(1)
    assert measure("pwcca", *sides) == pytest.approx(float(weights @ found.cancorr / weights.sum()), abs=1e-9)


def test_rsa_is_scipys_distances_and_rank_correlation(sides):
    for name, metric in (("rsa", "correlation"), ("rsa_euclidean", "euclidean")):
        expected = spearmanr(*(pdist(side, metric) for side in sides)).statistic
        assert measure(name, *sides) == pytest.approx(float(expected), abs=1e-9)


def neighbours(side):
    return [
        set(row)
        for row in NearestNeighbors(n_neighbors=10, metric="cosine").fit(side).kneighbors(return_distance=False)
    ]


def test_neighbours_are_scikit_learns(sides):
    pairs = list(zip(*map(neighbours, sides), strict=True))
    assert measure("mutual_knn", *sides) == pytest.approx(np.mean([len(a & b) / 10 for a, b in pairs]), abs=1e-12)
    assert measure("jaccard", *sides) == pytest.approx(np.mean([len(a & b) / len(a | b) for a, b in pairs]), abs=1e-12)


def test_aligned_cosine_is_scipys_rotation(sides):
    x, y = sides
    padded = np.concatenate([y, np.zeros((len(y), x.shape[1] - y.shape[1]))], 1)
    rotation, _ = orthogonal_procrustes(x, padded)
    expected = np.mean([1 - cosine(a, b) for a, b in zip(x @ rotation, padded, strict=True)])
    assert measure("aligned_cosine", *sides) == pytest.approx(float(expected), abs=1e-9)


def test_held_out_prediction_is_scikit_learns_ridge(sides):
    x, y = sides
    scores = []
    first, second = (half.numpy() for half in halves(len(x)))
    for fitted, scored in ((first, second), (second, first)):
        centre, target = x[fitted].mean(0), y[fitted].mean(0)
        penalty = RIDGE * np.square(x[fitted] - centre).sum() / len(fitted)  # of the Gram over samples, as ours
        model = Ridge(alpha=penalty, fit_intercept=False).fit(x[fitted] - centre, y[fitted] - target)
        guess = model.predict(x[scored] - centre)
        missed = np.square(y[scored] - target - guess).sum()
        scores.append(1 - missed / np.square(y[scored] - target).sum())
    assert measure("linear_regression_r2", *sides) == pytest.approx(float(np.mean(scores)), abs=1e-8)
    assert np.mean(scores) < r2_score(
        y, Ridge(1e-9).fit(x, y).predict(x)
    )  # what is held out is no better than what is fitted


def test_next_token_agreement_is_scipys_divergence(sides):
    import torch

    x, y = (torch.from_numpy(side) for side in sides)
    reading = takes("next_token_agreement", x, y)
    p, q = (
        (side.float() @ head.weight.T).softmax(-1).double().numpy()
        for side, head in ((x, reading.teacher), (y, reading.student))
    )
    expected = 1 - np.mean(jensenshannon(p, q, base=2, axis=1) ** 2)
    assert p.shape[1] == TOKENS
    assert measure("next_token_agreement", x, y, reading) == pytest.approx(float(expected), abs=1e-6)


def test_semantic_cosine_is_scipys_cosine_of_mapped_rows(sides):
    import torch

    x, y = (torch.from_numpy(side) for side in sides)
    reading = takes("semantic_cosine", x, y)
    mapped = x.numpy() @ reading.matrix.numpy().T
    expected = np.mean([1 - cosine(a, b) for a, b in zip(mapped, y.numpy(), strict=True)])
    assert measure("semantic_cosine", x, y, reading) == pytest.approx(float(expected), abs=1e-9)
