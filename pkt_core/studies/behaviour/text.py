"""What changed, and at what cost: headlines, captions and tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from pkt_core.evaluation.record import Answers, Behaviour, Generation, ModelBehaviour, TaskChange, TextMeasure
from pkt_core.evaluation.statistics import SURE, Change
from pkt_core.evaluation.tasks import TaskTest
from pkt_core.runs.family import Seeds
from pkt_core.runs.results import AlignmentTrace, RunResults, TrainingStep
from pkt_core.studies.behaviour.figures import DECADES, every, losses
from pkt_core.studies.behaviour.record import Controls
from pkt_core.words import style
from pkt_core.words.style import WHO, number, percent, task_name

AGAINST = (
    "Change by task (after − before) of this run and of its controls, with 95 % intervals. The table gives the paired difference, run minus control, "
    "with McNemar's p, Holm-corrected over all rows. A control that changes as much as the run refutes that the component it removes caused the change. "
    "There is one run of each, so these intervals exclude variation between seeds."
)


TRAINING = "Left: the terms of the loss, as they were summed."
BEHAVIOUR = (
    "Share of items whose whole answer is right; whiskers are 95 % intervals (Wilson). The grey tick is the majority-answer baseline. "
    "If the interval of `after` covers `before`, or the permuted vocabulary gains as much, the transfer is refuted."
)
COMPARISON = (
    "After minus before on the same items, in percentage points; whiskers are 95 % intervals of the paired difference. "
    "A gain on one task with a loss on another is a trade-off. If an interval covers zero, no change was detected."
)


GENERAL = (
    "Bits per byte on general text (lower is better), and the distance from the student's next-token distribution to the teacher's: "
    "KL (lower is closer), and the share of tokens (0..1) with the same most likely token. In brackets, 95 % bootstrap intervals over texts. "
    "A rise in bits per byte is a cost of the transfer."
)
ALIGNMENT_CHANGE = (
    "The trained layer before and after the transfer. These prompts may include training prompts. The layer term optimises the cosine; if the "
    "permuted vocabulary rises as much, the rise does not depend on token meaning. CKA was not optimised."
)


PLAN = "All settings that can change the result. Layers are counted from 0."
VERSIONS = "The same plan with the same versions on the same type of machine gives the same weights."


CHANGES = (
    "Gain: after − before on the same items, percentage points, with a paired 95 % interval. Gap: teacher − after. p: McNemar's exact test; Holm corrects it over the tasks "
    "of this run. `Detectable`: the smallest change this test finds with 80 % power at this n and share of changed answers. A smaller, non-significant "
    "change is not evidence of no effect."
)
WORSE = (
    "Tasks and general text, worst first. Relative loss: the change as a share of the value before, or the factor where the value more than doubled. "
    "Significant: p (Holm) below 0.05 for tasks; 95 % intervals that do not overlap for general text. If no row appears, measure side effects on more "
    "text before concluding that there are none."
)
SEEDS = "One point per seed of the same plan. Intervals over items exclude variation between seeds. If the points of a task lie on both sides of `before`, the gain does not replicate across seeds."
ITEMS_RELIABILITY = (
    "Items in ten equal-count bins by confidence; whiskers are 95 % intervals (Wilson). Confidence is the probability of the model's own answer: of its choice among the "
    "choices, or of as many tokens as the expected answer has. Below the dashed line a model is overconfident."
)
OWN_TASK = (
    "Share of items right under each scoring; whiskers are 95 % intervals (Wilson), the grey tick is chance. Raw log-likelihood favours short choices, "
    "per-byte log-likelihood long ones: a change under only one of them reflects length. If the interval of `after` covers `before`, no change was detected."
)


def training(steps: Sequence[TrainingStep]) -> str:
    """How to read the curves of these steps, and what they cannot show."""
    sentences = [TRAINING]
    aligned = any(step.alignment is not None for step in steps)
    has_recall = any(step.recall for step in steps)
    if aligned:
        sentences.append(
            "Right: the mean cosine between the trained student layer and the mapped teacher in each batch. It is the training objective and "
            "rises by design, so only behaviour on the tasks can show a transfer of knowledge."
        )
    if has_recall:
        sentences.append(
            f"{'Markers' if aligned else 'Right, markers'}: the share of a few items of each task answered right during training; too few "
            "for a test, enough to see a task being forgotten."
        )
    if not aligned and not has_recall:
        sentences.append(
            "Nothing is drawn on the right: this method trains no cosine, and no task was measured during training."
        )
    if (stride := every(steps)) > 1:
        sentences.append(f"For loss and cosine, one step in {stride} is drawn.")
    values = losses(steps)
    if values and min(values) < max(values) / 10**DECADES:
        sentences.append(
            f"The loss axis ends {10**DECADES:,} times below the largest value; smaller values are cut off."
        )
    return " ".join(sentences)


def behaviour(results: RunResults) -> str:
    """The largest gain and the largest loss beyond chance, in percentage points, and the cost on general text."""
    if not results.changes:
        return "No task was measured in this run."
    ranked = sorted(results.changes.items(), key=lambda item: item[1].difference)
    (best, gain), (worst, loss) = ranked[-1], ranked[0]
    parts = [moved("gained", best, gain)] if gain.better else []
    parts += [moved("lost", worst, loss)] if loss.worse else []
    headline = "The student " + " and ".join(parts) if parts else "No task changed beyond chance"
    if results.behaviour is not None and (bits := results.behaviour.bits_per_byte):
        before, after = (number(one.value) for one in bits)
        return f"{headline}. General text: {before} bits per byte before, {after} after."
    return f"{headline}."


def moved(verb: str, task: str, change: Change) -> str:
    """`gained 12 points on new facts`."""
    return f"{verb} {100 * abs(change.difference):.0f} points on {task_name(task)}"


def beside_control(changes: Mapping[str, Change], control: Mapping[str, Change], name: str) -> str:
    """The gain of a control on the task where the run gained most."""
    task = max(changes, key=lambda task: changes[task].difference)
    if task not in control:
        return f"The control ({name}) was not measured on {task_name(task)}."
    gain, control_gain = (f"{100 * one[task].difference:+.1f}" for one in (changes, control))
    return (
        f"On {task_name(task)}, the control ({name}, all else equal) changed by {control_gain} points, the transfer by {gain}. "
        "The page Behaviour tests the difference."
    )


def controls(beside: Controls) -> str:
    """How many controls there are, how many were run, and whether the run is better than every one of them."""
    if not beside.controls:
        return "This run has no control: its method has none, or its plan is of another version."
    n, done = len(beside.controls), len(beside.carried_out)
    if not done:
        return f"None of this run's {n} controls was run, so the cause of its change is unknown."
    they = "it" if done == 1 else "each of them"
    verdict = (
        f"better than {they} on {', '.join(map(task_name, beside.beyond))}"
        if beside.beyond
        else f"on no task better than {they}"
    )
    return (
        f"{done} of {n} controls {'was' if done == 1 else 'were'} run; the transfer is {verdict} (p < {SURE:g}, Holm)."
    )


def controls_table(beside: Controls) -> pd.DataFrame:
    """One row per control and task; a control that was not run has a single row with `not run`."""
    rows: list[dict[str, Any]] = []
    for one in beside.controls:
        head = {"control": one.name, "removes": one.purpose, "run": one.run or "not run"}
        rows += [head | left(task, change) for task, change in one.left.items()] or [head]
    return pd.DataFrame(rows).fillna("–")


def left(task: str, change: Change) -> dict[str, Any]:
    """The paired difference between run and control, as text."""
    points = [style.number(100 * value, 1) for value in (change.difference, change.low, change.high)]
    return {
        "task": task_name(task),
        "right, control": f"{100 * change.before:.1f} %",
        "right, this run": f"{100 * change.after:.1f} %",
        "difference (points)": f"{points[0]} [{points[1]}, {points[2]}]",
        "p (Holm)": style.p_value(change.p_value).removeprefix("= "),
    }


def worse(table: pd.DataFrame) -> str:
    """How many measures got significantly worse, and the worst by name."""
    sure = table[table["sure"]]
    if table.empty:
        return "No measure got worse."
    if sure.empty:
        return f"No measure got significantly worse; {len(table)} got worse within chance."
    first = sure.iloc[0]
    more = f", and {len(sure) - 1} more" if len(sure) > 1 else ""
    return f"Significantly worse: {first['what']} {worse_by(first['share'])}{more}."


def repeated(task: str, repeats: int, n: int) -> str:
    """That a task contains items more than once."""
    return (
        f"{repeats:,} of the {n:,} items of {task_name(task)} repeat an earlier item exactly but count separately, "
        "so its interval is too narrow and its p-value too small."
    )


def turned(answers: Mapping[str, Answers]) -> str:
    """How many items that were right before were forgotten, and how many are newly right; `answers` by task."""
    lost, won = (sum(len(ways(one)[i]) for one in answers.values()) for i in (0, 1))
    had = sum(right_before(one) for one in answers.values())
    share = f" ({percent(lost / had, 1)} of them)" if had else ""
    return f"Of {had:,} items right before, {lost:,} were forgotten{share}; {won:,} are newly right."


def ways(answers: Answers) -> tuple[list[int], list[int]]:
    """Items that were forgotten, and those that are newly right."""
    return answers.forgotten, answers.newly_right


def right_before(answers: Answers) -> int:
    return (answers.before or "").count("1")


def seeds(replicates: Seeds) -> str:
    """How many seeds there are of this plan, and their largest range."""
    n = len(replicates.seeds)
    if n < 2 or replicates.widest is None:
        return f"Only one seed of {replicates.label} was run, so the variation between seeds is unknown."
    widest, low, high = replicates.widest
    return (
        f"{n} seeds of {replicates.label} in the family {replicates.family}; their range is widest on {task_name(widest)}, "
        f"{percent(low, 1)} to {percent(high, 1)}."
    )


def alignment(trace: AlignmentTrace) -> str:
    """Alignment before and after in one sentence, with its control."""
    before, after, control = trace.before, trace.after, trace.control
    sentence = (
        f"At the trained layer pair ({trace.part}, {trace.pooling} token of {trace.n} prompts), debiased CKA went from "
        f"{number(before.cka)} to {number(after.cka)}"
    )
    if after.cosine is not None:
        sentence += f" and the cosine to the mapped teacher from {number(before.cosine)} to {number(after.cosine)}"
        if control is not None:
            sentence += f" (permuted vocabulary: {number(control.before)} to {number(control.after)})"
    return f"{sentence}. These prompts may include training prompts. The cosine was the training objective; its rise is no evidence of knowledge."


def alignment_table(trace: AlignmentTrace) -> pd.DataFrame:
    """Cosine and CKA of the trained layer before and after, with the permuted vocabulary beside them."""
    control = (None, None) if trace.control is None else (trace.control.before, trace.control.after)
    return pd.DataFrame(
        [
            {
                "Student": when,
                "Cosine to the mapped teacher": number(one.cosine, 3),
                "Cosine, vocabulary permuted": number(beside, 3),
                "Debiased CKA": number(one.cka, 3),
                "Prompts": f"{trace.n:,}",
            }
            for when, one, beside in zip(("before", "after"), (trace.before, trace.after), control, strict=True)
        ]
    )


def steps_table(steps: Sequence[TrainingStep]) -> pd.DataFrame:
    """One row per step: seconds, loss terms, alignment."""
    return pd.DataFrame([{"step": s.step, "seconds": s.seconds, **s.terms, "alignment": s.alignment} for s in steps])


def behaviour_table(behaviour: Behaviour) -> pd.DataFrame:
    """One row per task and model: share right, interval, n."""
    return pd.DataFrame(
        [
            {"task": task, "model": who, "rate": r.rate, "low": r.low, "high": r.high, "correct": r.correct, "n": r.n}
            for who, model in behaviour.by_model()
            for task, r in model.tasks.items()
        ]
    )


def changes_table(changes: Mapping[str, TaskChange]) -> pd.DataFrame:
    """One row per task: before, after, the paired difference with interval and p, n, prior."""
    return pd.DataFrame([{"task": task, **vars(change)} for task, change in changes.items()])


SIDE_EFFECTS: tuple[tuple[str, Callable[[ModelBehaviour], TextMeasure | None], bool], ...] = (
    ("Bits per byte (general text)", lambda model: model.bits_per_byte, True),
    ("KL to the teacher (general text, bits per token)", lambda model: model.kl_to_teacher, True),
    ("Same most likely token as the teacher (general text)", lambda model: model.top1_agreement, False),
)
"""Label, how it is read from a model's behaviour, whether larger is worse."""


