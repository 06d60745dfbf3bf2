"""Alignment and behaviour before and after a transfer, on a plan's own tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from torch import Tensor

from pkt_core.activations.collect import collect
from pkt_core.alignment.maps import held_out_error
from pkt_core.alignment.model_maps import alignment_map, match
from pkt_core.base.progress import Progress
from pkt_core.data.examples import load_examples
from pkt_core.data.prompts import load_prompts
from pkt_core.evaluation.behaviour import answered_right, read_texts, recall
from pkt_core.evaluation.generate import continuations
from pkt_core.evaluation.statistics import paired_change
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site
from pkt_core.similarity.measures import measure
from pkt_core.transfer.plan import TransferPlan

GENERATIONS = 12


def alignment_change(
    models: dict[str, LoadedModel], plan: TransferPlan, layers: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """Cosine to the mapped teacher and debiased CKA at the trained pair of layers, on prompts that were not trained on."""
    progress("Alignment before and after", 0.72)
    texts = load_prompts(plan.prompts).sample(plan.n_prompts, plan.seed).texts
    teacher, before = models["teacher"], models["before"]
    found = match(teacher, before)
    x = collect(teacher, texts, [Site(plan.part, layers["teacher"])], "last")[0]
    states = {
        name: collect(models[name], texts, [Site(plan.part, layers["student"])], "last")[0]
        for name in ("before", "after")
    }
    kinds = {"map": plan.measured_map, "permuted": "permuted"}
    shared = found.enough
    maps = (
        {role: alignment_map(kind, teacher, before, found, plan.seed) for role, kind in kinds.items()} if shared else {}
    )

    def at(state: Tensor) -> dict[str, float]:
        cosines = {"cosine": held_out_error(maps["map"], x, state).cosine} if maps else {}
        return {**cosines, "cka": measure("debiased_linear_cka", x, state)}

    change: dict[str, Any] = {name: at(state) for name, state in states.items()}
    if maps:
        change["control"] = {name: held_out_error(maps["permuted"], x, state).cosine for name, state in states.items()}
    return {**change, "n": len(texts), "pooling": "last", "part": plan.part}


def within(progress: Progress, stage: str, start: float, share: float) -> Callable[[float], None]:
    """The progress of a part, 0..1, as that of the whole, which is told at once."""
    progress(stage, start)
    return lambda done: progress(stage, start + share * done)


def behaviour_change(models: dict[str, LoadedModel], plan: TransferPlan, progress: Progress) -> dict[str, Any]:
    """Tasks, general text and generations for teacher, before and after; paired changes with their priors."""
    tasks = {name: load_examples(name).sample(plan.n_task_items, plan.seed) for name in plan.tasks}
    behaviour: dict[str, Any] = {name: {"tasks": {}} for name in models}
    changes: dict[str, Any] = {}
    answers: dict[str, dict[str, str]] = {}
    for i, (name, task) in enumerate(tasks.items()):
        right: dict[str, list[bool]] = {}
        for j, (who, loaded) in enumerate(models.items()):
            share = 0.15 / len(tasks) / len(models)
            told = within(progress, f"Asking {name}", 0.75 + share * (i * len(models) + j), share)
            right[who] = answered_right(loaded, task, progress=told)
        for who in models:
            behaviour[who]["tasks"][name] = asdict(recall(right[who]))
        answers[name] = {who: "".join("01"[ok] for ok in found) for who, found in right.items()}
        changes[name] = {**asdict(paired_change(right["before"], right["after"])), "prior": task.prior()}
    texts = load_prompts(plan.general).sample(plan.n_general, plan.seed).texts
    told = within(progress, "Reading general text", 0.9, 0.06)
    scores = read_texts(models, texts, match(models["teacher"], models["before"]), progress=told)
    for who, score in scores.items():
        per_byte = asdict(score.bits_per_byte())
        behaviour[who]["bits_per_byte"] = {**per_byte, "n_texts": per_byte["n"]}
        comparable = score.positions and who != "teacher"
        behaviour[who]["kl_to_teacher"] = {**asdict(score.kl()), "unit": "bits"} if comparable else None
        behaviour[who]["top1_agreement"] = asdict(score.top1()) if comparable else None
    each = max(1, GENERATIONS // max(1, len(tasks)))
    asked = [e for task in tasks.values() for e in task.items[:: max(1, len(task.items) // each)]]
    asked = asked[: 4 * GENERATIONS]
    told = within(progress, "Writing side by side", 0.96, 0.04)
    written: dict[str, list[str]] = {who: [] for who in models}
    for i, e in enumerate(asked):  # one prompt at a time is how they are written; in between one may stop
        for who, loaded in models.items():
            written[who] += continuations(loaded, [e.prompt])
        told((i + 1) / len(asked))
    generations = [
        {"prompt": e.prompt, "expected": e.answer, **{who: written[who][i] for who in models}}
        for i, e in enumerate(asked)
    ]
    repeats = {name: task.repeats for name, task in tasks.items() if task.repeats}
    return {
        "behaviour": behaviour,
        "changes": changes,
        "right": answers,
        "repeats": repeats,
        "generations": generations,
    }
