"""Data that measures are tried on, and the Reading that some of them need."""

import numpy as np
import torch

from pkt_core.similarity.measures import MEASURES
from pkt_core.similarity.record import Head, Reading

TOKENS = 23


def seeded():
    """The data of Google's representation-similarity notebook, which prints values for them."""
    generator = np.random.RandomState(1337)
    x = generator.randn(100, 10)
    return x, generator.randn(100, 10) + x


def related(n=60, seed=0):
    """Seven dimensions, and five that they explain in part."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 7, generator=generator, dtype=torch.float64)
    mixing = torch.randn(7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x, x @ mixing + torch.randn(n, 5, generator=generator, dtype=torch.float64)


def noise(n, d1, d2, seed):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(n, d, generator=generator, dtype=torch.float64) for d in (d1, d2))


def same(x):
    return x


def takes(name, x, y):
    """A Reading for those measures that need one, None for the others.

    The map is the mixing that made `related`, the heads agree through it, and the final norm does nothing: what a norm is
    invariant to is the model's own.
    """
    if MEASURES[name].sides is None:
        return None
    d1, d2 = x.shape[1], y.shape[1]
    generator = torch.Generator().manual_seed(1)
    mixing = torch.randn(d1, d2, generator=generator, dtype=torch.float64) if d1 != d2 else torch.eye(d1).double()
    student = torch.randn(TOKENS, d2, generator=torch.Generator().manual_seed(2))
    return Reading(matrix=mixing.T, teacher=Head(same, student @ mixing.T.float()), student=Head(same, student))
