"""What changed, and at what cost, in words: answers, captions and tables."""

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
from pkt_core.words.style import WHO, number, p_value, percent, task_name

AGAINST = (
    "Change by task (after less before) of this run and of its controls, with 95 % intervals; below, what is left of the run when a control is "
    "taken off, item by item, with McNemar's p corrected by Holm over all rows. A control that reaches as far as the run refutes that what it "
    "takes away did the work. One run each: how much another seed would differ is not in these intervals."
)


TRAINING = "Left, the terms of the loss as they were added."
BEHAVIOUR = (
    "Share of items whose whole answer comes out right; whiskers are 95 % intervals (Wilson), the grey tick is the prior, "
    "which needs no knowledge of the single fact. An `after` whose whisker covers `before`, or the same gain under the "
    "permuted vocabulary, would refute the transfer."
)
COMPARISON = (
    "After minus before on the same items, in percentage points, whiskers are 95 % intervals of the paired difference. "
    "A gain right of zero beside a loss left of it is a trade, not a transfer. Whiskers across zero show no change."
)


GENERAL = (
    "Bits per byte on general text that no model was trained on (lower is better), and how near the student's next-token "
    "distribution is to the teacher's: KL (lower is nearer), and the share of tokens (0..1) where both find the same one most "
    "likely. In brackets, 95 % bootstrap intervals over texts. Bits per byte that rise are the price of the transfer."
)
ALIGNMENT_CHANGE = (
    "The trained layer on prompts outside the training data. The cosine is what the layer term raises; a rise that the permuted "
    "vocabulary shows as well is not about meaning. CKA was not trained."
)


PLAN = "Everything that could change the result. Layers are counted from 0."
VERSIONS = "The same plan on the same versions and kind of machine gives the same weights."


CHANGES = (
    "Gain: after − before on the same items, percentage points, with a paired 95 % interval. Gap: teacher − after. p: McNemar's exact test; Holm corrects it over the tasks "
    "of this run. `n can show`: the smallest change that so many items find four times in five, where as many answers turn as turned here; a smaller "
    "gain that is not significant is not evidence of none."
)
WORSE = (
    "Tasks and general text alike, worst first: the loss as a share of what was there before, or, where that is more than doubled, how many times as much it is now. Beyond chance: for tasks p (Holm) below 0.05, for general text 95 % intervals "
    "that do not touch. A transfer without a row here is suspicious until its side effects were measured on more text."
)
SEEDS = "One point per seed of the same plan. Whiskers over items say nothing of another seed; if the points of one task lie on both sides of `before`, the gain is luck."
ITEMS_RELIABILITY = (
    "Items in ten bins of equal number by confidence; whiskers are 95 % intervals (Wilson). Confidence is the probability of what the model says itself: of its choice among the "
    "choices, or of as many tokens as the expected answer has. Below the dashed line a model is surer than it is right."
)
OWN_TASK = (
    "Share of items right by each scoring; whiskers are 95 % intervals (Wilson), the grey tick is what no knowledge gives. Log-likelihood as it stands favours short choices, "
    "per byte long ones: a change that only one of them shows is one of length. An `after` whose whisker covers `before` shows no change."
)


def training(steps: Sequence[TrainingStep]) -> str:
    """How to read the curves of these steps, and what they cannot show."""
    said = [TRAINING]
    aligned = any(step.alignment is not None for step in steps)
    asked = any(step.recall for step in steps)
    if aligned:
        said.append(
            "Right, the mean cosine between the trained student layer and the mapped teacher in each batch: it is what is being "
            "trained and rises by design, so only behaviour on held-out tasks can show that knowledge crossed."
        )
    if asked:
        said.append(
            f"{'Marks' if aligned else 'Right, marks'}: the share of some items of each task answered right on the way; too few "
            "for a verdict, enough to see a task being forgotten."
        )
    if not aligned and not asked:
        said.append("Nothing is drawn on the right: this method trains no cosine, and no task was asked on the way.")
    if (apart := every(steps)) > 1:
        said.append(f"Of loss and cosine, one step in {apart} is drawn.")
    values = losses(steps)
    if values and min(values) < max(values) / 10**DECADES:
        said.append(
            f"The axis of the loss ends {10**DECADES:,} times below its largest value; what is smaller is cut off."
        )
    return " ".join(said)


def behaviour(results: RunResults) -> str:
    """The largest gain and the largest loss, with their p-values, and what it cost on general text."""
    if not results.changes:
        return "No task was measured in this run."
    ranked = sorted(results.changes.items(), key=lambda item: item[1].difference)
    (best, gain), (worst, loss) = ranked[-1], ranked[0]
    parts = [moved("gained", best, gain)] if gain.better else []
    parts += [moved("lost", worst, loss)] if loss.worse else []
    said = "The student " + " and ".join(parts) if parts else "No task changed beyond chance"
    if results.behaviour is not None and (bits := results.behaviour.bits_per_byte):
        before, after = (number(one.value) for one in bits)
        said += f"; general text costs {before} bits per byte before, {after} after"
    return said + "."


