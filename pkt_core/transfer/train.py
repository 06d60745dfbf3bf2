"""The training loop of every method: it yields one StepReport a step and knows nothing of files or screens.

Same plan, same models and same machine give the same weights: batches come from the plan's seed alone, and a loop restored
from its `state` continues as if it had never stopped. Losses are means over the rows of the whole batch, however it
is cut into micro-batches and processes; losses of geometry compare the rows of one micro-batch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity
from torch.utils.checkpoint import checkpoint

from pkt_core.activations.capture import Capture, forward_ids, pad
from pkt_core.data.examples import Encoded
from pkt_core.errors import PlanError
from pkt_core.models.loading import LoadedModel, release
from pkt_core.models.sites import Site
from pkt_core.transfer.anchor import Anchor, anchor_term
from pkt_core.transfer.batch import Batch
from pkt_core.transfer.devices import Processes
from pkt_core.transfer.frozen_prefix import below
from pkt_core.transfer.method import method_of
from pkt_core.transfer.objectives import label_cross_entropy
from pkt_core.transfer.readings import supervised
from pkt_core.transfer.schedule import Phase, batches, phases, rate
from pkt_core.transfer.settings import Trained
from pkt_core.transfer.targets import Targets
from pkt_core.transfer.trainable import Trainable


@dataclass(frozen=True)
class StepReport:
    """What one step did."""

    step: int
    """Steps done, from 1."""
    total: int
    """Steps of the plan."""
    seconds: float
    """Since training began."""
    terms: dict[str, float]
    """Each term of the loss as it was added, and `cross_entropy` (nats) in any case, for comparison across methods."""
    alignment: float | None
    """Mean cosine of the trained site to the mapped teacher in this batch, -1..1; None for methods without a map."""
    layers: tuple[int, ...] = ()
    """Student layers at work, for methods that train one after the other; empty for others."""
    micro_batch: int = 0
    """Examples that went through the student at once; lower than planned after memory ran out."""


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a graphics card or in the machine."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "not enough memory" in text)
    )


class Trainer:
    """Trains in place, step by step."""

    def __init__(
        self,
        student: LoadedModel,
        trainable: Trainable,
        plan: Trained,
        encoded: Sequence[Encoded],
        targets: Targets,
        processes: Processes | None = None,
        anchor: Anchor | None = None,
    ):
        self.student, self.trainable, self.plan, self.targets = student, trainable, plan, targets
        self.encoded, self.method = encoded, method_of(plan)
        self.phases = phases(plan, targets.pairs)
        self.processes = processes or Processes(student.device)
        self.micro_batch = plan.micro_batch or plan.batch_size
        self.scaler = torch.amp.GradScaler(student.device.type, enabled=plan.precision == "float16")
        self.anchor = anchor
        self.below = below(student, first_trained(student, trainable), encoded)
        self.step, self.spent = 0, 0.0
        self.begin(self.phases[0])

    def steps(self) -> Iterator[StepReport]:
        """The steps still to do. Raises PlanError when the loss is no longer a number."""
        # The student stays in eval mode: dropout would make targets and states differ by chance.
        first = first_trained(self.student, self.trainable)
        with recomputed(self.student, first) if self.plan.recompute else nullcontext():
            yield from self.each()

    def each(self) -> Iterator[StepReport]:
        """The same, however blocks keep their activations."""
        began = time.monotonic() - self.spent
        plan, held = self.plan, self.anchor.texts if self.anchor else []
        drawn = batches(len(self.encoded), plan.batch_size, plan.total_steps, plan.seed)
        anchored = batches(len(held), plan.anchor_batch, plan.total_steps, plan.seed + 1) if held else repeat([])
        for number, (chosen, texts) in enumerate(zip(drawn, anchored, strict=False), 1):
            if number <= self.step:
                continue
            self.enter(next(phase for phase in self.phases if phase.start < number <= phase.end))
            terms, near = self.learn(self.processes.share(chosen), self.processes.share(texts), number)
            self.step, self.spent = number, time.monotonic() - began
            yield StepReport(
                step=number,
                total=self.plan.total_steps,
                seconds=self.spent,
                terms=terms,
                alignment=near,
                layers=tuple(p.student for p in self.phase.pairs) if len(self.phases) > 1 else (),
                micro_batch=self.micro_batch,
            )

    def enter(self, phase: Phase) -> None:
        """Make the parameters of a phase, and only those, the ones that train."""
        if phase != self.phase:
            self.begin(phase)

    def begin(self, phase: Phase) -> None:
        """The same with a fresh optimiser."""
        self.phase = phase
        chosen = self.trainable.at(phase.pairs)
        for parameter in self.trainable.everything:
            parameter.requires_grad_(False)
        for parameter in chosen:
            parameter.requires_grad_(True)
        self.optimizer = torch.optim.AdamW(chosen, lr=self.plan.learning_rate, weight_decay=0.0)

    def learn(self, chosen: list[int], texts: list[int], number: int) -> tuple[dict[str, float], float | None]:
        """One step of the optimiser; with half the micro-batch, from the start, when memory runs out."""
        while True:
            self.optimizer.zero_grad(set_to_none=True)
            try:
                terms = self.gradients(chosen) | self.hold(texts)
                break
            except Exception as error:
                if not out_of_memory(error) or self.micro_batch == 1:
                    raise
            self.micro_batch = -(-self.micro_batch // 2)
            release()
        parameters = self.trainable.at(self.phase.pairs)
        self.processes.add_gradients(parameters)
        if not all(torch.isfinite(torch.tensor(value)) for value in terms.values()):
            raise PlanError(
                f"The loss is not finite at step {number}. Lower the learning rate ({self.plan.learning_rate:g})."
            )
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.plan, number, self.phase)
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        near = terms.pop("alignment", None)
        return terms, near

    def gradients(self, chosen: list[int]) -> dict[str, float]:
        """Add up the gradients of a batch; the terms of its loss, `cross_entropy` and, with a map, `alignment`."""
        rows = torch.tensor(sum(self.targets.n_used(i) for i in chosen), device=self.student.device)
        total = float(self.processes.add(rows))
        sums: dict[str, float] = {}
        for start in range(0, len(chosen), self.micro_batch):
            part = [i for i in chosen[start : start + self.micro_batch] if self.targets.n_used(i)]
            if not part:
                continue
            batch = self.forward(part)
            terms = self.method.terms(batch, self.plan)
            share = len(batch.labels) / total
            loss = torch.stack(list(terms.values())).sum() * share
            if torch.isfinite(loss):
                self.scaler.scale(loss).backward()
            figures = {name: float(term.detach()) for name, term in terms.items()} | noted(
                batch, mapped=self.method.mapped
            )
            for name, value in figures.items():
                sums[name] = sums.get(name, 0.0) + share * value
        if self.processes.n == 1:
            return sums
        names = self.processes.agree(sorted(sums))
        values = self.processes.add(torch.tensor([sums.get(n, 0.0) for n in names], device=self.student.device))
        return dict(zip(names, values.tolist(), strict=True))

    def hold(self, texts: list[int]) -> dict[str, float]:
        """Add the gradient of the anchor, in parts of a micro-batch; its term, or nothing without an anchor."""
        if self.anchor is None:
            return {}
        rows = sum(len(self.anchor.texts[i]) for i in texts)
        total, sum_of_parts = float(self.processes.add(torch.tensor(rows, device=self.student.device))), 0.0
        for start in range(0, len(texts), self.micro_batch):
            part = texts[start : start + self.micro_batch]
            share = self.plan.anchor_weight * sum(len(self.anchor.texts[i]) for i in part) / total
            with self.precision():
                term = anchor_term(self.student, self.anchor, part) * share
            if torch.isfinite(term):
                self.scaler.scale(term).backward()
            sum_of_parts += float(term.detach())
        return {"anchor": float(self.processes.add(torch.tensor(sum_of_parts, device=self.student.device)))}

    def precision(self) -> torch.autocast:
        """The precision of the student's forward pass."""
        return torch.autocast(
            self.student.device.type, getattr(torch, self.plan.precision), enabled=self.plan.precision != "float32"
        )

    def forward(self, chosen: Sequence[int]) -> Batch:
        """What the method sees of some examples."""
        batch = [self.encoded[i] for i in chosen]
        ids = pad([e.ids for e in batch], self.student.tokenizer.pad_token_id)
        mask = pad([[1] * len(e.ids) for e in batch], 0)
        layers = [pair.student for pair in self.phase.pairs] if self.method.states else []
        sites = {layer: Site(self.plan.part, layer) for layer in layers}
        begins = self.below.skipped(chosen) if self.below else nullcontext()  # first: captures read what it gives
        with begins, Capture(self.student, list(sites.values()), keep_grad=True) as seen, self.precision():
            logits = forward_ids(self.student, ids, mask)
        wanted = self.targets.of(chosen)
        rows = [(i, t) for i, e in enumerate(batch) for t in supervised(e, self.plan.positions)]
        prompt, position = (torch.tensor(column) for column in zip(*rows, strict=True))
        used = wanted.pop("used", torch.ones(len(rows), dtype=torch.bool))
        prompt, position = prompt[used].to(logits.device), position[used].to(logits.device)
        return Batch(
            student=self.student,
            pairs=self.phase.pairs,
            logits=logits[prompt, position].float(),
            states={layer: seen[site][prompt, position].float() for layer, site in sites.items()},
            labels=ids.to(logits.device)[prompt, position + 1],
            sequence=prompt,
            targets={name: t[used].to(logits.device) for name, t in wanted.items()},
            foreign=self.trainable.foreign,
        )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that is needed to continue from here: tensors, and plain facts."""
        tensors = {f"parameter.{i}": p.detach() for i, p in enumerate(self.trainable.everything)}
        for i, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{name}": value for name, value in slots.items()}
        facts = {
            "step": self.step,
            "spent": self.spent,
            "micro_batch": self.micro_batch,
            "scale": self.scaler.state_dict(),
        }
        return tensors, facts

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Continue from a state of the same plan. Raises PlanError where it belongs to another."""
        parameters = self.trainable.everything
        if any(
            f"parameter.{i}" not in tensors or tensors[f"parameter.{i}"].shape != p.shape
            for i, p in enumerate(parameters)
        ):
            raise PlanError("The checkpoint belongs to another plan. Delete it, or start the transfer again.")
        with torch.no_grad():
            for i, parameter in enumerate(parameters):
                parameter.copy_(tensors[f"parameter.{i}"])
        self.step, self.spent, self.micro_batch = facts["step"], facts["spent"], facts["micro_batch"]
        self.enter(next(phase for phase in self.phases if phase.start < self.step <= phase.end))
        slots: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, number, slot = name.split(".")
                slots.setdefault(int(number), {})[slot] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": slots})
        self.scaler.load_state_dict(facts["scale"])


