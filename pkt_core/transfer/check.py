"""Whether a plan fits the two models it names: checked before anything heavy, in a second rather than after an hour."""

from __future__ import annotations

from pkt_core.activations.collect import require_fit
from pkt_core.alignment.pairing import read_pairs, require_layer
from pkt_core.data.examples import encode, load_examples
from pkt_core.data.prompts import load_prompts
from pkt_core.errors import PromptError
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site
from pkt_core.models.vocabulary import VocabularyMatch
from pkt_core.transfer.plan import TransferPlan


def check(plan: TransferPlan, teacher: LoadedModel, student: LoadedModel, match: VocabularyMatch) -> None:
    """Raises LayerNotFound, PlanError or VocabularyMismatch in one sentence."""
    plan.check_settings()
    teacher.require(Site(plan.part, plan.teacher_layer or 0))
    student.require(Site(plan.part, plan.student_layer or 0))
    for pair in read_pairs(plan.layer_pairs):
        teacher.require(Site(plan.part, pair.teacher))
        student.require(Site(plan.part, pair.student))
    if plan.compares_tokens:
        match.require(f"{plan.method} on shared tokens")


def require_layers(plan: TransferPlan, n_teacher: int, n_student: int) -> None:
    """Raises LayerNotFound for a layer that the plan names and a model of so many layers does not have."""
    pairs = read_pairs(plan.layer_pairs)
    named = {"teacher": [plan.teacher_layer, *(pair.teacher for pair in pairs)]}
    named["student"] = [plan.student_layer, *(pair.student for pair in pairs)]
    for side, n in (("teacher", n_teacher), ("student", n_student)):
        for layer in named[side]:
            if layer is not None:
                require_layer(side, layer, n)


FEWEST_PROMPTS = 4  # that a debiased CKA can be had from
FEWEST_GENERAL = 2  # that a bootstrap can draw from


def require_measurable(plan: TransferPlan, *models: LoadedModel) -> None:
    """Raises PromptError where the evaluation could not be carried out, before anything was trained for it."""
    prompts = load_prompts(plan.prompts).sample(plan.n_prompts, plan.seed)
    if len(prompts) < FEWEST_PROMPTS:
        raise PromptError(
            f"{prompts.name} holds {prompts.counted}; alignment before and after needs at least {FEWEST_PROMPTS}. Add prompts."
        )
    general = load_prompts(plan.general).sample(plan.n_general, plan.seed)
    if len(general) < FEWEST_GENERAL:
        raise PromptError(
            f"{general.name} holds {general.counted}; an interval of bits per byte needs at least {FEWEST_GENERAL} texts. Add texts."
        )
    texts = prompts.texts + general.texts
    tasks = [load_examples(name).sample(plan.n_task_items, plan.seed) for name in plan.tasks]
    for loaded in models:
        require_fit(loaded, texts)
        for task in tasks:
            encode(loaded.tokenizer, task.items, loaded.context)
