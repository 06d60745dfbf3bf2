"""The stages of the pipeline, one function each: models and data in, a record out. What a stage means is in its module;
here is only which modules it joins.
"""

from __future__ import annotations

import gc
import platform
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from pkt_core import __version__
from pkt_core.activations.collect import CAPTURE_VERSION, collect, pieces, stream
from pkt_core.activations.pooling import PER_PROMPT, Pooling
from pkt_core.alignment.attribution import LayerAttribution, layer_attribution
from pkt_core.alignment.basis import semantic_basis
from pkt_core.alignment.inspect import RecompositionCurves, recomposition_curves
from pkt_core.alignment.maps import (
    AlignmentMap,
    held_out_error,
    permuted_vocabulary_map,
    procrustes_map,
    random_basis_map,
    ridge_map,
    semantic_map,
)
from pkt_core.alignment.pairing import pair_for, pair_layers
from pkt_core.catalog import Pair
from pkt_core.errors import MeasureError, PlanError, PromptError
from pkt_core.evaluation.behaviour import answered_right, read_texts, recall
from pkt_core.evaluation.generate import continuations
from pkt_core.evaluation.statistics import paired_change
from pkt_core.examples import Encoded, ExampleSet, encode, load_examples
from pkt_core.models.loading import LoadedModel, ModelRef, load, model_digest
from pkt_core.models.sites import Site
from pkt_core.models.vocabulary import VocabularyMatch, match_vocabularies
from pkt_core.projection.maps import neighbour_overlap, project_together
from pkt_core.prompts import PromptSet, load_prompts
from pkt_core.results import LatentMap, rounded
from pkt_core.similarity.grid import GridFitter, SimilarityGrid
from pkt_core.similarity.measures import measure
from pkt_core.store import fingerprint
from pkt_core.transfer.export import open_student
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.targets import Targets, row_starts, teacher_targets
from pkt_core.transfer.train import StepReport

Progress = Callable[[str, float], None]
BLOCK = 64  # samples per mini-batch of the HSIC estimate
KEPT_STATES = 128  # prompts whose states are kept for recomposition curves
ATTRIBUTED_EXAMPLES = 64
PROBES = 12  # times recall is looked at during training
PROBED_ITEMS = 64
RIDGE = 1e-2  # relative to the mean eigenvalue of the teacher's covariance
GENERATIONS = 12


def prompt_set(prompts: str | PromptSet) -> PromptSet:
    """A set by name, or itself."""
    return load_prompts(prompts) if isinstance(prompts, str) else prompts


def pair_key(pair: Pair, texts: PromptSet, recipe: dict[str, Any], version: int) -> str:
    """Names a stored result by all that could change it."""
    held = [(model_digest(ref), ref.dtype, ref.device) for ref in (pair.teacher, pair.student)]
    return fingerprint(
        models=[list(h) for h in held],
        texts=texts.digest,
        labels=pair.examples,
        recipe=recipe,
        versions=[version, CAPTURE_VERSION],
    )


def match(teacher: LoadedModel, student: LoadedModel) -> VocabularyMatch:
    """Which tokens both vocabularies share."""
    rows = [m.layout.head.weight.shape[0] for m in (teacher, student)]
    return match_vocabularies(teacher.tokenizer, student.tokenizer, *rows)


def block_sites(loaded: LoadedModel, part: str) -> list[Site]:
    """The site of that part in every layer."""
    return [loaded.require(Site(part, layer)) for layer in range(loaded.n_layers)]  # type: ignore[arg-type]