def points(value: float | None, *, sign: bool = True) -> str:
    """A share as percentage points."""
    return "–" if value is None else f"{100 * value:{'+' if sign else ''}.1f}".replace("-", "−")


def changes_shown(changes: Mapping[str, TaskChange], tests: Mapping[str, TaskTest] | None = None) -> pd.DataFrame:
    """Paired changes as text with sensible digits: gain over the student, gap to the teacher, raw and corrected p, minimum detectable change."""
    rows = []
    for task, c in changes.items():
        row = {
            "Task": task_name(task),
            "Prior": percent(c.prior, 1),
            "Before": percent(c.before, 1),
            "After": percent(c.after, 1),
            "Gain (points)": f"{points(c.difference)} [{points(c.low)}, {points(c.high)}]",
        }
        if tests is not None and (t := tests.get(task)):
            interval = "" if t.gap is None else f" [{points(t.gap_low)}, {points(t.gap_high)}]"
            row["Gap to teacher"] = points(t.gap) + interval
            row["p"] = style.p_value(c.p_value).removeprefix("= ")
            row["p (Holm)"] = style.p_value(t.p_holm).removeprefix("= ")
            row["n"] = f"{c.n:,}"
            row["Detectable"] = "nothing" if t.detectable is None else f"{points(t.detectable, sign=False)} points"
        else:
            row |= {"p": style.p_value(c.p_value).removeprefix("= "), "n": f"{c.n:,}"}
        rows.append(row)
    return pd.DataFrame(rows)


