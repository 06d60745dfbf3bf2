"""Replaces the metric `code_eval` of the library `evaluate`, which runs generated code in a bare process, by a sandboxed one.

The harness's code benchmarks (HumanEval, MBPP and their relatives) load that metric when they are read. Inside a `judging`
block they get this one; prompts, extraction and everything else stay the harness's own.

Not covered: tasks that run code in another way, which are refused (`uses_our_judge`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from pkt_core.benchmarks.sandbox import WHY, Limits, Outcome, run
from pkt_core.errors import SandboxError


class CodeJudge:
    """The result of `evaluate.load("code_eval")` while judging."""

    def __init__(self) -> None:
        self.allowed = False
        self.outcomes: list[Outcome] = []
        """Outcome of each program since they were last taken."""

    def compute(
        self,
        *,
        references: Sequence[str],
        predictions: Sequence[Sequence[str]],
        k: Sequence[int] = (1, 10, 100),
        **_: Any,
    ) -> tuple[dict[str, float], dict[int, list[Any]]]:
        """pass@k of each candidate followed by its tests. Raises SandboxError where code must not run or cannot be sandboxed."""
        if not self.allowed:
            raise SandboxError(f"{WHY} Allow it with --allow-code, or leave the code benchmarks out.")
        counted, details = [], {}
        for i, (candidates, tests) in enumerate(zip(predictions, references, strict=True)):
            outcomes = [run(f"{candidate}\n{tests}") for candidate in candidates]
            self.outcomes += outcomes
            counted.append((len(outcomes), sum(one.passed for one in outcomes)))
            details[i] = [(j, {"passed": one.passed, "result": one.said or one.how}) for j, one in enumerate(outcomes)]
        fewest = min(n for n, _ in counted)
        return {f"pass@{m}": float(np.mean([pass_at(n, c, m) for n, c in counted])) for m in k if m <= fewest}, details

    def taken(self) -> list[Outcome]:
        """The outcomes so far; clears them."""
        taken, self.outcomes = self.outcomes, []
        return taken


JUDGE = CodeJudge()


def pass_at(n: int, right: int, k: int) -> float:
    """Unbiased estimate of pass@k from `right` of n samples (Chen et al. 2021, equation 1)."""
    return 1.0 if n - right < k else float(1.0 - np.prod(1.0 - k / np.arange(n - right + 1, n + 1)))


@contextmanager
def judging(allowed: bool) -> Iterator[CodeJudge]:
    """Inside it, tasks judge code in the sandbox; without `allowed` they raise SandboxError."""
    import evaluate

    def load(path: str, *args: Any, **more: Any) -> Any:
        return JUDGE if path == "code_eval" else original(path, *args, **more)

    original, evaluate.load = evaluate.load, load
    JUDGE.allowed, before = allowed, JUDGE.allowed
    try:
        yield JUDGE
    finally:
        JUDGE.allowed = before
        evaluate.load = original


def uses_our_judge(task: Any) -> bool:
    """Whether every function that scores a task's answers uses our judge, and so no other, in its module."""
    scorers = [one["metric"] for one in task.config.metric_list or [] if callable(one["metric"])]
    scorers += [task.config.process_results] if callable(task.config.process_results) else []
    return bool(scorers) and all(
        any(value is JUDGE for value in getattr(function, "__globals__", {}).values()) for function in scorers
    )


LIMITS = Limits()


def protocol() -> str:
    """How code is judged, for the protocol: the limits, which determine what passes."""
    from pkt_core.benchmarks.sandbox import readable_packages

    packages = "standard library and NumPy" if readable_packages() else "standard library"
    return f"sandbox: {LIMITS.processor_seconds} s of computing, {LIMITS.memory // 2**20} MiB, {LIMITS.processes} processes, {packages}"