def similarity_grid(
    teacher: LoadedModel, student: LoadedModel, texts: PromptSet, recipe: dict[str, Any], progress: Progress
) -> tuple[SimilarityGrid, dict[str, Tensor]]:
    """Both models once over the texts; the grid, and the first prompts' states `[layer, n, d_model]` of each."""
    pooling: Pooling = recipe["pooling"]
    if recipe["measure"] != "debiased_linear_cka":
        raise MeasureError(f"Got the measure {recipe['measure']!r} for a whole grid; expected debiased_linear_cka.")
    read = list(texts.texts)
    if pooling == "tokens":
        read = [text for text in read if pieces(text)]  # shorter ones have too few words to look at
    rows_each = PER_PROMPT if pooling == "tokens" else 1
    if len(read) * rows_each < BLOCK:
        raise PromptError(
            f"{texts.name} gives {len(read) * rows_each} samples with {pooling} pooling; a similarity grid needs at least {BLOCK}. "
            "Add prompts or choose another set."
        )
    fitter = GridFitter(
        teacher.n_layers,
        student.n_layers,
        block=BLOCK,
        permutations=recipe["permutations"],
        seed=recipe["seed"],
        group_size=rows_each,
    )
    sites = {"teacher": block_sites(teacher, recipe["part"]), "student": block_sites(student, recipe["part"])}
    batch = 16
    streams = zip(
        stream(teacher, read, sites["teacher"], pooling, batch_size=batch),
        stream(student, read, sites["student"], pooling, batch_size=batch),
        strict=True,
    )
    kept: dict[str, list[Tensor]] = {"teacher": [], "student": []}
    for i, (of_teacher, of_student) in enumerate(streams):
        fitter.update(of_teacher.cpu(), of_student.cpu())
        if i * batch < KEPT_STATES:
            kept["teacher"].append(of_teacher.cpu())
            kept["student"].append(of_student.cpu())
        done = min(len(read), (i + 1) * batch)
        progress(f"Reading prompts, {done} of {len(read)}", 0.15 + 0.45 * done / len(read))
    progress("Permutation null of the grid's maximum", 0.62)
    return fitter.finish(), {side: torch.cat(parts, dim=1) for side, parts in kept.items()}


def recomposition(
    teacher: LoadedModel, student: LoadedModel, states: dict[str, Tensor], seed: int
) -> dict[str, RecompositionCurves]:
    """How well each model's vocabulary bases recompose its own states, layer by layer, with controls."""
    curves = {}
    for side, loaded in (("teacher", teacher), ("student", student)):
        generator = torch.Generator().manual_seed(seed)
        rows = loaded.model.get_input_embeddings().weight.float().cpu()
        curves[side] = recomposition_curves(states[side], semantic_basis(head_of(loaded)), rows, generator)
    return curves


def head_of(loaded: LoadedModel) -> Tensor:
    return loaded.layout.head.weight.detach().float().cpu()


def attribution(teacher: LoadedModel, examples: str | ExampleSet, seed: int) -> LayerAttribution:
    """Gradient x activation of the teacher's answers, at most 64 examples."""
    chosen = (load_examples(examples) if isinstance(examples, str) else examples).sample(ATTRIBUTED_EXAMPLES, seed)
    encoded = encode(teacher.tokenizer, chosen.items, teacher.context)
    return layer_attribution(teacher, encoded, batch_size=16)


def pairing(n_teacher: int, n_student: int, found: LayerAttribution | None) -> tuple[list[int], tuple[int, int]]:
    """The paper's pairing, and the pair that a transfer would choose."""
    best = n_teacher - 1 if found is None else found.best
    return pair_layers(n_teacher, n_student), pair_for(best, n_teacher, n_student)


def chosen_layers(
    plan: TransferPlan, teacher: LoadedModel, student: LoadedModel, found: LayerAttribution | None
) -> tuple[int, int]:
    """The plan's layers, or where it leaves them open the attributed teacher layer and its partner."""
    if plan.teacher_layer is not None and plan.student_layer is not None:
        return plan.teacher_layer, plan.student_layer
    best = plan.teacher_layer if plan.teacher_layer is not None else found.best if found else teacher.n_layers - 1
    paired_teacher, paired_student = pair_for(best, teacher.n_layers, student.n_layers)
    teacher_layer = paired_teacher if plan.teacher_layer is None else plan.teacher_layer
    return teacher_layer, paired_student if plan.student_layer is None else plan.student_layer


