"""Which layers carry the answer: gradient x activation of what each block adds, all layers in one backward pass.

`A_l = Agg(dL/dh_l * h_l)` (arXiv 2510.24208v1, section 4; Captum calls it LayerGradientXActivation). The paper does not
specify how signs, tokens and examples are aggregated; we show three ways and use `abs_of_sum`. Nor does it specify the activation:
we take the block's contribution to the residual stream, which is also what is matched. On the whole stream the last
layer's score is 0 by construction: the final norm ignores scale, and for such a function gradient times input vanishes (Euler).

Not covered: other attribution methods; attribution of sublayers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pkt_core.activations.capture import Capture, forward_ids, pad
from pkt_core.alignment.record import Aggregation, LayerAttribution
from pkt_core.base.arrays import array
from pkt_core.data.examples import IGNORE, Encoded, ExampleSet, encode, load_examples
from pkt_core.errors import ExampleTooLong
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site

ATTRIBUTED_EXAMPLES = 64


def attribution(teacher: LoadedModel, examples: str | ExampleSet, seed: int) -> LayerAttribution:
    """Gradient x activation of the teacher's answers, at most 64 examples."""
    chosen = (load_examples(examples) if isinstance(examples, str) else examples).sample(ATTRIBUTED_EXAMPLES, seed)
    encoded = encode(teacher.tokenizer, chosen.items, teacher.context)
    return layer_attribution(teacher, encoded, batch_size=16)


def readable_attribution(teacher: LoadedModel, examples: str, seed: int) -> LayerAttribution | None:
    """The same; None where the teacher reads fewer tokens at once than an example has: a comparison does not rest on it."""
    try:
        return attribution(teacher, examples, seed)
    except ExampleTooLong:
        return None


DRAWS = 1000


def layer_attribution(
    loaded: LoadedModel, encoded: Sequence[Encoded], *, batch_size: int = 16, seed: int = 0
) -> LayerAttribution:
    """Attribute each example's mean answer loss to all layers; batch size changes nothing."""
    outputs = [Site("block_out", layer) for layer in range(loaded.n_layers)]
    added = [Site("block_delta", layer) for layer in range(loaded.n_layers)]
    signed, absolute = [], []

    def wake(_module: Any, _args: Any, output: Tensor) -> Tensor:
        # Parameters stay frozen: the graph starts at the embeddings, so nothing is stored for weight gradients.
        return output.detach().requires_grad_(True)

    handle = loaded.layout.embed.register_forward_hook(wake)
    try:
        with Capture(loaded, [*outputs, *added], keep_grad=True) as seen:
            for start in range(0, len(encoded), batch_size):
                batch = encoded[start : start + batch_size]
                ids = pad([e.ids for e in batch], loaded.tokenizer.pad_token_id)
                labels = pad([e.labels for e in batch], IGNORE)[:, 1:].to(loaded.device)
                mask = pad([[1] * len(e.ids) for e in batch], 0)
                logits = forward_ids(loaded, ids, mask)[:, :-1].float()
                losses = cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORE, reduction="none").sum(1)
                # A sum over examples keeps each one's gradient its own, whatever else is in the batch.
                (losses / (labels != IGNORE).sum(1)).sum().backward()
                # What a block adds enters the stream with weight one, so both have the same gradient.
                products = [
                    gradient(seen[out]) * seen[delta].detach().float()
                    for out, delta in zip(outputs, added, strict=True)
                ]
                signed.append(torch.stack([p.sum((1, 2)) for p in products], dim=1).cpu())
                absolute.append(torch.stack([p.abs().sum((1, 2)) for p in products], dim=1).cpu())
    finally:
        handle.remove()
    per_example = torch.cat(signed)
    scores = per_example.abs().mean(0)
    n = len(per_example)
    draws = torch.randint(n, (DRAWS, n), generator=torch.Generator().manual_seed(seed))
    means = per_example.abs()[draws].mean(1)
    low, high = means.quantile(torch.tensor([0.025, 0.975]), dim=0)
    aggregations: dict[Aggregation, Tensor] = {
        "abs_of_sum": scores,
        "sum": per_example.mean(0),
        "sum_of_abs": torch.cat(absolute).mean(0),
    }
    return LayerAttribution(
        scores=array(scores),
        low=array(low),
        high=array(high),
        aggregations={name: array(values) for name, values in aggregations.items()},
        per_example=array(per_example),
    )


def gradient(activation: Tensor) -> Tensor:
    """The gradient that a backward pass left at a captured activation, float32."""
    assert activation.grad is not None, "captured with keep_grad"
    return activation.grad.float()
