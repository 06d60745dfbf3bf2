"""Naive twins of matching by characters: one question for each pair of neighbouring letters, one prompt at a time."""

import numpy as np
import torch


def shared_pieces(text, tokenizations):
    """Letters belong together where a token of any tokenizer covers both; what one tokenizer passes over is dropped."""
    letters = [i for i in range(len(text)) if not text[i].isspace()]
    groups = []
    for i in letters:
        before = groups[-1][-1] if groups else None
        together = before is not None and any(a <= before and i < b for tokens in tokenizations for a, b in tokens)
        if together:
            groups[-1].append(i)
        else:
            groups.append([i])
    known = [all(any(a <= i < b for a, b in tokens) for tokens in tokenizations) for i in range(len(text))]
    return [(g[0], g[-1] + 1) for g in groups if all(known[i] for i in g)]


def spread(found, n):
    return [found[((i + 1) * len(found)) // n - 1] for i in range(n)]


@torch.no_grad()
def states(model, tokenizer, text, spans):
    """`[layer][span]` of numpy vectors: means over the tokens with a character in the span; blocks' own outputs by hooks."""
    outputs = []
    handles = [
        block.register_forward_hook(lambda _m, _i, out: outputs.append(out[0] if isinstance(out, tuple) else out))
        for block in model.model.layers
    ]
    encoded = tokenizer(text, return_offsets_mapping=True)
    model(input_ids=torch.tensor([encoded["input_ids"]]))
    for handle in handles:
        handle.remove()
    vectors = []
    for out in outputs:
        rows = out.reshape(-1, out.shape[-1]).double().numpy()
        vectors.append(
            [
                np.mean(
                    [
                        rows[t]
                        for t, (a, b) in enumerate(encoded["offset_mapping"])
                        if set(range(a, b)) & set(range(*span))
                    ],
                    axis=0,
                )
                for span in spans
            ]
        )
    return vectors
