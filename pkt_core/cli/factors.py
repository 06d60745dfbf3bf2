"""The commands on what predicts transfer gain: `pkt sweep`, `pkt factors`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console

from pkt_core.cli.options import Json
from pkt_core.cli.terminal import deliver, progress_bar, table
from pkt_core.cli.transfers import FamilyName, Later, Seeds, put_in_order, with_plan
from pkt_core.transfer.plan import TransferPlan

MOST = 64


@with_plan
def sweep(
    plan: Callable[[], TransferPlan],
    at_most: Annotated[
        int, typer.Option(min=4, help="Pairs of layers; where there are more, evenly spread ones.")
    ] = MOST,
    seeds: Seeds = 1,
    name: FamilyName = None,
    later: Later = False,
    as_json: Json = None,
) -> None:
    """One transfer at every pair of layers, as a family of runs; `pkt factors` then relates gain to alignment.

    If interrupted, the same command with the same --name continues: finished runs are not repeated.
    """
    from pkt_core.models.shape import model_shape
    from pkt_core.studies.factors.compute import sweep

    made = plan()
    depths = [model_shape(ref).n_layers for ref in (made.teacher, made.student)]
    put_in_order(sweep(made, *depths, at_most=at_most, seeds=seeds), name, later=later, as_json=as_json)


def factors(
    measure: Annotated[
        list[str] | None,
        typer.Option(help="Similarity measure; may be repeated, `all` takes all. Default: one of each kind."),
    ] = None,
    as_json: Json = None,
) -> None:
    """What predicts transfer gain: gain against each alignment factor, over all stored pairs of layers."""
    from pkt_core.base.records import to_json
    from pkt_core.runs.folder import list_runs, open_run
    from pkt_core.similarity.measures import MEASURES
    from pkt_core.studies.comparison.grids import require_measure
    from pkt_core.studies.factors.compute import USUAL, answer
    from pkt_core.words.style import number, task_name

    measures = list(MEASURES) if measure == ["all"] else measure or list(USUAL)
    for name in measures:
        require_measure(name)
    runs = [open_run(line.id) for line in list_runs(include_recorded=True) if line.state == "done"]
    with progress_bar() as bar:
        analysis = answer(runs, measures=measures, progress=bar)

    def show() -> None:
        for task, listed in analysis.factors.items():
            rows = [
                [f.label, number(f.rho), f"{number(f.low)} to {number(f.high)}", number(f.p_value, 4), number(f.p_corrected, 3), number(f.visible), f.n]
                for f in listed
            ]  # fmt: skip
            table(
                f"Gain in {task_name(task)}",
                [
                    "factor (before)",
                    "correlation beyond depth",
                    "95 %",
                    "p",
                    "p (Holm)",
                    "detectable from",
                    "pairs of layers",
                ],
                rows,
            )
        Console().print(
            "Above 0: more gain where layers are more similar than their depth predicts. p: factor rotated at random among teacher "
            "layers. A correlation nearer to 0 than `detectable from` is not evidence of no effect."
        )

    deliver(to_json(analysis), as_json, show)
