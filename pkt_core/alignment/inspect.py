"""What an activation means in the model's own vocabulary, and how much of it the vocabulary bases can carry.

A high recomposition cosine alone says nothing about meaning: random isotropic bases reach 1 / sqrt(1 + d/V), which is 0.94
for Llama-2 7B. So the curve comes with its controls on the same axis.

Not covered: trajectories through the layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from pkt_core.alignment.basis import CHUNK, SemanticBasis


def top_semantic_tokens(state: Float[Tensor, d], basis: SemanticBasis, k: int) -> list[tuple[int, float]]:
    """The k tokens whose bases point most along the state: (token id, cosine), highest first."""
    cosines = basis.unit() @ normalize(state.float(), dim=-1)
    found = cosines.topk(min(k, len(cosines)))
    return list(zip(found.indices.tolist(), found.values.tolist(), strict=True))


def frame(rows: Float[Tensor, "V d"]) -> Float[Tensor, "d d"]:
    """`S^T S` of rows at unit length: recomposition is this one matrix."""
    d = rows.shape[1]
    total = torch.zeros(d, d, dtype=torch.float64)
    for part in rows.split(CHUNK):
        unit = normalize(part.float(), dim=-1)
        total += (unit.T @ unit).double()
    return total.float()


def recomposition(states: Float[Tensor, "n d"], rows: Float[Tensor, "V d"]) -> Float[Tensor, n]:
    """cos(h, sum_i cos(h, s_i) s_i), 0..1: how parallel a state is to its recomposition from the rows as bases."""
    return cosine_similarity(states.float(), states.float() @ frame(rows), dim=-1)


@dataclass(frozen=True)
class Curve:
    """A mean per layer with its 95 % interval over prompts (normal approximation)."""

    mean: list[float]
    low: list[float]
    high: list[float]


@dataclass(frozen=True)
class RecompositionCurves:
    """Recomposition cosine per layer with its controls, 0..1."""

    real: Curve
    """The model's own semantic bases."""
    gaussian: Curve
    """Random isotropic bases, as many as the vocabulary has tokens."""
    embedding_rows: Curve
    """The input embeddings as bases: the paper's bad comparison, as we read it."""
    closed_form: float
    """1 / sqrt(1 + d/V), what random bases are expected to give."""
    n: int
    """Prompts."""
    condition_number: float
    """Of the unembedding."""

    def to_json(self) -> dict[str, Any]:
        from dataclasses import asdict

        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RecompositionCurves:
        curves = {name: Curve(**data[name]) for name in ("real", "gaussian", "embedding_rows")}
        return cls(**{**data, **curves})


def curve(states: Float[Tensor, "L n d"], rows: Float[Tensor, "V d"]) -> Curve:
    found = cosine_similarity(states.float(), states.float() @ frame(rows), dim=-1)
    mean, margin = found.mean(1), 1.96 * found.std(1) / sqrt(found.shape[1])
    return Curve(mean.tolist(), (mean - margin).tolist(), (mean + margin).tolist())


def recomposition_curves(
    states: Float[Tensor, "L n d"],
    basis: SemanticBasis,
    embedding_rows: Float[Tensor, "V_in d"],
    generator: torch.Generator,
) -> RecompositionCurves:
    """All curves of one model for states of every layer."""
    n_tokens, d = basis.vectors.shape
    gaussian = torch.randn(n_tokens, d, generator=generator)
    return RecompositionCurves(
        real=curve(states, basis.vectors),
        gaussian=curve(states, gaussian),
        embedding_rows=curve(states, embedding_rows),
        closed_form=1 / sqrt(1 + d / n_tokens),
        n=states.shape[1],
        condition_number=basis.condition_number,
    )
