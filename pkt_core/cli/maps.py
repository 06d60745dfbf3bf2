"""Commands that look at alignment maps and at what a run moved: `pkt maps | stitch | moved`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from pkt_core.base.records import to_json
from pkt_core.cli.options import (
    PROMPTS_HELP,
    Json,
    RunName,
    named_run,
    on_pair,
)
from pkt_core.cli.terminal import WIDE, deliver, progress_bar, table
from pkt_core.models.catalog import Pair

Prompts = Annotated[str | None, typer.Option(help=PROMPTS_HELP)]
Halved = Annotated[int, typer.Option("--n-prompts", min=32, help="At most this many; half fit, half score.")]
Seed = Annotated[int, typer.Option(min=0)]


@on_pair
def maps(
    pair: Pair,
    teacher_layer: Annotated[int, typer.Option(min=0, help="From 0.")],
    student_layer: Annotated[int, typer.Option(min=0, help="From 0.")],
    prompts: Prompts = None,
    n_prompts: Halved = 256,
    seed: Seed = 0,
    as_json: Json = None,
) -> None:
    """Every kind of alignment map at one pair of layers, beside its control, on prompts it was not fitted on."""
    from pkt_core.studies.alignment_maps import text as alignment_maps_text
    from pkt_core.studies.alignment_maps.compute import alignment_maps
    from pkt_core.studies.alignment_maps.record import Kind

    with progress_bar() as progress:
        comparison = alignment_maps(
            pair, teacher_layer=teacher_layer, student_layer=student_layer, prompts=prompts, n_prompts=n_prompts, seed=seed,
            progress=progress,
        )  # fmt: skip

    def cell(kind: Kind, name: str) -> str:
        fitted, control = (getattr(scores[kind], name).value for scores in (comparison.maps, comparison.controls))
        return f"{fitted:.3f} ({control:.3f})"

    def show() -> None:
        names = ("cosine", "r2", "round_trip", "bits_per_byte")
        rows = [[kind, *(cell(kind, name) for name in names)] for kind in comparison.maps]
        title = f"Teacher layer {teacher_layer} to student layer {student_layer}, {comparison.n_held_out} held-out tokens (control)"
        table(title, ["map", "cosine", "R2", "R2 there and back", "stitched bits per byte"], rows)
        Console().print(alignment_maps_text.maps(comparison))

    deliver(to_json(comparison), as_json, show)


@on_pair
def stitch(
    pair: Pair,
    kind: Annotated[str, typer.Option(help="Alignment map; a wrong name lists them all.")] = "affine",
    prompts: Prompts = None,
    n_prompts: Halved = 256,
    seed: Seed = 0,
    as_json: Json = None,
) -> None:
    """Next-token loss of the student stitched onto the teacher at every pair of layers, beside its control."""
    from pkt_core.studies.alignment_maps import text as alignment_maps_text
    from pkt_core.studies.alignment_maps.compute import stitching

    with progress_bar() as progress:
        losses = stitching(pair, kind=kind, prompts=prompts, n_prompts=n_prompts, seed=seed, progress=progress)

    def show() -> None:
        show_cells(f"Bits per byte through the {kind} map, {losses.n} held-out prompts", losses.values, losses.control)
        Console().print(alignment_maps_text.stitching(losses))

    deliver(to_json(losses), as_json, show)


def moved(
    run: RunName,
    measure: Annotated[
        str, typer.Option(help="Similarity measure; a wrong name lists them all.")
    ] = "debiased_linear_cka",
    prompts: Prompts = None,
    n_prompts: Annotated[int, typer.Option(min=64, help="At most this many, 512 samples in all.")] = 512,
    seed: Seed = 0,
    as_json: Json = None,
) -> None:
    """Similarity of teacher and student layers before and after a run, with the interval of the difference."""
    from pkt_core.studies.comparison import text as comparison_text
    from pkt_core.studies.comparison.change import similarity_change

    with progress_bar() as progress:
        change = similarity_change(
            named_run(run), measure=measure, prompts=prompts, progress=progress, n_prompts=n_prompts, seed=seed
        )

    def show() -> None:
        show_cells(
            f"{measure} after the run, {change.n} samples (before)", change.after.tolist(), change.before.tolist()
        )
        Console().print(comparison_text.change(change))

    deliver(to_json(change), as_json, show)


def show_cells(title: str, values: list[list[float | None]], beside: list[list[float | None]]) -> None:
    """A grid with another in brackets; a terminal is too narrow for a wide one, which --json and the dashboard have."""
    if len(values[0]) > WIDE:
        return
    columns = ["teacher layer", *(f"student {j}" for j in range(len(values[0])))]

    def shown(value: float | None) -> str:
        return "-" if value is None or value != value else f"{value:.3f}"

    rows = [
        [i, *(f"{shown(a)} ({shown(b)})" for a, b in zip(*both, strict=True))]
        for i, both in enumerate(zip(values, beside, strict=True))
    ]
    table(title, columns, rows)
