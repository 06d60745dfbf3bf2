"""What strangers may do in a public demo (`pkt app --demo`): which models, how much, and to whose runs. Elsewhere nothing is limited here.

A page draws what it will; these are asked where something is carried out, so that no link, form or message gets past them. Whoever
visits is known by a random word of the session, kept with each run that the session starts: others see the run and leave it alone.

Not covered: which files may be opened (`access.py`), who is answered at all (`hosts.py`).
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
"""Prompts of a comparison, steps of a transfer, runs that wait, characters of a text."""
MOST_ITEMS = 1000
"""Of an uploaded task."""
MOST_LISTED = 256
"""Things that a request may list: picked prompts, runs, measures."""
MOST_ASKED, MOST_ASKED_BY_ALL = 8, 32
"""Computations of a session, and of all, that are not done."""
UPLOAD_BYTES, UPLOADS, ALL_BYTES = 2**20, 10, 2**28
"""Bytes of an upload, uploads of a session, bytes that are kept of all."""
FREE_BYTES = 2**31
"""Of the disk, below which nothing new is computed."""
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
    """The word of the session that asks."""
    from dashboard import state

    return state.visitor()


def require_here(what: str) -> None:
    """Raises PlanError in a demo for what it does not do at all."""
    if demo():
        raise PlanError(f"This public demo {what}. Run it on a machine of your own for that.")


def require_pair(name: Any) -> None:
    """Raises PlanError in a demo for a pair that does not ship with the project."""
    if not demo():
        return
    from pkt_core.models.catalog import pairs

    if name not in [pair.name for pair in pairs() if pair.bundled]:
        require_here("has its own pair of models only")


def require_modest(arguments: Mapping[str, Any]) -> None:
    """Raises PlanError in a demo for a request to the engine that is not for strangers, or asks for too much."""
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
        raise PlanError("The disk of this public demo is nearly full, so nothing new is computed. Tell its host.")


def require_short(plan: Any) -> None:
    """Raises PlanError in a demo for a run that would keep others waiting."""
    if not demo():
        return
    require_within(plan.model_dump(mode="json"), PLAN)
    for name in (plan.data, *plan.tasks):
        require_items(name)


def require_within(values: Mapping[str, Any], bounds: Mapping[str, tuple[float, float]]) -> None:
    """Raises PlanError for the first number that is out of bounds, or that has none, and for long texts and lists."""
    letters = 0
    for name, value in leaves(values):
        if isinstance(value, str):
            letters += len(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            low, high = bounds.get(name, (math.nan, math.nan))
            if math.isnan(low):
                raise PlanError(f"Got {name} = {value}, which this public demo leaves as it is. Leave it out.")
            if not low <= value <= high:
                word = "at most" if value > high else "at least"
                raise PlanError(
                    f"Got {value} {name.replace('_', ' ')}; this public demo runs {word} {high if value > high else low}. "
                    f"{'Lower' if value > high else 'Raise'} the {name.replace('_', ' ')}."
                )
    if letters > MOST_CHARACTERS:
        raise PlanError(
            f"Got {letters:,} characters; this public demo reads at most {MOST_CHARACTERS:,}. Shorten the text."
        )


def leaves(values: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in a request with its field; those of a mapping by names of runs have the field that holds it."""
    if isinstance(values, Mapping | list | tuple) and len(values) > MOST_LISTED:
        raise PlanError(f"Got {len(values):,} of {name}; this public demo takes at most {MOST_LISTED}. Choose fewer.")
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
            f"Got a task of {n:,} items; this public demo asks at most {MOST_ITEMS:,}. Upload a shorter one."
        )


@contextmanager
def place() -> Iterator[None]:
    """A place among the runs that wait, to be taken inside. Raises PlanError in a demo where there is none."""
    if not demo():
        yield
        return
    from pkt_core.runs import queue as run_queue

    with _place:
        if len(run_queue.waiting()) >= MOST_WAITING:
            raise PlanError(
                f"{MOST_WAITING} runs wait already, as many as this public demo lets wait. Try again in some minutes."
            )
        yield


def own(run: Any) -> None:
    """Note in a demo that this session started a run."""
    if demo():
        write_json(run.folder / OWNER, {"visitor": visitor()})


def require_own(run: Any) -> None:
    """Raises PlanError in a demo where another session started a run, or nobody knows who did."""
    if not demo():
        return
    try:
        owner = read_json(run.folder / OWNER)
    except StoreError:
        owner = None
    if not isinstance(owner, dict) or owner.get("visitor") != visitor():
        raise PlanError(f"Run {run.id} was started by somebody else, so it is theirs to change. Start one of your own.")


def require_own_among(order: list[str], first: int, last: int) -> None:
    """Raises PlanError in a demo where one of the runs from one place of the queue to another is somebody else's."""
    from pkt_core.runs.folder import open_run

    for run_id in order[min(first, last) : max(first, last) + 1]:
        require_own(open_run(run_id))


def too_many(waiting: Collection[Collection[str]]) -> str | None:
    """Why in a demo no more may be computed now, given who asked for what is not done yet; None where it may."""
    if not demo():
        return None
    mine = sum(visitor() in askers for askers in waiting)
    if mine < MOST_ASKED and len(waiting) < MOST_ASKED_BY_ALL:
        return None
    return "Too many computations wait in this public demo. Try again when some are done."


def require_nobody_else(waiting: Collection[Collection[str]]) -> None:
    """Raises PlanError in a demo where somebody else asked for one of these computations."""
    if demo() and any(set(askers) != {visitor()} for askers in waiting):
        raise PlanError("Somebody else waits for a computation that this would end. Try again when it is done.")


def require_room(data: bytes) -> None:
    """Count an upload. Raises PlanError in a demo where it is too large, or too much was uploaded, here or by all."""
    if not demo():
        return
    if len(data) > UPLOAD_BYTES:
        raise PlanError(
            f"Got {len(data) / 2**20:.1f} MiB; this public demo keeps uploads of at most 1 MiB. Upload less."
        )
    with _place:
        if _uploads[visitor()] >= UPLOADS:
            raise PlanError(f"This session has uploaded {UPLOADS} files, the most that this public demo keeps of one.")
        if kept_bytes() + len(data) > ALL_BYTES:
            raise PlanError("This public demo has no room for further uploads. Tell its host, or take a bundled set.")
        _uploads[visitor()] += 1


def kept_bytes() -> int:
    """Bytes of all uploads that are kept."""
    places = (cache_root() / "prompts", cache_root() / "tasks")
    return sum(path.stat().st_size for place in places if place.is_dir() for path in place.iterdir())
