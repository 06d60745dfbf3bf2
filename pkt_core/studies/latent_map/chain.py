"""A chain of maps: its spaces, the prompts' activations in each, one plot of all, turnover between two."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from pkt_core.activations.collect import collect
from pkt_core.base.arrays import rounded
from pkt_core.base.progress import Progress
from pkt_core.data.prompts import PromptSet
from pkt_core.errors import PlanError, PromptError
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site
from pkt_core.projection.aligned import REGULARISATION, aligned_pca, aligned_umap, same_rows, shuffled_rows, warm
from pkt_core.projection.maps import MAX_POINTS, MIN_POINTS, NEIGHBOURS, neighbour_overlap
from pkt_core.projection.turnover import neighbour_turnover
from pkt_core.studies.latent_map.record import KINDS, ChainMap, DrawnSlice, Slice, TurnoverRow, TurnoverTable

MOST_SLICES = 6  # deeper models show evenly spaced layers


@dataclass(frozen=True)
class ChainSettings:
    """Settings of a chain, except prompts and projection."""

    kind: str = "pair"
    """`pair`, `run`, or the layers of the `teacher` or `student`."""
    teacher_layer: int = 0
    """From 0; not used by chains of layers."""
    student_layer: int = 0
    """From 0; not used by chains of layers."""
    run: str | None = None
    """The run whose student stands last in a chain of that kind."""
    pooling: str = "mean"
    """`last` or `mean`."""
    seed: int = 0
    """Of the sample of prompts, the projection and the null picture."""
    shuffled: bool = False
    """Whether to pair prompts at random (null picture)."""


def spread_layers(n: int) -> list[int]:
    """At most six evenly spaced layers, including the first and the last."""
    count = min(n, MOST_SLICES)
    return sorted({round(i * (n - 1) / max(1, count - 1)) for i in range(count)})


def chain_slices(kind: str, models: dict[str, LoadedModel], teacher_layer: int, student_layer: int) -> list[Slice]:
    """The spaces of a chain, in order. Raises PlanError for an unknown kind or a model with a single layer."""
    if kind == "pair":
        return [Slice("teacher", "teacher", teacher_layer), Slice("student", "student", student_layer)]
    if kind == "run":
        names = (("teacher", teacher_layer), ("before", student_layer), ("after", student_layer))
        return [Slice(name if name == "teacher" else f"student {name}", name, layer) for name, layer in names]
    if kind not in KINDS:
        raise PlanError(f"Got the chain {kind!r}; expected one of {', '.join(KINDS)}.")
    layers = spread_layers(models[kind].n_layers)
    if len(layers) < 2:
        raise PlanError(
            f"{models[kind].name} has one layer; a chain of layers needs at least two. Choose another chain."
        )
    return [Slice(kind, kind, layer) for layer in layers]


def chain_states(
    slices: list[Slice], models: dict[str, LoadedModel], texts: PromptSet, pooling: str, progress: Progress
) -> dict[str, Tensor]:
    """Activations `[n, d]` of every slice, by its number; each model reads the prompts once."""
    if pooling == "tokens":
        raise PlanError("Got pooling tokens; a map shows one point per prompt. Choose last or mean pooling.")
    if not MIN_POINTS <= len(texts) <= MAX_POINTS:
        raise PromptError(
            f"Got {len(texts)} prompts; expected {MIN_POINTS} to {MAX_POINTS} for a map. Choose another number."
        )
    states: dict[str, Tensor] = {}
    wanted = list(dict.fromkeys(one.model for one in slices))
    for done, name in enumerate(wanted):
        progress(f"Reading the prompts: {name}", 0.1 + 0.2 * done / len(wanted))
        places = [i for i, one in enumerate(slices) if one.model == name]
        sites = [models[name].require(Site("block_out", slices[i].layer)) for i in places]
        for i, found in zip(places, collect(models[name], texts.texts, sites, pooling), strict=True):  # type: ignore[arg-type]
            states[str(i)] = found.clone()
    return states


def rows_of_chain(n: int, slices: int, settings: ChainSettings) -> list[Tensor]:
    """Row pairing between consecutive slices: the same prompt, or in the null picture a random one."""
    return shuffled_rows(n, slices, settings.seed) if settings.shuffled else same_rows(n, slices)


def chain_map_of(
    slices: list[Slice],
    states: dict[str, Tensor],
    texts: PromptSet,
    settings: ChainSettings,
    method: str,
    progress: Progress,
) -> ChainMap:
    """The plot of a chain from its activations."""
    began = time.monotonic()
    spaces = [states[str(i)] for i in range(len(slices))]
    n = len(texts)
    partners = rows_of_chain(n, len(slices), settings)
    if method == "umap":
        progress("Compiling UMAP, once after a start: up to a minute", 0.3)
        warm()
        stage = f"Aligning {len(slices)} spaces of {n} prompts"
        progress(stage, 0.4)
        began = time.monotonic()  # compiling is a cost per process, not per plot
        found = aligned_umap(spaces, partners, seed=settings.seed, told=lambda done: progress(stage, 0.4 + 0.55 * done))
    elif method == "pca":
        progress("Principal components of every slice", 0.4)
        found = aligned_pca(spaces, partners)
    else:
        raise PlanError(f"Got the projection {method!r}; expected pca or umap.")
    progress("Neighbours in the full spaces", 0.96)
    across = partners[0]
    for order in partners[1:]:
        across = order[across]
    steps = [neighbour_overlap(a, b[order]) for a, b, order in zip(spaces, spaces[1:], partners, strict=False)]
    return ChainMap(
        method=method,
        kind=settings.kind,
        run=settings.run,
        slices=[
            DrawnSlice(
                one.name, one.model, one.layer, found.fidelity[i], found.explained[i] if found.explained else None
            )
            for i, one in enumerate(slices)
        ],
        xy=[rounded(places) for places in found.places],
        partners=[order.tolist() for order in partners] if settings.shuffled else None,
        ids=list(texts.ids),
        texts=list(texts.texts),
        labels={name: list(values) for name, values in texts.labels.items()},
        last_tokens=[text.split()[-1] for text in texts.texts],
        overlap=[[round(v, 3) for v in row.tolist()] for row in overlap_beside(steps, partners)],
        steps=[float(step.mean()) for step in steps],
        ends=float(neighbour_overlap(spaces[0], spaces[-1][across]).mean()),
        overlap_chance=NEIGHBOURS / (n - 1),
        regularisation=REGULARISATION,
        pooling=settings.pooling,
        seed=settings.seed,
        shuffled=settings.shuffled,
        seconds=time.monotonic() - began,
    )


def overlap_beside(steps: list[Tensor], partners: list[Tensor]) -> list[Tensor]:
    """Per slice, the mean overlap of each row with its partners in the slice before and the slice after."""
    forward = steps
    backward = [step[torch.argsort(order)] for step, order in zip(steps, partners, strict=True)]
    last = len(steps)
    return [
        torch.stack(([forward[i]] if i < last else []) + ([backward[i - 1]] if i else [])).mean(0)
        for i in range(last + 1)
    ]


def turnover_table(
    slices: list[Slice],
    states: dict[str, Tensor],
    texts: PromptSet,
    settings: ChainSettings,
    between: tuple[int, int],
    progress: Progress,
) -> TurnoverTable:
    """Neighbour turnover between two slices of the chain, ranked. Raises PlanError for slices out of range."""
    first, second = between
    if not (0 <= first < len(slices) and 0 <= second < len(slices) and first != second):
        raise PlanError(
            f"Got slices {first} and {second}; expected two different slices from 0 to {len(slices) - 1}. Choose others."
        )
    progress("Neighbours in the full spaces, and their null", 0.5)
    n = len(texts)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(settings.seed)) if settings.shuffled else None
    found = neighbour_turnover(states[str(first)], states[str(second)], partners=order, seed=settings.seed)
    ids = list(texts.ids)
    rows = [
        TurnoverRow(
            id=ids[i],
            text=texts.texts[i],
            turnover=round(float(found.turnover[i]), 3),
            relative=round(float(found.relative[i]), 3),
            q=float(found.q_values[i]),
            before=[ids[j] for j in found.before[i].tolist()],
            after=[ids[j] for j in found.after[i].tolist()],
        )
        for i in found.ranked().tolist()
    ]
    return TurnoverTable(
        first=slices[first].title,
        second=slices[second].title,
        rows=rows,
        texts={str(ids[i]): texts.texts[i] for i in range(n)},
        labels={name: {str(ids[i]): values[i] for i in range(n)} for name, values in texts.labels.items()},
        mean=float(found.turnover.mean()),
        chance=1 - NEIGHBOURS / (n - 1),
        noise=found.noise,
        k=NEIGHBOURS,
        shuffled=settings.shuffled,
    )
