"""The records of benchmarks: one model's scores on one task, and the comparison of several models.

Not covered: measuring the models (`asking.py`), comparing their answers (`lines.py`), the settings of a request (`tasks.py`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from pkt_core.base.fingerprint import fingerprint
from pkt_core.evaluation.statistics import Change, Estimate

Role = Literal["before", "after", "teacher", "other", "model"]


@dataclass(frozen=True)
class Protocol:
    """All settings of a measurement that can change the score of one model."""

    harness: str
    """Version of lm-evaluation-harness."""
    task: str
    """Its name in the harness."""
    version: str
    """Of the task's definition."""
    template: str
    """Digest of that definition: prompt, filters, metrics, decoding."""
    shots: int
    """Worked examples before each item."""
    n: int
    """Number of items."""
    limit: int | None
    """Requested number of items at most; None is all."""
    chosen: list[int] | None
    """Which items, counted from 0, where they are spread over the task; None where they are the first ones, or all."""
    kind: str
    """generate_until, multiple_choice, loglikelihood or loglikelihood_rolling."""
    decoding: dict[str, Any]
    """Generation settings of the harness by name; empty where nothing is generated."""
    temperature: float | None
    """0 is greedy; None where nothing is generated."""
    seeds: tuple[int, int, int, int]
    """Of Python, NumPy, torch and the worked examples."""
    chat: bool
    """Whether prompts went through the model's chat template."""
    batch_size: int
    """Items per batch; it affects the last digits of a model's outputs."""
    items: str
    """Digest of the items, in their order."""
    source: str
    """Source of the items: a data set of the hub, or `local`."""
    judge: str | None
    """How generated code was judged; None without code."""

    @property
    def key(self) -> str:
        """Fingerprint: equal keys are equal protocols."""
        return fingerprint(**{**asdict(self), "source": None})

    @property
    def sampling(self) -> dict[str, Any]:
        """The generation settings without stop strings."""
        return {name: value for name, value in self.decoding.items() if name != "until"}


@dataclass(frozen=True)
class MetricScores:
    """One metric after one filter, item by item."""

    metric: str
    """Its name in the harness."""
    filter: str
    """How the answer was extracted from the output; `none` where it was not."""
    values: list[float] | None
    """Per item in order; None for metrics that are not a mean over items."""
    reported: float
    """The score reported by the harness."""

    @property
    def right(self) -> list[bool] | None:
        """Right or wrong per item; None where an item can have partial credit."""
        if self.values is None or not set(self.values) <= {0.0, 1.0}:
            return None
        return [value == 1.0 for value in self.values]


@dataclass(frozen=True)
class Result:
    """One model's answers to one task under one protocol, as they are stored."""

    model: str
    """Digest of its weights."""
    held: str
    """Precision and kind of device, such as `float32 on cpu`."""
    protocol: Protocol
    """How it was measured."""
    group: str
    """The requested name: the task, or a group it belongs to."""
    include: list[str]
    """Folders of task files that the harness's command line needs to find the task."""
    scores: list[MetricScores]
    """In the task's order; the first is the main metric."""
    prompts: str
    """Digest of the prompts as the harness built them, in order."""
    answers: list[str]
    """The generated answer to each item, cut to 2,000 characters; empty where nothing is generated."""
    names: list[str]
    """Name of each item, else its index."""
    endings: dict[str, int]
    """Outcomes of generated code with counts: `passed`, `failed`, `time`, `memory`, `killed`; empty without code."""
    cut: int
    """Prompts that exceeded the context and lost their beginning."""
    seconds: float
    """Wall time."""


@dataclass(frozen=True)
class Who:
    """A model in the table."""

    label: str
    """Label in the table."""
    role: Role
    """`other` is the student of a further run, `model` a model without a run."""
    run: str | None = None
    """The run whose student it is."""
    seed: int | None = None
    """That run's."""


@dataclass(frozen=True)
class Line:
    """One model's score on one task, and its differences to the student before and the teacher."""

    task: str
    """The task, or the group whose tasks are combined."""
    tasks: int
    """Number of tasks combined."""
    group: str
    """The requested name: the task itself, or a group it belongs to."""
    metric: str
    """Its name in the harness."""
    filter: str
    """How answers were extracted from the output; `none` where they were not."""
    leads: bool
    """Whether this is the task's first metric; the others are shown but not tested."""
    label: str
    """Label of the model."""
    role: Role
    """Role of the model in the run."""
    run: str | None
    """The run whose student it is; None for other models."""
    seed: int | None
    """That run's."""
    n: int
    """Items."""
    share: bool
    """Whether each item is right or wrong, so that scores are shares and differences are points."""
    score: Estimate | None
    """Share right with Wilson's interval, or a mean over items with a bootstrap; None for metrics that are neither."""
    reported: float
    """The score reported by the harness."""
    gain: Change | None
    """This model minus the student before, on the same items; None for that student, the teacher and single models."""
    p_holm: float | None
    """Of the gain, 0..1, corrected over all gains in the table that lead; None where it is not tested."""
    detectable: float | None
    """The smallest gain, 0..1, that McNemar's test finds with 80 % power at this n and share of changed answers.

    None where no change is detectable, where there is no gain, and where items are not right or wrong.
    """
    gap: Change | None
    """The teacher minus this model, on the same items."""
    settings: str
    """Fingerprint of the protocol; lines with the same settings are comparable."""


@dataclass(frozen=True)
class Asked:
    """One model's scores by item on one task, without the generated text."""

    label: str
    """Label of the model."""
    task: str
    """Its name in the harness."""
    group: str
    """The requested name: the task, or a group it belongs to."""
    protocol: str
    """Key of the protocol."""
    model: str
    """Digest of the weights."""
    held: str
    """Precision and kind of device, such as `float32 on cpu`."""
    include: list[str]
    """Folders of task files that the harness's command line needs."""
    prompts: str
    """Digest of the prompts as the harness built them, in order."""
    endings: dict[str, int]
    """Outcomes of generated code with counts; empty without code."""
    cut: int
    """Prompts that lost their beginning."""
    seconds: float
    """Wall time."""
    names: list[str]
    """Name of each item, in order."""
    values: dict[str, list[float] | None]
    """By `METRIC,FILTER`: the score of each item in order; None for metrics that are not a mean over items."""


@dataclass(frozen=True)
class Board:
    """Results of several models."""

    lines: list[Line]
    """In the order of the tasks, then of the models."""
    protocols: dict[str, Protocol]
    """Protocol of each task, by key; a line of a single task has the key as its `settings`."""
    asked: list[Asked]
    """In the order of the tasks, then of the models."""
    models: dict[str, str]
    """By label, the model path for the harness's command line."""
    stopped: bool
    """Whether it was stopped early."""


@dataclass(frozen=True)
class Readiness:
    """What benchmarks lack on this machine."""

    missing: str | None
    """Where the harness is not installed: a sentence with the install command."""
    unavailable: str | None
    """Where generated code cannot be sandboxed: the reason."""
    why: str
    """Why generated code runs in a sandbox only."""
