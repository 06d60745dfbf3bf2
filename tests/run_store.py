"""A store of many finished runs, written at once: what a year of work leaves behind."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from pkt_core.runs.folder import recorded_root, runs_root

LABELS = ("semalign-v1", "sft", "logit-kd", "permuted vocabulary", "shuffled teacher rows")


def fill(n: int, *, family_of: int = 50) -> list[str]:
    """`n` finished runs in the cache that is set, ten seconds apart, with the results of a recorded run; their ids, oldest first.

    Each `family_of` of them are a family; they differ in label, layers and seed.
    """
    recorded = Path(__file__).parents[1] / "assets" / "recorded" / "demo-sft"
    shipped = recorded if recorded.is_dir() else recorded_root() / "demo-sft"
    plan, status, results = (
        json.loads((shipped / f"{name}.json").read_text()) for name in ("plan", "status", "results")
    )
    now, made = time.time() - 10.0 * n, []
    for i in range(n):
        run_id = f"made-{i:05d}-semalign-v1"
        folder = runs_root() / run_id
        folder.mkdir(parents=True)
        at = now + 10.0 * i
        layers = {"teacher_layer": i % 7, "student_layer": i // 7 % 4}
        write(folder / "plan.json", plan | {"method": "semalign-v1", "seed": i % 5} | layers)
        write(folder / "status.json", status | {"created": at, "started": at, "updated": at + 9, "finished": at + 9})
        write(folder / "results.json", results)
        belongs = {"family": f"family-{i // family_of:03d}", "label": LABELS[i % len(LABELS)], "place": i % family_of}
        write(folder / "family.json", belongs)
        made.append(run_id)
    return made


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
