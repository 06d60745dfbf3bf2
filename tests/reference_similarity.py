"""Naive twins of the similarity measures: sums over index tuples, straight from the formulas."""

from itertools import permutations

import numpy as np


def unbiased_hsic(k, other):
    """Song et al. 2012, eq. 5: 1 / (n (n - 3)) [tr(KL) + 1K1 1L1 / ((n - 1)(n - 2)) - 2 / (n - 2) 1KL1], diagonals zero."""
    k, other = k - np.diag(np.diag(k)), other - np.diag(np.diag(other))
    n = len(k)
    one = np.ones(n)
    inner = np.trace(k @ other) + (one @ k @ one) * (one @ other @ one) / ((n - 1) * (n - 2))
    return (inner - 2 / (n - 2) * one @ k @ other @ one) / (n * (n - 3))


def unbiased_hsic_by_tuples(k, other):
    """The U-statistic over all ordered 4-tuples of distinct samples (Gretton et al. 2005); n = 6 is as far as it goes."""
    n, total, count = len(k), 0.0, 0
    for i, j, q, r in permutations(range(n), 4):
        total += k[i, j] * (other[i, j] + other[q, r] - 2 * other[i, q])
        count += 1
    return total / count


def debiased_cka(x, y):
    k, other = x @ x.T, y @ y.T
    return unbiased_hsic(k, other) / np.sqrt(unbiased_hsic(k, k) * unbiased_hsic(other, other))


def biased_cka(x, y):
    n = len(x)
    h = np.eye(n) - 1 / n
    k, other = h @ x @ x.T @ h, h @ y @ y.T @ h
    return np.sum(k * other) / np.sqrt(np.sum(k * k) * np.sum(other * other))


def distances(x):
    return np.array([[np.linalg.norm(a - b) for b in x] for a in x])


def rbf_cka(x, y):
    """Bandwidth 0.5 times the root of NumPy's median over all squared distances, a sample's with itself included."""
    k, other = (np.exp(-(d**2) / (2 * 0.25 * np.median(d**2))) for d in (distances(x), distances(y)))
    n = len(x)
    h = np.eye(n) - 1 / n
    k, other = h @ k @ h, h @ other @ h
    return np.sum(k * other) / np.sqrt(np.sum(k * k) * np.sum(other * other))


def nearest(x, k=10):
    """Per sample the k nearest by cosine, nearest first."""
    from sklearn.neighbors import NearestNeighbors

    return [list(row) for row in NearestNeighbors(n_neighbors=k, metric="cosine").fit(x).kneighbors()[1]]


def mutual_knn(x, y):
    return np.mean([len(set(a) & set(b)) / 10 for a, b in zip(nearest(x), nearest(y), strict=True)])


def jaccard(x, y):
    return np.mean([len(set(a) & set(b)) / len(set(a) | set(b)) for a, b in zip(nearest(x), nearest(y), strict=True)])


def rank_similarity(x, y):
    total = 0.0
    for a, b in zip(nearest(x), nearest(y), strict=True):
        common = set(a) & set(b)
        score = 0.0
        for j in common:
            first, second = a.index(j) + 1, b.index(j) + 1
            score += 2 / ((1 + abs(first - second)) * (first + second))
        total += score / sum(1 / m for m in range(1, len(common) + 1)) if common else 0.0
    return total / len(x)


def cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def second_order_cosine(x, y):
    values = []
    for i, (a, b) in enumerate(zip(nearest(x), nearest(y), strict=True)):
        union = sorted(set(a) | set(b))
        values.append(
            cosine(np.array([1 - cosine(x[i], x[j]) for j in union]), np.array([1 - cosine(y[i], y[j]) for j in union]))
        )
    return np.mean(values)


def masked_hsic(k, other, mask):
    """Song et al. 2012, eq. 5, written for matrices that need not be symmetric, as platonic-rep evaluates it."""
    n, one = len(k), np.ones(len(k))
    k, other = mask * k, mask * other
    inner = np.trace(k @ other) + (one @ k @ one) * (one @ other @ one) / ((n - 1) * (n - 2))
    return (inner - 2 / (n - 2) * one @ k @ other @ one) / (n * (n - 3))


