"""What came out of a run, as its `results.json` holds it: first of the training, then, once it was measured, of behaviour.

A field that is None or empty is not written. Files of earlier versions lack what later ones added; what each lack means stands
with its field. A field that this version does not know is one sentence, and so is one that holds something else.

Not covered: where the file lies and how it is sealed (`runs/folder.py`), how the numbers are made (`evaluation/`, `transfer/`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import Field

from pkt_core.base.records import from_json, to_json
from pkt_core.evaluation.record import Answers, Behaviour, Generation, Measured, TaskChange

Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, ge=0, le=10**12)]
LayerNumber = Annotated[int, Field(strict=True, ge=0, le=10**6)]
"""From 0."""


@dataclass(frozen=True)
class TaughtPair:
    """A student layer and the teacher layer it was trained towards."""

    teacher: LayerNumber
    student: LayerNumber


@dataclass(frozen=True)
class TaughtLayers:
    """The layers that a run paired."""

    teacher: LayerNumber
    """Of the pair at which alignment is measured."""
    student: LayerNumber
    """Of the same pair."""
    chosen_by: str
    """`attribution` or `plan`."""
    pairs: list[TaughtPair] = field(default_factory=list)
    """All of them, from shallow to deep; empty of the first version, which paired the two above alone."""

    @property
    def every(self) -> list[TaughtPair]:
        """All pairs, whichever version wrote them; at least one."""
        return self.pairs or [TaughtPair(self.teacher, self.student)]


@dataclass(frozen=True)
class Attribution:
    """How much the teacher's answers depend on each of its layers, nats to first order; `[L]` each."""

    scores: list[float]
    """Higher: more depends on the layer."""
    low: list[float]
    """Lower ends of the 95 % intervals (bootstrap over examples)."""
    high: list[float]
    """Upper ends."""
    best: LayerNumber
    """The layer of the highest score."""
    per_example: list[list[float]] = field(default_factory=list)
    """`[n][L]`, signed."""
    aggregations: dict[str, list[float]] = field(default_factory=dict)
    """`abs_of_sum` (the scores), `sum` and `sum_of_abs`, `[L]` each."""


@dataclass(frozen=True)
class Examples:
    """What a student was trained on."""

    name: str
    """Of the example set: a bundled one or a file."""
    n: Count
    """Examples."""
    digest: str
    """Names them."""


@dataclass(frozen=True)
class Memory:
    """Bytes of the device."""

    peak: Count
    """The most that was held."""
    estimated: Count
    """What the plan was expected to take."""


@dataclass(frozen=True)
class Seconds:
    """Wall time by stage; None where a stage was not carried out."""

    targets: Finite | None = None
    """The teacher's pass over the data."""
    training: Finite | None = None
    evaluation: Finite | None = None

    @property
    def total(self) -> float:
        return sum(one for one in (self.targets, self.training, self.evaluation) if one is not None)

    @property
    def around(self) -> float:
        """All but training."""
        return self.total - (self.training or 0.0)


@dataclass(frozen=True)
class ChangedTensors:
    """What training changed of the student's weights."""

    tensors: Count
    """That changed."""
    of: Count
    """All there are."""
    outside_plan: Count
    """Changed although the plan does not name them; always 0, else a fault."""


