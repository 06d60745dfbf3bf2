"""LaTen: a small network translates the teacher's most attributed neurons into changes to the student's own, with labels.

Tan, He, Liu, Zhao, ACL 2025 (arXiv 2505.14436), in the form of their code; what is theirs and what is ours, and the maths,
are in `transfer/maths/neuron_translator.py`.
"""

from __future__ import annotations

from typing import Literal

from pkt_core.transfer.method import Batch, Extract, Extraction, LoadedModel, Method, Pairs, Paper, Terms, Trainable
from pkt_core.transfer.settings import Scoped, WithTeacher

TETHER = 1000.0
"""Weight of what keeps the changes small, theirs. It is absolute, and a narrow model's weights are larger: on the demo pair (300
steps at 0.003, 200 facts each) recall of unknown facts in seen / unseen forms / of known facts is 9 / 6 / 42 per cent with 1000,
42 / 20 / 32 with 10, 49 / 26 / 20 with 0. The student as it was: 8 / 7 / 100.
"""


class LaTenPlan(Scoped, WithTeacher):
    """Settings of LaTen."""

    method: Literal["laten"] = "laten"
    scope: Literal["layer", "all"] = "all"


def extract(extraction: Extraction, plan: LaTenPlan) -> Extract:
    """The neurons chosen of both models, and the teacher's vectors."""
    from pkt_core.transfer.maths.neuron_translator import take_neurons

    return take_neurons(extraction, every_layer=plan.every_block)


def install(student: LoadedModel, plan: LaTenPlan, _pairs: Pairs, extract: Extract) -> Trainable:
    """The network that translates them, added to the student's neurons while it runs."""
    from pkt_core.transfer.maths.neuron_translator import graft

    return graft(student, extract, plan.seed)


def terms(batch: Batch, _plan: LaTenPlan) -> Terms:
    """`cross_entropy` with the labels, and `tether`, 1000 times the summed mean squares of the changes."""
    import torch

    from pkt_core.transfer.maths.neuron_translator import Translator
    from pkt_core.transfer.objectives import label_cross_entropy

    assert isinstance(batch.foreign, Translator)
    sizes = [batch.foreign.size(kind) for kind in batch.foreign.networks]
    return {
        "cross_entropy": label_cross_entropy(batch.logits, batch.labels),
        "tether": TETHER * torch.stack(sizes).sum(),
    }


def changed(_plan: LaTenPlan, blocks: str, n: int) -> str:
    return f"the most attributed neurons of {blocks}, through a network of {n:,} parameters"


METHOD = Method(
    plan=LaTenPlan,
    order=80,
    title="LaTen",
    sentence="LaTen: a small network translates the teacher's most attributed neurons into changes to the student's, with labels",
    group="Rival",
    pull="labels, through a network that translates teacher neurons into changes to student neurons",
    source="arXiv 2505.14436, the form of its code with the true norm",
    how="by LaTen in the form of its authors' code, with the exact norm \\cite{laten2025}",
    papers=(
        Paper(
            "laten2025",
            """@inproceedings{laten2025,
  title = {Neural Incompatibility: The Unbridgeable Gap of Cross-Scale Parametric Knowledge Transfer in Large Language Models},
  author = {Tan, Yuqiao and He, Shizhu and Liu, Kang and Zhao, Jun},
  booktitle = {Proceedings of the 63rd Annual Meeting of the Association for Computational Linguistics (Volume 1: Long Papers)},
  year = {2025}, pages = {21586--21601}
}""",
        ),
    ),
    terms=terms,
    labels=True,
    extract=extract,
    install=install,
    changed=changed,
)
