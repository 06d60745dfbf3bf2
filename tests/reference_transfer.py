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
