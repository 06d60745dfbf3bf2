"""The result of a transfer as a folder that others can open: a Hugging Face model or a PEFT adapter, with a card."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Template
from safetensors.torch import save

from pkt_core.alignment.pairing import LayerPair
from pkt_core.base.files import told_clearly, write_bytes, write_text
from pkt_core.base.sealed import file_digest, read_sealed, require_files
from pkt_core.base.staging import beside, move_over, sync_file, sync_folder
from pkt_core.data.examples import ExampleSet
from pkt_core.data.row_files import shown
from pkt_core.errors import StoreError
from pkt_core.models.loading import LoadedModel, load, load_with_adapter
from pkt_core.models.ref import ModelRef
from pkt_core.models.tokenizer import save_tokenizer
from pkt_core.runs.results import Examples, RunResults, TaughtLayers, TaughtPair, read_results
from pkt_core.transfer.method import method_of
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.settings import Mapped, Paired
from pkt_core.transfer.trainable import Trainable

CARD_FILE = "README.md"
SPARE_BYTES = 2**25  # for what lies beside the weights: tokenizer (33 MB in Gemma), card, events, results

CARD = Template(
    """---
library_name: {{ "peft" if plan.as_adapter else "transformers" }}
base_model: {{ base }}
tags: [knowledge-transfer, {{ plan.method }}]
---
# {{ student }} after {{ plan.method }} from {{ teacher }}

{{ method }}.

| | |
|---|---|
| teacher | `{{ plan.teacher.name }}` |
| student | `{{ plan.student.name }}` |
| {{ "layers, from 0" if plan.pairs_layers else "alignment is measured at (layers from 0)" }} | {% for p in pairs %}teacher {{ p.teacher }} to student {{ p.student }}{{ ", " if not loop.last }}{% endfor %} |
| what {{ "trained" if plan.trains else "changed" }} | {{ trained }} |
| {{ matched.keys() | join(", ") }} | {{ matched.values() | join(", ") }} |
| data | `{{ shown(plan.data) }}`, {{ n_examples }} examples, digest {{ digest }} |
| {{ made.keys() | join(", ") }} | {{ made.values() | join(", ") }} |

{% if behaviour %}
## What changed

| task | n | majority-answer baseline | before | after | change [95 %] | p |
|---|---|---|---|---|---|---|
{% for name, c in changes.items() -%}
| {{ name }} | {{ c.n }} | {{ "%.1f"|format(100 * c.prior) }} % | {{ "%.1f"|format(100 * c.before) }} % | {{ "%.1f"|format(100 * c.after) }} % | {{ "%+.1f"|format(100 * c.difference) }} [{{ "%+.1f"|format(100 * c.low) }}, {{ "%+.1f"|format(100 * c.high) }}] | {{ "%.2g"|format(c.p_value) }} |
{% endfor %}
Share answered right by greedy decoding, whole answer; paired bootstrap over items, McNemar's exact test.

