"""The stage that asks teacher, student before and student after a task of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from pkt_core.evaluation.behaviour import answered_right, recall
from pkt_core.evaluation.calibration import calibration
from pkt_core.evaluation.choices import chance, choice_scores, own_confidence, picked_per_byte, picked_plain
from pkt_core.evaluation.statistics import paired_change
from pkt_core.evaluation.tasks import over_tasks
from pkt_core.examples import ExampleSet, encode
from pkt_core.models.loading import LoadedModel
from pkt_core.task_results import Scored, UserTask

Progress = Callable[[str, float], None]
CLOZE, PLAIN, PER_BYTE = "cloze, greedy", "choice, log-likelihood", "choice, log-likelihood per byte"
Answers = list[tuple[bool, float]]


def answers_of(loaded: LoadedModel, task: ExampleSet) -> dict[str, Answers]:
    """For each scoring and item, whether it is right and how sure the model was of what it said."""
    if task.items[0].choices:
        scores = list(zip(task.items, choice_scores(loaded, task.items), strict=True))
        return {
            PLAIN: [picked_plain(item, one) for item, one in scores],
            PER_BYTE: [picked_per_byte(item, one) for item, one in scores],
        }
    sure = own_confidence(loaded, encode(loaded.tokenizer, task.items, loaded.context))
    return {CLOZE: list(zip(answered_right(loaded, task), sure, strict=True))}


def user_task(models: dict[str, LoadedModel], task: ExampleSet, *, run: str, progress: Progress) -> UserTask:
    """Multiple choice by both likelihoods where items have choices, else the whole answer by greedy decoding."""
    found: dict[str, dict[str, Answers]] = {}
    for i, (who, loaded) in enumerate(models.items()):
        progress(f"Asking the {'teacher' if who == 'teacher' else f'student {who}'}", 0.2 + 0.25 * i)
        found[who] = answers_of(loaded, task)
    right = {
        scoring: {who: "".join("01"[ok] for ok, _ in told[scoring]) for who, told in found.items()}
        for scoring in found["before"]
    }
    said = {who: {scoring: [ok for ok, _ in one] for scoring, one in told.items()} for who, told in found.items()}
    changes = {scoring: asdict(paired_change(said["before"][scoring], said["after"][scoring])) for scoring in right}
    tests = over_tasks(changes, right)
    scored = [
        Scored(
            scoring=scoring,
            chance=task.prior() if scoring == CLOZE else chance(task.items),
            models={who: recall(told[scoring]) for who, told in said.items()},
            change=changes[scoring],
            test=asdict(tests[scoring]),
            right=right[scoring],
            calibration={
                who: asdict(calibration([sure for _, sure in told[scoring]], said[who][scoring]))
                for who, told in found.items()
            },
        )
        for scoring in right
    ]
    return UserTask(run, task.name, len(task), task.digest, scored, [(item.prompt, item.answer) for item in task.items])