def alignment_map(
    kind: str, teacher: LoadedModel, student: LoadedModel, found: VocabularyMatch, seed: int
) -> AlignmentMap:
    """The training-free map from teacher to student space, or one of its two controls."""
    generator = torch.Generator().manual_seed(seed)
    if kind == "random":
        return random_basis_map(teacher.d_model, student.d_model, found.n, generator)
    bases = semantic_basis(head_of(teacher)), semantic_basis(head_of(student))
    if kind == "permuted":
        return permuted_vocabulary_map(*bases, found.teacher_ids, found.student_ids, generator)
    return semantic_map(*bases, found.teacher_ids, found.student_ids)


def latent_map(
    teacher: LoadedModel, student: LoadedModel, texts: PromptSet, recipe: dict[str, Any], progress: Progress
) -> LatentMap:
    """Half of the texts fit the alignment map (where it is fitted at all), the other half is the picture."""
    import time

    began = time.monotonic()
    sites = [Site("block_out", recipe["teacher_layer"])], [Site("block_out", recipe["student_layer"])]
    if recipe["pooling"] == "tokens":
        raise PlanError("A latent map shows one point a prompt; choose last or mean pooling.")
    progress("Reading the prompts", 0.2)
    x = collect(teacher, texts.texts, sites[0], recipe["pooling"])[0]
    y = collect(student, texts.texts, sites[1], recipe["pooling"])[0]
    half = len(texts) // 2
    shown = range(half, len(texts))
    progress("Fitting the alignment map and its control", 0.5)
    fitted, control = map_and_control(teacher, student, recipe["map"], x[:half], y[:half], recipe["seed"])
    used = control if recipe["shuffled"] else fitted
    progress("Drawing the projection", 0.6)
    picture = project_together(used(x[half:]), y[half:], method=recipe["method"], seed=recipe["seed"])
    overlap = neighbour_overlap(x[half:], y[half:])
    n = len(shown)
    return LatentMap(
        method=recipe["method"],
        teacher_xy=rounded(picture.teacher_xy),
        student_xy=rounded(picture.student_xy),
        texts=[texts.texts[i] for i in shown],
        labels={name: [values[i] for i in shown] for name, values in texts.labels.items()},
        last_tokens=[texts.texts[i].split()[-1] for i in shown],
        neighbour_overlap=[round(v, 3) for v in overlap.tolist()],
        trust={
            "teacher": picture.trust_teacher,
            "student": picture.trust_student,
            "overlap": float(overlap.mean()),
            "overlap_chance": 10 / (n - 1),
        },
        map=recipe["map"],
        map_cosine=held_out_error(fitted, x[half:], y[half:]).cosine,
        map_control=held_out_error(control, x[half:], y[half:]).cosine,
        teacher_layer=recipe["teacher_layer"],
        student_layer=recipe["student_layer"],
        shuffled=recipe["shuffled"],
        seconds=time.monotonic() - began,
    )


def map_and_control(
    teacher: LoadedModel, student: LoadedModel, kind: str, x: Tensor, y: Tensor, seed: int
) -> tuple[AlignmentMap, AlignmentMap]:
    """A map and the same map with its meaning removed."""
    if kind == "semantic":
        found = match(teacher, student).require("the semantic map")
        return tuple(alignment_map(k, teacher, student, found, seed) for k in ("semantic", "permuted"))  # type: ignore[return-value]
    shuffled = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))]
    if kind == "ridge":
        return ridge_map(x, y, RIDGE), ridge_map(x, shuffled, RIDGE)
    if kind == "procrustes":
        return procrustes_map(x, y), procrustes_map(x, shuffled)
    raise PlanError(f"Got the alignment map {kind!r}; expected semantic, ridge or procrustes.")


def trainable_ref(ref: ModelRef) -> ModelRef:
    """Training in 16 bits loses small updates, so `auto` means float32 for a student that trains."""
    return ref.model_copy(update={"dtype": "float32"}) if ref.dtype == "auto" else ref


