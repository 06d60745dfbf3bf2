"""The other end of `dashboard/engine/client.py`: reads one request a line, runs the pipeline, writes progress and results a line each.

It ends when its input does, so it never outlives the dashboard.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any, TextIO

from dashboard import access, limits
from pkt_core.base.records import to_json
from pkt_core.errors import PktError


def chosen_pair(arguments: dict[str, Any]) -> Any:
    """The catalogue's pair, or the two models that were named instead."""
    from pkt_core.models import catalog

    name, teacher, student = (arguments.pop(key, None) for key in ("pair", "teacher", "student"))
    device, dtype = arguments.pop("device", "auto"), arguments.pop("dtype", "auto")
    found = catalog.custom_pair(teacher or "", student or "") if name == "custom" else catalog.pair(name)
    if sentence := catalog.availability(found):
        raise PktError(sentence)
    return found.held(device, dtype)


@functools.cache
def pool() -> Any:
    """Models that stay loaded between two inspections; every other computation gets their memory first."""
    from pkt_core.models.pool import Pool

    return Pool()


def answer(
    function: str,
    arguments: dict[str, Any],
    progress: Callable[[str, float], None],
    tell: Callable[[list[dict[str, Any]]], None] = lambda _: None,
) -> Any:
    """Carry out one request; `tell` gets rows of the answer as they come. Raises PktError for what the user can mend."""
    progress("Starting the engine", 0.0)
    access.require_allowed(arguments)
    limits.require_modest(arguments)
    if function == "warm_projection":
        from pkt_core.projection.aligned import warm

        warm()
        return {}
    from dashboard.engine.plans import PLANS

    if function in PLANS:
        return PLANS[function](**arguments)
    from dashboard.engine.benchmarks import BENCHMARKS

    if function in BENCHMARKS:
        return BENCHMARKS[function](**arguments)
    from dashboard.engine.runs import OF_RUNS

    if function in OF_RUNS:
        pool().clear()
        return as_json(OF_RUNS[function](arguments, progress, tell))
    from pkt_core.data.prompts import pasted
    from pkt_core.runs.folder import open_run
    from pkt_core.studies.alignment_maps import compute as alignment_maps_compute
    from pkt_core.studies.comparison import change as comparison_change
    from pkt_core.studies.comparison import compute as comparison_compute
    from pkt_core.studies.generations import picked
    from pkt_core.studies.inspection import basis_options
    from pkt_core.studies.inspection import compute as inspection_compute
    from pkt_core.studies.latent_map import compute as latent_map_compute
    from pkt_core.studies.layer_pair import compute as layer_pair_compute

    if (lines := arguments.pop("lines", None)) is not None:
        arguments["prompts"] = pasted(lines)
    work: dict[str, Callable[..., Any]] = {
        "compare": comparison_compute.compare,
        "latent_map": latent_map_compute.latent_map,
        "similarity": comparison_compute.similarity,
        "alignment_maps": alignment_maps_compute.alignment_maps,
        "stitching": alignment_maps_compute.stitching,
        "chain_map": latent_map_compute.chain_map,
        "turnover": latent_map_compute.turnover,
        "closer_look": layer_pair_compute.closer_look,
        "picked_cell": picked.picked_cell,
        "picked_tokens": picked.picked_tokens,
        "picked_continuations": picked.picked_continuations,
        "inspect_token": functools.partial(inspection_compute.inspect_token, pool=pool()),
        "basis_options": functools.partial(basis_options.basis_options, pool=pool()),
    }
    if function in ("similarity_change", "factors") or not isinstance(work[function], functools.partial):
        pool().clear()
    if function == "similarity_change":
        return comparison_change.similarity_change(
            open_run(arguments.pop("run")), **arguments, progress=progress
        ).to_json()
    if function == "factors":
        from pkt_core.studies.factors import compute as factors_compute

        runs = [open_run(name) for name in arguments["finished"]]
        return as_json(
            factors_compute.answer(runs, measures=arguments["measures"] or factors_compute.USUAL, progress=progress)
        )
    return as_json(work[function](chosen_pair(arguments), **arguments, progress=progress))


def as_json(result: Any) -> dict[str, Any]:
    """A result as it crosses the border to the dashboard."""
    if hasattr(result, "to_json"):
        given: dict[str, Any] = result.to_json()
        return given
    return to_json(result)


def requests() -> TextIO:
    """Where requests come from, out of reach: standard input is empty from now on, also for libraries and children.

    A library that asks a question must not take the next request for its answer.
    """
    private = os.fdopen(os.dup(0), encoding="utf-8")  # not inherited by children
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return private


def main() -> None:
    """Serve requests until the input ends."""
    given = requests()
    out = sys.stdout

    def send(message: dict[str, Any]) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    if "--warm" in sys.argv:
        with redirect_stdout(sys.stderr):
            import pkt_core.pipeline  # noqa: F401 - the imports are the point
    for line in given:
        request = json.loads(line)
        try:
            with redirect_stdout(sys.stderr):  # whatever a library prints must not mix with our lines
                result = answer(
                    request["function"],
                    request["arguments"],
                    lambda stage, done: send({"stage": stage, "fraction": done}),
                    lambda rows: send({"rows": rows}),
                )
            send({"result": result})
        except PktError as error:
            send({"error": str(error)})
        except Exception as error:  # a fault of ours must reach the screen as one, not end the process in silence
            logging.getLogger(__name__).exception("request failed: %s", request["function"])
            send({"fault": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
