"""A loaded model measured on a task by lm-evaluation-harness, with every item's score.

The harness builds the prompts, runs the model, extracts the answers and scores them. Added here: progress, a stop between
batches, the sandbox for generated code (`benchmarks/code_judge.py`), and scores by item instead of means only.

Not covered: which models, and where results are stored (`benchmarks/board.py`); tables of several models (`benchmarks/lines.py`).
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch

from pkt_core.benchmarks.code_judge import JUDGE, judging
from pkt_core.benchmarks.record import MetricScores, Protocol, Result
from pkt_core.benchmarks.tasks import Asking, Found, digest, quiet
from pkt_core.errors import BenchmarkError
from pkt_core.models.loading import LoadedModel

KEPT_CHARACTERS = 2000  # of an answer
Progress = Callable[[float], None]


class Stopped(Exception):
    """A stop was requested; complete tasks are stored."""


class Watch:
    """Receives each answer from the harness, reports progress, and raises Stopped where a stop was requested."""

    def __init__(self, requests: int, progress: Progress, stopping: Callable[[], bool]) -> None:
        self.requests, self.done, self.progress, self.stopping = max(1, requests), 0, progress, stopping

    def add_partial(self, _kind: str, _request: object, _answer: object) -> None:
        self.done += 1
        self.progress(min(1.0, self.done / self.requests))
        if self.stopping():
            raise Stopped


def measure(
    loaded: LoadedModel,
    found: Found,
    asking: Asking,
    *,
    progress: Progress = lambda _done: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Result:
    """Measure a model on a task. Raises Stopped on request, BenchmarkError where the task does not fit the model."""
    from lm_eval import simple_evaluate

    protocol, began = found.protocol, time.monotonic()
    require_fit(loaded, protocol)
    lm = harness_model(loaded, asking)
    lm.set_cache_hook(Watch(protocol.n * requests_each(found.task), progress, stopping))
    seeds = dict(
        zip(
            ("random_seed", "numpy_random_seed", "torch_random_seed", "fewshot_random_seed"),
            protocol.seeds,
            strict=True,
        )
    )
    with quiet(), judging(asking.allow_code), torch.inference_mode():
        JUDGE.taken()
        answered: Any = simple_evaluate(
            model=lm,
            tasks=[found.task],
            task_manager=found.manager,
            num_fewshot=asking.shots,
            limit=None if protocol.chosen else asking.limit,
            samples={protocol.task: protocol.chosen} if protocol.chosen else None,
            gen_kwargs=dict(asking.decoding) or None,
            apply_chat_template=asking.chat,
            bootstrap_iters=0,
            log_samples=True,
            confirm_run_unsafe_code=asking.allow_code,
            **seeds,
        )
        endings = Counter(str(outcome.how) for outcome in JUDGE.taken())
    samples, results = answered["samples"][protocol.task], answered["results"][protocol.task]
    first = [s for s in samples if s["filter"] == samples[0]["filter"]]
    return Result(
        model=loaded.digest,
        held=held(loaded),
        protocol=protocol,
        group=found.asked_for,
        include=list(found.include),
        scores=scores(samples, results),
        prompts=digest([s["prompt_hash"] for s in first]),
        answers=[answer(s) for s in first] if protocol.kind == "generate_until" else [],
        names=[name(s) for s in first],
        endings=dict(endings),
        cut=too_long(lm, first, protocol),
        seconds=time.monotonic() - began,
    )


def held(loaded: LoadedModel) -> str:
    """Precision and kind of device of the weights, which determine the last digits."""
    return f"{str(loaded.dtype).removeprefix('torch.')} on {loaded.device.type}"


def harness_model(loaded: LoadedModel, asking: Asking) -> Any:
    """The loaded model as an object of the harness, without its progress bars."""
    from lm_eval.models.huggingface import HFLM

    class Quiet(HFLM):
        def loglikelihood(self, requests: Any, **_: Any) -> Any:
            return super().loglikelihood(requests, disable_tqdm=True)

        def loglikelihood_rolling(self, requests: Any, **_: Any) -> Any:
            return super().loglikelihood_rolling(requests, disable_tqdm=True)

        def generate_until(self, requests: Any, **_: Any) -> Any:
            return super().generate_until(requests, disable_tqdm=True)

    with quiet():
        return Quiet(
            pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=asking.batch_size, backend="causal"
        )


def require_fit(loaded: LoadedModel, protocol: Protocol) -> None:
    longest = int(protocol.decoding.get("max_gen_toks") or 0)
    if longest >= loaded.context:
        raise BenchmarkError(
            f"{protocol.task} generates up to {longest} tokens; the context of {loaded.name} is {loaded.context}. Set "
            f"--decoding max_gen_toks={max(1, loaded.context // 4)}, or leave {protocol.task} out."
        )


def requests_each(task: Any) -> int:
    """Requests per item: one per choice, else one."""
    if task.OUTPUT_TYPE == "multiple_choice":
        _, doc = next(iter(task.doc_iterator(limit=1)))
        return len(task.doc_to_choice(doc))
    return int(task.config.repeats or 1)


def scores(samples: list[dict[str, Any]], results: Mapping[str, Any]) -> list[MetricScores]:
    """Every metric after every filter, in the order of the task's definition."""
    made = []
    for key, reported in results.items():
        metric, _, cut = key.partition(",")
        if not cut or metric.endswith("_stderr") or not isinstance(reported, int | float):
            continue
        given = [s.get(metric) for s in samples if s["filter"] == cut]
        values = [float(v) for v in given if isinstance(v, int | float) and math.isfinite(v)]
        mean = sum(values) / len(values) if values and len(values) == len(given) else math.nan
        kept = values if math.isclose(mean, reported, abs_tol=1e-9) else None
        made.append(MetricScores(metric, cut, kept, float(reported)))
    if not made:
        raise BenchmarkError(
            "Got no score from the harness for this task; expected at least one metric. Choose another task."
        )
    return made


def answer(sample: Mapping[str, Any]) -> str:
    """The first generated answer to an item."""
    first = sample["resps"][0]
    while isinstance(first, list | tuple) and first:
        first = first[0]
    return str(first)[:KEPT_CHARACTERS]


def name(sample: Mapping[str, Any]) -> str:
    doc = sample["doc"] if isinstance(sample["doc"], Mapping) else {}
    return str(next((doc[key] for key in ("task_id", "id", "idx") if key in doc), sample["doc_id"]))


def too_long(lm: Any, samples: list[dict[str, Any]], protocol: Protocol) -> int:
    """Number of prompts that exceed the context with the answer; the harness cuts off their beginning."""
    room = lm.max_length - int(protocol.decoding.get("max_gen_toks") or 0)
    return sum(len(lm.tok_encode(str(s["arguments"][0][0]))) > room for s in samples)