def general_shown(behaviour: Behaviour) -> pd.DataFrame:
    """Side effects on general text as text: one row per measure; before, after and teacher with their 95 % intervals."""
    models = dict(behaviour.by_model())
    rows = []
    for label, find, _ in SIDE_EFFECTS:
        row: dict[str, Any] = {"Measure": label}
        for who in WHO:
            measured = find(models[who]) if who in models else None
            row[who.capitalize()] = (
                f"{number(measured.value, 3)} ({number(measured.low, 3)} to {number(measured.high, 3)})"
                if measured
                else "–"
            )
        rows.append(row)
    return pd.DataFrame(rows)


def worsened(results: RunResults, tests: Mapping[str, TaskTest] | None = None) -> pd.DataFrame:
    """All measures that are worse after than before, tasks and general text, worst first: loss as a share of the value before.

    `sure`: for a task, beyond chance, corrected over tasks where there are tests; for general text, intervals that do not overlap.
    """
    rows: list[dict[str, Any]] = []
    for task, c in results.changes.items():
        if c.difference < 0:
            sure = tests[task].sure if tests and task in tests else c.sure
            values = {"what": f"Answers to {task_name(task)}", "before": c.before, "after": c.after}
            rows.append({**values, "share": -c.difference / c.before, "sure": sure, "unit": "% right"})
    behaviour = results.behaviour
    for label, find, more_is_worse in SIDE_EFFECTS:
        old, new = (find(behaviour.before), find(behaviour.after)) if behaviour is not None else (None, None)
        if not old or not new or (new.value > old.value) != more_is_worse or not old.value:
            continue
        rows.append(
            {
                "what": label,
                "before": old.value,
                "after": new.value,
                "share": abs(new.value - old.value) / old.value,
                "sure": new.above(old) if more_is_worse else old.above(new),
                "unit": "" if more_is_worse else "% of tokens",
            }
        )
    columns = ["what", "before", "after", "share", "sure", "unit"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        ["sure", "share"], ascending=False, kind="stable", ignore_index=True
    )


