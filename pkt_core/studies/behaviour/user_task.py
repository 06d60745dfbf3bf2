"""A custom task, measured on teacher, student before and student after.

user_task  scores by each scoring, paired changes, confidence  -> UserTask  (stored)
"""

from __future__ import annotations

from pkt_core.base.fingerprint import fingerprint
from pkt_core.base.progress import Progress, silent
from pkt_core.base.store import memo
from pkt_core.data.examples import ExampleSet, encode, load_examples
from pkt_core.errors import PromptError
from pkt_core.evaluation.behaviour import answered_right, recall
from pkt_core.evaluation.calibration import calibration
from pkt_core.evaluation.choices import chance, choice_scores, own_confidence, picked_per_byte, picked_plain
from pkt_core.evaluation.record import Answers
from pkt_core.evaluation.statistics import paired_change
from pkt_core.evaluation.tasks import over_tasks
from pkt_core.models.loading import LoadedModel
from pkt_core.runs.folder import Run
from pkt_core.runs.student import open_trained
from pkt_core.studies.behaviour.record import Scored, UserTask

TASK_VERSION = 1
MOST_ITEMS = 5000


def user_task(run: Run, *, task: str, progress: Progress = silent) -> UserTask:
    """A bundled task or a .jsonl or .csv file, measured on teacher, student before and student after; computed once, then stored.

    Raises PromptError where the file is malformed or has more than 5,000 items, StoreError for a run without a stored student.
    """
    trained, items = open_trained(run), load_examples(task)
    if len(items) > MOST_ITEMS:
        raise PromptError(f"{task} has {len(items):,} items; expected at most {MOST_ITEMS:,}. Shorten it.")
    key = fingerprint(
        **trained.named,
        items=items.digest,
        groups=[e.group for e in items.items],
        run=run.id,
        task=task,
        version=TASK_VERSION,
    )

    def make() -> UserTask:
        progress("Loading teacher, student before and student after", 0.0)
        return ask_user_task(trained.load_all(), items, run=run.id, progress=progress)

    return memo("user-task", key, UserTask, make)


CLOZE, PLAIN, PER_BYTE = "cloze, greedy", "choice, log-likelihood", "choice, log-likelihood per byte"
Answered = list[tuple[bool, float]]
"""For each item, whether it is right, and the model's confidence in its answer, 0..1."""


def answers_of(loaded: LoadedModel, task: ExampleSet) -> dict[str, Answered]:
    """For each scoring and item, whether it is right and the model's confidence in its answer."""
    if task.items[0].choices:
        scores = list(zip(task.items, choice_scores(loaded, task.items), strict=True))
        return {
            PLAIN: [picked_plain(item, one) for item, one in scores],
            PER_BYTE: [picked_per_byte(item, one) for item, one in scores],
        }
    confidence = own_confidence(loaded, encode(loaded.tokenizer, task.items, loaded.context))
    return {CLOZE: list(zip(answered_right(loaded, task), confidence, strict=True))}


def ask_user_task(models: dict[str, LoadedModel], task: ExampleSet, *, run: str, progress: Progress) -> UserTask:
    """Multiple choice by both likelihoods where items have choices, else the whole answer by greedy decoding."""
    answered: dict[str, dict[str, Answered]] = {}
    for i, (who, loaded) in enumerate(models.items()):
        progress(f"Measuring the {'teacher' if who == 'teacher' else f'student {who}'}", 0.2 + 0.25 * i)
        answered[who] = answers_of(loaded, task)
    right = {
        scoring: {who: "".join("01"[ok] for ok, _ in by_scoring[scoring]) for who, by_scoring in answered.items()}
        for scoring in answered["before"]
    }
    flags = {
        who: {scoring: [ok for ok, _ in items] for scoring, items in by_scoring.items()}
        for who, by_scoring in answered.items()
    }
    changes = {scoring: paired_change(flags["before"][scoring], flags["after"][scoring]) for scoring in right}
    tests = over_tasks(changes, {scoring: Answers(**answers) for scoring, answers in right.items()})
    scored = [
        Scored(
            scoring=scoring,
            chance=task.prior() if scoring == CLOZE else chance(task.items),
            models={who: recall(by_scoring[scoring]) for who, by_scoring in flags.items()},
            change=changes[scoring],
            test=tests[scoring],
            right=right[scoring],
            calibration={
                who: calibration([confidence for _, confidence in by_scoring[scoring]], flags[who][scoring])
                for who, by_scoring in answered.items()
            },
        )
        for scoring in right
    ]
    return UserTask(run, task.name, len(task), task.digest, scored, [(item.prompt, item.answer) for item in task.items])
