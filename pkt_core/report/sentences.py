"""Answers in one sentence, computed from results: what the page, the report and a reader in a hurry see first.

Names of models and tasks are taken as they are; whoever shows a sentence escapes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pkt_core.report.figures_similarity import best_cell, closer_up, noise_level
from pkt_core.report.look import number, p_value, percent, task_name, visible

Json = Mapping[str, Any]


def beyond(grid: Json, value: float, level: float) -> bool:
    """Whether a value is closer than chance."""
    return value > level if closer_up(grid) else value < level


def agreement(grid: Json) -> str:
    """Where the grid is closest, beside what its closest cell reaches by chance."""
    teacher, student, value = best_cell(grid)
    level = noise_level(grid)
    where = f"teacher layer {teacher} and student layer {student} (similarity {number(value)}"
    if level is None:
        return f"most alike are {where}; no null was measured)"
    p = p_value(grid["p_values"][teacher][student]) if grid.get("p_values") is not None else None
    return f"most alike are {where}, noise {number(level)}{f', p {p}' if p else ''})"


def compatible(comparison: Json) -> str:
    """Whether two models have enough in common to transfer between them."""
    words, grid = comparison["vocabulary"], comparison["grid"]
    level = noise_level(grid)
    agrees = level is None or beyond(grid, best_cell(grid)[2], level)
    whole = words["share"] >= 0.9995
    shared = (
        f"they share all {words['n']:,} tokens"
        if whole
        else f"they share {words['n']:,} tokens ({percent(words['share'])} of the smaller vocabulary)"
    )
    if not agrees:
        return f"Hardly: {shared}, but no pair of layers is more alike than noise ({agreement(grid)})."
    if not words["same_tokenizer"]:
        return f"In part: {shared} but cut text differently, so a transfer meets only where both have read the same characters; {agreement(grid)}."
    return f"Yes: {shared}, and {agreement(grid)}."


def where(comparison: Json) -> str:
    """How much of the grid is closer than noise, and where it is closest."""
    return spread(comparison["grid"])


def by_chance(grid: Json, said: str) -> str:
    """What a measure gives where nothing corresponds, from the words of its record: pieces of one prompt resemble each other, which
    those do not know and the permutation null does."""
    if grid["recipe"]["pooling"] != "tokens":
        return f"By chance: {said}."
    means = [mean for row in grid["null_mean"] for mean in row if mean is not None]
    level = f": {number(sum(means) / len(means))} on average over all cells" if means else ""
    return (
        f"By chance: {said}; but that is for independent samples, which the pieces of one prompt are not. "
        f"Here it is what the permutation null gives{level}."
    )


def spread(grid: Json) -> str:
    """The same of a grid alone."""
    level = noise_level(grid)
    flat = [value for row in grid["values"] for value in row if value is not None]
    if level is None:
        return f"{agreement(grid)[0].upper()}{agreement(grid)[1:]}."
    above = sum(beyond(grid, value, level) for value in flat)
    return f"{above} of {len(flat)} pairs of layers agree more than noise; {agreement(grid)}."


def cell(grid: Json, teacher: int, student: int) -> str:
    """One pair of layers: value, interval, p, against the noise level."""
    value, level = grid["values"][teacher][student], noise_level(grid)
    if value is None:
        return f"Teacher layer {teacher} and student layer {student}: not computable: one of them does not vary over these prompts, or ties would decide."
    said = f"Teacher layer {teacher} and student layer {student}: similarity {number(value, 3)}"
    if grid.get("low") is not None:
        said += (
            f", 95 % interval {number(grid['low'][teacher][student], 3)} to {number(grid['high'][teacher][student], 3)}"
        )
    if grid.get("p_values") is not None:
        said += f", p {p_value(grid['p_values'][teacher][student])} (family-wise)"
    if level is not None:
        said += (
            f". {'Closer than' if beyond(grid, value, level) else 'No closer than'} the noise level {number(level, 3)}"
        )
    return said + "."


def reached(curve: Json) -> str:
    """From the lowest to the highest of a curve over layers."""
    low, high = number(min(curve["mean"])), number(max(curve["mean"]))
    return low if low == high else f"{low} to {high}"


def recomposition(curves: Mapping[str, Json]) -> str:
    """For each model, whether its own bases recompose its states better than as many random ones, and what follows."""
    said = []
    for side, found in curves.items():
        own, random = found["real"], found["gaussian"]
        n = len(own["mean"])
        above = [layer for layer in range(n) if own["low"][layer] > random["high"][layer]]
        numbers = f"{reached(own)} against {reached(random)}"
        if not above:
            verdict = (
                f"recompose its states no better than random ones at any of {n} layers ({numbers}), which refutes that its "
                "vocabulary is a special frame for them"
            )
        elif len(above) == n:
            verdict = f"recompose its states better than random ones at all {n} layers ({numbers}), so its vocabulary is a special frame for them"
        else:
            verdict = (
                f"recompose its states better than random ones at {len(above)} of {n} layers ({', '.join(map(str, above))}; {numbers}), "
                "so its vocabulary is a special frame there only"
            )
        said.append(f"The {side}'s own bases {verdict}.")
    return " ".join(said)


def repeats(n: int) -> str:
    """That prompts were repeated and are no samples of their own."""
    return (
        f"{n:,} {'prompt repeats' if n == 1 else 'prompts repeat'} another word for word; equal texts are one sample."
    )


MUCH = 0.3  # of a layer's variance in one dimension
MASSIVE = 20.0  # times as long as other positions


def outliers(facts: Json, rule: str, skip_first: bool = False) -> str | None:
    """A warning where one dimension or the first position is large enough to own a similarity; None where not."""
    said = []
    for side in ("teacher", "student"):
        share, first = facts[side]["top_share"], facts[side]["first_ratio"]
        if share and max(share) > MUCH and rule not in ("drop_top", "standardise"):
            said.append(
                f"one dimension of {side} layer {share.index(max(share))} holds {percent(max(share))} of its variance"
            )
        if first and max(first) > MASSIVE and not skip_first:
            said.append(
                f"position 0 of {side} layer {first.index(max(first))} is {number(max(first), 0)} times as long as others"
            )
    if not said:
        return None
    joined = "; ".join(said)
    return f"{joined[0].upper()}{joined[1:]}. Try another outlier rule, or skip position 0, before believing the grid."


def latent(picture: Json) -> str:
    """How well the alignment map holds on prompts it was not fitted on, beside its control and the shared neighbours."""
    trust = picture["trust"]
    works = picture["map_cosine"] > picture["map_control"] + 0.05
    return (
        f"{'Alike in part' if works else 'Not alike through this map'}: mapped teacher states meet the student's at cosine "
        f"{number(picture['map_cosine'])} (control {number(picture['map_control'])}), and the two spaces share "
        f"{percent(trust['overlap'])} of each prompt's nearest neighbours (chance {percent(trust['overlap_chance'])})."
    )


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


def chain(picture: Json) -> str:
    """How many neighbours each step of a chain keeps in the full spaces, beside chance."""
    names = [f"{one['name']}, layer {one['layer']}" for one in picture["slices"]]
    steps, chance = picture["steps"], picture["overlap_chance"]
    if picture["shuffled"]:
        return (
            f"Null picture: with partners dealt out at random the spaces share {percent(sum(steps) / len(steps))} of each "
            f"prompt's nearest neighbours, which is chance ({percent(chance)}). Order that you still see belongs to each space alone."
        )
    if picture["kind"] == "run":
        return (
            f"The student shares {percent(steps[0])} of each prompt's nearest neighbours with the teacher before the transfer and "
            f"{percent(picture['ends'])} after it (chance {percent(chance)}); it kept {percent(steps[1])} of its own."
        )
    least = min(range(len(steps)), key=steps.__getitem__)
    if len(steps) == 1:
        return f"{names[0].capitalize()} and {names[1]} share {percent(steps[0])} of each prompt's nearest neighbours (chance {percent(chance)})."
    return (
        f"Consecutive layers share {percent(min(steps))} to {percent(max(steps))} of each prompt's nearest neighbours (chance "
        f"{percent(chance)}); the largest break is between {names[least]} and {names[least + 1]}."
    )


def turnover(found: Json) -> str:
    """How much turns over in the mean, and who stands out from its neighbourhood."""
    rows, noise = found["rows"], found["noise"]
    beyond_noise = sum(row["relative"] > noise for row in rows)
    sure = sum(row["q"] < 0.05 for row in rows)
    said = (
        f"From {found['first']} to {found['second']}, {percent(found['mean'])} of each prompt's {found['k']} nearest neighbours "
        f"change in the mean (unrelated spaces: {percent(found['chance'])}). "
    )
    who = f"{sure} of {len(rows)} prompts" if sure else "No prompt"
    return (
        f"{said}{who} changed more than the prompts around {'it' if not sure else 'them'} beyond chance (q < 0.05). Random "
        f"pairings reach {number(noise)} beyond the neighbourhood; {beyond_noise} prompts do, so the rest of the ranking is noise."
    )


def picked_cell(found: Json, label: str) -> str:
    """One pair of layers by the picked prompts beside all, or by their neighbours where they are too few for a similarity."""
    facts, n = found["facts"], found["n_picked"]
    near = (
        f"{n} picked prompts share {percent(facts['overlap_picked'])} of their nearest neighbours at this pair of layers, all "
        f"{facts['n']} prompts {percent(facts['overlap'])} (chance {percent(facts['overlap_chance'])})."
    )
    if "picked" not in facts:
        return f"{near} A similarity of their own needs {facts['enough']} prompts."
    inside = facts["low"] <= facts["picked"] <= facts["high"]
    return (
        f"{label}: {number(facts['picked'], 3)} by the {n} picked prompts, {number(facts['all'], 3)} by all {facts['n']}. "
        f"{'Inside' if inside else 'Outside'} what random choices of {n} prompts give ({number(facts['low'], 3)} to "
        f"{number(facts['high'], 3)}). {near}"
    )


def inspected(found: Json) -> str:
    """What the chosen layers mean at the token, and whether the carried teacher meets the student there."""
    teacher, student = found["layers"]

    def nearest(space: Json, layer: int) -> str:
        name, value = space["top"][layer][0]
        return f"“{visible(name)}” ({number(value)}, by chance {number(space['nearest_by_chance'])})"

    token = found["teacher"]["tokens"][found["teacher"]["token"]][0]
    said = (
        f"At “{visible(token)}”, teacher layer {teacher} reads {nearest(found['teacher']['own'], teacher)}, student layer {student} reads "
        f"{nearest(found['student']['own'], student)}"
    )
    crossing = found["crossing"]
    if crossing is None:
        return f"{said}. {found['why_not']}"
    value, control = (crossing[key][teacher][student] for key in ("meeting", "meeting_permuted"))
    chance = 2 / found["student"]["d_model"] ** 0.5  # twice the scatter of random directions
    verdict = "more than chance" if value > max(chance, control) else "no more than chance"
    return (
        f"{said}. Carried over, the teacher's state reads {nearest(crossing['carried'], teacher)} and meets the student's own at cosine "
        f"{number(value)}: {verdict} (control {number(control)}, random directions ±{number(chance)})."
    )


def head_in_words(facts: Json, side: str) -> str:
    """One model's head in words: tied or not, its norm, its rank."""
    tied = (
        "is tied: it is the token embedding itself, so input rows and output bases differ only by the pseudoinverse"
        if facts["tied"]
        else "is its own matrix, apart from the token embedding"
    )
    norm = {
        "none": "no final norm, so gain and norm change nothing",
        "root mean square": "a root-mean-square final norm",
        "layer": "a final layer norm, which also takes away the mean",
    }[facts["norm"]]
    extra = " and a bias" * facts["norm_bias"] + (
        f"; logits are capped at {facts['softcap']:g}, which keeps their order" if facts["softcap"] else ""
    )
    return (
        f"The {side}'s head ({facts['vocabulary']:,} x {facts['d_model']}, rank {facts['rank']}) {tied}; {norm}{extra}."
    )
