"""The teacher's targets on the training data, computed once and kept on disk: then the teacher is no longer needed.

For each example, at each supervised position: the teacher's activations at the paired layers (mapped into student space
where the method has a map) and its most likely next tokens, as the method needs; with two tokenizers also which rows have a
target at all. Rows go to safetensors shards of bounded size, the manifest with the digests of all of them and of itself last;
reading maps the files, so that memory holds only the rows of a batch.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor

from pkt_core.activations.capture import Capture, forward_ids, pad
from pkt_core.alignment.pairing import LayerPair
from pkt_core.base.files import told_clearly
from pkt_core.base.sealed import file_digest, read_sealed, require_files, write_sealed
from pkt_core.base.staging import beside, move_over, sync_file
from pkt_core.data.examples import Encoded
from pkt_core.errors import StoreError
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.readings import Needs, Reading, supervised, usable
from pkt_core.transfer.span_likelihood import teacher_chains

Carry = Callable[[Tensor], Tensor]
"""From teacher states to what the student is pulled towards: an alignment map, with or without the teacher's norm before it."""
TOP_K = 256
SHARD_BYTES = 256 * 2**20
TARGETS_VERSION = 4
MANIFEST = "manifest.json"
EXTRACT = "extract.safetensors"


def row_starts(encoded: Sequence[Encoded], positions: str) -> list[int]:
    """First row of each example, and the number of rows at the end."""
    starts = [0]
    for example in encoded:
        starts.append(starts[-1] + len(supervised(example, positions)))
    return starts


@dataclass(frozen=True)
class Targets:
    """One row per supervised position, examples one after the other, in shards that hold whole examples."""

    starts: list[int]
    """First row of each example, and the number of rows at the end."""
    shards: list[dict[str, Tensor]]
    """`states.K [rows, d]` for student layer K, `log_probs [rows, k]`, `ids [rows, k]`; with two tokenizers `used [rows]` and what
    `span_likelihood.teacher_chains` gives for spans. Empty where no teacher is needed."""
    first_rows: list[int]
    """Number of the first row in each shard."""
    extract: dict[str, Tensor]
    """What the method took from the teacher besides rows."""
    facts: dict[str, Any]
    """Where they come from: pairs of layers, attribution, digests."""

    @property
    def pairs(self) -> tuple[LayerPair, ...]:
        """From shallow to deep."""
        return tuple(LayerPair(**pair) for pair in self.facts["pairs"])

    @property
    def main(self) -> LayerPair:
        """The pair that stands for all where one number is reported: the most attributed, else the deepest."""
        return LayerPair(**self.facts["main"])

    def n_used(self, example: int) -> int:
        """How many rows of an example have a target."""
        shard = self.shards[0] if self.shards else {}
        if "used" not in shard:
            return self.starts[example + 1] - self.starts[example]
        return int(self.of([example])["used"].sum())

    def of(self, chosen: Sequence[int]) -> dict[str, Tensor]:
        """The rows of the chosen examples, in that order."""
        if not self.shards:
            return {}
        columns: dict[str, list[Tensor]] = {name: [] for name in self.shards[0]}
        for i in chosen:
            number = max(n for n, first in enumerate(self.first_rows) if first <= self.starts[i])
            shard, first = self.shards[number], self.first_rows[number]
            for name, rows in columns.items():
                rows.append(shard[name][self.starts[i] - first : self.starts[i + 1] - first])
        return {name: torch.cat(rows) for name, rows in columns.items()}


@dataclass(frozen=True)
class Wanted:
    """Which of the teacher's outputs are kept."""

    states: bool
    logits: bool
    by_rank: bool
    """Whether distributions are compared by rank, whatever the tokens are."""
    temperature: float
    """Of the distributions."""
    maps: dict[int, Carry]
    """From teacher to student states by student layer; empty where raw states are wanted."""
    shared: tuple[Int[Tensor, m], Int[Tensor, m]] | None
    """Ids of the shared tokens in both vocabularies; None with one tokenizer."""

    @property
    def needs(self) -> Needs:
        """What a row must have to be a target."""
        return "state" if not self.logits else "cut" if self.by_rank else "span"