def outcome(results: RunResults) -> dict[str, float]:
    """The outcome of a run as changes: `taught` and `lost most` in percentage points, `bits per byte`; only those measured."""
    outcomes: dict[str, float] = {}
    if changes := [100 * change.difference for change in results.changes.values()]:
        outcomes["taught"] = changes[0]
        if min(changes) < 0:
            outcomes["lost most"] = min(changes)
    if results.behaviour is not None and (bits := results.behaviour.bits_per_byte):
        before, after = bits
        outcomes["bits per byte"] = after.value - before.value
    return outcomes


def worse_by(share: float) -> str:
    """A loss relative to the value before, as text: a percentage, or a factor from twice the value on."""
    return (
        f"by {style.percent(share, 1)} of the value before" if share < 1 else f"at {times(1 + share)} the value before"
    )


def times(factor: float) -> str:
    """`7.0 times`: two significant digits, or all before the decimal point."""
    return f"{style.number(factor, 1 if factor < 9.95 else 0)} times"


def worsened_shown(table: pd.DataFrame) -> pd.DataFrame:
    """The same as text."""

    def shown(value: float, unit: str) -> str:
        return f"{100 * value:.1f} {unit}" if unit else style.number(value, 3)

    return pd.DataFrame(
        {
            "Measure": table["what"],
            "Before": [shown(v, u) for v, u in zip(table["before"], table["unit"], strict=True)],
            "After": [shown(v, u) for v, u in zip(table["after"], table["unit"], strict=True)],
            "Relative loss": [style.percent(v, 1) if v < 1 else times(1 + v) for v in table["share"]],
            "Significant": ["yes" if sure else "no" for sure in table["sure"]],
        }
    )


