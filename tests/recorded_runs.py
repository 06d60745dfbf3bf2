"""Results and training steps of the runs that ship with the project, read through the codec, and variations of them."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from typing import Any

from pkt_core.base.records import to_json
from pkt_core.data.prompts import assets_folder
from pkt_core.evaluation.behaviour import recall
from pkt_core.evaluation.record import Answers, Behaviour, Generation, ModelBehaviour, TaskChange, right
from pkt_core.evaluation.statistics import paired_change
from pkt_core.runs.results import RunResults, TrainingStep, read_results, read_steps

HOSTILE = "<script>alert(1)</script> [x](http://evil) $a$ **b** <b>c</b>"
NAME = "demo-semalign-v1"


@functools.cache
def results(name: str = NAME) -> RunResults:
    """What came out of a recorded run."""
    return read_results(json.loads((assets_folder() / "recorded" / name / "results.json").read_text()), name)


@functools.cache
def steps(name: str = NAME) -> list[TrainingStep]:
    """Its training steps, 300 of them; every 25th was probed."""
    lines = (assets_folder() / "recorded" / name / "events.jsonl").read_text().splitlines()
    return read_steps([{k: v for k, v in json.loads(line).items() if k != "sum"} for line in lines], name)


def step(i: int, total: int = 20) -> TrainingStep:
    """The recorded step of that number, as one of so many."""
    return replace(steps()[(i - 1) % len(steps())], step=i, total=total)


def event(i: int, total: int = 20) -> dict[str, Any]:
    """The same as a line of events."""
    return {"kind": "step", **to_json(step(i, total))}


def hostile() -> RunResults:
    """The recorded results with a generation that no page may run."""
    row = Generation(prompt=HOSTILE, expected=" x.", before=" y.", after=HOSTILE, teacher=" x.")
    return replace(results(), generations=[row])


def answering(answers: dict[str, Answers], of: RunResults | None = None) -> RunResults:
    """Results with these tasks instead: what each item was answered, and all that follows from it."""
    whole = of or results()
    assert whole.behaviour is not None

    def asked(who: str, model: ModelBehaviour) -> ModelBehaviour:
        return replace(
            model, tasks={task: recall(right(said)) for task, one in answers.items() if (said := getattr(one, who))}
        )

    models = dict(whole.behaviour.by_model())
    changes = {
        task: TaskChange(**vars(paired_change(right(one.before or "0" * len(one.after)), right(one.after))), prior=0.1)
        for task, one in answers.items()
    }
    behaviour = Behaviour(**{who: asked(who, model) for who, model in models.items()})
    return replace(whole, behaviour=behaviour, changes=changes, right=answers, repeats={})
