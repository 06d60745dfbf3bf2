"""Limits of a public demo (`pkt app --demo`): which models, how much computation, and whose runs. Outside a demo nothing is limited here.

Limits are checked where an action is carried out, not where it is drawn, so that no link, form or message bypasses them. A session is
identified by a random token, stored with each run that it starts: other sessions can see the run but not change it.

Not covered: which files may be opened (`access.py`), which requests are answered at all (`hosts.py`).
"""

from __future__ import annotations

import math
import os
import shutil
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pkt_core.base.files import cache_root, read_json, write_json
from pkt_core.errors import PlanError, StoreError

MOST_PROMPTS, MOST_STEPS, MOST_WAITING, MOST_CHARACTERS = 512, 300, 2, 4000
"""Prompts of a comparison, steps of a transfer, waiting runs, characters of a text."""
MOST_ITEMS = 1000
"""Of an uploaded task."""
MOST_LISTED = 256
"""Entries of one list in a request: picked prompts, runs, measures."""
MOST_ASKED, MOST_ASKED_BY_ALL = 8, 32
"""Unfinished computations of one session, and of all sessions."""
UPLOAD_BYTES, UPLOADS, ALL_BYTES = 2**20, 10, 2**28
"""Bytes of an upload, uploads of a session, bytes of all stored uploads."""
FREE_BYTES = 2**31
"""Free disk space below which nothing new is computed."""
MOST_SEED = 2**31 - 1
REQUEST: dict[str, tuple[float, float]] = {
    "n_prompts": (1, MOST_PROMPTS),
    "permutations": (1, 200),
    "n": (1, 200),
    "new_tokens": (1, 64),
    "k": (1, 20),
    "at": (0, MOST_CHARACTERS),
    "ids": (0, 10**5),
    "temperature": (0, 100),
    "top_p": (0, 1),
    "ridge": (0, 10**6),
    "finished": (0, 10**12),
    "seeds": (1, 5),
    "at_most": (1, 64),
    **dict.fromkeys(("teacher_layer", "student_layer", "first", "second"), (0, 64)),
    **dict.fromkeys(("others", "kept", "seed"), (0, MOST_SEED)),
}
"""Numbers in a request to the engine; any other is refused."""
PLAN: dict[str, tuple[float, float]] = {
    "steps": (1, MOST_STEPS),
    "batch_size": (1, 64),
    "micro_batch": (1, 64),
    "lora_rank": (1, 64),
    "n_examples": (1, 2000),
    "n_task_items": (1, 2000),
    "n_prompts": (1, MOST_PROMPTS),
    "n_general": (1, MOST_PROMPTS),
    "n_pairs": (0, 8),
    "anchor_batch": (1, 32),
    "n_anchor": (1, 2048),
    "seed": (0, MOST_SEED),
    **dict.fromkeys(("teacher_layer", "student_layer"), (0, 64)),
    **dict.fromkeys(
        ("layer_weight", "output_weight", "temperature", "strength", "anchor_weight", "learning_rate"), (0, 1000)
    ),
}
"""Numbers in a plan; any other is refused."""
OWNER = "owner.json"

_place = threading.Lock()
_uploads: dict[str, int] = defaultdict(int)  # of each session


def demo() -> bool:
    """Whether this is a public demo: bundled models and prompts only, short runs, few at a time."""
    return os.environ.get("PKT_DEMO", "") not in ("", "0", "false")


def visitor() -> str:
    """The token of the current session."""
    from dashboard import state

    return state.visitor()


def require_here(what: str) -> None:
    """Raises PlanError in a demo for an action that it does not offer; `what` completes "This public demo ..."."""
    if demo():
        raise PlanError(f"This public demo {what}. Run the app on your own machine for more.")


def require_pair(name: Any) -> None:
    """Raises PlanError in a demo for a pair that does not ship with the project."""
    if not demo():
        return
    from pkt_core.models.catalog import pairs

    if name not in [pair.name for pair in pairs() if pair.bundled]:
        require_here("has its own pair of models only")


def require_modest(arguments: Mapping[str, Any]) -> None:
    """Raises PlanError in a demo for a request to the engine that is not offered, or is too large."""
    if not demo():
        return
    if "pair" in arguments:
        require_pair(arguments["pair"])
    require_within({name: value for name, value in arguments.items() if name != "plan"}, REQUEST)
    if isinstance(plan := arguments.get("plan"), Mapping):
        require_within(plan, PLAN)
    require_items(arguments.get("task"))
    if (
        shutil.disk_usage(next(path for path in (cache_root(), *cache_root().parents) if path.exists())).free
        < FREE_BYTES
    ):
        raise PlanError("The disk of this public demo is nearly full, so nothing new is computed. Contact its host.")


def require_short(plan: Any) -> None:
    """Raises PlanError in a demo for a run that is too long."""
    if not demo():
        return
    require_within(plan.model_dump(mode="json"), PLAN)
    for name in (plan.data, *plan.tasks):
        require_items(name)


