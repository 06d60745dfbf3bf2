"""What changed, and at what cost, in words: answers, captions and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pkt_core.studies.behaviour.figures import DECADES, every, losses
from pkt_core.words import style
from pkt_core.words.style import number, p_value, percent, task_name

Json = Mapping[str, Any]


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


def training(steps: Sequence[Json]) -> str:
    """How to read the curves of these steps, and what they cannot show."""
    said = [TRAINING]
    aligned = any(step.get("alignment") is not None for step in steps)
    asked = any(step.get("recall") for step in steps)
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


def behaviour(results: Json) -> str:
    """The largest gain and the largest loss, with their p-values, and what it cost on general text."""
    changes = results["changes"]
    if not changes:
        return "No task was measured in this run."
    ranked = sorted(changes.items(), key=lambda item: item[1]["difference"])
    parts = []
    for (task, change), word in ((ranked[-1], "gained"), (ranked[0], "lost")):
        sure = (
            change["p_value"] < 0.05 and (change["difference"] > 0) == (word == "gained") and change["difference"] != 0
        )
        if sure:
            parts.append(
                f"{word} on {task_name(task)} ({percent(change['before'])} to {percent(change['after'])}, p {p_value(change['p_value'])})"
            )
    said = "The student " + " and ".join(parts) if parts else "No task changed beyond chance"
    before, after = (results["behaviour"][who].get("bits_per_byte") for who in ("before", "after"))
    if before and after:
        said += f"; general text costs {number(before['value'])} bits per byte before, {number(after['value'])} after"
    return said + "."


def beside_control(results: Json, control: Json, name: str) -> str:
    """What a control gained where the run gained most."""
    changes = results["changes"]
    task = max(changes, key=lambda task: changes[task]["difference"])
    if task not in control["changes"]:
        return f"The control ({name}) was not asked {task_name(task)}."
    own, theirs = (f"{100 * one[task]['difference']:+.1f}" for one in (changes, control["changes"]))
    return (
        f"The control ({name}, all else the same) moved {task_name(task)} by {theirs} points, the transfer by {own}; "
        "the page Behaviour tells whether that is beyond chance."
    )


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


def turned(found: Mapping[str, Mapping[str, Sequence[int]]], right: Mapping[str, Mapping[str, str]]) -> str:
    """How many items that were right before were forgotten, and how many are newly right."""
    lost = sum(len(ways["forgotten"]) for ways in found.values())
    won = sum(len(ways["newly right"]) for ways in found.values())
    had = sum(right[task]["before"].count("1") for task in found)
    share = f" ({percent(lost / had, 1)} of them)" if had else ""
    return f"Of {had:,} items that were right before, {lost:,} were forgotten{share}; {won:,} are newly right."


def seeds(found: Json) -> str:
    """How many seeds there are of this plan, and how far they scatter at most."""
    n = len(found["seeds"])
    if n < 2:
        return f"One seed of {found['label']} alone: how far another seed would fall from it is not known."
    rates: dict[str, list[float]] = {}
    for one in found["seeds"]:
        for task, rate in one["tasks"].items():
            rates.setdefault(task, []).append(rate)
    widest = max(rates, key=lambda task: max(rates[task]) - min(rates[task]))
    low, high = min(rates[widest]), max(rates[widest])
    return (
        f"{n} seeds of {found['label']} in the family {found['family']}; they scatter most on {task_name(widest)}, "
        f"{percent(low, 1)} to {percent(high, 1)}."
    )


def steps_table(steps: Sequence[Json]) -> pd.DataFrame:
    """One row per step: seconds, loss terms, alignment."""
    return pd.DataFrame(
        [{"step": s["step"], "seconds": s["seconds"], **s["terms"], "alignment": s.get("alignment")} for s in steps]
    )


def behaviour_table(behaviour: Json) -> pd.DataFrame:
    """One row per task and model: share right, interval, n."""
    rows = []
    for who in ("before", "after", "teacher"):
        for task, found in ((behaviour.get(who) or {}).get("tasks") or {}).items():
            rows.append(
                {"task": task, "model": who, **{key: found[key] for key in ("rate", "low", "high", "correct", "n")}}
            )
    return pd.DataFrame(rows)


def changes_table(changes: Json) -> pd.DataFrame:
    """One row per task: before, after, the paired difference with interval and p, n, prior."""
    keys = ("before", "after", "difference", "low", "high", "p_value", "n", "prior")
    return pd.DataFrame([{"task": task, **{key: change.get(key) for key in keys}} for task, change in changes.items()])


SIDE_EFFECTS = {  # name -> label, whether more is worse
    "bits_per_byte": ("Bits per byte (general text)", True),
    "kl_to_teacher": ("KL to the teacher (general text, bits per token)", True),
    "top1_agreement": ("Same most likely token as the teacher (general text)", False),
}
SURE = 0.05


def points(value: float | None, *, sign: bool = True) -> str:
    """A share as percentage points."""
    return "–" if value is None else f"{100 * value:{'+' if sign else ''}.1f}".replace("-", "−")


def changes_shown(changes: Json, tests: Json | None = None) -> pd.DataFrame:
    """Paired changes as text with sensible digits: gain over the student, gap to the teacher, raw and corrected p, what n can show."""
    rows = []
    for task, c in changes.items():
        row = {
            "Task": style.task_name(task),
            "Prior": style.percent(c.get("prior"), 1),
            "Before": style.percent(c["before"], 1),
            "After": style.percent(c["after"], 1),
            "Gain (points)": f"{points(c['difference'])} [{points(c['low'])}, {points(c['high'])}]",
        }
        if tests is not None and (t := tests.get(task)):
            interval = "" if t["gap"] is None else f" [{points(t['gap_low'])}, {points(t['gap_high'])}]"
            row["Gap to teacher"] = points(t["gap"]) + interval
            row["p"] = style.p_value(c["p_value"]).removeprefix("= ")
            row["p (Holm)"] = style.p_value(t["p_holm"]).removeprefix("= ")
            row["n"] = f"{c['n']:,}"
            row["n can show"] = (
                "nothing" if t["detectable"] is None else f"{points(t['detectable'], sign=False)} points"
            )
        else:
            row |= {"p": style.p_value(c["p_value"]).removeprefix("= "), "n": f"{c['n']:,}"}
        rows.append(row)
    return pd.DataFrame(rows)


def general_shown(behaviour: Json) -> pd.DataFrame:
    """Side effects on general text as text: one row per measure; before, after and teacher with their 95 % intervals."""
    rows = []
    for key, (label, _) in SIDE_EFFECTS.items():
        row: dict[str, Any] = {"Measure": label}
        for who in ("before", "after", "teacher"):
            found = (behaviour.get(who) or {}).get(key)
            interval = found and " to ".join(style.number(found[end], 3) for end in ("low", "high"))
            row[who.capitalize()] = f"{style.number(found['value'], 3)} ({interval})" if found else "–"
        rows.append(row)
    return pd.DataFrame(rows)


def worsened(results: Json, tests: Json | None = None) -> pd.DataFrame:
    """Everything that is worse after than before, tasks and general text alike, worst first: loss as a share of what was there.

    `sure`: for a task, p corrected over tasks below 0.05; for general text, intervals that do not touch.
    """
    rows: list[dict[str, Any]] = []
    for task, c in results["changes"].items():
        if c["difference"] < 0:
            p = tests[task]["p_holm"] if tests and task in tests else c["p_value"]
            said = {"what": f"Answers to {style.task_name(task)}", "before": c["before"], "after": c["after"]}
            rows.append({**said, "share": -c["difference"] / c["before"], "sure": p < SURE, "unit": "% right"})
    for key, (label, more_is_worse) in SIDE_EFFECTS.items():
        old, new = ((results["behaviour"].get(who) or {}).get(key) for who in ("before", "after"))
        if not old or not new or (new["value"] > old["value"]) != more_is_worse or not old["value"]:
            continue
        apart = new["low"] > old["high"] if more_is_worse else new["high"] < old["low"]
        share = abs(new["value"] - old["value"]) / old["value"]
        unit = "" if more_is_worse else "% of tokens"
        rows.append({"what": label, "before": old["value"], "after": new["value"], "share": share, "sure": apart, "unit": unit})  # fmt: skip
    columns = ["what", "before", "after", "share", "sure", "unit"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        ["sure", "share"], ascending=False, kind="stable", ignore_index=True
    )


def outcome(results: Json) -> dict[str, float]:
    """What a run came to, as changes: `taught` and `lost most` in percentage points, `bits per byte`; only what was measured."""
    found: dict[str, float] = {}
    if changes := [100 * change["difference"] for change in (results.get("changes") or {}).values()]:
        found["taught"] = changes[0]
        if min(changes) < 0:
            found["lost most"] = min(changes)
    before, after = (
        ((results.get("behaviour") or {}).get(who) or {}).get("bits_per_byte") for who in ("before", "after")
    )
    if before and after:
        found["bits per byte"] = after["value"] - before["value"]
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


def turned_items(before: str, after: str) -> dict[str, Sequence[int]]:
    """Numbers of the items that were `forgotten` (right before, wrong after) and `newly right`, in order."""
    pairs = list(enumerate(zip(before, after, strict=True)))
    return {
        "forgotten": [i for i, pair in pairs if pair == ("1", "0")],
        "newly right": [i for i, pair in pairs if pair == ("0", "1")],
    }


def turned_table(turned: Mapping[str, Mapping[str, Sequence[int]]], items: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """One row per item that turned: task, number, prompt, answer, and whether it was forgotten or is newly right."""
    rows = [
        {"turned": way, "task": style.task_name(task), "item": i, "prompt": items[task][i][0], "answer": items[task][i][1].strip()}
        for task, ways in turned.items()
        for way, numbers in ways.items()
        for i in numbers
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["turned", "task", "item", "prompt", "answer"])


def turned_counts(
    turned: Mapping[str, Mapping[str, Sequence[int]]], right: Mapping[str, Mapping[str, str]]
) -> pd.DataFrame:
    """One row per task: how many items were right before, how many of them were forgotten, how many are newly right."""
    return pd.DataFrame(
        [
            {
                "Task": style.task_name(task),
                "Right before": f"{right[task]['before'].count('1'):,}",
                "Forgotten": f"{len(ways['forgotten']):,}",
                "Newly right": f"{len(ways['newly right']):,}",
                "Items": f"{len(right[task]['before']):,}",
            }
            for task, ways in turned.items()
        ]
    )  # fmt: skip


def seeds_table(found: Json) -> pd.DataFrame:
    """One row per seed and task."""
    return pd.DataFrame(
        [
            {"label": found["label"], "run": one["run"], "seed": one["seed"], "task": task, "after": rate}
            for one in found["seeds"]
            for task, rate in one["tasks"].items()
        ]
    )