def cknna(x, y):
    k, other = (np.array([[cosine(a, b) for b in side] for a in side]) for side in (x, y))
    of_x, of_y = (np.array([[float(j in row) for j in range(len(x))] for row in nearest(side)]) for side in (x, y))
    own = masked_hsic(k, k, of_x) * masked_hsic(other, other, of_y)
    return masked_hsic(k, other, of_x * of_y) / (np.sqrt(own) + 1e-6)


def correlations(x, y):
    """Canonical correlations, as cosines of the angles between the centred column spaces."""
    from scipy.linalg import subspace_angles

    return np.cos(subspace_angles(x - x.mean(0), y - y.mean(0)))


def mean_squared_cca(x, y):
    return np.mean(correlations(x, y) ** 2)


def principal(x, share=0.99):
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    kept = next(m for m in range(1, len(s) + 1) if np.sum(s[:m] ** 2) >= share * np.sum(s**2))
    return (u * s)[:, :kept]


def svcca(x, y):
    return np.mean(correlations(principal(x), principal(y)))


def pwcca(x, y):
    """By whitening covariances, the textbook way; weights |<h_i, x_j>| summed over neurons j."""
    x, y = x - x.mean(0), y - y.mean(0)

    def inverse_root(s):
        values, vectors = np.linalg.eigh(s)
        return vectors @ np.diag(values**-0.5) @ vectors.T

    whiten_x, whiten_y = inverse_root(x.T @ x), inverse_root(y.T @ y)
    u, rho, _ = np.linalg.svd(whiten_x @ x.T @ y @ whiten_y, full_matrices=False)
    variates = x @ whiten_x @ u
    weights = np.array([sum(abs(h @ neuron) for neuron in x.T) for h in variates.T])
    return np.sum(weights * rho) / np.sum(weights)


def padded(x, y):
    width = max(x.shape[1], y.shape[1])
    return [np.pad(side, ((0, 0), (0, width - side.shape[1]))) for side in (x, y)]


def procrustes(x, y):
    from scipy.linalg import orthogonal_procrustes

    x, y = (side - side.mean(0) for side in padded(x, y))
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    rotation, _ = orthogonal_procrustes(x, y)
    return np.arccos(np.clip(np.sum((x @ rotation) * y), -1, 1))


def aligned_cosine(x, y):
    from scipy.linalg import orthogonal_procrustes

    x, y = padded(x, y)
    rotation, _ = orthogonal_procrustes(x, y)
    return np.mean([cosine(a, b) for a, b in zip(x @ rotation, y, strict=True)])


def rsa(x, y, metric="correlation"):
    from scipy.spatial.distance import pdist
    from scipy.stats import spearmanr

    return spearmanr(pdist(x, metric), pdist(y, metric)).statistic


def rsa_euclidean(x, y):
    return rsa(x, y, "euclidean")


def linear_regression_r2(x, y, splits, ridge=1e-3):
    """scikit-learn's Ridge; its penalty on sums of squares is ridge times the mean squared length of fitted rows."""
    from sklearn.linear_model import Ridge

    scores = []
    for fitted, scored in (splits, splits[::-1]):
        inside = x[fitted] - x[fitted].mean(0)
        model = Ridge(alpha=ridge * np.sum(inside**2) / len(fitted)).fit(x[fitted], y[fitted])
        errors = np.sum((y[scored] - model.predict(x[scored])) ** 2)
        scores.append(1 - errors / np.sum((y[scored] - y[fitted].mean(0)) ** 2))
    return np.mean(scores)


def semantic_cosine(x, y, matrix):
    return np.mean([cosine(matrix @ a, b) for a, b in zip(x, y, strict=True)])


def next_token_agreement(logits_x, logits_y):
    """SciPy's jensenshannon is the root of the divergence."""
    from scipy.spatial.distance import jensenshannon
    from scipy.special import softmax

    pairs = zip(softmax(logits_x, axis=1), softmax(logits_y, axis=1), strict=True)
    return np.mean([1 - jensenshannon(p, q, base=2) ** 2 for p, q in pairs])
