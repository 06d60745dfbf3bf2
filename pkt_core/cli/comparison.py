"""The commands that compare two models: `pkt pairs`, `pkt compare`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

import typer

from pkt_core.base.records import to_json
from pkt_core.cli.options import PROMPTS_HELP, Json, PartName, on_pair
from pkt_core.cli.terminal import deliver, progress_bar, show_comparison, table
from pkt_core.models.catalog import Pair


def pairs(as_json: Json = None) -> None:
    """Pairs of models to choose from, and whether they are available here."""
    from pkt_core.models.catalog import availability, pairs

    catalogue = [{**pair.model_dump(), "unavailable": availability(pair)} for pair in pairs()]
    rows = [[p["name"], p["title"], f"{p['needs_gib']:g} GiB", p["unavailable"] or "ready"] for p in catalogue]
    deliver(catalogue, as_json, lambda: table("Pairs", ["name", "teacher to student", "needs", "here"], rows))


@on_pair
def compare(
    pair: Pair,
    prompts: Annotated[str | None, typer.Option(help=PROMPTS_HELP)] = None,
    n_prompts: Annotated[int, typer.Option(min=64, help="At most this many prompts.")] = 512,
    pooling: Annotated[Literal["last", "mean", "tokens"], typer.Option(help="What one vector represents.")] = "mean",
    part: Annotated[PartName, typer.Option(help="Which activation.")] = "block_out",
    measure: Annotated[
        str, typer.Option(help="Similarity measure; a wrong name lists them all.")
    ] = "debiased_linear_cka",
    outliers: Annotated[
        Literal["none", "clamp", "drop_top", "standardise"], typer.Option(help="Rule for outlier dimensions.")
    ] = "none",
    skip_first: Annotated[bool, typer.Option(help="Leave out position 0 of every prompt.")] = False,
    permutations: Annotated[int, typer.Option(min=20, help="Draws of the permutation null.")] = 200,
    seed: int = 0,
    as_json: Json = None,
) -> None:
    """Similarity of every teacher layer with every student layer, with its null; recomposition; attribution."""
    from pkt_core.studies.comparison.compute import compare, similarity

    settings: dict[str, Any] = {"n_prompts": n_prompts, "pooling": pooling, "part": part, "outliers": outliers}
    settings |= {"skip_first": skip_first, "permutations": permutations, "seed": seed}
    with progress_bar() as progress:
        grid = similarity(pair, measure=measure, prompts=prompts, progress=progress, **settings)
        comparison = replace(compare(pair, prompts=prompts, **settings), grid=grid)
    deliver(to_json(comparison), as_json, lambda: show_comparison(comparison))
