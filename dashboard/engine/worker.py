"""The other end of `dashboard/engine/client.py`: reads one request per line, runs the pipeline, writes progress and results as lines.

It ends when its input does, so it never outlives the dashboard.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any, TextIO

from dashboard import access, limits
from dashboard.engine import registry
from pkt_core.base.records import to_json
from pkt_core.errors import PktError


def chosen_pair(arguments: dict[str, Any]) -> Any:
    """The catalogue's pair, or the two models that were named instead."""
    from pkt_core.models import catalog

    name, teacher, student = (arguments.pop(key, None) for key in ("pair", "teacher", "student"))
    device, dtype = arguments.pop("device", "auto"), arguments.pop("dtype", "auto")
    pair = catalog.custom_pair(teacher or "", student or "") if name == "custom" else catalog.pair(name)
    if sentence := catalog.availability(pair):
        raise PktError(sentence)
    return pair.held(device, dtype)


def named_run(arguments: dict[str, Any]) -> Any:
    """The run of that name."""
    from pkt_core.runs.folder import open_run

    return open_run(arguments.pop("run"))


def given_plan(arguments: dict[str, Any]) -> Any:
    """The plan in the request."""
    from pkt_core.transfer.plan import TransferPlan

    return TransferPlan.model_validate(arguments.pop("plan"))


SUBJECTS: dict[str, Callable[[dict[str, Any]], Any]] = {"pair": chosen_pair, "run": named_run, "plan": given_plan}
"""How a function's subject is opened; each removes its fields from the arguments."""


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
    """Carry out one request; `tell` receives rows of the answer as they arrive. Raises PktError for errors that the user can fix."""
    progress("Starting the engine", 0.0)
    access.require_allowed(arguments)
    limits.require_modest(arguments)
    entry = registry.FUNCTIONS[function]
    work = registry.resolved(entry.place)
    given = {name: value for name, value in arguments.items() if name not in entry.renewed_by}
    if (lines := given.pop("lines", None)) is not None:
        from pkt_core.data.prompts import pasted

        given["prompts"] = pasted(lines)
    takes = inspect.signature(work).parameters
    if "progress" in takes:  # it may load models
        given["progress"] = progress
        if "pool" in takes:
            given["pool"] = pool()
        else:
            pool().clear()
    if "tell" in takes:
        given["tell"] = tell
    first = () if entry.subject == "none" else (SUBJECTS[entry.subject](given),)
    return as_json(work(*first, **given))


def as_json(result: Any) -> dict[str, Any]:
    """A result as it crosses the border to the dashboard."""
    if isinstance(result, dict):
        return result
    if hasattr(result, "to_json"):
        given: dict[str, Any] = result.to_json()
        return given
    return to_json(result)


def requests() -> TextIO:
    """The stream of requests, on a private descriptor: standard input is empty from now on, also for libraries and children.

    A library that prompts on the terminal must not read the next request as its answer.
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
            with redirect_stdout(sys.stderr):  # output of libraries must not mix with our lines
                result = answer(
                    request["function"],
                    request["arguments"],
                    lambda stage, done: send({"stage": stage, "fraction": done}),
                    lambda rows: send({"rows": rows}),
                )
            send({"result": result})
        except PktError as error:
            send({"error": str(error)})
        except Exception as error:  # a fault of the program must be shown, not end the process silently
            logging.getLogger(__name__).exception("request failed: %s", request["function"])
            send({"fault": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