@torch.no_grad()
def noted(batch: Batch, *, mapped: bool) -> dict[str, float]:
    """Figures reported for every method: the label's cross-entropy, and the cosine to the mapped teacher where there is one."""
    figures = {"cross_entropy": float(label_cross_entropy(batch.logits, batch.labels))}
    if mapped and batch.states:
        near = [cosine_similarity(batch.states[p.student], batch.target(p), dim=-1).mean() for p in batch.pairs]
        figures["alignment"] = float(torch.stack(near).mean())
    return figures


def first_trained(student: LoadedModel, trainable: Trainable) -> int:
    """The shallowest block with a parameter that trains; 0 where something outside the blocks does."""
    inside = {id(p): k for k, block in enumerate(student.layout.blocks) for p in block.parameters()}
    return min((inside.get(id(p), 0) for p in trainable.parameters), default=0)


@contextmanager
def recomputed(student: LoadedModel, first: int) -> Iterator[None]:
    """Inside, blocks from `first` on keep their input alone and run again in the backward pass.

    Not through transformers' own switch, which requires training mode, in which some families draw dropout by it.
    """
    blocks = list(student.layout.blocks[first:])
    forwards = [block.__dict__.get("forward") for block in blocks]  # None: the class's
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False, preserve_rng_state=False)
    try:
        yield
    finally:
        for block, forward in zip(blocks, forwards, strict=True):
            if forward is None:
                del block.forward
            else:
                block.forward = forward
