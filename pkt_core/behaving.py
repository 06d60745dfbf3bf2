"""The story below the score: where a run's student changed, token by token, and in what it writes.

token_change  teacher, before and after over the same texts, token by token  -> TokenChange  (stored)
writing       what the three write after the same prompts, greedy or sampled  -> Rows         (stored)
user_task     a task of one's own, asked of all three                          -> UserTask     (stored)

Not covered: the plan's own tasks (`pipeline.evaluate`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pkt_core import stages
from pkt_core.activations.collect import require_fit
from pkt_core.errors import PlanError, PromptError, StoreError
from pkt_core.evaluation.generate import Sampling, written
from pkt_core.examples import load_examples
from pkt_core.models.loading import model_digest, weights_digest
from pkt_core.pipeline import Progress, silent
from pkt_core.prompts import PromptSet
from pkt_core.runs import Run
from pkt_core.stages.picked import Rows, chosen
from pkt_core.stages.tokens import Text
from pkt_core.stages.tokens import token_change as change_of
from pkt_core.stages.user_task import user_task as asked
from pkt_core.store import fingerprint, load_artefact, save_artefact
from pkt_core.task_results import UserTask
from pkt_core.token_results import TokenChange
from pkt_core.transfer.plan import TransferPlan

TOKENS_VERSION = 1
WRITING_VERSION = 1
TASK_VERSION = 1
MOST_ITEMS = 5000
MOST_PROMPTS = 64
MOST_NEW = 512
AT_ONCE = 8  # prompts written in one go; their rows are told when all three models are done with them
MOST_TEXTS = 500
TEXTS = ("tasks", "general", "prompts")


def trained(run: Run) -> TransferPlan:
    """The plan of a run that keeps its trained student. Raises StoreError where it does not."""
    plan = TransferPlan.read(run.plan(), run.folder / "plan.json")
    if not list((run.folder / "student").glob("*.safetensors")):
        raise StoreError(
            f"Run {run.id} keeps no trained student. Choose a run that finished here, or carry its plan out again."
        )
    return plan


def held(plan: TransferPlan, run: Run) -> dict[str, object]:
    """What names the three models of a run."""
    return {
        "models": [[model_digest(ref), ref.dtype, ref.device] for ref in (plan.teacher, plan.student)],
        "after": weights_digest(run.folder / "student"),
    }


def texts_of(
    plan: TransferPlan, texts: str, prompts: str | PromptSet | None, ids: Sequence[int], n: int, seed: int
) -> tuple[str, list[Text]]:
    """What is read, and what it is called: items of the run's tasks (as many of each), general text, or prompts of one's own."""
    if texts not in TEXTS:
        raise PlanError(f"Got texts {texts!r}; expected one of {', '.join(TEXTS)}.")
    if not 2 <= n <= MOST_TEXTS:
        raise PlanError(f"Got {n} texts; expected 2 to {MOST_TEXTS}.")
    if texts == "tasks":
        names = plan.tasks or (plan.data,)
        each = max(1, n // len(names))
        items = [(name, item) for name in names for item in load_examples(name).sample(each, seed).items]
        return "the run's tasks", [Text(e.prompt + e.answer, name, len(e.prompt)) for name, e in items]
    if texts == "general":
        found = stages.prompt_set(plan.general).sample(n, seed)
        return f"general text ({found.name})", [Text(text) for text in found.texts]
    whole = stages.prompt_set(prompts or plan.prompts)
    found = chosen(whole, ids[:MOST_TEXTS]) if ids else whole.sample(n, seed)
    return f"{'picked prompts' if ids else 'prompts'} ({found.name})", [Text(text) for text in found.texts]


def token_change(
    run: Run,
    *,
    texts: str = "tasks",
    prompts: str | PromptSet | None = None,
    ids: Sequence[int] = (),
    n: int = 120,
    seed: int = 0,
    progress: Progress = silent,
) -> TokenChange:
    """Every token of the texts through teacher, student before and student after; computed once, then stored.

    texts: `tasks` (prompt and answer of the run's tasks), `general`, or `prompts` with a set and, where some are picked,
    their ids. Raises StoreError for a run that keeps no trained student, PromptError or PlanError where texts do not fit.
    """
    plan = trained(run)
    name, read = texts_of(plan, texts, prompts, ids, n, seed)
    told = [[one.text, one.group, -1 if one.answer_at is None else one.answer_at] for one in read]
    key = fingerprint(**held(plan, run), texts=told, run=run.id, version=TOKENS_VERSION)
    if stored := load_artefact("token-change", key):
        return TokenChange.from_json(stored[1])
    progress("Loading teacher, student before and student after", 0.0)
    models = stages.three_models(plan, run.folder / "student")
    match = stages.match(models["teacher"], models["before"])
    found = change_of(models, read, match, run=run.id, name=name, progress=progress)
    save_artefact("token-change", key, {}, found.to_json())
    return found


def writing(
    run: Run,
    *,
    prompts: str | PromptSet | None = None,
    ids: Sequence[int] = (),
    new_tokens: int = 24,
    temperature: float | None = None,
    top_p: float = 1.0,
    seed: int = 0,
    tell: Callable[[list[dict[str, Any]]], None] = lambda _: None,
    progress: Progress = silent,
) -> Rows:
    """What teacher, student before and student after write after at most 64 prompts; computed once, then stored.

    Greedy where no temperature is given; sampled ones share their chance, see `generate.py`. `tell` gets the rows as they come.
    Raises StoreError for a run that keeps no trained student, PlanError or PromptError where settings or prompts do not fit.
    """
    plan = trained(run)
    sampling = None if temperature is None else checked(temperature, top_p, seed)
    if not 1 <= new_tokens <= MOST_NEW:
        raise PlanError(f"Got {new_tokens} new tokens; expected 1 to {MOST_NEW}.")
    whole = stages.prompt_set(prompts or plan.prompts)
    texts = chosen(whole, (list(ids) or whole.ids)[:MOST_PROMPTS])
    facts: dict[str, Any] = {"new_tokens": new_tokens, "decoding": "greedy" if sampling is None else "sampled"}
    facts |= {} if sampling is None else {"temperature": float(temperature or 0), "top_p": float(top_p), "seed": seed}
    key = fingerprint(**held(plan, run), texts=texts.digest, ids=texts.ids, recipe=facts, version=WRITING_VERSION)
    if stored := load_artefact("writing", key):
        return Rows.from_json(stored[1])
    progress("Loading teacher, student before and student after", 0.0)
    models = stages.three_models(plan, run.folder / "student")
    for loaded in models.values():
        require_fit(loaded, texts.texts)
    rows: list[dict[str, Any]] = []
    for start in range(0, len(texts), AT_ONCE):
        some = texts.texts[start : start + AT_ONCE]
        said = {who: written(loaded, some, new_tokens=new_tokens, sampling=sampling) for who, loaded in models.items()}
        found = [
            {"id": texts.ids[start + i], "text": text, **{who: lines[i] for who, lines in said.items()}}
            for i, text in enumerate(some)
        ]
        tell(found)
        rows += found
        progress("Writing", 0.2 + 0.8 * len(rows) / len(texts))
    result = Rows(rows, len(whole) if not ids else len(ids), facts)
    save_artefact("writing", key, {}, result.to_json())
    return result


def checked(temperature: float, top_p: float, seed: int) -> Sampling:
    """A way to sample. Raises PlanError for what is none."""
    if not 0 < temperature <= 10:
        raise PlanError(
            f"Got temperature {temperature:g}; expected more than 0 and at most 10. Leave it out for greedy decoding."
        )
    if not 0 < top_p <= 1:
        raise PlanError(f"Got top_p {top_p:g}; expected more than 0 and at most 1.")
    return Sampling(float(temperature), float(top_p), seed)


def user_task(run: Run, *, task: str, progress: Progress = silent) -> UserTask:
    """A bundled task or a .jsonl or .csv file, asked of teacher, student before and student after; computed once, then stored.

    Raises PromptError where the file is malformed or has more than 5,000 items, StoreError for a run that keeps no student.
    """
    plan, items = trained(run), load_examples(task)
    if len(items) > MOST_ITEMS:
        raise PromptError(f"{task} holds {len(items):,} items; at most {MOST_ITEMS:,} are asked. Shorten it.")
    key = fingerprint(
        **held(plan, run),
        items=items.digest,
        groups=[e.group for e in items.items],
        run=run.id,
        task=task,
        version=TASK_VERSION,
    )
    if stored := load_artefact("user-task", key):
        return UserTask.from_json(stored[1])
    progress("Loading teacher, student before and student after", 0.0)
    found = asked(stages.three_models(plan, run.folder / "student"), items, run=run.id, progress=progress)
    save_artefact("user-task", key, {}, found.to_json())
    return found