def require_within(values: Mapping[str, Any], bounds: Mapping[str, tuple[float, float]]) -> None:
    """Raises PlanError for the first number that is out of bounds or has no bounds, and for long texts and lists."""
    letters = 0
    for name, value in leaves(values):
        if isinstance(value, str):
            letters += len(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            low, high = bounds.get(name, (math.nan, math.nan))
            if math.isnan(low):
                raise PlanError(f"Got {name} = {value}; this public demo does not offer that setting. Leave it out.")
            if not low <= value <= high:
                word = "at most" if value > high else "at least"
                raise PlanError(
                    f"Got {value} {name.replace('_', ' ')}; this public demo allows {word} {high if value > high else low}. "
                    f"{'Lower' if value > high else 'Raise'} the {name.replace('_', ' ')}."
                )
    if letters > MOST_CHARACTERS:
        raise PlanError(
            f"Got {letters:,} characters; this public demo accepts at most {MOST_CHARACTERS:,}. Shorten the text."
        )


def leaves(values: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in a request with its top-level field. Raises PlanError for a list or mapping that is too long."""
    if isinstance(values, Mapping | list | tuple) and len(values) > MOST_LISTED:
        raise PlanError(f"Got {len(values):,} {name}; this public demo accepts at most {MOST_LISTED}. Choose fewer.")
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from leaves(value, name or str(key))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from leaves(value, name)
    else:
        yield name, values


def require_items(name: Any) -> None:
    """Raises PlanError in a demo for an uploaded task of too many items."""
    from pkt_core.data.examples import load_examples
    from pkt_core.data.row_files import KEPT

    if demo() and isinstance(name, str) and name.startswith(KEPT) and (n := len(load_examples(name))) > MOST_ITEMS:
        raise PlanError(
            f"Got a task of {n:,} items; this public demo evaluates at most {MOST_ITEMS:,}. Upload a shorter one."
        )


@contextmanager
def place() -> Iterator[None]:
    """A place in the queue; the run is added inside this context. Raises PlanError in a demo where the queue is full."""
    if not demo():
        yield
        return
    from pkt_core.runs import queue as run_queue

    with _place:
        if len(run_queue.waiting()) >= MOST_WAITING:
            raise PlanError(
                f"{MOST_WAITING} runs are already waiting, the most that this public demo queues. Try again in a few minutes."
            )
        yield


def own(run: Any) -> None:
    """Record in a demo that this session started a run."""
    if demo():
        write_json(run.folder / OWNER, {"visitor": visitor()})


def require_own(run: Any) -> None:
    """Raises PlanError in a demo where another session started the run, or its session is unknown."""
    if not demo():
        return
    try:
        owner = read_json(run.folder / OWNER)
    except StoreError:
        owner = None
    if not isinstance(owner, dict) or owner.get("visitor") != visitor():
        raise PlanError(f"Run {run.id} was started in another session, which alone can change it. Start your own run.")


def require_own_among(order: list[str], first: int, last: int) -> None:
    """Raises PlanError in a demo where a run between two places of the queue belongs to another session."""
    from pkt_core.runs.folder import open_run

    for run_id in order[min(first, last) : max(first, last) + 1]:
        require_own(open_run(run_id))


def too_many(waiting: Collection[Collection[str]]) -> str | None:
    """Why a demo accepts no further computation now, given the sessions behind each unfinished one; None where it does."""
    if not demo():
        return None
    mine = sum(visitor() in askers for askers in waiting)
    if mine < MOST_ASKED and len(waiting) < MOST_ASKED_BY_ALL:
        return None
    return "Too many computations are waiting in this public demo. Try again when some are done."


def require_nobody_else(waiting: Collection[Collection[str]]) -> None:
    """Raises PlanError in a demo where another session requested one of these computations."""
    if demo() and any(set(askers) != {visitor()} for askers in waiting):
        raise PlanError("Another session is waiting for a computation that this would end. Try again when it is done.")


def require_room(data: bytes) -> None:
    """Count an upload. Raises PlanError in a demo where it is too large, or this session or all sessions uploaded too much."""
    if not demo():
        return
    if len(data) > UPLOAD_BYTES:
        raise PlanError(
            f"Got {len(data) / 2**20:.1f} MiB; this public demo accepts uploads of at most 1 MiB. Upload a smaller file."
        )
    with _place:
        if _uploads[visitor()] >= UPLOADS:
            raise PlanError(
                f"This session has uploaded {UPLOADS} files, the most that this public demo stores per session. Use a bundled set."
            )
        if kept_bytes() + len(data) > ALL_BYTES:
            raise PlanError("This public demo has no room for further uploads. Contact its host, or use a bundled set.")
        _uploads[visitor()] += 1


def kept_bytes() -> int:
    """Bytes of all stored uploads."""
    places = (cache_root() / "prompts", cache_root() / "tasks")
    return sum(path.stat().st_size for place in places if place.is_dir() for path in place.iterdir())
