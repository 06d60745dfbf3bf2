"""Naive twins of what is said of tokens: one position and one token at a time, from the formulas."""

import math


def bits(p, came):
    return -math.log2(p[came])


def entropy(p):
    return -sum(x * math.log2(x) for x in p if x)


def rank(p, came):
    return 1 + sorted(p, reverse=True).index(p[came])


def kl(p, q):
    return sum(a * math.log2(a / b) for a, b in zip(p, q, strict=True) if a)


def js(p, q):
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return (kl(p, middle) + kl(q, middle)) / 2


def agreement(p, q, k):
    def top(x):
        return set(sorted(range(len(x)), key=lambda i: -x[i])[:k])

    return len(top(p) & top(q)) / k
