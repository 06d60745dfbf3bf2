"""Which parameters of the student train, and proof afterwards that no other changed.

LoRA is applied to the modules that the paper names (value, attention output and MLP projections; arXiv 2510.24208v1, A.2) and on
their counterparts in families that name them otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from pkt_core.alignment.pairing import LayerPair
from pkt_core.errors import PlanError
from pkt_core.models.loading import LoadedModel
from pkt_core.runs.results import ChangedTensors
from pkt_core.transfer.plan import TransferPlan
from pkt_core.transfer.settings import Adapted, LayerByLayer

LORA_MODULES = {
    *("up_proj", "down_proj", "v_proj", "o_proj"),  # Llama, Qwen, Mistral, Gemma: the paper's own list
    *("c_attn", "c_proj", "c_fc"),  # GPT-2 fuses query, key and value
    *("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"),  # GPT-NeoX
    *("out_proj", "fc1", "fc2"),  # OPT, Phi
    *("qkv_proj", "gate_up_proj"),  # Phi-3
}


def nothing() -> None:
    """What there is to bake where the student's own weights trained."""


@dataclass(frozen=True)
class Trainable:
    """A student with some of its parameters unfrozen."""

    model: Any
    """The Hugging Face model, or the PEFT model around it."""
    parameters: list[nn.Parameter]
    """What the optimiser changes, in an order that is the same each time."""
    layers: dict[int, list[nn.Parameter]] = field(default_factory=dict)
    """The same by student layer, for methods that train one after the other; empty for others."""
    foreign: nn.Module | None = None
    """Weights beside the student that train too; kept in a file of their own."""
    bake: Callable[[], None] = nothing
    """Called once after the last step: put what trained into the student's own weights, where it is elsewhere."""

    @property
    def n(self) -> int:
        """How many numbers train, foreign ones included."""
        return sum(p.numel() for p in self.everything)

    @property
    def everything(self) -> list[nn.Parameter]:
        """The student's and the foreign parameters that train."""
        return [*self.parameters, *(self.foreign.parameters() if self.foreign is not None else ())]

    def at(self, pairs: Sequence[LayerPair]) -> list[nn.Parameter]:
        """What trains while these pairs do."""
        if not self.layers:
            return self.everything
        return [p for pair in pairs for p in self.layers[pair.student]]


def make_trainable(
    student: LoadedModel, plan: TransferPlan, pairs: Sequence[LayerPair], foreign: nn.Module | None = None
) -> Trainable:
    """Unfreeze what the plan names in the (exclusively owned) student. Raises PlanError where LoRA finds no module."""
    blocks = {number: student.layout.blocks[number] for number in numbers(student, plan, pairs)}
    torch.manual_seed(plan.seed)  # LoRA draws its first weights
    if foreign is not None:
        foreign.to(student.device)
    if plan.rank is None:
        model: Any = student.model
        parameters = [p for number in blocks for p in part(student, plan, number).parameters()]
        for parameter in parameters:
            parameter.requires_grad_(True)
    else:
        model = with_adapters(student, plan.rank, [part(student, plan, number) for number in blocks])
        parameters = [p for p in model.parameters() if p.requires_grad]
    layers: dict[int, list[nn.Parameter]] = {}
    if isinstance(plan, LayerByLayer):
        layers = {k: [p for p in block.parameters() if p.requires_grad] for k, block in blocks.items()}
    return Trainable(model, parameters, layers, foreign)


def numbers(student: LoadedModel, plan: TransferPlan, pairs: Sequence[LayerPair]) -> list[int]:
    """The student layers that a plan trains."""
    return list(range(student.n_layers)) if plan.every_block else [pair.student for pair in pairs]


def part(student: LoadedModel, plan: TransferPlan, layer: int) -> nn.Module:
    """What of a block trains. Raises PlanError where the block has no MLP of its own."""
    if not isinstance(plan, Adapted) or plan.modules == "all":
        return student.layout.blocks[layer]
    if not student.layout.sublayers:
        raise PlanError(f"{student.name} has no MLP separate from its attention; use modules all.")
    return student.layout.mlps[layer]


def with_adapters(student: LoadedModel, rank: int, blocks: Sequence[nn.Module]) -> Any:
    """The student with LoRA on the projections of these blocks."""
    from peft import LoraConfig, get_peft_model

    names = lora_names(student, blocks)
    conv = any(type(student.model.get_submodule(name)).__name__ == "Conv1D" for name in names)
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=names, fan_in_fan_out=conv)
    return get_peft_model(student.model, config)


def lora_names(student: LoadedModel, blocks: Sequence[nn.Module]) -> list[str]:
    """Names of the projections in these blocks that LoRA is put on. Raises PlanError where there are none."""
    chosen = {id(m) for block in blocks for m in block.modules()}
    names = [
        name
        for name, module in student.model.named_modules()
        if id(module) in chosen and name.rsplit(".", 1)[-1] in LORA_MODULES and hasattr(module, "weight")
    ]
    if not names:
        raise PlanError(f"{student.name} has none of the projections that LoRA is applied to here; use adapter full.")
    return names


def fingerprints(model: nn.Module) -> dict[str, str]:
    """A hash of every parameter and buffer, to show afterwards what changed."""
    return {
        name: hashlib.sha256(
            tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        ).hexdigest()
        for name, tensor in model.state_dict().items()
    }


def changed(
    before: dict[str, str], student: LoadedModel, plan: TransferPlan, pairs: Sequence[LayerPair]
) -> ChangedTensors:
    """How many tensors changed, of how many, and how many of those the plan's words do not name (always 0, else a bug)."""
    after = fingerprints(student.model)
    allowed = [p for number in numbers(student, plan, pairs) for p in part(student, plan, number).parameters()]
    by_address = {p.data_ptr() for p in allowed}
    named = {name for name, tensor in student.model.state_dict().items() if tensor.data_ptr() in by_address}
    different = {name for name in after if before.get(name) != after[name]}
    return ChangedTensors(tensors=len(different), of=len(after), outside_plan=len(different - named))
