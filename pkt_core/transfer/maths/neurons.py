"""Which sublayers and neurons contribute to a model's answer: the scores that LaTen selects by.

Both are increases in the log-probability (nats) of the answer's last useful token, at the position before it, read through
the model's true final norm and head: of a sublayer, when its output is added to the residual stream it was given; of a
neuron, when its own contribution alone is. Means over the examples.

LaTen's code (Tan et al., ACL 2025) scales by `rsqrt` of a standard deviation where the norm has a mean square, and lets
attention scores of the last example overwrite all others; neither is followed here.

Not covered: sublayers whose output is normalised before it is added (Gemma), fused projections (GPT-2, NeoX, Phi-3).
"""

from __future__ import annotations

import copy
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from pkt_core.activations.capture import Capture, forward_ids, pad
from pkt_core.data.examples import IGNORE, Encoded
from pkt_core.errors import PlanError
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site

Sublayer = Literal["attention", "mlp"]
SUBLAYERS: tuple[Sublayer, ...] = ("attention", "mlp")
PROJECTIONS: dict[Sublayer, tuple[str, str]] = {"attention": ("v_proj", "o_proj"), "mlp": ("up_proj", "down_proj")}
"""What a neuron is made of: a row of the first and a column of the second."""
NUMBERS_AT_ONCE = 2**24  # logits held at a time
SENTENCE_ENDS = string.punctuation + string.whitespace


def projections(loaded: LoadedModel, layer: int, sublayer: Sublayer) -> tuple[nn.Linear, nn.Linear]:
    """Where a sublayer's neurons read and where they write. Raises PlanError for families that keep them otherwise."""
    places = loaded.layout.attentions if sublayer == "attention" else loaded.layout.mlps
    modules = [getattr(places[layer], name, None) for name in PROJECTIONS[sublayer]] if loaded.layout.sublayers else []
    if not modules or not all(isinstance(module, nn.Linear) for module in modules):
        raise PlanError(
            f"{loaded.name} does not add up_proj/down_proj and v_proj/o_proj neurons to its residual stream as Llama does; laten "
            "is defined on those. Choose a Llama-like pair (Llama, Qwen, Mistral) or another method."
        )
    return modules[0], modules[1]  # type: ignore[return-value]


def value_rows(loaded: LoadedModel, layer: int, channels: Int[Tensor, n]) -> Int[Tensor, n]:
    """The row of `v_proj` behind each input channel of `o_proj`; with grouped queries several channels share one."""
    value, out = projections(loaded, layer, "attention")
    width = out.in_features // int(loaded.model.config.num_attention_heads)
    group = out.in_features // value.out_features
    return channels // width // group * width + channels % width


def useful(tokenizer: Any, example: Encoded) -> int:
    """The position that predicts the last token of the answer that is more than punctuation."""
    answer = [t for t, label in enumerate(example.labels) if label != IGNORE]
    worded = [t for t in answer if tokenizer.decode([example.ids[t]]).strip(SENTENCE_ENDS)]
    return (worded or answer)[-1] - 1


@dataclass(frozen=True)
class Observed:
    """What a model does at one position of each example; float32."""

    targets: Int[Tensor, n]
    """The token that should follow."""
    before: dict[Sublayer, Float[Tensor, "L n d"]]
    """The residual stream that a sublayer's output is added to."""
    after: dict[Sublayer, Float[Tensor, "L n d"]]
    """The same with it."""
    coefficients: dict[tuple[Sublayer, int], Float[Tensor, "n w"]]
    """Each neuron's activation, by sublayer and layer."""


