"""Prompts through a model, pooled activations out, a batch at a time: only requested sites are held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pkt_core.activations.capture import Capture, forward_states, pad
from pkt_core.activations.pooling import Pooling, pool, token_groups
from pkt_core.activations.spans import Span, shared_pieces, spread
from pkt_core.data.prompts import PER_PROMPT
from pkt_core.errors import ModelError, PromptError
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site

CAPTURE_VERSION = 2  # raise when the same inputs would give other activations: stored ones are then not reused


def pieces(
    texts: Sequence[str], models: Sequence[LoadedModel], *, skip_first: bool = False, n: int = PER_PROMPT
) -> list[list[Span]]:
    """The n spans of each text that `tokens` pooling averages, evenly spread over those that all the models' tokenizers
    share; none where a text has fewer. `skip_first` leaves the first piece out."""
    cut = [loaded.tokenizer(list(texts), return_offsets_mapping=True)["offset_mapping"] for loaded in models]
    chosen = []
    for text, *tokenizations in zip(texts, *cut, strict=True):
        shared = shared_pieces(text, tokenizations)[skip_first:]
        chosen.append([shared[i] for i in spread(len(shared), n)] if len(shared) >= n else [])
    return chosen


def require_fit(loaded: LoadedModel, texts: Sequence[str]) -> None:
    """PromptError for the first prompt that is longer than the model's context; nothing is cut silently."""
    for text, ids in zip(texts, loaded.tokenizer(list(texts))["input_ids"], strict=True):
        if len(ids) > loaded.context:
            raise PromptError(
                f"A prompt has {len(ids)} tokens, {loaded.name} reads at most {loaded.context}. Shorten or split it: "
                f"{text[:40]!r}..."
            )


def require_spans(texts: Sequence[str], spans: Sequence[Sequence[Span]]) -> None:
    """PromptError for the first prompt without shared spans."""
    if short := [i for i, of_text in enumerate(spans) if not of_text]:
        raise PromptError(
            f"Prompt {short[0]} has fewer than the {PER_PROMPT} shared spans that tokens pooling needs: "
            f"{texts[short[0]][:40]!r}. Leave it out, or use mean or last pooling."
        )


@torch.no_grad()
def stream(
    loaded: LoadedModel,
    texts: Sequence[str],
    sites: Sequence[Site],
    pooling: Pooling,
    *,
    skip_first: bool = False,
    spans: Sequence[Sequence[Span]] | None = None,
    batch_size: int = 32,
) -> Iterator[Float[Tensor, "site n d"]]:
    """Pooled activations of consecutive batches of prompts, float32, on the model's device, in the order of the texts.

    Batches hold `batch_size` prompts; with `tokens` pooling each prompt gives a row for each of its `spans`, which two models
    must share (see `pieces`); without them they are the model's own. Raises PromptError for prompts that are too long,
    empty or without a span, LayerNotFound for a site the model lacks, ModelError for states that are not numbers.
    """
    tokenizer = loaded.tokenizer
    if pooling == "tokens":
        spans = pieces(texts, [loaded], skip_first=skip_first) if spans is None else spans
        require_spans(texts, spans)
    require_fit(loaded, texts)  # all of them now: the last one may be hours away
    with Capture(loaded, sites) as seen:
        for start in range(0, len(texts), batch_size):
            batch = list(texts[start : start + batch_size])
            encoded = tokenizer(batch, return_offsets_mapping=True, return_special_tokens_mask=True)
            ids, mask = pad(encoded["input_ids"], tokenizer.pad_token_id), pad(encoded["attention_mask"], 0)
            forward_states(loaded, ids, mask)
            groups = [
                token_groups(
                    offsets,
                    special,
                    pooling,
                    spans[start + i] if spans is not None and pooling == "tokens" else [],
                    skip_first=skip_first,
                )
                for i, (offsets, special) in enumerate(
                    zip(encoded["offset_mapping"], encoded["special_tokens_mask"], strict=True)
                )
            ]
            pooled = torch.stack([torch.cat([pool(seen[s][i], g) for i, g in enumerate(groups)]) for s in sites])
            if (
                not pooled.isfinite().all()
            ):  # a longer text may pass what a half-width number holds where a short one does not
                raise ModelError(
                    f"{loaded.name} gives states that are not numbers in {str(loaded.dtype).removeprefix('torch.')} on some of "
                    f"these prompts: {batch[0][:40]!r} and the {len(batch) - 1} after it. Load it in bfloat16 or float32."
                )
            yield pooled


def collect(
    loaded: LoadedModel, texts: Sequence[str], sites: Sequence[Site], pooling: Pooling, *, batch_size: int = 32
) -> Float[Tensor, "site n d"]:
    """All of `stream` at once, on the CPU. For maps and curves of at most a few thousand rows."""
    return torch.cat([part.cpu() for part in stream(loaded, texts, sites, pooling, batch_size=batch_size)], dim=1)


@torch.no_grad()
def token_norms(loaded: LoadedModel, text: str, sites: Sequence[Site]) -> Float[Tensor, "site token"]:
    """Length of the activation at every position of one prompt, special tokens included, float32 on the CPU."""
    require_fit(loaded, [text])
    ids = torch.tensor([loaded.tokenizer(text)["input_ids"]])
    with Capture(loaded, sites) as seen:
        forward_states(loaded, ids, torch.ones_like(ids))
        return torch.stack([seen[site][0].float().norm(dim=-1).cpu() for site in sites])
