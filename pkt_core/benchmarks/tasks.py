"""Tasks of lm-evaluation-harness by name, their items from the hub or from local files, and the protocol of each.

Not covered: measuring a model (`asking.py`).
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pkt_core.base.fingerprint import fingerprint
from pkt_core.benchmarks import local_tasks
from pkt_core.benchmarks.code_judge import judging, protocol, uses_our_judge
from pkt_core.benchmarks.record import Protocol, Readiness
from pkt_core.benchmarks.sandbox import WHY, unavailable
from pkt_core.errors import BenchmarkError, SandboxError

HARNESS_SEEDS = (0, 1234, 1234, 1234)
"""Default seeds of the harness, for Python, NumPy, torch and the worked examples."""
HARNESS_TOKENS = 256
"""Longest answer where neither task nor user sets it."""


class Asking(BaseModel):
    """Settings of a measurement, beyond the definitions of the tasks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: int | None = Field(default=None, ge=1)
    """Number of items of each task; None is all."""
    spread: bool = False
    """Whether these are spaced evenly over the task, rather than its first ones, which may be easier or of one kind."""
    shots: int | None = Field(default=None, ge=0)
    """Worked examples before each item; None is the default of the task."""
    seed: int | None = Field(default=None, ge=0)
    """One seed for everything random; None is the harness's defaults."""
    chat: bool = False
    """Whether prompts go through the model's chat template."""
    batch_size: int = Field(default=8, ge=1)
    """Items per batch; it affects the last digits of a model's outputs."""
    decoding: dict[str, Any] = Field(default_factory=dict)
    """Generation settings in place of the task's, such as max_gen_toks."""
    data: str | None = None
    """A folder of local items; None uses the hub."""
    include: str | None = None
    """A folder of further tasks in the harness's format."""
    allow_code: bool = False
    """Whether generated code may run, in the sandbox."""

    def chosen(self, n: int) -> list[int] | None:
        """Indices of the items used where they are spread; None where they are the first ones or all."""
        if not self.spread or self.limit is None or self.limit >= n:
            return None
        return [i * n // self.limit for i in range(self.limit)]

    @property
    def seeds(self) -> tuple[int, int, int, int]:
        return HARNESS_SEEDS if self.seed is None else (self.seed,) * 4


@dataclass(frozen=True)
class Found:
    """A task, ready to be measured."""

    task: Any
    """The harness's object."""
    protocol: Protocol
    asked_for: str
    """The requested name: the task, or a group it belongs to."""
    include: tuple[str, ...]
    """Folders that the harness's command line needs to find the same task."""
    manager: Any
    """The harness's task manager in which it was found."""


def require_harness() -> str:
    """The harness's version. Raises BenchmarkError where it is not installed."""
    if importlib.util.find_spec("lm_eval") is None:
        raise BenchmarkError(
            'Benchmarks need lm-evaluation-harness, which is not installed. Install it with `pip install "semalign-pkt[benchmarks]"`.'
        )
    return importlib.metadata.version("lm_eval")


def benchmark_sandbox() -> Readiness:
    """What benchmarks lack on this machine: the harness, or a sandbox for generated code."""
    try:
        require_harness()
        missing = None
    except BenchmarkError as error:
        missing = str(error)
    return Readiness(missing, unavailable(), WHY)


@functools.lru_cache(maxsize=4)
def manager(include: tuple[str, ...] = (), defaults: bool = True) -> Any:
    """The harness's list of tasks; it reads thousands of files, so once per process."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=list(include) or None, include_defaults=defaults)


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the harness's progress bars and warnings; progress is reported by the project."""
    import datasets
    import lm_eval.api.task as building
    from lm_eval import evaluator

    logger, bars = logging.getLogger("lm_eval"), datasets.are_progress_bars_disabled()
    level, bar = logger.level, building.tqdm
    logger.setLevel(logging.ERROR)
    building.tqdm = functools.partial(bar, disable=True)
    facts = evaluator.get_git_commit_hash, evaluator.add_env_info  # slow and loud, and of this machine
    evaluator.get_git_commit_hash, evaluator.add_env_info = (lambda: None), (lambda _storage: None)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        building.tqdm = bar
        evaluator.get_git_commit_hash, evaluator.add_env_info = facts
        logger.setLevel(level)
        if not bars:
            datasets.enable_progress_bars()


def find_tasks(names: Sequence[str], asking: Asking) -> list[Found]:
    """The tasks of these names in order, groups expanded. Raises BenchmarkError for tasks that cannot be measured here."""
    require_harness()
    tasks: dict[str, Found] = {}
    with quiet(), judging(asking.allow_code):
        for name in names:
            for one in tasks_of(name, asking):
                tasks.setdefault(one.protocol.task, one)
    return list(tasks.values())


def tasks_of(name: str, asking: Asking) -> list[Found]:
    if local_tasks.is_own(name):
        task, folder = local_tasks.write_own(name)
        there = manager((str(folder),), defaults=False)
        return [ready(read(task, there)[task], task, asking, (str(folder),), there)]
    include = (require_tasks(asking.include),) if asking.include else ()
    tasks = manager(include)
    if name not in tasks.all_tasks:
        near = difflib.get_close_matches(name, tasks.all_tasks, n=3)
        raise BenchmarkError(
            f"Got the task {name!r}; lm-evaluation-harness has no such task. {'Similar: ' + ', '.join(near) if near else 'See `lm-eval ls tasks`'}. "
            "Choose another, or set its folder with --include-path."
        )
    if asking.data is None:
        return [ready(task, name, asking, include, tasks) for task in read(name, tasks).values()]
    made = []
    for leaf in leaves(name, tasks):
        folder = local_task(leaf, tasks, Path(asking.data).expanduser(), asking)
        there = manager((str(folder),), defaults=False)
        made.append(ready(read(leaf, there)[leaf], name, asking, (str(folder),), there))
    return made


def read(name: str, tasks: Any) -> dict[str, Any]:
    """The harness's objects with their items loaded. Raises BenchmarkError where they cannot be read."""
    try:
        return dict(tasks.load([name])["tasks"])
    except SandboxError as error:
        raise SandboxError(f"{name} runs generated code. {error}") from error
    except Exception as error:
        text = " ".join(str(error).split())[:160]
        raise BenchmarkError(
            f"The task {name} could not be read ({type(error).__name__}: {text}). If the hub is not reachable, put its items "
            "into a folder and set it with --data."
        ) from error


def leaves(name: str, tasks: Any) -> list[str]:
    """The tasks that a group or tag stands for, in the harness's order; a task stands for itself."""
    from lm_eval.tasks._index import Kind

    entry = tasks.task_index[name]
    if entry.kind is Kind.TAG:
        return sorted(entry.tags)
    if entry.kind is not Kind.GROUP:
        return [name]
    members = definition(entry)["task"]
    if not all(isinstance(member, str) for member in members):
        raise BenchmarkError(
            f"The group {name} defines its tasks inline, which --data does not support. Name single tasks."
        )
    return list(dict.fromkeys(leaf for member in members for leaf in leaves(member, tasks)))


def definition(entry: Any) -> dict[str, Any]:
    """Contents of a task file, with functions by name."""
    from lm_eval.tasks._yaml_loader import load_yaml

    return dict(load_yaml(entry.yaml_path, resolve_func=False))


def local_task(name: str, tasks: Any, folder: Path, asking: Asking) -> Path:
    """Folder of the task file that reads its items from a folder. Raises BenchmarkError where the items are missing."""
    entry = tasks.task_index[name]
    if entry.yaml_path is None:
        raise BenchmarkError(f"The task {name} is defined in code, so --data cannot set its items. Use the hub.")
    config = definition(entry)
    items = local_tasks.find_items(name, config, folder)
    worked = config.get("fewshot_config") or {}
    shots = shots_of(config.get("num_fewshot"), asking)
    split = str(config.get("fewshot_split") or worked.get("split") or config.get("training_split") or "")
    if shots and "samples" not in worked and split not in items.files:
        raise BenchmarkError(
            f"{name} needs {shots} worked examples, but {folder} has no {name}/{split or 'train'}.jsonl. Put it "
            "there, or set --shots 0."
        )
    different = local_tasks.override(config, items)
    key = fingerprint(task=name, definition=str(entry.yaml_path), different=different)
    return local_tasks.write_task(name, Path(entry.yaml_path), different, key)


def shots_of(default: int | None, asking: Asking) -> int:
    """The harness's rule: a task with 0 worked examples has none, whatever is requested."""
    if default == 0 or asking.shots is None:
        return default or 0
    return asking.shots


def require_tasks(folder: str) -> str:
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise BenchmarkError(
            f"There is no folder {folder}; expected one with task files of the harness. Choose another."
        )
    return str(path.resolve())


def ready(task: Any, asked_for: str, asking: Asking, include: tuple[str, ...], tasks: Any) -> Found:
    """The task with its protocol. Raises SandboxError where its code must not run here."""
    name = task.config.task
    unsafe = bool(getattr(task, "UNSAFE_CODE", False))
    if unsafe:
        require_safe(task, name, asking)
    chosen = asking.chosen(len(task.eval_docs))
    docs = [task.eval_docs[i] for i in chosen] if chosen else [doc for _, doc in task.doc_iterator(limit=asking.limit)]
    generates = task.OUTPUT_TYPE == "generate_until"
    decoding = {**(task.config.generation_kwargs or {}), **asking.decoding} if generates else {}
    if generates and not {"max_gen_toks", "max_new_tokens", "max_tokens", "max_length"} & set(decoding):
        decoding["max_gen_toks"] = HARNESS_TOKENS
    fixed = Protocol(
        harness=require_harness(),
        task=name,
        version=str(task.VERSION),
        template=template_digest(task),
        shots=shots_of(task.config.num_fewshot, asking),
        n=len(docs),
        limit=asking.limit,
        chosen=chosen,
        kind=str(task.OUTPUT_TYPE),
        decoding=json.loads(json.dumps(decoding, default=str)),
        temperature=temperature(decoding) if generates else None,
        seeds=asking.seeds,
        chat=asking.chat,
        batch_size=asking.batch_size,
        items=digest(docs),
        source=str(task.DATASET_PATH) if task.DATASET_PATH not in local_tasks.KINDS.values() else "local",
        judge=protocol() if unsafe or uses_our_judge(task) else None,
    )
    return Found(task, fixed, asked_for, include, tasks)


def require_safe(task: Any, name: str, asking: Asking) -> None:
    if not uses_our_judge(task):
        raise SandboxError(
            f"{name} runs generated code with its own judge, without a sandbox, so it is not supported. Leave it out."
        )
    if not asking.allow_code:
        raise SandboxError(f"{name} runs generated code. {WHY} Allow it with --allow-code, or leave {name} out.")
    if reason := unavailable():
        raise SandboxError(reason)


def temperature(decoding: Mapping[str, Any]) -> float:
    """0 for greedy decoding, which is the harness's default unless a task sets `do_sample`."""
    return float(decoding.get("temperature", 1.0)) if decoding.get("do_sample") else 0.0


def template_digest(task: Any) -> str:
    """Digest of a definition, except the location of its items and its name."""
    aside = {
        "dataset_path",
        "dataset_name",
        "dataset_kwargs",
        "metadata",
        "task_alias",
        "num_fewshot",
        *local_tasks.SPLITS,
    }
    config = {key: value for key, value in task.dump_config().items() if key not in aside}
    return digest(config)


def digest(value: Any) -> str:
    """Sixteen hexadecimal digits for any JSON value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]
