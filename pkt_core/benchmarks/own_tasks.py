"""Example sets as tasks of the harness: the bundled demo facts, and a user's .jsonl or .csv of prompt, answer and perhaps choices.

Without choices an item is right where greedy decoding gives the whole answer, as everywhere in this project; with choices (a
list, or text parted by `|`) where the answer is the most probable of them. The task file is the harness's own format.

Not covered: answers in free form.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pkt_core.base.files import cache_root, write_text
from pkt_core.base.fingerprint import fingerprint
from pkt_core.benchmarks.local_items import write_task_file
from pkt_core.data.examples import load_examples
from pkt_core.data.row_files import shown
from pkt_core.errors import BenchmarkError, PromptError

VERSION = 1.0


def is_own(name: str) -> bool:
    """Whether a name means an example set rather than a task of the harness."""
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
    said: dict[str, Any] = {
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
        said["doc_to_choice"] = "{{choices}}"
    return task, write_task_file(task, said, key)
