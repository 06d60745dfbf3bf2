"""Where a decoder keeps its blocks, sublayers, final norm and unembedding; checked by running it, not by its name.

What `validate` guarantees: the model is causal; the captured output of the last block, read through the final norm
and the head, gives the model's own logits, scaled where the model scales them; and, where `sublayers` is true, a block's
input plus its attention and MLP outputs is its output. It cannot guarantee that a sublayer's role matches its name.

Not covered: encoder-decoders, mixtures whose blocks are not one ModuleList, state-space models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pkt_core.errors import ModelError

FINAL_NORMS = (
    "norm",
    "ln_f",
    "final_layer_norm",
    "final_layernorm",
    "final_norm",
    "norm_f",
    "layer_norm",
    "embedding_norm",
)
ATTENTIONS = ("self_attn", "attn", "attention")
MLPS = ("mlp", "feed_forward", "fc2")  # OPT has no MLP module: its last projection is what the block adds

SANDWICHES = (
    ("post_attention_layernorm", "post_feedforward_layernorm"),  # Gemma 2 and 3, OLMo 2
    ("post_self_attn_layernorm", "post_mlp_layernorm"),  # GLM 4
)


@dataclass(frozen=True)
class Layout:
    """The parts of one decoder, as modules of the unchanged Hugging Face model."""

    embed: nn.Module
    """Token ids to the first residual stream (position embeddings, where a model has them, come after)."""
    blocks: tuple[nn.Module, ...]
    """The transformer blocks, layer 0 first."""
    attentions: tuple[nn.Module, ...]
    """Per block, the module whose output attention adds to the residual stream."""
    mlps: tuple[nn.Module, ...]
    """Per block, the module whose output the MLP adds to the residual stream."""
    sublayers: bool
    """Whether input + attention + MLP = output was found to hold; if not, attn_out and mlp_out are not offered."""
    final_norm: nn.Module | None
    """The norm before the head; None where a model has none."""
    head: nn.Linear
    """The unembedding, weight `[V, d_model]`; may be tied to the embedding."""
    tied: bool
    """Whether head and token embedding are one tensor."""
    softcap: float | None
    """Gemma-style soft capping of the logits: `softcap * tanh(logits / softcap)`."""
    scale: float = 1.0
    """What the head's output is multiplied by, as in Granite and Cohere; found by `validate`."""

    def logits(self, state: Float[Tensor, "... d"]) -> Float[Tensor, "... V"]:
        """A residual-stream state read as the model itself reads its last one (logit lens)."""
        state = state.to(self.head.weight.dtype)
        logits = self.head(self.final_norm(state) if self.final_norm is not None else state)
        if self.scale != 1:  # else one more copy of `[..., V]` for nothing
            logits = self.scale * logits
        return logits if self.softcap is None else self.softcap * torch.tanh(logits / self.softcap)


def first_named(module: nn.Module, names: tuple[str, ...]) -> nn.Module | None:
    return next((m for n in names if isinstance(m := getattr(module, n, None), nn.Module)), None)


def find_layout(model: Any) -> Layout:
    """The layout of a Hugging Face causal language model. Raises ModelError if there is none to be found."""
    name, config = type(model).__name__, model.config
    depth = getattr(config, "num_hidden_layers", None)
    stacks = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == depth]
    head, embed = model.get_output_embeddings(), model.get_input_embeddings()
    if not stacks or not isinstance(head, nn.Linear) or embed is None:
        raise ModelError(
            f"{name} has no single stack of {depth} blocks with a linear head; expected a Hugging Face decoder "
            "(Llama, Qwen, Mistral, Gemma, GPT-2, GPT-NeoX, OPT, Phi or alike). Choose another model."
        )
    blocks = tuple(stacks[0])
    parent = next(m for m in model.modules() if any(child is stacks[0] for child in m.children()))
    if getattr(parent, "project_out", None) is not None:
        raise ModelError(f"{name} projects its last state to another width before the head, which is not supported.")
    # Some normalise a sublayer's output before adding it; in Llama a module of the same name comes after.
    attention_names, mlp_names = next(
        (((attn,), (mlp,)) for attn, mlp in SANDWICHES if all(hasattr(b, mlp) for b in blocks)), (ATTENTIONS, MLPS)
    )
    attentions = [first_named(b, attention_names) for b in blocks]
    mlps = [first_named(b, mlp_names) for b in blocks]
    complete = all(m is not None for m in attentions + mlps)
    return Layout(
        embed=embed,
        blocks=blocks,
        attentions=tuple(m for m in attentions if m is not None) if complete else (),
        mlps=tuple(m for m in mlps if m is not None) if complete else (),
        sublayers=complete,
        final_norm=first_named(parent, FINAL_NORMS),
        head=head,
        tied=isinstance(embed, nn.Embedding) and embed.weight.data_ptr() == head.weight.data_ptr(),
        softcap=getattr(config, "final_logit_softcapping", None),
    )