def moved(word: str, task: str, change: Change) -> str:
    return f"{word} on {task_name(task)} ({percent(change.before)} to {percent(change.after)}, p {p_value(change.p_value)})"


def beside_control(changes: Mapping[str, Change], control: Mapping[str, Change], name: str) -> str:
    """What a control gained where the run gained most."""
    task = max(changes, key=lambda task: changes[task].difference)
    if task not in control:
        return f"The control ({name}) was not asked {task_name(task)}."
    own, theirs = (f"{100 * one[task].difference:+.1f}" for one in (changes, control))
    return (
        f"The control ({name}, all else the same) moved {task_name(task)} by {theirs} points, the transfer by {own}; "
        "the page Behaviour tells whether that is beyond chance."
    )


def controls(found: Controls) -> str:
    """How many controls there are, how many were carried out, and whether a gain is left beyond every one of them."""
    if not found.controls:
        return "There is no control of this run: its method has none, or its plan is of another version."
    n, done = len(found.controls), len(found.carried_out)
    if not done:
        return f"None of this run's {n} controls was carried out, so nothing says what its change is due to."
    they = "it" if done == 1 else "each of them"
    kept = (
        f"better than {they} on {', '.join(map(task_name, found.beyond))}"
        if found.beyond
        else f"on no task better than {they}"
    )
    return (
        f"{done} of {n} controls {'was' if done == 1 else 'were'} carried out; the run is {kept} (p < {SURE:g}, Holm)."
    )


def controls_table(found: Controls) -> pd.DataFrame:
    """One row per control and task; a control that was not carried out has one row that says so."""
    rows: list[dict[str, Any]] = []
    for one in found.controls:
        said = {"control": one.name, "takes away": one.purpose, "run": one.run or "not carried out"}
        rows += [said | left(task, change) for task, change in one.left.items()] or [said]
    return pd.DataFrame(rows).fillna("–")


def left(task: str, change: Change) -> dict[str, Any]:
    """A difference to a control as people read it."""
    points = [style.number(100 * value, 1) for value in (change.difference, change.low, change.high)]
    return {
        "task": task_name(task),
        "right after the control": f"{100 * change.before:.1f} %",
        "right after this run": f"{100 * change.after:.1f} %",
        "left of it (points)": f"{points[0]} [{points[1]}, {points[2]}]",
        "p (Holm)": style.p_value(change.p_value).removeprefix("= "),
    }


def worse(table: pd.DataFrame) -> str:
    """How much got worse, and the worst of it by name."""
    sure = table[table["sure"]]
    if table.empty:
        return "Nothing that was measured got worse."
    if sure.empty:
        return (
            f"Nothing got worse beyond chance; {len(table)} of the measured things are lower or dearer within chance."
        )
    first = sure.iloc[0]
    more = f", and {len(sure) - 1} more" if len(sure) > 1 else ""
    return f"Worse beyond chance: {first['what']} {worse_by(first['share'])}{more}."


def repeated(task: str, repeats: int, n: int) -> str:
    """That a task asks items more than once."""
    return (
        f"{repeats:,} of the {n:,} items of {task_name(task)} repeat an earlier one word for word and count as items of their own, "
        "so its interval and p-value are surer than they should be."
    )


def turned(answers: Mapping[str, Answers]) -> str:
    """How many items that were right before were forgotten, and how many are newly right; `answers` by task."""
    lost, won = (sum(len(ways(one)[i]) for one in answers.values()) for i in (0, 1))
    had = sum(right_before(one) for one in answers.values())
    share = f" ({percent(lost / had, 1)} of them)" if had else ""
    return f"Of {had:,} items that were right before, {lost:,} were forgotten{share}; {won:,} are newly right."


def ways(answers: Answers) -> tuple[list[int], list[int]]:
    """Items that were forgotten, and those that are newly right."""
    return answers.forgotten, answers.newly_right


def right_before(answers: Answers) -> int:
    return (answers.before or "").count("1")


def seeds(found: Seeds) -> str:
    """How many seeds there are of this plan, and how far they scatter at most."""
    n = len(found.seeds)
    if n < 2 or found.widest is None:
        return f"One seed of {found.label} alone: how far another seed would fall from it is not known."
    widest, low, high = found.widest
    return (
        f"{n} seeds of {found.label} in the family {found.family}; they scatter most on {task_name(widest)}, "
        f"{percent(low, 1)} to {percent(high, 1)}."
    )


