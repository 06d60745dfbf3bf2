"""The stage of a closer look: everything that one teacher layer and one student layer say about each other, as one record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pkt_core.prompts import PromptSet
from pkt_core.similarity.agreement import Agreement, agreement, beyond_chance, pairs_of
from pkt_core.similarity.interval import jackknife_interval
from pkt_core.similarity.neighbours import K
from pkt_core.similarity.null import calibrate
from pkt_core.similarity.outliers import learn
from pkt_core.stages.recipe import Recipe
from pkt_core.stages.states import rows_each

PAIRS = 4000  # pairs of prompts that are drawn
NAMED = 3  # neighbours that are named


@dataclass(frozen=True)
class CloserLook:
    """One pair of layers over the prompts of a comparison."""

    teacher_layer: int
    """From 0."""
    student_layer: int
    """From 0."""
    ids: list[int]
    """Numbers of the prompts in their set."""
    texts: list[str]
    """The prompts."""
    n_all: int
    """Prompts of the comparison; those whose states it kept may be fewer."""
    recipe: dict[str, Any]
    """How activations were read."""
    pairs: dict[str, list[Any]]
    """A sample of pairs of prompts: places `first` and `second` in `ids`, cosine in `teacher` and in `student`."""
    n_pairs: int
    """All pairs of prompts, on which the correlation rests."""
    correlation: dict[str, Any]
    """`value`, 95 % interval `low high`, `p_value`, `noise` (95 % of shuffles are below), `left_out` (groups of prompts)."""
    overlap: dict[str, Any]
    """Per prompt `values`; `mean low high`, by `chance`, `beyond` (shares below it say nothing), `left_out`, `k`."""
    near: dict[str, list[list[int]]]
    """Ids of each prompt's nearest, nearest first, in `teacher` and `student`."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CloserLook:
        return cls(**data)


def by_prompt(recipe: Recipe, states: Float[Tensor, "n d"]) -> Float[Tensor, "prompt d"]:
    """One row a prompt, after the outlier rule; with pooling over words a prompt is the mean of its words."""
    each = rows_each(recipe)
    treated = learn(recipe.outliers, states[None])(states[None])[0].double()
    whole = len(treated) - len(treated) % each
    return treated[:whole].unflatten(0, (-1, each)).mean(1)


def with_interval(value: float, left_out: Tensor) -> dict[str, Any]:
    """The value with its jackknife interval, and what the interval was made of, for differences between two looks."""
    low, high = jackknife_interval(torch.tensor([[value]], dtype=torch.float64), left_out[:, None, None])
    return {"value": value, "low": float(low), "high": float(high), "left_out": left_out.tolist()}


def correlation_facts(found: Agreement) -> dict[str, Any]:
    calibrated = calibrate(torch.tensor([[found.correlation]], dtype=torch.float64), found.null[:, None, None])
    return with_interval(found.correlation, found.left_out) | {
        "p_value": float(calibrated.p_cells),
        "noise": float(calibrated.noise_cells),
        "draws": len(found.null),
    }


def overlap_facts(found: Agreement) -> dict[str, Any]:
    n = len(found.overlap)
    mean = with_interval(float(found.overlap.mean()), found.overlap_left_out)
    return {
        "values": [round(share, 4) for share in found.overlap.tolist()],
        "mean": mean.pop("value"),
        **mean,
        "chance": K / (n - 1),
        "beyond": beyond_chance(n),
        "k": K,
    }


def closer_look(
    recipe: Recipe,
    layers: tuple[int, int],
    teacher: Float[Tensor, "n d_T"],
    student: Float[Tensor, "n d_S"],
    texts: PromptSet,
    n_all: int,
) -> CloserLook:
    """The record from a comparison's states at the two layers; `texts` are the prompts they belong to, in order."""
    sides = [by_prompt(recipe, side) for side in (teacher, student)]
    found = agreement(*sides, draws=recipe.permutations, seed=recipe.seed)
    n = len(sides[0])
    drawn = pairs_of(n, PAIRS, recipe.seed)
    first, second = drawn.unbind(1)

    def rounded(alike: Tensor) -> list[float]:
        return [round(value, 4) for value in alike[first, second].tolist()]

    def named(near: Tensor) -> list[list[int]]:
        return [[texts.ids[place] for place in row] for row in near[:, :NAMED].tolist()]

    return CloserLook(
        *layers,
        ids=list(texts.ids[:n]),
        texts=list(texts.texts[:n]),
        n_all=n_all,
        recipe=recipe.model_dump(),
        pairs={
            "first": first.tolist(),
            "second": second.tolist(),
            "teacher": rounded(found.teacher),
            "student": rounded(found.student),
        },
        n_pairs=n * (n - 1) // 2,
        correlation=correlation_facts(found),
        overlap=overlap_facts(found),
        near={"teacher": named(found.near_teacher), "student": named(found.near_student)},
    )