@dataclass(frozen=True)
class StudentFile:
    """A file of the exported student."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Alignment:
    """The student's state at the main pair of layers against the teacher's."""

    cka: float
    """Debiased linear CKA, 1 at most; higher is more similar."""
    cosine: float | None = None
    """Mean cosine to the mapped teacher, -1..1; None where the vocabularies share too little for a map."""


@dataclass(frozen=True)
class ControlCosine:
    """The same cosine with the vocabulary permuted, -1..1."""

    before: float
    after: float


@dataclass(frozen=True)
class AlignmentTrace:
    """Alignment before and after, on prompts that were not trained on."""

    before: Alignment
    after: Alignment
    n: Count
    """Prompts."""
    pooling: str
    """Which tokens of a prompt are looked at."""
    part: str
    """Site within the layer."""
    control: ControlCosine | None = None
    """None where there is no cosine."""


@dataclass(frozen=True)
class RunResults:
    """What came out of a run."""

    layers: TaughtLayers | None = None
    """None of an auxiliary process of a distributed run."""
    attribution: Attribution | None = None
    """None where the plan names its layers."""
    steps: Count | None = None
    """Done; 0 of a method without steps."""
    planned_steps: Count | None = None
    """Fewer were done where the run was stopped. None of the first version, which presented no stopped run."""
    examples: Examples | None = None
    teacher_digest: str | None = None
    """Names the teacher's weights."""
    memory: Memory | None = None
    """None of the first version, which did not measure it."""
    trained_parameters: Count | None = None
    seconds: Seconds = Seconds()
    versions: dict[str, str] = field(default_factory=dict)
    """Of the software by name, and the device."""
    changed: ChangedTensors | None = None
    """None where an adapter was trained beside the weights."""
    exported: dict[str, StudentFile] = field(default_factory=dict)
    """By path below `student/`; empty of the first version, whose student is taken as it is."""
    command: str | None = None
    """That makes the run again."""
    unmeasured: str | None = None
    """Why behaviour was not measured on this machine, in a sentence."""
    alignment: AlignmentTrace | None = None
    behaviour: Behaviour | None = None
    """None until it was measured."""
    changes: dict[str, TaskChange] = field(default_factory=dict)
    """By task, the first of them the trained one; empty until measured, or without a task."""
    right: dict[str, Answers] = field(default_factory=dict)
    """By task; empty of the first version, which kept no single answers."""
    repeats: dict[str, Count] = field(default_factory=dict)
    """By task with some, how many items repeat an earlier one word for word; earlier versions did not count them."""
    generations: list[Generation] = field(default_factory=list)

    def __post_init__(self) -> None:
        if (self.changes or self.right) and self.behaviour is None:
            raise ValueError("changes and single answers need the behaviour before and after")

    @property
    def complete(self) -> bool:
        """Whether all planned steps were done."""
        return self.steps is not None and self.steps == self.planned_steps

    def with_measured(self, alignment: AlignmentTrace, measured: Measured, seconds: float) -> RunResults:
        """The same with what was measured now; anything measured before is replaced.

        seconds: that measuring took.
        """
        spent = replace(self.seconds, evaluation=seconds)
        return replace(self, **vars(measured), alignment=alignment, seconds=spent, unmeasured=None)


def read_results(data: Mapping[str, Any], what: str) -> RunResults:
    """The results in a `results.json`. Raises StoreError in one sentence where they are not of this version or an earlier one.

    what: names the source in that sentence.
    """
    return from_json(RunResults, data, what)


def results_json(results: RunResults) -> dict[str, Any]:
    """As `results.json` holds them: without what is None or empty."""
    return to_json(results, sparse=True)


@dataclass(frozen=True)
class TrainingStep:
    """One step of a training, as a line of `events.jsonl` holds it."""

    step: Count
    """Steps done, from 1."""
    total: Count
    """Steps of the plan."""
    seconds: float
    """Since training began."""
    terms: dict[str, float | None]
    """Each term of the loss as it was added, and `cross_entropy` (nats) in any case; 0 or more, lower is better."""
    alignment: float | None = None
    """Mean cosine of the trained site to the mapped teacher in this batch, -1..1; None for methods without a map."""
    layers: list[int] = field(default_factory=list)
    """Student layers at work, for methods that train one after the other; empty for others."""
    micro_batch: int = 0
    """Examples that went through the student at once; 0 of the first version, which did not record it."""
    recall: dict[str, float] = field(default_factory=dict)
    """By task, share of some items right, 0..1; empty at steps that were not probed."""


def read_steps(events: list[dict[str, Any]], what: str) -> list[TrainingStep]:
    """The training steps among the events of a run. Raises StoreError for one that is none of this version or an earlier one."""
    steps = [{k: v for k, v in event.items() if k != "kind"} for event in events if event.get("kind") == "step"]
    return [from_json(TrainingStep, one, what) for one in steps]