def alignment(trace: AlignmentTrace) -> str:
    """Alignment before and after in one sentence, with its control."""
    before, after, control = trace.before, trace.after, trace.control
    words = (
        f"At the trained pair of layers ({trace.part}, {trace.pooling} token of {trace.n} prompts), debiased CKA went from "
        f"{number(before.cka)} to {number(after.cka)}"
    )
    if after.cosine is not None:
        words += f" and the cosine to the mapped teacher from {number(before.cosine)} to {number(after.cosine)}"
        if control is not None:
            words += f" (permuted vocabulary: {number(control.before)} to {number(control.after)})"
    return (
        words
        + ". Both were measured on prompts the run did not train on; a cosine that rises is what was trained, not yet knowledge."
    )


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
"""Label, where it is found, whether more is worse."""


def points(value: float | None, *, sign: bool = True) -> str:
    """A share as percentage points."""
    return "–" if value is None else f"{100 * value:{'+' if sign else ''}.1f}".replace("-", "−")


def changes_shown(changes: Mapping[str, TaskChange], tests: Mapping[str, TaskTest] | None = None) -> pd.DataFrame:
    """Paired changes as text with sensible digits: gain over the student, gap to the teacher, raw and corrected p, what n can show."""
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
            row["n can show"] = "nothing" if t.detectable is None else f"{points(t.detectable, sign=False)} points"
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
            found = find(models[who]) if who in models else None
            row[who.capitalize()] = (
                f"{number(found.value, 3)} ({number(found.low, 3)} to {number(found.high, 3)})" if found else "–"
            )
        rows.append(row)
    return pd.DataFrame(rows)


def worsened(results: RunResults, tests: Mapping[str, TaskTest] | None = None) -> pd.DataFrame:
    """Everything that is worse after than before, tasks and general text alike, worst first: loss as a share of what was there.

    `sure`: for a task, beyond chance, corrected over tasks where there are tests; for general text, intervals that do not touch.
    """
    rows: list[dict[str, Any]] = []
    for task, c in results.changes.items():
        if c.difference < 0:
            sure = tests[task].sure if tests and task in tests else c.sure
            said = {"what": f"Answers to {task_name(task)}", "before": c.before, "after": c.after}
            rows.append({**said, "share": -c.difference / c.before, "sure": sure, "unit": "% right"})
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
    """What a run came to, as changes: `taught` and `lost most` in percentage points, `bits per byte`; only what was measured."""
    found: dict[str, float] = {}
    if changes := [100 * change.difference for change in results.changes.values()]:
        found["taught"] = changes[0]
        if min(changes) < 0:
            found["lost most"] = min(changes)
    if results.behaviour is not None and (bits := results.behaviour.bits_per_byte):
        before, after = bits
        found["bits per byte"] = after.value - before.value
    return found


def worse_by(share: float) -> str:
    """A loss as a share of what was there, in words: as a factor from twice as much on."""
    return f"by {style.percent(share, 1)} of what it was" if share < 1 else f"rose to {times(1 + share)} what it was"


def times(factor: float) -> str:
    """`7.0 times`: two digits, or all before the point."""
    return f"{style.number(factor, 1 if factor < 9.95 else 0)} times"


def worsened_shown(table: pd.DataFrame) -> pd.DataFrame:
    """The same as text."""

    def said(value: float, unit: str) -> str:
        return f"{100 * value:.1f} {unit}" if unit else style.number(value, 3)

    return pd.DataFrame(
        {
            "What got worse": table["what"],
            "Before": [said(v, u) for v, u in zip(table["before"], table["unit"], strict=True)],
            "After": [said(v, u) for v, u in zip(table["after"], table["unit"], strict=True)],
            "Worse by, of what it was": [
                style.percent(v, 1) if v < 1 else f"now {times(1 + v)}" for v in table["share"]
            ],
            "Beyond chance": ["yes" if sure else "no" for sure in table["sure"]],
        }
    )


FORGOTTEN, NEWLY_RIGHT = "forgotten", "newly right"


def turned_table(
    answers: Mapping[str, Answers],
    items: Mapping[str, Sequence[tuple[str, str]]],
    shown: Collection[str] = (FORGOTTEN, NEWLY_RIGHT),
) -> pd.DataFrame:
    """One row per item that turned: task, number, prompt, answer, and whether it was forgotten or is newly right.

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
    """One row per prompt: the answer that counts as right, and what student before, student after and teacher write."""
    return pd.DataFrame(list(rows), columns=["prompt", "expected", "before", "after", "teacher"])


def seeds_table(found: Seeds) -> pd.DataFrame:
    """One row per seed and task."""
    return pd.DataFrame(
        [
            {"label": found.label, "run": one.run, "seed": one.seed, "task": task, "after": rate}
            for one in found.seeds
            for task, rate in one.tasks.items()
        ]
    )
