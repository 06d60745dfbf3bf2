"""Tasks of the harness whose items are local files: benchmarks in the hub's schema, bundled facts, custom examples.

A benchmark keeps the harness's definition (template, filters, metrics); a small task file sets only the location of its items. An
example set gets a separate task file: without choices, an item is right where greedy decoding gives the whole answer, as
everywhere in this project; with choices (a list, or text separated by `|`), where the answer is the most probable of them. Both
use the harness's format, so that its command line reads the same tasks.

Not covered: checking that a file has the official items (its digest is in every result's protocol); answers in free form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pkt_core.base.files import cache_root, write_text
from pkt_core.base.fingerprint import fingerprint
from pkt_core.data.examples import load_examples
from pkt_core.data.row_files import read_file, read_rows, shown
from pkt_core.errors import BenchmarkError, PromptError

MOST_BYTES = 2**29  # per file; ten times the items of the largest task
KINDS = {".jsonl": "json", ".jsonl.gz": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv"}
SPLITS = ("test_split", "validation_split", "training_split", "fewshot_split")


@dataclass(frozen=True)
class LocalItems:
    """The files of one task."""

    files: dict[str, Path]
    """By the name of the split."""
    kind: str
    """The reader of `datasets` for them."""


def find_items(task: str, config: Mapping[str, Any], folder: Path) -> LocalItems:
    """A task's files in a folder. Raises BenchmarkError where its items are missing.

    Looked for in this order, each as .jsonl, .jsonl.gz, .json, .parquet or .csv: `TASK/SPLIT`, `NAME/SUBSET/SPLIT`, `NAME/SPLIT`,
    then `TASK` and `NAME`, which hold the items to measure. NAME is the task's name cut at an underscore
    (`mmlu` of `mmlu_anatomy`) or the data set's on the hub, SUBSET its subset there (`anatomy`).
    """
    if not folder.is_dir():
        raise BenchmarkError(f"There is no folder {folder}; expected one with {task}.jsonl. Choose an existing folder.")
    subset = str(config.get("dataset_name") or "")
    wanted = {str(config[key]) for key in SPLITS if config.get(key)}
    asked = str(config.get("test_split") or config.get("validation_split") or "test")
    files: dict[str, Path] = {}
    for split in sorted(wanted | {asked}):
        names = [f"{task}/{split}"]
        names += [f"{name}/{subset}/{split}" for name in other_names(task, config) if subset]
        names += [f"{name}/{split}" for name in other_names(task, config)]
        names += [task, *other_names(task, config)] if split == asked else []
        if (path := first_file(folder, names)) is not None:
            files[split] = path
    if asked not in files:
        raise BenchmarkError(
            f"{folder} has no items of {task}; expected {task}.jsonl or {task}/{asked}.jsonl in the schema of "
            f"{config.get('dataset_path')}. Put the file there, or choose another folder."
        )
    kinds = {kind_of(path) for path in files.values()}
    if len(kinds) > 1:
        raise BenchmarkError(f"Got files of {task} in several formats in {folder}; expected one format. Convert them.")
    for path in files.values():
        require_rows(path)
    return LocalItems(files, kinds.pop())


def require_rows(path: Path) -> None:
    """Raise BenchmarkError for a malformed .jsonl or .csv; the harness's reader is less strict and names no line."""
    if path.suffix in (".jsonl", ".csv"):
        try:
            read_rows(path.name, path.suffix, read_file(path, MOST_BYTES))
        except PromptError as error:
            raise BenchmarkError(str(error)) from error


def other_names(task: str, config: Mapping[str, Any]) -> list[str]:
    """Further names under which the items of a task may be stored."""
    parts = task.split("_")
    cut = ["_".join(parts[:n]) for n in range(len(parts) - 1, 0, -1)]
    hub = str(config.get("dataset_path") or "").rstrip("/").split("/")[-1]
    return list(dict.fromkeys([*cut, *filter(None, [hub])]))


def first_file(folder: Path, names: list[str]) -> Path | None:
    return next(
        (path for name in names for end in KINDS if (path := folder / f"{name}{end}").is_file()),
        None,
    )


def kind_of(path: Path) -> str:
    return next(kind for end, kind in KINDS.items() if path.name.endswith(end))


def override(config: Mapping[str, Any], items: LocalItems) -> dict[str, Any]:
    """Changes to the harness's definition: location of the items, and no split without a file."""
    gone = {key: None for key in SPLITS if config.get(key) and str(config[key]) not in items.files}
    files = {split: str(path.resolve()) for split, path in sorted(items.files.items())}
    return {"dataset_path": items.kind, "dataset_name": None, "dataset_kwargs": {"data_files": files}, **gone}


def write_task(task: str, definition: Path, different: Mapping[str, Any], key: str) -> Path:
    """Write the harness's definition with these changes as a task file; returns its folder."""
    return write_task_file(task, {"include": str(definition), "task": task, **different}, key)


def write_task_file(task: str, config: Mapping[str, Any], key: str) -> Path:
    """Write a task file into a separate folder, for the harness's --include_path."""
    folder = cache_root() / "benchmark-tasks" / key
    lines = [f"{name}: {json.dumps(value)}" for name, value in config.items()]  # JSON is YAML
    write_text(folder / f"{task}.yaml", "\n".join(lines) + "\n")
    return folder


VERSION = 1.0


def is_own(name: str) -> bool:
    """Whether a name is an example set rather than a task of the harness."""
    return name.startswith("demo/") or Path(name).suffix.lower() in (".jsonl", ".csv")


def write_own(name: str) -> tuple[str, Path]:
    """The task's name in the harness and the folder of its file. Raises BenchmarkError for a set that cannot be read."""
    try:
        examples = load_examples(name)
    except PromptError as error:
        raise BenchmarkError(str(error)) from error
    choices = bool(examples.items[0].choices)
    rows: list[dict[str, Any]] = [{"prompt": e.prompt, "answer": e.answer, "group": e.group} for e in examples.items]
    for row, item in zip(rows, examples.items, strict=True):
        if choices:
            row |= {"choices": list(item.choices), "right": item.choices.index(item.answer)}
    stem = shown(name).removesuffix(Path(name).suffix).split("/")[-1]
    task = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_") or "items"
    task = f"demo_{task}" if name.startswith("demo/") else task
    key = fingerprint(task=task, examples=examples.digest, version=VERSION)
    folder = cache_root() / "benchmark-tasks" / key
    items = folder / "items.jsonl"
    write_text(items, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    config: dict[str, Any] = {
        "task": task,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(items.resolve())}},
        "test_split": "test",
        "output_type": "multiple_choice" if choices else "loglikelihood",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "right" if choices else "{{answer}}",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "num_fewshot": 0,
        "metadata": {"version": VERSION},
    }
    if choices:
        config["doc_to_choice"] = "{{choices}}"
    return task, write_task_file(task, config, key)
