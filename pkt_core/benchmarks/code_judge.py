"""Stands in for the metric `code_eval` of the library `evaluate`, which runs generated code in a bare process: ours shuts it in.

The harness's code benchmarks (HumanEval, MBPP and their relatives) ask that library for its judge when they are read. While a
`judging` block lasts they get this one; prompts, extraction and the rest stay the harness's own.

Not covered: tasks that carry out code by means of their own, which are refused (`uses_our_judge`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from pkt_core.benchmarks.sandbox import WHY, Limits, Outcome, run
from pkt_core.errors import SandboxError


class CodeJudge:
    """What `evaluate.load("code_eval")` gives while judging."""

    def __init__(self) -> None:
        self.allowed = False
        self.outcomes: list[Outcome] = []
        """What became of each programme since they were last taken."""

    def compute(
        self,
        *,
        references: Sequence[str],
        predictions: Sequence[Sequence[str]],
        k: Sequence[int] = (1, 10, 100),
        **_: Any,
    ) -> tuple[dict[str, float], dict[int, list[Any]]]:
        """pass@k of each candidate followed by its tests. Raises SandboxError where code may not run or cannot be shut in."""
        if not self.allowed:
            raise SandboxError(f"{WHY} Allow it with --allow-code, or leave the code benchmarks out.")
        counted, details = [], {}
        for i, (candidates, tests) in enumerate(zip(predictions, references, strict=True)):
            found = [run(f"{candidate}\n{tests}") for candidate in candidates]
            self.outcomes += found
            counted.append((len(found), sum(one.passed for one in found)))
            details[i] = [(j, {"passed": one.passed, "result": one.said or one.how}) for j, one in enumerate(found)]
        fewest = min(n for n, _ in counted)
        return {f"pass@{m}": float(np.mean([pass_at(n, c, m) for n, c in counted])) for m in k if m <= fewest}, details

    def taken(self) -> list[Outcome]:
        """The outcomes so far, which are then forgotten."""
        taken, self.outcomes = self.outcomes, []
        return taken


JUDGE = CodeJudge()


def pass_at(n: int, right: int, k: int) -> float:
    """The unbiased chance that one of k samples is right, when `right` of n are (Chen et al. 2021, equation 1)."""
    return 1.0 if n - right < k else float(1.0 - np.prod(1.0 - k / np.arange(n - right + 1, n + 1)))


@contextmanager
def judging(allowed: bool) -> Iterator[CodeJudge]:
    """While it lasts, tasks that are read or scored judge code by the sandbox; not `allowed`, they raise SandboxError."""
    import evaluate

    def load(path: str, *args: Any, **more: Any) -> Any:
        return JUDGE if path == "code_eval" else found(path, *args, **more)

    found, evaluate.load = evaluate.load, load
    JUDGE.allowed, before = allowed, JUDGE.allowed
    try:
        yield JUDGE
    finally:
        JUDGE.allowed = before
        evaluate.load = found


def uses_our_judge(task: Any) -> bool:
    """Whether every function that scores a task's answers finds our judge, and so no other, in its module."""
    scorers = [one["metric"] for one in task.config.metric_list or [] if callable(one["metric"])]
    scorers += [task.config.process_results] if callable(task.config.process_results) else []
    return bool(scorers) and all(
        any(value is JUDGE for value in getattr(function, "__globals__", {}).values()) for function in scorers
    )


LIMITS = Limits()


def protocol() -> str:
    """How code is judged, for the record: what the limits are, as the limits decide what passes."""
    from pkt_core.benchmarks.sandbox import readable_packages

    packages = "standard library and NumPy" if readable_packages() else "standard library"
    return f"sandbox: {LIMITS.processor_seconds} s of computing, {LIMITS.memory // 2**20} MiB, {LIMITS.processes} processes, {packages}"