def first_tensor(output: Any) -> Tensor:
    """Blocks and attentions return a tensor or a tuple or list that starts with one."""
    return output[0] if isinstance(output, tuple | list) else output


@torch.no_grad()
def validate(model: Any, layout: Layout) -> Layout:
    """Run the model on a few tokens and check the layout; returns it with `sublayers` and `scale` settled.

    Raises ModelError when the model cannot be run, gives no numbers, is not causal or its logits are not those of the captured final state.
    """
    name, vocabulary = type(model).__name__, layout.head.weight.shape[0]
    device = layout.head.weight.device
    ids = (torch.arange(2 * 8, device=device).reshape(2, 8) * 7 + 11) % min(vocabulary, 1000)
    ids[1, :-1] = ids[0, :-1]  # the rows differ in the last token only
    seen: dict[str, list[Tensor]] = {"in": [], "out": [], "attn": [], "mlp": []}

    def keep_input(_: Any, args: Any, kwargs: Any) -> None:
        seen["in"].append((args[0] if args else kwargs["hidden_states"]).float())

    def keep(key: str) -> Any:
        return lambda _module, _args, output: seen[key].append(first_tensor(output).float())

    hooks = [b.register_forward_pre_hook(keep_input, with_kwargs=True) for b in layout.blocks]
    hooks += [b.register_forward_hook(keep("out")) for b in layout.blocks]
    hooks += [m.register_forward_hook(keep("attn")) for m in layout.attentions]
    hooks += [m.register_forward_hook(keep("mlp")) for m in layout.mlps]
    try:
        logits = model(input_ids=ids).logits.float()
    except Exception as error:
        raise ModelError(
            f"{name} failed on a few test tokens ({' '.join(str(error).split())[:120]}). Choose another model or report its architecture."
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    # bf16 and fp16 add with 8 or 11 significant bits; a wrong layout is off by the size of the states themselves.
    loose = layout.head.weight.dtype != torch.float32

    def close(a: Tensor, b: Tensor) -> bool:
        a, b = a.reshape(b.shape), b
        scale = float(b.abs().max()) + 1e-6
        return float((a - b).abs().max()) <= (0.05 if loose else 1e-3) * scale

    if any(not state.isfinite().all() for state in seen["out"]) or logits.isnan().any() or logits.isposinf().any():
        half = layout.head.weight.dtype == torch.float16
        raise ModelError(
            f"{name} gives states or logits that are not numbers (NaN or infinite) "
            + (
                "because float16 is too narrow for them. Load it in bfloat16 or float32."
                if half
                else "although its weights are finite: they are far too large. Use another checkpoint."
            )
        )
    if not close(logits[0, :-1], logits[1, :-1]):
        raise ModelError(
            f"{name} is not causal: changing the last token changed earlier logits. Expected a causal decoder; "
            "an encoder such as BERT cannot be teacher or student."
        )
    read = layout.logits(seen["out"][-1]).float()
    if layout.softcap is None and not close(read, logits):
        scale = float((read * logits).sum() / read.square().sum().clamp_min(1e-30))
        layout, read = replace(layout, scale=scale), scale * read
    if not close(read, logits):
        raise ModelError(
            f"{name}: the last block's output read through the final norm and head does not give the model's logits, "
            "so its layers cannot be trusted. Choose another model or report its architecture."
        )
    adds_up = layout.sublayers and all(
        close(i + a.reshape(i.shape) + m.reshape(i.shape), o)
        for i, a, m, o in zip(seen["in"], seen["attn"], seen["mlp"], seen["out"], strict=True)
    )
    return replace(layout, sublayers=adds_up)
