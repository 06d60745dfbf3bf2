"""The similarity grid against the libraries that also compute one, on the same activations; its null; how its cost grows.

resi is on no package index, so a plain NumPy loop over the textbook formula stands in for a loop over its function.
"""

from __future__ import annotations

import subprocess
import sys
import warnings

import cka as pytorch_cka
import numpy as np
import torch
from ckatorch.core import cka_base
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from pkt_core.similarity.fitter import GridFitter
from tests.benchmarks.timing import ratio, seconds

TEACHER, STUDENT, N = (25, 896), (37, 2048), 512


def activations(layers: int, n: int, width: int) -> Tensor:
    return torch.randn(layers, n, width)


def ours(teacher: Tensor, student: Tensor, *, block: int = 256, permutations: int = 0, draws: int = 0) -> np.ndarray:
    fitter = GridFitter(len(teacher), len(student), block=block, permutations=permutations, draws=draws)
    fitter.update(teacher, student)
    return fitter.finish().values


def by_ckatorch(teacher: Tensor, student: Tensor) -> Tensor:
    return torch.tensor([[float(cka_base(x, y, unbiased=True)) for y in student] for x in teacher])


def by_numpy(teacher: Tensor, student: Tensor) -> Tensor:
    def pair(x: np.ndarray, y: np.ndarray) -> float:
        k, other = ((side - side.mean(0)) @ (side - side.mean(0)).T for side in (x, y))
        return (k * other).sum() / np.sqrt((k * k).sum() * (other * other).sum())

    return torch.tensor([[pair(x.numpy(), y.numpy()) for y in student] for x in teacher])


class Replay(nn.Module):
    """A model whose layers give back stored activations, for a library that only takes models."""

    def __init__(self, stored: Tensor):
        super().__init__()
        self.stored, self.layers = stored, nn.ModuleList(nn.Identity() for _ in stored)

    def forward(self, index: Tensor) -> None:
        for layer, states in zip(self.layers, self.stored, strict=True):
            layer(states[index])


def by_torch_cka(teacher: Tensor, student: Tensor) -> Tensor:
    from torch_cka import CKA

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = [[f"layers.{i}" for i in range(len(side))] for side in (teacher, student)]
        found = CKA(Replay(teacher), Replay(student), "teacher", "student", *names)
        found.compare(DataLoader(TensorDataset(torch.arange(teacher.shape[1])), batch_size=256))
    return found.hsic_matrix


def against_libraries() -> None:
    teacher, student = activations(TEACHER[0], N, TEACHER[1]), activations(STUDENT[0], N, STUDENT[1])
    shape = f"{TEACHER[0]} x {STUDENT[0]} layers, n = {N}, widths {TEACHER[1]} and {STUDENT[1]}"
    print(f"Debiased CKA grid, {shape}:")
    ratio("  pytorch-cka against ours, full sample", lambda: pytorch_cka.cka_from_features(teacher, student),
          lambda: ours(teacher, student, block=N), aim="(aim: above 1)")  # fmt: skip
    ratio("  pytorch-cka against ours, blocks of 256", lambda: pytorch_cka.cka_from_features(teacher, student),
          lambda: ours(teacher, student), aim="(aim: above 1)")  # fmt: skip
    looped = [
        ratio(f"  {name} against ours", lambda by=by: by(teacher, student), lambda: ours(teacher, student), repeats=1)
        for name, by in (("ckatorch, looped", by_ckatorch), ("torch_cka, batches of 256", by_torch_cka), ("NumPy, looped", by_numpy))
    ]  # fmt: skip
    print(f"  fastest looped library: {min(looped):.1f} times ours (aim: at least 20)", flush=True)
    null = seconds(lambda: ours(teacher, student, block=N, permutations=200))
    plain = seconds(lambda: ours(teacher, student, block=N))
    one = seconds(lambda: pytorch_cka.cka_from_features(teacher, student[:, torch.randperm(N)]))
    print(f"  null of 200 permutations, full sample: {null - plain:.1f} s (aim: under 10); "
          f"200 calls of pytorch-cka would take {200 * one:.0f} s", flush=True)  # fmt: skip


def growth() -> None:
    """Seconds of the grid alone and with 200 permutations and 200 bootstrap draws."""
    print("Growth of the grid, seconds alone / with null and interval:")
    for what, layers, n, width in (
        ("base", 12, 512, 512), ("tokens x 2", 12, 1024, 512), ("tokens x 8", 12, 4096, 512),
        ("layers x 2", 24, 512, 512), ("width x 2", 12, 512, 1024), ("width x 4", 12, 512, 2048),
    ):  # fmt: skip
        teacher, student = activations(layers, n, width), activations(layers, n, width)
        alone = min(seconds(lambda: ours(teacher, student)) for _ in range(3))  # noqa: B023
        whole = seconds(lambda: ours(teacher, student, permutations=200, draws=200))  # noqa: B023
        print(f"  {what:<11} {layers} x {layers} layers, n = {n}, width {width}: {alone:.2f} / {whole:.2f}", flush=True)


MEMORY = """
import resource, sys, torch
from pkt_core.similarity import GridFitter
n, piece = int(sys.argv[1]), 256
fitter = GridFitter(12, 12)
for _ in range(n // piece):
    fitter.update(torch.randn(12, piece, 512), torch.randn(12, piece, 512))
fitter.finish()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def memory() -> None:
    """Peak memory of a process that streams 1k to 64k samples through the grid, null and interval included."""
    peaks = {}
    for n in (1024, 8192, 65536):
        done = subprocess.run([sys.executable, "-c", MEMORY, str(n)], capture_output=True, text=True, check=True)
        peaks[n] = int(done.stdout)
    print(
        "Peak memory, MiB: " + ", ".join(f"{n} samples {peak}" for n, peak in peaks.items()) + " (aim: flat)",
        flush=True,
    )
