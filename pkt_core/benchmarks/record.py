"""What benchmarks answer with: one model's scores on one task, and several models beside each other.

Not covered: asking the models (`asking.py`), comparing their answers (`lines.py`), the settings of a request (`tasks.py`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from pkt_core.base.fingerprint import fingerprint
from pkt_core.evaluation.statistics import Change, Estimate

Role = Literal["before", "after", "teacher", "other", "model"]


@dataclass(frozen=True)
class Protocol:
    """Everything about how a task was asked that could change the score of one model."""

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
    """Items asked."""
    limit: int | None
    """How many items were asked for at most; None is all."""
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
    """Items at once; it changes the last digits of what a model computes."""
    items: str
    """Digest of the items, in their order."""
    source: str
    """Where the items came from: a data set of the hub, or `local`."""
    judge: str | None
    """How generated code was judged; None where there is none."""

    @property
    def key(self) -> str:
        """Names it: equal keys are equal protocols."""
        return fingerprint(**{**asdict(self), "source": None})

    @property
    def sampling(self) -> dict[str, Any]:
        """The generation settings without the words that end an answer."""
        return {name: value for name, value in self.decoding.items() if name != "until"}


@dataclass(frozen=True)
class MetricScores:
    """One metric after one filter, item by item."""

    metric: str
    """Its name in the harness."""
    filter: str
    """How the answer was cut out of what the model wrote; `none` where it was not."""
    values: list[float] | None
    """Per item in order; None for metrics that are no mean over items."""
    reported: float
    """The harness's own figure."""

    @property
    def right(self) -> list[bool] | None:
        """Right or wrong per item; None where an item can be something between."""
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
    """How it was asked."""
    group: str
    """What was asked for: the task, or a group it belongs to."""
    include: list[str]
    """Folders of task files that the harness's own command line needs to find the task."""
    scores: list[MetricScores]
    """In the task's order; the first is the one that tables lead with."""
    prompts: str
    """Digest of the prompts as the harness built them, in order."""
    answers: list[str]
    """What the model wrote to each item, cut to 2,000 characters; empty where it writes nothing."""
    names: list[str]
    """What each item calls itself, else its number."""
    endings: dict[str, int]
    """What became of generated code: `passed`, `failed`, `time`, `memory`, `killed`, and how many; else empty."""
    cut: int
    """Prompts that were too long for the model and lost their beginning."""
    seconds: float
    """Wall time of asking."""


@dataclass(frozen=True)
class Who:
    """A model in the table."""

    label: str
    """As the table calls it."""
    role: Role
    """`other` is the student of a further run, `model` one that belongs to no run."""
    run: str | None = None
    """The run whose student it is."""
    seed: int | None = None
    """That run's."""


@dataclass(frozen=True)
class Line:
    """One model's score on one task, and what it differs by."""

    task: str
    """The task, or the group whose tasks are taken together."""
    tasks: int
    """How many tasks that are."""
    group: str
    """What was asked for: the task itself, or a group it belongs to."""
    metric: str
    """Its name in the harness."""
    filter: str
    """How answers were cut out of what the model wrote; `none` where they were not."""
    leads: bool
    """Whether this is the task's first metric; the others are shown but not tested."""
    label: str
    """What the table calls the model."""
    role: Role
    """What the model is to the run."""
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
    """The harness's own figure."""
    gain: Change | None
    """This model minus the student before, on the same items; None for that student, the teacher and single models."""
    p_holm: float | None
    """Of the gain, 0..1, corrected over all gains in the table that lead; None where it is not tested."""
    detectable: float | None
    """The smallest gain, 0..1, that McNemar's test finds four times in five on items of which as many differ as here.

    None where it finds none however large, where there is no gain, and where items are not right or wrong.
    """
    gap: Change | None
    """The teacher minus this model, on the same items."""
    settings: str
    """Names how it was asked; lines with the same settings may be compared."""


@dataclass(frozen=True)
class Asked:
    """One model's answers to one task as a table needs them: what was right, not what was written."""

    label: str
    """What the table calls the model."""
    task: str
    """Its name in the harness."""
    group: str
    """What was asked for: the task, or a group it belongs to."""
    protocol: str
    """Key of the protocol."""
    model: str
    """Digest of the weights."""
    held: str
    """Precision and kind of device, such as `float32 on cpu`."""
    include: list[str]
    """Folders of task files that the harness's own command line needs."""
    prompts: str
    """Digest of the prompts as the harness built them, in order."""
    endings: dict[str, int]
    """What became of generated code, and how many; else empty."""
    cut: int
    """Prompts that lost their beginning."""
    seconds: float
    """Wall time of asking."""
    names: list[str]
    """What each item calls itself, in order."""
    values: dict[str, list[float] | None]
    """By `METRIC,FILTER`: the score of each item in order; None for metrics that are no mean over items."""


@dataclass(frozen=True)
class Board:
    """What several models answered, beside each other."""

    lines: list[Line]
    """In the order of the tasks, then of the models."""
    protocols: dict[str, Protocol]
    """How each task was asked, by key; a line of a single task has the key as its `settings`."""
    asked: list[Asked]
    """In the order of the tasks, then of the models."""
    models: dict[str, str]
    """By label, what the harness's command line is to load."""
    stopped: bool
    """Whether it was ended early."""


@dataclass(frozen=True)
class Readiness:
    """What benchmarks lack on this machine."""

    missing: str | None
    """Where the harness is not installed: a sentence that says how to install it."""
    unavailable: str | None
    """Where generated code cannot be shut in: why."""
    why: str
    """Why generated code runs in a sandbox only."""
