"""Make the recorded results again: what the studies answer about the demo pair and its recorded run, as JSON through the codec.

    python tests/recorded/record.py                 # all of them, in a few minutes
    python tests/recorded/record.py writing         # those whose names begin so

Tests read them as records (`recorded_studies.recorded`) and put odd names into them where they look for escaping.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from pkt_core.base.records import to_json
from pkt_core.data.prompts import load_prompts, pasted
from pkt_core.models.catalog import pair
from pkt_core.runs.folder import open_run
from pkt_core.studies.behaviour.record import UserTask
from pkt_core.studies.behaviour.user_task import user_task
from pkt_core.studies.generations.compute import writing
from pkt_core.studies.generations.picked import picked_cell, picked_continuations, picked_tokens
from pkt_core.studies.inspection.basis_options import basis_options
from pkt_core.studies.inspection.compute import inspect_token
from pkt_core.studies.latent_map.compute import chain_map, latent_map, turnover
from pkt_core.studies.layer_pair.compute import closer_look
from pkt_core.studies.layer_pair.record import CloserLook, DrawnPairs
from pkt_core.studies.token_change.compute import token_change
from pkt_core.studies.token_change.record import TokenChange

DEMO, RUN = pair("demo"), "demo-semalign-v1"
FACTS = load_prompts(DEMO.prompts)
LAYERS = {"teacher_layer": 5, "student_layer": 2}
CELL = {**LAYERS, "measure": "debiased_linear_cka", "n_prompts": 96, "permutations": 20}
LOOK = {"n_prompts": 64, "permutations": 20}
CHAIN = {**LAYERS, "n_prompts": 40}
CHAINS = {
    f"chain_{kind}_{method}{'_shuffled' * shuffled}": {"kind": kind, "method": method, "shuffled": shuffled}
    for kind in ("run", "pair", "teacher")
    for method in ("pca", "umap")
    for shuffled in (False, True)
    if not (shuffled and kind == "teacher")
}


def looked(teacher_layer: int, student_layer: int) -> CloserLook:
    """A closer look that draws every fourth of its pairs, which is enough to read and a quarter of the file."""
    look = closer_look(DEMO, teacher_layer=teacher_layer, student_layer=student_layer, **LOOK)
    drawn = {one.name: getattr(look.pairs, one.name)[::4] for one in fields(look.pairs)}
    return replace(look, pairs=DrawnPairs(**drawn))


def cut_apart() -> TokenChange:
    """A run of random models, whose teacher cuts text otherwise than its student."""
    from made_runs import made_run

    with TemporaryDirectory() as folder, patch.dict(os.environ, {"PKT_CACHE": f"{folder}/cache"}):
        run = made_run(Path(folder), teacher_texts=["Paris is zebra quilt onyx", "in France. city"])
        return token_change(run, texts="prompts", prompts=pasted("Paris is a city in France.\nthe quick brown fox"))


def asked(choices: bool) -> UserTask:
    """Four facts as a file of the user's own: right answers are to be picked among the others', or to be written."""
    answers = [f" {word}" for word in FACTS.labels["answer"][:4]]
    rows = [
        {"prompt": text, "answer": answer} | ({"choices": sorted(set(answers))} if choices else {})
        for text, answer in zip(FACTS.texts, answers, strict=False)
    ]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "mine.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return replace(user_task(open_run(RUN), task=str(file)), task=file.name)


RESULTS: dict[str, Callable[[], Any]] = {
    "inspection": lambda: inspect_token(DEMO, text=FACTS.texts[0], anchor=FACTS.labels["answer"][0], run=RUN),
    "basis_options": lambda: basis_options(DEMO, n_prompts=32),
    "writing": lambda: writing(open_run(RUN), ids=FACTS.ids[:8], new_tokens=12),
    "picked_tokens": lambda: picked_tokens(DEMO, ids=FACTS.ids[:4]),
    "picked_continuations": lambda: picked_continuations(DEMO, run=RUN, ids=FACTS.ids[:4]),
    "picked_cell": lambda: picked_cell(DEMO, ids=FACTS.ids[:4], **CELL),
    "picked_cell_restricted": lambda: picked_cell(DEMO, ids=FACTS.ids[:40], **CELL),
    "latent_pca": lambda: latent_map(DEMO, **CHAIN),
    "latent_umap": lambda: latent_map(DEMO, method="umap", **CHAIN),
    "latent_ridge": lambda: latent_map(DEMO, map="ridge", **CHAIN),
    **{
        name: lambda how=how: chain_map(DEMO, run=RUN if how["kind"] == "run" else None, **how, **CHAIN)
        for name, how in CHAINS.items()
    },
    "turnover": lambda: turnover(DEMO, kind="run", run=RUN, first=1, second=2, **CHAIN),
    "closer_look_5_2": lambda: looked(5, 2),
    "closer_look_1_0": lambda: looked(1, 0),
    "token_change": lambda: token_change(open_run(RUN), n=6),
    "token_change_plain": lambda: token_change(open_run(RUN), texts="prompts", prompts=DEMO.prompts, ids=FACTS.ids[:3]),
    "token_change_apart": cut_apart,
    "user_task": lambda: asked(choices=True),
    "user_task_cloze": lambda: asked(choices=False),
}

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    for name, make in RESULTS.items():
        if name.startswith(tuple(sys.argv[1:] or [""])):
            text = json.dumps(to_json(make()), ensure_ascii=False)
            Path(__file__).with_name(f"{name}.json").write_text(text + "\n", encoding="utf-8")
            print(f"{name}: {len(text):,} bytes")