FORGOTTEN, NEWLY_RIGHT = "forgotten", "newly right"


def turned_table(
    answers: Mapping[str, Answers],
    items: Mapping[str, Sequence[tuple[str, str]]],
    shown: Collection[str] = (FORGOTTEN, NEWLY_RIGHT),
) -> pd.DataFrame:
    """One row per item that changed: task, number, prompt, answer, and whether it was forgotten or is newly right.

    items: prompt and answer of all items, by task.
    """
    rows = [
        {"turned": way, "task": task_name(task), "item": i, "prompt": items[task][i][0], "answer": items[task][i][1].strip()}
        for task, one in answers.items()
        for way, numbers in zip((FORGOTTEN, NEWLY_RIGHT), ways(one), strict=True)
        if way in shown
        for i in numbers
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["turned", "task", "item", "prompt", "answer"])


def turned_counts(answers: Mapping[str, Answers]) -> pd.DataFrame:
    """One row per task: how many items were right before, how many of them were forgotten, how many are newly right."""
    return pd.DataFrame(
        [
            {
                "Task": task_name(task),
                "Right before": f"{right_before(one):,}",
                "Forgotten": f"{len(one.forgotten):,}",
                "Newly right": f"{len(one.newly_right):,}",
                "Items": f"{len(one.after):,}",
            }
            for task, one in answers.items()
        ]
    )


def generations_table(rows: Sequence[Generation]) -> pd.DataFrame:
    """One row per prompt: the expected answer, and the continuations of student before, student after and teacher."""
    return pd.DataFrame(list(rows), columns=["prompt", "expected", "before", "after", "teacher"])


def seeds_table(replicates: Seeds) -> pd.DataFrame:
    """One row per seed and task."""
    return pd.DataFrame(
        [
            {"label": replicates.label, "run": one.run, "seed": one.seed, "task": task, "after": rate}
            for one in replicates.seeds
            for task, rate in one.tasks.items()
        ]
    )