@torch.no_grad()
def record_targets(
    folder: Path,
    teacher: LoadedModel,
    encoded: Sequence[Encoded],
    readings: Sequence[Reading],
    plan: TransferPlan,
    pairs: Sequence[LayerPair],
    wanted: Wanted,
    *,
    extract: dict[str, Tensor],
    facts: dict[str, Any],
    batch_size: int = 32,
    shard_bytes: int = SHARD_BYTES,
    progress: Callable[[float], None] = lambda _: None,
) -> Targets:
    """Run the teacher over the data once and keep its targets in `folder`, which appears when it is whole.

    Tensors are float32 (ids: int64, `used`: bool). Raises StoreError where the disk is full.
    """
    staging = beside(folder)
    writer = Shards(staging, shard_bytes)
    with told_clearly(folder):
        try:
            staging.mkdir(parents=True)
            if wanted.states or wanted.logits:
                for start in range(0, len(encoded), batch_size):
                    part = slice(start, start + batch_size)
                    for rows in teacher_rows(teacher, encoded[part], readings[part], plan, pairs, wanted):
                        writer.add(rows)
                    progress(min(1.0, (start + batch_size) / len(encoded)))
                writer.close()
            if extract:
                save_file({name: tensor.contiguous() for name, tensor in extract.items()}, staging / EXTRACT)
            written = sorted(staging.glob("*.safetensors"))
            for path in written:
                sync_file(path)
            manifest = {
                "starts": row_starts(encoded, plan.positions),
                "first_rows": writer.first_rows,
                "facts": facts,
                "files": {path.name: file_digest(path) for path in written},
            }
            write_sealed(staging / MANIFEST, manifest)
            move_over(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    read = read_targets(folder)
    assert read is not None, "what was just written is there"
    return read


def read_targets(folder: Path) -> Targets | None:
    """The targets in a folder, None where there are none. Raises StoreError where one byte of them is another.

    Those of earlier versions hold no digests; they are read as far as they can be.
    """
    if not (folder / MANIFEST).exists():
        return None
    try:
        manifest = read_sealed(folder / MANIFEST)
        if manifest.keys() | {"files"} != {"starts", "first_rows", "facts", "files"}:
            raise StoreError("its manifest is not the one that was written")
        require_files(folder, manifest.get("files", {}))
        shards = [load_file(folder / shard_name(i)) for i in range(len(manifest["first_rows"]))]
        extract = load_file(folder / EXTRACT) if (folder / EXTRACT).is_file() else {}
        return Targets(manifest["starts"], shards, manifest["first_rows"], extract, manifest["facts"])
    except Exception as error:
        raise StoreError(
            f"The stored targets in {folder} are damaged ({json.dumps(str(error)[-200:])}). Delete that folder; they will be computed again."
        ) from error


def shard_name(number: int) -> str:
    return f"targets-{number:05d}.safetensors"


class Shards:
    """Rows of one example after the other, written out whenever enough have come together."""

    def __init__(self, folder: Path, limit: int):
        self.folder, self.limit = folder, limit
        self.first_rows: list[int] = []
        self.rows: list[dict[str, Tensor]] = []
        self.bytes = self.n = self.written = 0

    def add(self, rows: dict[str, Tensor]) -> None:
        self.rows.append(rows)
        self.n += len(next(iter(rows.values())))
        self.bytes += sum(t.numel() * t.element_size() for t in rows.values())
        if self.bytes >= self.limit:
            self.close()

    def close(self) -> None:
        if not self.rows:
            return
        together = {name: torch.cat([r[name] for r in self.rows]).contiguous() for name in self.rows[0]}
        save_file(together, self.folder / shard_name(len(self.first_rows)))
        self.first_rows.append(self.written)
        self.rows, self.bytes, self.written = [], 0, self.n


def teacher_rows(
    teacher: LoadedModel,
    batch: Sequence[Encoded],
    readings: Sequence[Reading],
    plan: TransferPlan,
    pairs: Sequence[LayerPair],
    wanted: Wanted,
) -> list[dict[str, Tensor]]:
    """The teacher's targets at the supervised positions of each example of a batch, on the CPU."""
    layers = {layer for p in pairs for layer in (p.teacher, p.deeper) if layer is not None} if wanted.states else set()
    sites = {layer: Site(plan.part, layer) for layer in sorted(layers)}
    ids = pad([r.ids for r in readings], teacher.tokenizer.pad_token_id)
    mask = pad([[1] * len(r.ids) for r in readings], 0)
    per_example: list[dict[str, Tensor]] = []
    with Capture(teacher, list(sites.values())) as seen:
        logits = forward_ids(teacher, ids, mask)
        for i, (example, reading) in enumerate(zip(batch, readings, strict=True)):
            partner = [max(0, reading.partner[t]) for t in supervised(example, plan.positions)]
            at = torch.tensor(partner, device=logits.device)
            rows: dict[str, Tensor] = {}
            for pair in pairs if wanted.states else ():
                state = seen[sites[pair.teacher]][i, at].float().cpu()
                if pair.deeper is not None:
                    state = torch.lerp(state, seen[sites[pair.deeper]][i, at].float().cpu(), pair.weight)
                rows[f"states.{pair.student}"] = wanted.maps[pair.student](state) if wanted.maps else state
            if wanted.logits and (wanted.by_rank or wanted.shared is None):
                rows |= likeliest(logits[i, at].float().cpu() / wanted.temperature)
            elif wanted.logits and wanted.shared is not None:
                rows |= teacher_chains(
                    logits[i, : len(reading.ids)].cpu(), reading, example.ids, supervised(example, plan.positions),
                    wanted.shared, temperature=wanted.temperature, top_k=TOP_K,
                )  # fmt: skip
            if wanted.shared is not None:
                rows["used"] = torch.tensor(usable(reading, example, plan.positions, wanted.needs))
            per_example.append(rows)
    return per_example


def likeliest(logits: Float[Tensor, "n V"]) -> dict[str, Tensor]:
    """The teacher's most likely tokens, likeliest first."""
    log_probs = torch.log_softmax(logits, dim=-1)
    top = log_probs.topk(min(TOP_K, log_probs.shape[-1]), dim=-1)
    return {"log_probs": top.values, "ids": top.indices}


def shuffled(targets: Targets, seed: int) -> Targets:
    """The control: every row of targets at some other position. Distributions and lengths stay, their meaning is gone.

    With two tokenizers, which rows make a span is the text's and stays; rows change places with rows of their kind.
    """
    if not targets.shards:
        return targets
    whole = {name: torch.cat([shard[name] for shard in targets.shards]) for name in targets.shards[0]}
    generator = torch.Generator().manual_seed(seed)
    kind, order = kinds(whole, targets.starts[-1]), torch.arange(targets.starts[-1])
    for one in kind.unique():
        rows = (kind == one).nonzero()[:, 0]
        order[rows] = rows[torch.randperm(len(rows), generator=generator)]
    moved = {name: rows if name in ("used", "length") else rows[order] for name, rows in whole.items()}
    return Targets(targets.starts, [moved], [0], targets.extract, targets.facts)


def kinds(rows: dict[str, Tensor], n: int) -> Int[Tensor, n]:
    """Rows of one kind can stand for each other: all with one tokenizer; else by whether they are used, begin a span, have a chain."""
    kind = torch.zeros(n, dtype=torch.long)
    for i, flags in enumerate((rows.get("used"), rows.get("length"), rows.get("chain"))):
        if flags is not None:
            kind += 2**i * (flags.isfinite() if flags.is_floating_point() else flags > 0).long()
    return kind