@torch.no_grad()
def observe(loaded: LoadedModel, examples: Sequence[Encoded], batch_size: int = 16) -> Observed:
    """Run the examples once. Raises PlanError for families that keep their neurons otherwise."""
    layers = range(loaded.n_layers)
    parts: list[Any] = ["block_out", "block_delta", "attn_out", "mlp_out"]
    writers = {(s, k): projections(loaded, k, s)[1] for s in SUBLAYERS for k in layers}
    at: Tensor
    kept: dict[tuple[Sublayer, int], list[Tensor]] = {key: [] for key in writers}
    states: dict[str, list[Tensor]] = {part: [] for part in parts}

    def keep(key: tuple[Sublayer, int]) -> Any:
        return lambda _module, args: kept[key].append(args[0][torch.arange(len(at)), at].float())

    hooks = [module.register_forward_pre_hook(keep(key)) for key, module in writers.items()]
    try:
        with Capture(loaded, [Site(part, k) for part in parts for k in layers]) as seen:
            for start in range(0, len(examples), batch_size):
                batch = examples[start : start + batch_size]
                at = torch.tensor([useful(loaded.tokenizer, e) for e in batch], device=loaded.device)
                ids = pad([e.ids for e in batch], loaded.tokenizer.pad_token_id)
                forward_ids(loaded, ids, pad([[1] * len(e.ids) for e in batch], 0))
                rows = torch.arange(len(batch))
                for part in parts:
                    states[part].append(torch.stack([seen[Site(part, k)][rows, at].float() for k in layers]))
    finally:
        for hook in hooks:
            hook.remove()
    out, delta, attention, mlp = (torch.cat(states[part], dim=1) for part in parts)
    targets = [e.ids[useful(loaded.tokenizer, e) + 1] for e in examples]
    before: dict[Sublayer, Tensor] = {"attention": out - delta, "mlp": out - mlp}
    return Observed(
        targets=torch.tensor(targets, device=loaded.device),
        before=before,
        after={"attention": before["attention"] + attention, "mlp": out},
        coefficients={key: torch.cat(rows) for key, rows in kept.items()},
    )


class Readout:
    """Log-probabilities of tokens that residual states give, in float32: increases are smaller than half precision resolves."""

    def __init__(self, loaded: LoadedModel):
        layout = loaded.layout
        self.norm = None if layout.final_norm is None else copy.deepcopy(layout.final_norm).float()
        self.weight = layout.scale * layout.head.weight.detach().float()
        self.bias = None if layout.head.bias is None else layout.scale * layout.head.bias.detach().float()
        self.softcap = layout.softcap

    @torch.no_grad()
    def __call__(self, states: Float[Tensor, "n d"], targets: Int[Tensor, n]) -> Float[Tensor, n]:
        """Nats, up to 0."""
        size = max(1, NUMBERS_AT_ONCE // len(self.weight))
        log_probs = []
        for rows, tokens in zip(states.split(size), targets.split(size), strict=True):
            logits = linear(rows if self.norm is None else self.norm(rows), self.weight, self.bias)
            if self.softcap is not None:
                logits = self.softcap * torch.tanh(logits / self.softcap)
            log_probs.append(logits.gather(-1, tokens[:, None]).squeeze(-1) - logits.logsumexp(-1))
        return torch.cat(log_probs)


def layer_scores(seen: Observed, read: Readout, sublayer: Sublayer) -> Float[Tensor, L]:
    """Mean increase by each layer's attention or MLP output, nats."""
    before, after = seen.before[sublayer], seen.after[sublayer]
    targets = seen.targets.repeat(len(before))
    gained = read(after.flatten(0, 1), targets) - read(before.flatten(0, 1), targets)
    return gained.reshape(len(before), -1).mean(1)


@torch.no_grad()
def neuron_scores(
    loaded: LoadedModel, seen: Observed, read: Readout, sublayer: Sublayer, layer: int
) -> Float[Tensor, w]:
    """Mean increase by each neuron's own contribution `coefficient_j * column_j`, nats; all neurons of an example at once."""
    columns = projections(loaded, layer, sublayer)[1].weight.float().T
    total = columns.new_zeros(len(columns))
    size = max(1, NUMBERS_AT_ONCE // columns.shape[1])
    for state, coefficient, target in zip(
        seen.before[sublayer][layer], seen.coefficients[sublayer, layer], seen.targets, strict=True
    ):
        start = read(state[None], target[None])
        gained = [
            read(state + c[:, None] * w, target.expand(len(c)))
            for c, w in zip(coefficient.split(size), columns.split(size), strict=True)
        ]
        total += torch.cat(gained) - start
    return total / len(seen.targets)
