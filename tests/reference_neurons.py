"""Naive twins of Seeking, LaTen and stitching: one parameter, neuron, block or position at a time, from the formulas."""

import torch
from torch.nn.functional import cross_entropy, log_softmax, silu

from pkt_core.data.examples import IGNORE


def answer_loss(model, example):
    """Mean negative log-likelihood of the answer's tokens."""
    log_probs = log_softmax(model(input_ids=torch.tensor([example.ids])).logits[0], -1)
    said = [-log_probs[t - 1, label] for t, label in enumerate(example.labels) if label != IGNORE]
    return sum(said) / len(said)


def sensitivity(model, weight, examples):
    """`sum_j |theta dL_j / dtheta|` of one matrix."""
    weight.requires_grad_(True)
    total = torch.zeros_like(weight)
    for example in examples:
        (gradient,) = torch.autograd.grad(answer_loss(model, example), weight)
        total += (weight * gradient).abs().detach()
    weight.requires_grad_(False)
    return total


def densest_block(scores, n, m):
    best, found = -float("inf"), None
    for top in range(scores.shape[0] - n + 1):
        for left in range(scores.shape[1] - m + 1):
            total = float(scores[top : top + n, left : left + m].sum())
            if total > best:
                best, found = total, (top, left)
    return found


def log_probability(model, state, token):
    """Through a root-mean-square norm and the head, written out."""
    norm, head = model.model.norm, model.lm_head.weight
    normed = state / torch.sqrt((state**2).mean() + norm.variance_epsilon) * norm.weight
    return float(-cross_entropy((head @ normed)[None], torch.tensor([token])))


def llama_passes(model, example, position):
    """Per layer, at one position: the stream before attention, between, after; each neuron's activation of both sublayers."""
    found, values = [], []
    handles = [
        block.self_attn.o_proj.register_forward_pre_hook(lambda _m, args: values.append(args[0][0, position]))
        for block in model.model.layers
    ]
    with torch.no_grad():
        states = model(input_ids=torch.tensor([example.ids]), output_hidden_states=True).hidden_states
        for handle in handles:
            handle.remove()
        for k, block in enumerate(model.model.layers):
            before = states[k][0, position]
            between = before + block.self_attn.o_proj(values[k])
            inside = block.post_attention_layernorm(between)
            activation = silu(block.mlp.gate_proj(inside)) * block.mlp.up_proj(inside)
            found.append((before, between, between + block.mlp.down_proj(activation), values[k], activation))
    return found


def layer_scores(model, examples, places):
    """Two lists: attention, MLP."""
    layers = len(model.model.layers)
    attention, mlp = [0.0] * layers, [0.0] * layers
    for example, position in zip(examples, places, strict=True):
        token = example.ids[position + 1]
        for k, (before, between, after, _, _) in enumerate(llama_passes(model, example, position)):
            low, middle, high = (log_probability(model, s, token) for s in (before, between, after))
            attention[k] += (middle - low) / len(examples)
            mlp[k] += (high - middle) / len(examples)
    return attention, mlp


def neuron_scores(model, examples, places, layer):
    """Two lists: attention channels, MLP neurons."""
    block = model.model.layers[layer]
    found = []
    for which, matrix in ((0, block.self_attn.o_proj.weight), (1, block.mlp.down_proj.weight)):
        scores = [0.0] * matrix.shape[1]
        for example, position in zip(examples, places, strict=True):
            token = example.ids[position + 1]
            before, between, _, values, activation = llama_passes(model, example, position)[layer]
            state, coefficients = ((before, values), (between, activation))[which]
            for j in range(matrix.shape[1]):
                added = log_probability(model, state + coefficients[j] * matrix[:, j], token)
                scores[j] += (added - log_probability(model, state, token)) / len(examples)
        found.append(scores)
    return found


def stitch(keys, residuals, general, guard, ridge):
    """`min mean |D k - r|^2 + guard mean |D k_general|^2 + ridge |D|^2` as one tall least-squares problem."""
    width = keys.shape[1]
    tall = torch.cat(
        [
            keys / len(keys) ** 0.5,
            general * (guard / len(general)) ** 0.5,
            torch.eye(width, dtype=keys.dtype) * ridge**0.5,
        ]
    )
    wanted = torch.cat([residuals / len(keys) ** 0.5, torch.zeros(len(tall) - len(keys), residuals.shape[1]).double()])
    return torch.linalg.lstsq(tall, wanted, driver="gelsd").solution.T
