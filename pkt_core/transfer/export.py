"""The result of a transfer as a folder that others can open: a Hugging Face model or a PEFT adapter, with a card."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Template
from safetensors.torch import save_file

from pkt_core.alignment.pairing import LayerPair
from pkt_core.errors import StoreError
from pkt_core.examples import ExampleSet
from pkt_core.models.loading import LoadedModel, ModelRef, load, load_with_adapter
from pkt_core.transfer.plan import METHODS, TransferPlan
from pkt_core.transfer.trainable import Trainable

SPARE_BYTES = 2**25  # for what lies beside the weights: tokenizer (33 MB in Gemma), card, events, results

CARD = Template(
    """---
library_name: {{ "peft" if plan.adapter == "lora" else "transformers" }}
base_model: {{ student }}
tags: [knowledge-transfer, {{ plan.method }}]
---
# {{ student }} after {{ plan.method }} from {{ teacher }}

{{ method }}.

| | |
|---|---|
| teacher | `{{ plan.teacher.name }}` |
| student | `{{ plan.student.name }}` |
| layers, from 0 | {% for p in pairs %}teacher {{ p.teacher }} to student {{ p.student }}{{ ", " if not loop.last }}{% endfor %} |
| what trained | {{ "the paired blocks" if plan.scope == "layer" else "all blocks" }}, {{ plan.adapter }}, {{ n_trained }} parameters |
| site, map, positions | {{ plan.part }}, {{ plan.map }}, {{ plan.positions }} |
| data | `{{ plan.data }}`, {{ n_examples }} examples, digest {{ digest }} |
| steps, batch, learning rate, seed | {{ plan.steps }}, {{ plan.batch_size }}, {{ plan.learning_rate }}, {{ plan.seed }} |

How its behaviour and alignment changed, with intervals and controls, is in `results.json` of the run this folder is part of.
Load with `{{ "PeftModel.from_pretrained(base, folder)" if plan.adapter == "lora" else "AutoModelForCausalLM.from_pretrained(folder)" }}`.
"""
)


def require_room(folder: Path, student: LoadedModel, trainable: Trainable, plan: TransferPlan) -> None:
    """Raises StoreError where the disk has no room for what `export_student` will write, before it is trained."""
    saved = trainable.parameters if plan.adapter == "lora" else list(student.model.parameters())
    needed, free = sum(p.numel() * p.element_size() for p in saved), shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise StoreError(
            f"The disk is full: the trained student needs {needed / 2**20:.0f} MiB, {folder} has {free / 2**20:.0f} MiB left. "
            "Free some space, or set PKT_CACHE to a larger disk."
        )


def export_student(
    folder: Path,
    student: LoadedModel,
    trainable: Trainable,
    plan: TransferPlan,
    pairs: Sequence[LayerPair],
    examples: ExampleSet,
) -> None:
    """Write the trained weights (safetensors), the tokenizer and a model card; foreign weights into a file of their own."""
    trainable.model.save_pretrained(folder, safe_serialization=True)
    student.tokenizer.save_pretrained(folder)
    if trainable.foreign is not None:  # beside the folder: whoever opens the student must not take them for its weights
        weights = {name: t.detach().cpu().contiguous() for name, t in trainable.foreign.state_dict().items()}
        save_file(weights, folder.with_name("foreign.safetensors"))
    card = CARD.render(
        plan=plan,
        method=METHODS[plan.method],
        teacher=plan.teacher.name.rstrip("/").split("/")[-1],
        student=student.name,
        pairs=list(pairs),
        n_trained=f"{trainable.n:,}",
        n_examples=len(examples),
        digest=examples.digest,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def open_student(folder: Path, plan: TransferPlan) -> LoadedModel:
    """The trained student of a run, whichever way it was saved. Raises ModelError where it is missing or damaged."""
    if plan.adapter == "lora":
        return load_with_adapter(plan.student, folder)
    return load(ModelRef(name=str(folder), dtype=plan.student.dtype, device=plan.student.device))
