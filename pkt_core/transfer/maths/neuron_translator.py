"""LaTen: a small network translates the teacher's most attributed neurons into changes to the student's own, with labels.

Tan, He, Liu, Zhao, ACL 2025 (arXiv 2505.14436); the paper's body could not be read, so this follows their code. Theirs: the
selection of sublayers and neurons (`neurons.py`), rows of `up_proj` and `v_proj` and columns of `down_proj` and `o_proj` as what
is carried, one bias-free two-layer network per kind of matrix (width d_T, ReLU, drawn from N(0, 1e-5), read as a standard
deviation), translated vectors added to the student's chosen neurons, `cross-entropy + 1000 * sum over kinds of MSE(translated, 0)`.

Ours: scores are means over 32 examples and fixed for the run (their code attributes anew in each step and keeps the neurons of
one example at the end); the n-th best teacher neuron goes to the n-th best of the student; where two chosen channels of `o_proj`
share a row of `v_proj` (grouped queries) their changes to it add up; the engine's AdamW at a constant rate instead of theirs
(betas 0.9 and 0.95, weight decay 0.05, one-cycle schedule); the last step's student and not the best. With scope `layer` the
plan's pairs are taken instead of the ranking.

Not covered: families that keep their neurons otherwise (`neurons.py`).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from pkt_core.models.loading import LoadedModel
from pkt_core.transfer.batch import Extraction
from pkt_core.transfer.maths.neurons import (
    PROJECTIONS,
    SUBLAYERS,
    Observed,
    Readout,
    Sublayer,
    layer_scores,
    neuron_scores,
    observe,
    projections,
    value_rows,
)
from pkt_core.transfer.trainable import Trainable

RATE = 0.1  # share of a layer's neurons that are carried
SPREAD = 1e-5  # standard deviation of the network's first weights


def take_neurons(extraction: Extraction, *, every_layer: bool) -> dict[str, Tensor]:
    """Per sublayer and student layer K: `neurons.SUBLAYER.K`, the student's; `up_proj.K` and alike, the teacher's vectors
    `[neuron, d_T]`. `sources.SUBLAYER` has the pairs as rows (student layer, teacher layer)."""
    teacher, student = extraction.teacher, extraction.student
    seen = [observe(model, extraction.seed_set(model)) for model in (teacher, student)]
    read = [Readout(model) for model in (teacher, student)]
    tensors: dict[str, Tensor] = {}
    for sublayer in SUBLAYERS:
        ranked = [layer_scores(s, r, sublayer) for s, r in zip(seen, read, strict=True)]
        pairs = ranked_pairs(*ranked) if every_layer else [(pair.student, pair.teacher) for pair in extraction.pairs]
        tensors[f"sources.{sublayer}"] = torch.tensor(pairs)
        for k, layer in pairs:
            given = best_neurons(teacher, seen[0], read[0], sublayer, layer)
            taking = best_neurons(student, seen[1], read[1], sublayer, k)
            n = min(len(given), len(taking))
            tensors[f"neurons.{sublayer}.{k}"] = taking[:n].cpu()
            for name, vectors in zip(
                PROJECTIONS[sublayer], neuron_vectors(teacher, layer, sublayer, given[:n]), strict=True
            ):
                tensors[f"{name}.{k}"] = vectors.cpu()
    return tensors


def ranked_pairs(teacher: Float[Tensor, L_T], student: Float[Tensor, L_S]) -> list[tuple[int, int]]:
    """(student layer, teacher layer): the best of both, as many as the shallower model has, zipped in their order."""
    n = min(len(teacher), len(student))
    best = [sorted(scores.topk(n).indices.tolist()) for scores in (student, teacher)]
    return list(zip(*best, strict=True))


def best_neurons(loaded: LoadedModel, seen: Observed, read: Readout, sublayer: Sublayer, layer: int) -> Tensor:
    """The tenth of a sublayer's neurons with the highest scores, the highest first."""
    scores = neuron_scores(loaded, seen, read, sublayer, layer)
    return scores.topk(max(1, int(RATE * len(scores)))).indices


