"""The teacher's stage: layers are chosen, the teacher runs over the data once, and its targets are kept.

Everything training needs of the teacher is in the stored targets, so a plan can be carried out again on a machine that
does not have the teacher.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pkt_core.alignment.attribution import attribution
from pkt_core.alignment.model_maps import match
from pkt_core.base.fingerprint import fingerprint
from pkt_core.base.progress import Progress
from pkt_core.base.records import to_json
from pkt_core.base.store import artefact_folder, set_aside
from pkt_core.data.examples import Encoded, ExampleSet, encode, load_examples
from pkt_core.data.prompts import load_prompts
from pkt_core.errors import ModelError, StoreError
from pkt_core.models.loading import LoadedModel, from_numbers, load, load_tokenizer, model_digest, release
from pkt_core.models.ref import ModelRef
from pkt_core.models.shape import model_shape
from pkt_core.models.vocabulary import match_vocabularies
from pkt_core.transfer.batch import Extraction
from pkt_core.transfer.check import check, require_layers, require_measurable
from pkt_core.transfer.devices import Processes
from pkt_core.transfer.fit_maps import carries, fitting_texts
from pkt_core.transfer.layers import chosen_pairs
from pkt_core.transfer.method import method_of
from pkt_core.transfer.plan import TransferPlan, settings
from pkt_core.transfer.readings import read_alike, read_apart, require_rows, usable
from pkt_core.transfer.requirements import require_device
from pkt_core.transfer.settings import FITTED, Distributed, Mapped, RowWise, WithTeacher
from pkt_core.transfer.setup import trainable_ref
from pkt_core.transfer.targets import MANIFEST, TARGETS_VERSION, Targets, Wanted, read_targets, record_targets, shuffled

logger = logging.getLogger(__name__)


TEACHER_FIELDS = (
    "data", "n_examples", "method", "map", "basis", "teacher_weights", "teacher_layer", "student_layer",
    "output_weight", "n_pairs", "layer_pairs", "pairing", "interpolate", "part", "positions", "temperature", "divergence", "strength", "steer", "lora_rank", "scope", "seed",
    "general", "n_general",
)  # fmt: skip
"""What of a plan could change its targets, of every plan and of those earlier versions wrote: what a plan has not counts by its default."""


def targets_folder(plan: TransferPlan, student: ModelRef, examples: ExampleSet) -> Path:
    """Where the targets of a plan are kept, known without having the teacher."""
    method = method_of(plan)
    fields = {name: getattr(plan, name, settings()[name].default) for name in TEACHER_FIELDS}
    fields |= {name: getattr(plan, name) for name in method.own_settings if name not in method.loss_only}
    if method.extract is not None:  # elsewhere rows are shuffled after they are read
        fields["rows"] = getattr(plan, "rows", settings()["rows"].default)
    teacher = [plan.teacher.name, plan.teacher.revision, plan.teacher.dtype, plan.teacher.device]
    key = fingerprint(
        asked=fields,
        teacher=teacher,
        student=model_digest(student),
        data=examples.digest,
        general=load_prompts(plan.general).digest,
        version=TARGETS_VERSION,
    )
    return artefact_folder("targets", key)


def stored_targets(folder: Path, teacher: ModelRef) -> Targets | None:
    """Targets that were recorded before from this very teacher, or from one of its name that is not here now.

    Damaged ones are logged, set aside, and count as none.
    """
    try:
        stored = read_targets(folder)
    except StoreError as error:
        aside = set_aside(folder)
        logger.warning("%s They were moved to %s.", error, aside.name)
        return None
    if stored is None:
        return None
    try:
        same = stored.facts["teacher_digest"] == model_digest(teacher)
    except ModelError:
        return stored
    return stored if same else None


def require_plan(plan: TransferPlan, *, now: bool) -> None:
    """Raises what is wrong with a plan, as far as it shows without loading a model, before there is a run of it.

    Settings, layers, shared tokens, prompts, examples and tasks; `now` also whether this device has the memory and the disk.
    """
    plan.check_settings()
    student = model_shape(plan.student)
    examples = load_examples(plan.data).sample(plan.n_examples, plan.seed)
    require_measurable(plan)
    there = targets_folder(plan, trainable_ref(plan.student), examples) / MANIFEST
    try:
        teacher = model_shape(plan.teacher)
    except ModelError:
        if there.is_file():  # its targets are stored
            return
        raise
    require_layers(plan, teacher.n_layers, student.n_layers)
    if plan.compares_tokens:
        tokenizers = load_tokenizer(plan.teacher), load_tokenizer(plan.student)
        shared = match_vocabularies(*tokenizers, teacher.vocabulary, student.vocabulary)
        shared.require(f"{plan.method} on shared tokens")
    if now and not there.is_file():
        require_device(plan)


def record(
    plan: TransferPlan,
    teacher: LoadedModel,
    student: LoadedModel,
    examples: ExampleSet,
    folder: Path,
    progress: Progress,
) -> Targets:
    """Choose the layers, fit the maps, run the teacher over the data once, and keep all of it in `folder`.

    Raises what `check` does where the plan does not fit the models.
    """
    progress("Choosing the layers", 0.05)
    context, found_match = min(teacher.context, student.context), match(teacher, student)
    check(plan, teacher, student, found_match)
    encoded = encode(student.tokenizer, examples.items, context)
    scored = attribution(teacher, examples, plan.seed) if plan.leaves_layers_open else None
    scores = scored.scores.tolist() if scored is not None else None
    pairs, main = chosen_pairs(plan, teacher.n_layers, student.n_layers, scores)
    if isinstance(plan, WithTeacher) and plan.teacher_weights == "untrained":
        redraw(teacher, plan.seed)

    def report(done: float) -> None:
        progress("Recording teacher targets", 0.1 + 0.1 * done)

    report(0.0)
    method = method_of(plan)
    logits = method.logits and plan.wants_distribution
    readings, shared = read_alike(encoded), None
    if not found_match.same_tokenizer and plan.uses_teacher:
        readings = read_apart(teacher, student, examples.items, encoded)
        shared = found_match.teacher_ids, found_match.student_ids
    wanted = Wanted(
        method.states, logits, plan.by_rank, plan.temperature if isinstance(plan, Distributed) else 1.0, {}, shared
    )
    if shared is not None:
        rows = [usable(r, e, plan.positions, wanted.needs) for r, e in zip(readings, encoded, strict=True)]
        require_rows(rows, found_match)
    mapped = plan if isinstance(plan, Mapped) else None
    reads = mapped is not None and (mapped.map in FITTED or method.extract is not None)
    texts = fitting_texts(plan) if reads else ()
    maps = {} if mapped is None else carries(mapped, teacher, student, found_match, pairs, texts)
    extract: dict[str, Tensor] = {}
    if method.extract is not None:
        extraction = Extraction(plan, teacher, student, pairs, examples, encoded, readings, texts, maps)
        extract = method.extract(extraction, plan)
    facts: dict[str, Any] = {
        "pairs": [asdict(pair) for pair in pairs],
        "main": asdict(main),
        "attribution": scored and to_json(scored),
        "teacher_digest": teacher.digest,
        "d_teacher": teacher.d_model,
        "context": context,
    }
    wanted = replace(wanted, maps=maps)
    return record_targets(
        folder, teacher, encoded, readings, plan, pairs, wanted, extract=extract, facts=facts, progress=report
    )


def targets(
    plan: TransferPlan, student: LoadedModel, examples: ExampleSet, processes: Processes, progress: Progress
) -> tuple[Targets, list[Encoded]]:
    """The teacher's targets for the examples, stored or recorded now, and the examples as the student reads them.

    Of several processes the first records, the others wait. Raises what `transfer.check.check` does.
    """
    folder = targets_folder(plan, student.ref, examples)
    recorded = stored_targets(folder, plan.teacher) if processes.first else None
    if processes.first and recorded is None:
        require_device(plan)
        progress("Loading the teacher", 0.02)
        teacher = load(plan.teacher)
        require_measurable(plan, teacher, student)
        recorded = record(plan, teacher, student, examples, folder, progress)
        del teacher  # its targets are all that training needs: the memory is the student's now
        release()
    processes.wait()
    recorded = recorded or read_targets(folder)
    if recorded is None:
        raise StoreError(f"The targets in {folder} are missing. Start the transfer again to record them.")
    return as_planned(recorded, plan), encode(student.tokenizer, examples.items, recorded.facts["context"])


def as_planned(targets: Targets, plan: TransferPlan) -> Targets:
    """The targets as training uses them: with rows shuffled where the plan sets that control."""
    return shuffled(targets, plan.seed) if isinstance(plan, RowWise) and plan.rows == "shuffled" else targets


@torch.no_grad()
def redraw(teacher: LoadedModel, seed: int) -> None:
    """The control `untrained teacher`: every weight drawn anew, embeddings and head too, as a fresh model of its shape has them."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fresh = from_numbers(teacher.ref, teacher.model.config)
    teacher.model.load_state_dict({k: v.to(teacher.dtype) for k, v in fresh.state_dict().items()})