| general text (`{{ shown(plan.general) }}`) | bits per byte [95 %] |
|---|---|
{% for who in ("teacher", "before", "after") -%}
| {{ who }} | {{ "%.3f"|format(behaviour[who].bits_per_byte.value) }} [{{ "%.3f"|format(behaviour[who].bits_per_byte.low) }}, {{ "%.3f"|format(behaviour[who].bits_per_byte.high) }}] |
{% endfor %}
Alignment at teacher layer {{ layers.teacher }} and student layer {{ layers.student }} on {{ alignment.n }} prompts not used in training: debiased CKA {{ "%.3f"|format(alignment.before.cka) }} before, {{ "%.3f"|format(alignment.after.cka) }} after
{%- if alignment.control %}; cosine to the mapped teacher {{ "%.3f"|format(alignment.before.cosine) }} before, {{ "%.3f"|format(alignment.after.cosine) }} after, and with the vocabulary permuted (control) {{ "%.3f"|format(alignment.control.before) }} and {{ "%.3f"|format(alignment.control.after) }}{% endif %}.
{% else %}
Nothing was measured yet.
{% endif %}
{% if command %}
Made by `{{ command }}`, pkt {{ versions.pkt }}, torch {{ versions.torch }}, transformers {{ versions.transformers }}, {{ versions.device }}.
{% endif %}
{% if changed %}
Of {{ changed.of }} tensors {{ changed.tensors }} changed, {{ changed.outside_plan }} of them outside what the plan names.
{% endif %}
Load with `{{ "PeftModel.from_pretrained(base, folder)" if plan.as_adapter else "AutoModelForCausalLM.from_pretrained(folder)" }}`.
"""
)


def require_room(folder: Path, student: LoadedModel, trainable: Trainable, plan: TransferPlan) -> None:
    """Raises StoreError where the disk has no room for what `export_student` will write, before it is trained."""
    saved = trainable.parameters if plan.as_adapter else list(student.model.parameters())
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
) -> dict[str, dict[str, Any]]:
    """Write the trained weights (safetensors), the tokenizer and a model card; foreign weights into a file of their own.

    The folder appears when the disk has all of it. Returns size and digest of each file but the card, which changes.
    """
    staging = beside(folder)
    with told_clearly(folder):
        try:
            trainable.model.save_pretrained(staging, safe_serialization=True)
            save_tokenizer(student.tokenizer, staging)
            files = sorted(path for path in staging.rglob("*") if path.is_file() and path.name != CARD_FILE)
            for path in files:
                sync_file(path)
            exported = {path.relative_to(staging).as_posix(): file_digest(path) for path in files}
            sync_folder(staging)
            move_over(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    if trainable.foreign is not None:  # beside the folder: whoever opens the student must not take them for its weights
        weights = {name: t.detach().cpu().contiguous() for name, t in trainable.foreign.state_dict().items()}
        write_bytes(folder.with_name("foreign.safetensors"), save(weights))
    paired = [TaughtPair(pair.teacher, pair.student) for pair in pairs]
    results = RunResults(
        layers=TaughtLayers(paired[0].teacher, paired[0].student, "plan", paired),
        trained_parameters=trainable.n,
        examples=Examples(examples.name, len(examples), examples.digest),
    )
    write_card(folder, plan, results)
    return exported


def require_exported(folder: Path, results: RunResults) -> None:
    """Raises StoreError where a run's student is missing, or not the one named in its results.

    Results of earlier versions hold no digests: their student is taken as it is.
    """
    if not any(folder.glob("*.safetensors")):
        raise StoreError(f"{folder} keeps no trained student.")
    try:
        require_files(folder, {name: asdict(one) for name, one in results.exported.items()})
    except StoreError as error:
        raise StoreError(
            f"The trained student is damaged: {error} Restore it from a copy, or run the plan again."
        ) from error


def write_card(folder: Path, plan: TransferPlan, results: RunResults) -> None:
    """The model card of a trained student, with whatever its run has measured so far."""
    assert results.layers is not None, "only of what was trained"
    assert results.examples is not None, "only of what was trained"
    names = {side: getattr(plan, side).name.rstrip("/").split("/")[-1] for side in ("teacher", "student")}
    method = method_of(plan)
    card = CARD.render(
        **vars(results),
        **names,
        base=names["student"] if plan.student.folder else plan.student.name,  # a hub id links the card to its base
        plan=plan,
        trained=method.what_changed(plan, results.trained_parameters or 0),
        matched=matched(plan),
        made=plan.effort(),
        method=method.sentence,
        pairs=results.layers.every,
        n_examples=results.examples.n,
        digest=results.examples.digest,
        shown=shown,
    )
    write_text(folder / CARD_FILE, card)


def matched(plan: TransferPlan) -> dict[str, str]:
    """Site and map where the method has them, and the positions it looks at."""
    settings: dict[str, str] = {"site": plan.part} if isinstance(plan, Paired) else {}
    settings |= {"map": plan.map} if isinstance(plan, Mapped) else {}
    return settings | {"positions": plan.positions}


def open_student(folder: Path, plan: TransferPlan) -> LoadedModel:
    """The trained student of a run, whichever way it was saved. Raises ModelError where it is missing, StoreError where damaged."""
    if (results := folder.with_name("results.json")).is_file() and folder.is_dir():
        require_exported(folder, read_results(read_sealed(results), str(results)))
    if plan.as_adapter:
        return load_with_adapter(plan.student, folder)
    return load(ModelRef(name=str(folder), dtype=plan.student.dtype, device=plan.student.device))