def neuron_vectors(
    loaded: LoadedModel, layer: int, sublayer: Sublayer, neurons: Tensor
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    """What each neuron reads along and what it writes along."""
    reads, writes = projections(loaded, layer, sublayer)
    rows = value_rows(loaded, layer, neurons) if sublayer == "attention" else neurons
    return reads.weight.detach()[rows].float(), writes.weight.detach()[:, neurons].T.float()


class Translator(nn.Module):
    """From the teacher's vectors to changes of the student's: one network per kind of matrix, shared by all layers.

    Its own weights are all that is saved with it: the teacher's vectors are in the targets.
    """

    def __init__(self, d_student: int, vectors: dict[str, Float[Tensor, "n d_T"]], seed: int):
        super().__init__()
        self.networks, generator = nn.ModuleDict(), torch.Generator().manual_seed(seed)
        d_teacher = next(iter(vectors.values())).shape[1]
        for kind in sorted({key.split(".")[0] for key in vectors}):
            layers = nn.Linear(d_teacher, d_teacher, bias=False), nn.Linear(d_teacher, d_student, bias=False)
            for layer in layers:
                nn.init.normal_(layer.weight, std=SPREAD, generator=generator)
            self.networks[kind] = nn.Sequential(layers[0], nn.ReLU(), layers[1])
        for key, value in vectors.items():
            self.register_buffer(key.replace(".", "_"), value, persistent=False)

    def forward(self, kind: str, layer: int) -> Float[Tensor, "n d_S"]:
        """What is added to the student's neurons of that layer."""
        change: Tensor = self.networks[kind](self.get_buffer(f"{kind}_{layer}"))
        return change

    def size(self, kind: str) -> Float[Tensor, ""]:
        """Mean square of all changes of that kind."""
        every = [v for name, v in self.named_buffers() if name.rsplit("_", 1)[0] == kind]
        changes: Tensor = self.networks[kind](torch.cat(every))
        return changes.square().mean()


def graft(student: LoadedModel, extract: dict[str, Tensor], seed: int) -> Trainable:
    """Add the translated vectors to the student's chosen neurons while it runs; baking adds them to its weights."""
    kinds = tuple(name for names in PROJECTIONS.values() for name in names)
    vectors = {key: value for key, value in extract.items() if key.startswith(kinds)}
    translator = Translator(student.d_model, vectors, seed).to(student.device)
    grafts: list[tuple[nn.Linear, str, int, Tensor]] = []
    for sublayer in SUBLAYERS:
        for k in extract[f"sources.{sublayer}"][:, 0].tolist():
            neurons = extract[f"neurons.{sublayer}.{k}"].to(student.device)
            rows = value_rows(student, k, neurons) if sublayer == "attention" else neurons
            for module, kind, at in zip(
                projections(student, k, sublayer), PROJECTIONS[sublayer], (rows, neurons), strict=True
            ):
                grafts.append((module, kind, k, at))
    hooks = [
        module.register_forward_hook(
            adding_rows(translator, kind, k, at) if writes_rows(kind) else adding_columns(translator, kind, k, at)
        )
        for module, kind, k, at in grafts
    ]

    @torch.no_grad()
    def bake() -> None:
        for hook in hooks:
            hook.remove()
        for module, kind, k, at in grafts:
            change = translator(kind, k).to(module.weight.dtype)
            if writes_rows(kind):
                module.weight.index_add_(0, at, change)
            else:
                module.weight.index_add_(1, at, change.T)

    return Trainable(student.model, [], foreign=translator, bake=bake)


def writes_rows(kind: str) -> bool:
    """Whether a kind's neurons are rows of the matrix; else they are columns."""
    return any(kind == reads for reads, _ in PROJECTIONS.values())


def adding_rows(translator: Translator, kind: str, layer: int, at: Tensor) -> Any:
    """`(W + change) x` for a change of some rows, without a second W."""

    def hook(_module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        change = translator(kind, layer).to(args[0].dtype)
        return output.index_add(-1, at, linear(args[0], change).to(output.dtype))

    return hook


def adding_columns(translator: Translator, kind: str, layer: int, at: Tensor) -> Any:
    """The same for some columns."""

    def hook(_module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        change = translator(kind, layer).to(args[0].dtype)
        return output + linear(args[0][..., at], change.T).to(output.dtype)

    return hook
