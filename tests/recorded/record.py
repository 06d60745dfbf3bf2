"""Make the recorded results again: what the studies answer about the demo pair and its recorded run, as JSON through the codec.

    python tests/recorded/record.py                 # all of them, in about a minute

Tests read them as records (`report_samples.recorded`) and put odd names into them where they look for escaping.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pkt_core.base.records import to_json
from pkt_core.data.prompts import load_prompts
from pkt_core.models.catalog import pair
from pkt_core.runs.folder import open_run
from pkt_core.studies.generations.compute import writing
from pkt_core.studies.generations.picked import picked_cell, picked_continuations, picked_tokens
from pkt_core.studies.inspection.basis_options import basis_options
from pkt_core.studies.inspection.compute import inspect_token

DEMO, RUN = pair("demo"), "demo-semalign-v1"
FACTS = load_prompts(DEMO.prompts)
CELL = {"teacher_layer": 5, "student_layer": 2, "measure": "debiased_linear_cka", "n_prompts": 96, "permutations": 20}
RESULTS: dict[str, Callable[[], Any]] = {
    "inspection": lambda: inspect_token(DEMO, text=FACTS.texts[0], anchor=FACTS.labels["answer"][0], run=RUN),
    "basis_options": lambda: basis_options(DEMO, n_prompts=32),
    "writing": lambda: writing(open_run(RUN), ids=FACTS.ids[:8], new_tokens=12),
    "picked_tokens": lambda: picked_tokens(DEMO, ids=FACTS.ids[:4]),
    "picked_continuations": lambda: picked_continuations(DEMO, run=RUN, ids=FACTS.ids[:4]),
    "picked_cell": lambda: picked_cell(DEMO, ids=FACTS.ids[:4], **CELL),
    "picked_cell_restricted": lambda: picked_cell(DEMO, ids=FACTS.ids[:40], **CELL),
}

if __name__ == "__main__":
    for name, make in RESULTS.items():
        text = json.dumps(to_json(make()), ensure_ascii=False)
        Path(__file__).with_name(f"{name}.json").write_text(text + "\n", encoding="utf-8")
