"""Losses as pure functions of tensors; lower is closer. Each is a mean over supervised positions unless its docstring gives one value per row.

Sources: SemAlign v1 = arXiv 2510.24208v1, section 4 (layer and output terms, unweighted sum in the paper).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy, log_softmax, normalize

from pkt_core.transfer.span_likelihood import rest

TINY = 1e-12


def layer_cosine(state: Float[Tensor, "n d"], target: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """SemAlign v1's layer term `1 - mean cos(h, h*)`, 0..2."""
    return 1 - cosine_similarity(state, target, dim=-1).mean()


def output_cosine(logits: Float[Tensor, "n V"], labels: Int[Tensor, n]) -> Float[Tensor, ""]:
    """SemAlign v1's output term `1 - mean cos(z, onehot(y)) = 1 - mean z_y / |z|`, 0..2.

    Unlike cross-entropy it does not change when logits are scaled, and does when they are shifted.
    """
    chosen = logits.gather(-1, labels[:, None]).squeeze(-1)
    cosine: Tensor = (chosen / logits.norm(dim=-1).clamp_min(1e-12)).mean()
    return 1 - cosine


def label_cross_entropy(logits: Float[Tensor, "n V"], labels: Int[Tensor, n]) -> Float[Tensor, ""]:
    """Mean negative log-likelihood in nats."""
    return cross_entropy(logits, labels)


def kl(student: Float[Tensor, "n c"], teacher: Float[Tensor, "n c"]) -> Float[Tensor, n]:
    """`KL(teacher || student)` in nats of each row, both as log-probabilities of the same c events."""
    return (teacher.exp() * (teacher - student)).sum(-1)


def reverse_kl(student: Float[Tensor, "n c"], teacher: Float[Tensor, "n c"]) -> Float[Tensor, n]:
    """`KL(student || teacher)` in nats of each row."""
    return (student.exp() * (student - teacher)).sum(-1)


def jensen_shannon(student: Float[Tensor, "n c"], teacher: Float[Tensor, "n c"]) -> Float[Tensor, n]:
    """Jensen-Shannon divergence in nats of each row, 0..ln 2."""
    middle = torch.logaddexp(student, teacher) - math.log(2)
    return (kl(middle, teacher) + kl(middle, student)) / 2


DIVERGENCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"kl": kl, "reverse-kl": reverse_kl, "jsd": jensen_shannon}


def sorted_distance(
    logits: Float[Tensor, "n V"], teacher: Float[Tensor, "n k"], temperature: float
) -> Float[Tensor, n]:
    """ULD's loss of each row: the L1 distance of both distributions sorted from the likeliest down, 0..2.

    Which token is which plays no part, so the vocabularies may have nothing in common (arXiv 2402.12030). teacher: log-probabilities of its k likeliest tokens, sorted; all beyond k are one last event, which can only
    lower the distance.
    """
    student = log_softmax(logits / temperature, dim=-1).exp()
    k = min(teacher.shape[-1], student.shape[-1])
    pair = student.topk(k, dim=-1).values, teacher.exp()[:, :k]
    beyond = [(1 - side.sum(-1)).clamp_min(0) for side in pair]
    return (pair[0] - pair[1]).abs().sum(-1) + (beyond[0] - beyond[1]).abs()


def distillation_kl(
    logits: Float[Tensor, "n V"],
    teacher_log_probs: Float[Tensor, "n k"],
    teacher_ids: Int[Tensor, "n k"],
    temperature: float,
) -> Float[Tensor, ""]:
    """`tau^2 KL(teacher || student)` in nats over the teacher's k most likely tokens and one bucket for all others, a mean over rows.

    Merging tokens can only lower a divergence, so this is a lower bound that is exact at k = V (data-processing
    inequality). teacher_log_probs: at the same temperature.
    """
    return temperature**2 * kl(*bucketed(logits, teacher_log_probs, teacher_ids, temperature)).mean()


def bucketed(logits: Tensor, teacher: Tensor, ids: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Log-probabilities of student and teacher at the teacher's tokens, with those of all others as one last column."""
    student = log_softmax(logits / temperature, dim=-1).gather(-1, ids)
    if ids.shape[-1] == logits.shape[-1]:
        return student, teacher
    return torch.cat([student, rest(student)], -1), torch.cat([teacher, rest(teacher)], -1)


def fisher_quadratic(logits: Float[Tensor, "n V"], target: Float[Tensor, "n V"]) -> Float[Tensor, ""]:
    """`0.5 delta^T (diag p - p p^T) delta = 0.5 Var_p(delta)` with `p = softmax(target)`, `delta = logits - target`, in nats.

    The second-order expansion of `KL(p || softmax(logits))`; shifting all logits of a row changes nothing.
    """
    p, delta = target.softmax(-1), logits - target
    mean = (p * delta).sum(-1, keepdim=True)
    return 0.5 * (p * (delta - mean).square()).sum(-1).mean()


def token_geometry(
    state: Float[Tensor, "n d"], target: Float[Tensor, "n e"], sequence: Int[Tensor, n]
) -> Float[Tensor, ""]:
    """`|| K/|K| - K*/|K*| ||_F^2 = 2 - 2 CKA(state, target)` of the tokens of one text, 0..2, mean over the texts.

    K is the centred Gram of a text's tokens. A rotation of either side changes nothing: a map matters through its
    non-orthogonal part only. Texts of a single row have no geometry and are left out.
    """
    losses = []
    for text in sequence.unique_consecutive():
        rows = sequence == text
        if int(rows.sum()) > 1:
            losses.append(2 * cka_loss(state[rows], target[rows]))
    return torch.stack(losses).mean() if losses else state.sum() * 0


def cka_loss(state: Float[Tensor, "n d"], target: Float[Tensor, "n e"]) -> Float[Tensor, ""]:
    """`1 - CKA` of the rows, linear and biased, 0..1: as a loss the bias is the same for all steps."""
    x, y = (m - m.mean(0) for m in (state, target.to(state.dtype)))
    k, k_star = x @ x.T, y @ y.T
    return 1 - (normalize(k.flatten(), dim=0, eps=TINY) * normalize(k_star.flatten(), dim=0, eps=TINY)).sum()


def procrustes_loss(state: Float[Tensor, "n d"], target: Float[Tensor, "n e"]) -> Float[Tensor, ""]:
    """`1 - nuclear norm of Y^T X` of centred rows at Frobenius norm one, 0..1: half of what the best rotation leaves.

    The narrower side counts as padded with zeros.
    """
    x, y = (normalize((m - m.mean(0)).flatten(), dim=0, eps=TINY).view_as(m) for m in (state, target.to(state.dtype)))
    nuclear: Tensor = torch.linalg.svdvals(y.T @ x).sum()
    return 1 - nuclear


def standardised_mse(state: Float[Tensor, "n d"], target: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Mean squared error relative to the targets' mean square, so that one learning rate serves all layers; 0 and up."""
    return (state - target).square().mean() / target.square().mean().clamp_min(TINY)
