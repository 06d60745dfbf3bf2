"""Alignment and behaviour before and after a transfer, on a plan's own tasks."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from pkt_core.activations.collect import collect
from pkt_core.alignment.maps import held_out_error
from pkt_core.alignment.model_maps import alignment_map, match
from pkt_core.base.progress import Progress
from pkt_core.data.examples import load_examples
from pkt_core.data.prompts import load_prompts
from pkt_core.evaluation.behaviour import answered_right, read_texts, recall
from pkt_core.evaluation.generate import continuations
from pkt_core.evaluation.record import Answers, Behaviour, Generation, Measured, ModelBehaviour, TaskChange, TextMeasure
from pkt_core.evaluation.statistics import Recall, paired_change
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site
from pkt_core.runs.results import Alignment, AlignmentTrace, ControlCosine, TaughtLayers
from pkt_core.similarity.measures import measure
from pkt_core.transfer.plan import TransferPlan

GENERATIONS = 12


def alignment_change(
    models: dict[str, LoadedModel], plan: TransferPlan, layers: TaughtLayers, progress: Progress
) -> AlignmentTrace:
    """Cosine to the mapped teacher and debiased CKA at the trained pair of layers, on the plan's prompts, which may include training prompts."""
    progress("Alignment before and after", 0.72)
    texts = load_prompts(plan.prompts).sample(plan.n_prompts, plan.seed).texts
    teacher, before = models["teacher"], models["before"]
    shared_tokens = match(teacher, before)
    x = collect(teacher, texts, [Site(plan.part, layers.teacher)], "last")[0]
    states = {
        name: collect(models[name], texts, [Site(plan.part, layers.student)], "last")[0] for name in ("before", "after")
    }
    kinds = {"map": plan.measured_map, "permuted": "permuted"}
    maps = (
        {role: alignment_map(kind, teacher, before, shared_tokens, plan.seed) for role, kind in kinds.items()}
        if shared_tokens.enough
        else {}
    )

    def at(state: Tensor) -> Alignment:
        cosine = held_out_error(maps["map"], x, state).cosine if maps else None
        return Alignment(cka=measure("debiased_linear_cka", x, state), cosine=cosine)

    control = None
    if maps:
        control = ControlCosine(*(held_out_error(maps["permuted"], x, states[when]).cosine for when in states))
    return AlignmentTrace(
        at(states["before"]), at(states["after"]), n=len(texts), pooling="last", part=plan.part, control=control
    )


def within(progress: Progress, stage: str, start: float, share: float) -> Callable[[float], None]:
    """A callback that maps the progress of one part, 0..1, to the whole; reports the start of the part at once."""
    progress(stage, start)
    return lambda done: progress(stage, start + share * done)


def behaviour_change(models: dict[str, LoadedModel], plan: TransferPlan, progress: Progress) -> Measured:
    """Tasks, general text and generations for teacher, before and after; paired changes with their priors."""
    tasks = {name: load_examples(name).sample(plan.n_task_items, plan.seed) for name in plan.tasks}
    scores: dict[str, dict[str, Recall]] = {who: {} for who in models}
    changes: dict[str, TaskChange] = {}
    answers: dict[str, Answers] = {}
    for i, (name, task) in enumerate(tasks.items()):
        right: dict[str, list[bool]] = {}
        for j, (who, loaded) in enumerate(models.items()):
            share = 0.15 / len(tasks) / len(models)
            part = within(progress, f"Measuring {name}", 0.75 + share * (i * len(models) + j), share)
            right[who] = answered_right(loaded, task, progress=part)
        for who in models:
            scores[who][name] = recall(right[who])
        answers[name] = Answers(**{who: "".join("01"[ok] for ok in flags) for who, flags in right.items()})
        changes[name] = TaskChange(**vars(paired_change(right["before"], right["after"])), prior=task.prior())
    texts = load_prompts(plan.general).sample(plan.n_general, plan.seed).texts
    part = within(progress, "Reading general text", 0.9, 0.06)
    read = read_texts(models, texts, match(models["teacher"], models["before"]), progress=part)
    behaviour: dict[str, ModelBehaviour] = {}
    for who, score in read.items():
        per_byte, comparable = score.bits_per_byte(), bool(score.positions) and who != "teacher"
        behaviour[who] = ModelBehaviour(
            tasks=scores[who],
            bits_per_byte=TextMeasure.of(per_byte, n_texts=per_byte.n),
            kl_to_teacher=TextMeasure.of(score.kl(), unit="bits") if comparable else None,
            top1_agreement=TextMeasure.of(score.top1()) if comparable else None,
        )
    each = max(1, GENERATIONS // max(1, len(tasks)))
    chosen = [e for task in tasks.values() for e in task.items[:: max(1, len(task.items) // each)]]
    chosen = chosen[: 4 * GENERATIONS]
    part = within(progress, "Generating continuations", 0.96, 0.04)
    written: dict[str, list[str]] = {who: [] for who in models}
    for i, e in enumerate(chosen):  # one prompt at a time, so that the run can stop between prompts
        for who, loaded in models.items():
            written[who] += continuations(loaded, [e.prompt])
        part((i + 1) / len(chosen))
    return Measured(
        behaviour=Behaviour(**behaviour),
        changes=changes,
        right=answers,
        generations=[
            Generation(e.prompt, e.answer, **{who: written[who][i] for who in models}) for i, e in enumerate(chosen)
        ],
        repeats={name: task.repeats for name, task in tasks.items() if task.repeats},
    )