def targets(
    plan: TransferPlan,
    teacher: LoadedModel,
    student: LoadedModel,
    layer: int,
    encoded: list[Encoded],
    progress: Progress,
) -> Targets:
    """What the method needs of the teacher: mapped activations, next-token distributions, or nothing."""
    if not plan.uses_teacher:
        return Targets(row_starts(encoded, plan.positions), {})
    alignment = None
    if plan.method == "semalign-v1":
        alignment = alignment_map(plan.map, teacher, student, match(teacher, student), plan.seed)

    def said(done: float) -> None:
        progress("Recording what the teacher says", 0.1 + 0.1 * done)

    return teacher_targets(teacher, encoded, plan, layer, alignment, progress=said)


def release() -> None:
    """Give memory back after a model went out of use."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def event(report: StepReport) -> dict[str, Any]:
    """One step as a line of events.jsonl."""
    return asdict(report)


class Probe:
    """Recall on a few items of each task, now and then during training, so that the screen shows more than the loss."""

    def __init__(self, plan: TransferPlan, student: LoadedModel):
        self.student, self.every, self.last = student, max(1, plan.steps // PROBES), plan.steps
        self.tasks = {name: load_examples(name).sample(PROBED_ITEMS, plan.seed) for name in plan.tasks}

    def __call__(self, step: int) -> dict[str, Any]:
        if step % self.every and step != self.last:
            return {}
        rates = {name: answered_right(self.student, task) for name, task in self.tasks.items()}
        return {"recall": {name: sum(right) / len(right) for name, right in rates.items()}}


def three_models(plan: TransferPlan, folder: Any) -> dict[str, LoadedModel]:
    """Teacher, student before and student after, in the precision that training used."""
    return {
        "teacher": load(plan.teacher),
        "before": load(trainable_ref(plan.student)),
        "after": open_student(folder, plan.model_copy(update={"student": trainable_ref(plan.student)})),
    }


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
    kinds = {"map": plan.map, "permuted": "permuted"}
    shared = found.same_tokenizer
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


def behaviour_change(models: dict[str, LoadedModel], plan: TransferPlan, progress: Progress) -> dict[str, Any]:
    """Tasks, general text and generations for teacher, before and after; paired changes with their priors."""
    tasks = {name: load_examples(name).sample(plan.n_task_items, plan.seed) for name in plan.tasks}
    behaviour: dict[str, Any] = {name: {"tasks": {}} for name in models}
    changes: dict[str, Any] = {}
    for i, (name, task) in enumerate(tasks.items()):
        progress(f"Asking {name}", 0.75 + 0.15 * i / len(tasks))
        right = {who: answered_right(loaded, task) for who, loaded in models.items()}
        for who in models:
            behaviour[who]["tasks"][name] = recall(right[who])
        changes[name] = {**asdict(paired_change(right["before"], right["after"])), "prior": task.prior()}
    texts = load_prompts(plan.general).sample(plan.n_general, plan.seed).texts
    progress("Reading general text", 0.9)
    scores = read_texts(models, texts, match(models["teacher"], models["before"]))
    for who, score in scores.items():
        per_byte = asdict(score.bits_per_byte())
        behaviour[who]["bits_per_byte"] = {**per_byte, "n_texts": per_byte["n"]}
        comparable = score.positions and who != "teacher"
        behaviour[who]["kl_to_teacher"] = {**asdict(score.kl()), "unit": "bits"} if comparable else None
        behaviour[who]["top1_agreement"] = asdict(score.top1()) if comparable else None
    progress("Writing side by side", 0.96)
    asked = (
        [e for task in tasks.values() for e in task.items[:: max(1, len(task.items) // (GENERATIONS // len(tasks)))]]
        if tasks
        else []
    )
    asked = asked[: 4 * GENERATIONS]
    written = {who: continuations(loaded, [e.prompt for e in asked]) for who, loaded in models.items()}
    generations = [
        {"prompt": e.prompt, "expected": e.answer, **{who: written[who][i] for who in models}}
        for i, e in enumerate(asked)
    ]
    return {"behaviour": behaviour, "changes": changes, "generations": generations}


def versions() -> dict[str, str]:
    """What computed a result."""
    import transformers

    return {
        "pkt": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else platform.processor() or platform.machine(),
    }
