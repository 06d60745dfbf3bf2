"""Naive twins of the objectives: one position at a time, from the formulas."""

import math

import torch


def layer_cosine(states, targets):
    cosines = [float(h @ t / (h.norm() * t.norm())) for h, t in zip(states, targets, strict=True)]
    return 1 - sum(cosines) / len(cosines)


def output_cosine(logits, labels):
    cosines = []
    for z, y in zip(logits, labels, strict=True):
        onehot = torch.zeros_like(z)
        onehot[y] = 1
        cosines.append(float(z @ onehot / (z.norm() * onehot.norm())))
    return 1 - sum(cosines) / len(cosines)


def kl(teacher_logits, student_logits, temperature):
    total = 0.0
    for t, s in zip(teacher_logits, student_logits, strict=True):
        p, q = torch.softmax(t / temperature, -1), torch.softmax(s / temperature, -1)
        total += sum(float(a) * (math.log(float(a)) - math.log(float(b))) for a, b in zip(p, q, strict=True))
    return temperature**2 * total / len(teacher_logits)


def merged(z, teacher_log_probs, ids, temperature):
    """One row: the student's and the teacher's probabilities of the kept tokens and of all others together."""
    p = torch.softmax(z / temperature, -1)
    student = [float(p[i]) for i in ids]
    teacher = [math.exp(float(v)) for v in teacher_log_probs]
    return [*student, 1 - sum(student)], [*teacher, 1 - sum(teacher)]


def divergence(kind, logits, teacher_log_probs, ids, temperature):
    total = 0.0
    for z, row, kept in zip(logits, teacher_log_probs, ids, strict=True):
        q, p = merged(z, row, kept.tolist(), temperature)
        m = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
        forward = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
        backward = sum(b * math.log(b / a) for a, b in zip(p, q, strict=True))
        half = [sum(a * math.log(a / c) for a, c in zip(side, m, strict=True)) for side in (p, q)]
        total += {"kl": forward, "reverse-kl": backward, "jsd": sum(half) / 2}[kind]
    return temperature**2 * total / len(logits)


def fisher_quadratic(logits, target):
    total = 0.0
    for z, z_star in zip(logits.double(), target.double(), strict=True):
        p = torch.softmax(z_star, -1)
        delta = z - z_star
        total += float(0.5 * delta @ (torch.diag(p) - torch.outer(p, p)) @ delta)
    return total / len(logits)


def centred_gram(rows):
    n = len(rows)
    h = torch.eye(n, dtype=rows.dtype) - torch.ones(n, n, dtype=rows.dtype) / n
    return h @ rows @ rows.T @ h


def token_geometry(state, target):
    """|| K/|K| - K*/|K*| ||_F^2 of one text."""
    k, k_star = centred_gram(state.double()), centred_gram(target.double())
    return float((k / k.norm() - k_star / k_star.norm()).square().sum())


def procrustes(state, target):
    """Half the least squared distance over rotations, both centred at Frobenius norm one, by solving for the rotation."""
    x, y = (m.double() - m.double().mean(0) for m in (state, target))
    x, y = x / x.norm(), y / y.norm()
    width = max(x.shape[1], y.shape[1])
    x, y = (torch.nn.functional.pad(m, (0, width - m.shape[1])) for m in (x, y))
    u, _, v = torch.linalg.svd(y.T @ x, full_matrices=False)
    return float((x - y @ (u @ v)).square().sum() / 2)
