"""Naive twins of reading states in words: one token, one basis at a time, from the definitions."""

import torch


def bases(head, ridge=0.0, gain=None):
    """Rows of the transposed pseudoinverse by SVD; with a ridge by solving for each token alone."""
    weight = head.double() if gain is None else head.double() * gain.double()
    if ridge == 0:
        return torch.linalg.pinv(weight).T
    gram = weight.T @ weight
    gram = gram + ridge * torch.linalg.eigvalsh(gram).mean() * torch.eye(len(gram), dtype=torch.float64)
    return torch.stack([torch.linalg.solve(gram, row) for row in weight])


def cosine(a, b):
    return float((a.double() @ b.double()) / (a.double().norm() * b.double().norm()))


def reading(state, rows, k):
    """Every token's coefficient, one after the other; the k highest."""
    values = [(i, cosine(state, row)) for i, row in enumerate(rows)]
    return sorted(values, key=lambda item: -item[1])[:k]


def rank(state, rows, token):
    mine = cosine(state, rows[token])
    return 1 + sum(cosine(state, row) > mine + 1e-12 for i, row in enumerate(rows) if i != token)


def permuted_recomposition(h, rows, order):
    """Coefficient of token i on the basis of token order[i]."""
    out = torch.zeros_like(h, dtype=torch.float64)
    for i, j in enumerate(order.tolist()):
        out += cosine(h, rows[i]) * rows[j].double() / rows[j].double().norm()
    return cosine(h, out)


def normed(h, kind, gain, bias):
    """A final norm without its epsilon, from its formula."""
    h = h.double()
    if kind == "none":
        return h
    h = h - h.mean() if kind == "layer" else h
    return gain * h / h.square().mean().sqrt() + bias
