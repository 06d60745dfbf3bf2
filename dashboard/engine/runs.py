"""What the engine answers about a run's three models: where the student changed, token by token, and in what it writes.

Every function takes the request's arguments, of which `run` names the run, a way to tell progress and one to tell rows as they
come; answers are records.

Not covered: computations on a pair of models (`dashboard/engine/worker.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Progress = Callable[[str, float], None]
Tell = Callable[[list[dict[str, Any]]], None]


def opened(arguments: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The run, and the other arguments with pasted lines as prompts."""
    from pkt_core.data.prompts import pasted
    from pkt_core.runs.folder import open_run

    rest = {name: value for name, value in arguments.items() if name not in ("run", "lines")}
    if (lines := arguments.get("lines")) is not None:
        rest["prompts"] = pasted(lines)
    return open_run(arguments["run"]), rest


def token_change(arguments: dict[str, Any], progress: Progress, _tell: Tell) -> Any:
    """Every token of some texts through teacher, before and after."""
    from pkt_core.studies.token_change import compute as token_change_compute

    run, rest = opened(arguments)
    return token_change_compute.token_change(run, **rest, progress=progress)


def writing(arguments: dict[str, Any], progress: Progress, tell: Tell) -> Any:
    """What the three write after some prompts."""
    from pkt_core.studies.generations import compute as generations_compute

    run, rest = opened(arguments)
    return generations_compute.writing(run, **rest, tell=tell, progress=progress)


def user_task(arguments: dict[str, Any], progress: Progress, _tell: Tell) -> Any:
    """A task of one's own, asked of the three; `stamp` renews it when the file was changed."""
    from pkt_core.studies.behaviour import user_task as behaviour_user_task

    run, rest = opened(arguments)
    return behaviour_user_task.user_task(run, task=rest["task"], progress=progress)


OF_RUNS: dict[str, Callable[[dict[str, Any], Progress, Tell], Any]] = {
    "token_change": token_change,
    "writing": writing,
    "user_task": user_task,
}
