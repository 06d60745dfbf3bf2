"""Losses as pure functions of tensors; every one is a mean over supervised positions, lower is closer.

Sources: SemAlign v1 = arXiv 2510.24208v1, section 4 (layer and output terms, unweighted sum in the paper).
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy, log_softmax


def layer_cosine(state: Float[Tensor, "n d"], target: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """SemAlign v1's layer term `1 - mean cos(h, h*)`, 0..2."""
    return 1 - cosine_similarity(state, target, dim=-1).mean()


def output_cosine(logits: Float[Tensor, "n V"], labels: Int[Tensor, n]) -> Float[Tensor, ""]:
    """SemAlign v1's output term `1 - mean cos(z, onehot(y)) = 1 - mean z_y / |z|`, 0..2.

    Unlike cross-entropy it does not change when logits are scaled, and does when they are shifted.
    """
    chosen = logits.gather(-1, labels[:, None]).squeeze(-1)
    return 1 - (chosen / logits.norm(dim=-1).clamp_min(1e-12)).mean()


def label_cross_entropy(logits: Float[Tensor, "n V"], labels: Int[Tensor, n]) -> Float[Tensor, ""]:
    """Mean negative log-likelihood in nats."""
    return cross_entropy(logits, labels)


def distillation_kl(
    logits: Float[Tensor, "n V"],
    teacher_log_probs: Float[Tensor, "n k"],
    teacher_ids: Int[Tensor, "n k"],
    temperature: float,
) -> Float[Tensor, ""]:
    """`tau^2 KL(teacher || student)` in nats over the teacher's k most likely tokens and one bucket for all others.

    Merging tokens can only lower a KL divergence, so this is a lower bound that is exact at k = V
    (data-processing inequality). teacher_log_probs: at the same temperature.
    """
    student = log_softmax(logits / temperature, dim=-1).gather(-1, teacher_ids)
    kl = (teacher_log_probs.exp() * (teacher_log_probs - student)).sum(-1)
    if teacher_ids.shape[-1] < logits.shape[-1]:
        # Floating point may push the sum of the kept probabilities above one.
        rest_teacher = (1 - teacher_log_probs.exp().sum(-1)).clamp_min(1e-9)
        rest_student = (1 - student.exp().sum(-1)).clamp_min(1e-9)
        kl = kl + rest_teacher * (rest_teacher.log() - rest_student.log())
    return temperature**2 * kl.mean()
