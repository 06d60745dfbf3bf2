"""When what trains: the same batches for the same seed, and which pairs of layers are at work in which step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from pkt_core.alignment.pairing import LayerPair
from pkt_core.transfer.settings import LayerByLayer, Trained

RISE = 20  # steps
LOWEST = 0.05


@dataclass(frozen=True)
class Phase:
    """A stretch of steps in which the same parameters train."""

    start: int
    """Steps done before it."""
    end: int
    """Steps done after it."""
    pairs: tuple[LayerPair, ...]
    """Those at work."""


def phases(plan: Trained, pairs: Sequence[LayerPair]) -> list[Phase]:
    """One phase, or for methods that train layer by layer one per pair from shallow to deep, steps shared out evenly."""
    if not isinstance(plan, LayerByLayer):
        return [Phase(0, plan.total_steps, tuple(pairs))]
    ends = [plan.total_steps * (i + 1) // len(pairs) for i in range(len(pairs))]
    return [Phase(start, end, (pair,)) for start, end, pair in zip([0, *ends], ends, sorted(pairs), strict=False)]


def rate(plan: Trained, step: int, phase: Phase) -> float:
    """The learning rate of a step, counted from 1; a decay runs over its phase."""
    if plan.decay == "none":
        return plan.learning_rate
    done, length = step - 1 - phase.start, phase.end - phase.start
    fall = LOWEST + (1 - LOWEST) * (1 + math.cos(math.pi * done / length)) / 2
    return plan.learning_rate * min(1.0, (done + 1) / min(RISE, length)) * fall


def batches(n: int, size: int, steps: int, seed: int) -> Iterator[list[int]]:
    """Indexes of examples, reshuffled every epoch, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    left: list[int] = []
    for _ in range(steps):
        while len(left) < min(size, n):
            left += torch.randperm(n, generator=generator).tolist()
        yield left[:size]
        left = left[size:]
