"""Which parameters of the student train, and proof afterwards that no other changed.

LoRA goes on the modules the paper names (value, attention output and MLP projections; arXiv 2510.24208v1, A.2) and on
their counterparts in families that name them otherwise.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pkt_core.errors import PlanError
from pkt_core.models.loading import LoadedModel
from pkt_core.transfer.plan import TransferPlan

LORA_MODULES = {
    *("up_proj", "down_proj", "v_proj", "o_proj"),  # Llama, Qwen, Mistral, Gemma: the paper's own list
    *("c_attn", "c_proj", "c_fc"),  # GPT-2 fuses query, key and value
    *("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"),  # GPT-NeoX
    *("out_proj", "fc1", "fc2"),  # OPT, Phi
    *("qkv_proj", "gate_up_proj"),  # Phi-3
}


@dataclass(frozen=True)
class Trainable:
    """A student with some of its parameters unfrozen."""

    model: Any
    """The Hugging Face model, or the PEFT model around it."""
    parameters: list[nn.Parameter]
    """What the optimiser changes."""

    @property
    def n(self) -> int:
        return sum(p.numel() for p in self.parameters)


def make_trainable(student: LoadedModel, plan: TransferPlan, layer: int) -> Trainable:
    """Unfreeze what the plan names in the (exclusively owned) student. Raises PlanError where LoRA finds no module."""
    blocks = student.layout.blocks if plan.scope == "all" else (student.layout.blocks[layer],)
    if plan.adapter == "full":
        parameters = [p for block in blocks for p in block.parameters()]
        for parameter in parameters:
            parameter.requires_grad_(True)
        return Trainable(student.model, parameters)

    from peft import LoraConfig, get_peft_model

    chosen = {id(m) for block in blocks for m in block.modules()}
    names = [
        name
        for name, module in student.model.named_modules()
        if id(module) in chosen and name.rsplit(".", 1)[-1] in LORA_MODULES and hasattr(module, "weight")
    ]
    if not names:
        raise PlanError(f"{student.name} has none of the projections LoRA is put on here; use adapter full.")
    conv = any(type(student.model.get_submodule(name)).__name__ == "Conv1D" for name in names)
    config = LoraConfig(r=plan.lora_rank, lora_alpha=plan.lora_rank, target_modules=names, fan_in_fan_out=conv)
    model = get_peft_model(student.model, config)
    return Trainable(model, [p for p in model.parameters() if p.requires_grad])


def fingerprints(model: nn.Module) -> dict[str, str]:
    """A hash of every parameter and buffer, to show afterwards what changed."""
    return {
        name: hashlib.sha256(
            tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        ).hexdigest()
        for name, tensor in model.state_dict().items()
    }


def changed(before: dict[str, str], model: nn.Module, allowed: list[nn.Parameter]) -> dict[str, int]:
    """How many tensors changed, of how many, and how many of those the plan did not name (always 0, else a bug)."""
    after = fingerprints(model)
    by_address = {p.data_ptr() for p in allowed}
    named = {name for name, tensor in model.state_dict().items() if tensor.data_ptr() in by_address}
    different = {name for name in after if before.get(name) != after[name]}
    return {"tensors": len(different), "of": len(after), "outside_plan": len(different - named)}
