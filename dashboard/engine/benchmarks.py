"""What the engine answers about benchmarks: everything a run's models have answered so far. It reads the store, no weights.

Not covered: asking them (`pkt_core.benchmarks.jobs`), which may take hours and is a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def benchmark_board(run: str, against: Sequence[str], kept: int) -> dict[str, Any]:
    """All stored answers of a run's three models and of the students of further runs, compared.

    `kept` is how many answers the store holds: more of them, and the board is another.
    """
    del kept
    from pkt_core.benchmarks import board as benchmarks_board
    from pkt_core.runs.folder import open_run

    subjects = benchmarks_board.subjects_of(open_run(run), [open_run(name) for name in against])
    return benchmarks_board.stored(subjects).to_json()


def benchmark_sandbox() -> dict[str, Any]:
    """Why generated code cannot be shut in here, and whether the harness is missing; None where all is well."""
    from pkt_core.benchmarks.sandbox import WHY, unavailable
    from pkt_core.benchmarks.tasks import require_harness
    from pkt_core.errors import BenchmarkError

    try:
        require_harness()
        missing = None
    except BenchmarkError as error:
        missing = str(error)
    return {"unavailable": unavailable(), "missing": missing, "why": WHY}


BENCHMARKS: dict[str, Callable[..., dict[str, Any]]] = {
    "benchmark_board": benchmark_board,
    "benchmark_sandbox": benchmark_sandbox,
}
