"""A run as a paragraph for a methods section, and the papers behind it in BibTeX, ready to paste.

What is a reconstruction is called one; versions of a paper that differ are told apart. Not covered: the user's own citation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pkt_core.runs.results import RunResults
from pkt_core.transfer.plan import TransferPlan
from pkt_core.words.style import NO_BREAK, number, percent, task_name

PAPERS = {
    "semalign2025": """@misc{semalign2025,
  title = {Beyond Neural Incompatibility: Easing Cross-Scale Knowledge Transfer in Large Language Models through Latent Semantic Alignment},
  author = {Gu, Jian and Aleti, Aldeida and Chen, Chunyang and Zhang, Hongyu},
  year = {2025}, eprint = {2510.24208v1}, archivePrefix = {arXiv}
}""",
    "semalign2026": """@misc{semalign2026,
  title = {Beyond Neural Incompatibility: Cross-Scale Knowledge Transfer in Language Models through Latent Semantic Alignment},
  author = {Gu, Jian and Aleti, Aldeida and Chen, Chunyang and Zhang, Hongyu},
  year = {2026}, eprint = {2510.24208v2}, archivePrefix = {arXiv}
}""",
    "semalignacl2026": """@inproceedings{semalignacl2026,
  title = {Beyond Neural Incompatibility: Cross-Scale Knowledge Transfer in Large Language Models through Latent Semantic Alignment},
  author = {Gu, Jian and Aleti, Aldeida and Chen, Chunyang and Zhang, Hongyu},
  booktitle = {Findings of the Association for Computational Linguistics: ACL 2026}, year = {2026}, pages = {21893--21905}
}""",
    "seeking2024": """@inproceedings{seeking2024,
  title = {Seeking Neural Nuggets: Knowledge Transfer in Large Language Models from a Parametric Perspective},
  author = {Zhong, Ming and An, Chenxin and Chen, Weizhu and Han, Jiawei and He, Pengcheng},
  booktitle = {International Conference on Learning Representations}, year = {2024}, note = {arXiv:2310.11451}
}""",
    "laten2025": """@inproceedings{laten2025,
  title = {Neural Incompatibility: The Unbridgeable Gap of Cross-Scale Parametric Knowledge Transfer in Large Language Models},
  author = {Tan, Yuqiao and He, Shizhu and Liu, Kang and Zhao, Jun},
  booktitle = {Proceedings of the 63rd Annual Meeting of the Association for Computational Linguistics (Volume 1: Long Papers)},
  year = {2025}, pages = {21586--21601}
}""",
    "memit2023": """@inproceedings{memit2023,
  title = {Mass-Editing Memory in a Transformer},
  author = {Meng, Kevin and Sharma, Arnab Sen and Andonian, Alex and Belinkov, Yonatan and Bau, David},
  booktitle = {International Conference on Learning Representations}, year = {2023}, note = {arXiv:2210.07229}
}""",
    "cka2019": """@inproceedings{cka2019,
  title = {Similarity of Neural Network Representations Revisited},
  author = {Kornblith, Simon and Norouzi, Mohammad and Lee, Honglak and Hinton, Geoffrey},
  booktitle = {International Conference on Machine Learning}, year = {2019}
}""",
    "distillation2015": """@misc{distillation2015,
  title = {Distilling the Knowledge in a Neural Network},
  author = {Hinton, Geoffrey and Vinyals, Oriol and Dean, Jeff},
  year = {2015}, eprint = {1503.02531}, archivePrefix = {arXiv}
}""",
}
BEHIND = {
    "semalign-v1": ("semalign2025",),
    "semalign-v2r": ("semalign2026",),
    "semalign-aclr": ("semalignacl2026",),
    "seeking": ("seeking2024",),
    "laten": ("laten2025",),
    "stitch": ("memit2023",),
    "logit-kd": ("distillation2015",),
    "feature-kd": ("distillation2015",),
    "ours": ("distillation2015",),
    "sft": (),
}
"""The papers a method comes from."""
HOW = {
    "semalign-v1": "by SemAlign as its version 1 describes it \\cite{semalign2025}",
    "semalign-v2r": "by a reconstruction of SemAlign's version 2, made from its abstract \\cite{semalign2026}",
    "semalign-aclr": "by a reconstruction of SemAlign's ACL version, made from its abstract \\cite{semalignacl2026}",
    "seeking": "by Seeking in the form of its authors' code \\cite{seeking2024}",
    "laten": "by LaTen in the form of its authors' code, with the exact norm \\cite{laten2025}",
    "stitch": "in closed form, by changing one matrix (after MEMIT \\cite{memit2023})",
    "logit-kd": "by distillation of the next-token distribution \\cite{distillation2015}",
    "feature-kd": "by distillation of hidden states and of the next-token distribution \\cite{distillation2015}",
    "ours": "by distillation of the next-token distribution \\cite{distillation2015} into the MLPs, the student held to what it said on text it wrote itself",
    "sft": "by plain fine-tuning, without a teacher",
}


def paragraph(plan: Mapping[str, Any], results: RunResults) -> str:
    """What was done and what came of it, in LaTeX text: models, method, layers, data, seeds, tests and results."""
    plan = {name: field.default for name, field in TransferPlan.model_fields.items()} | dict(
        plan
    )  # of an older version, too
    method, layers, data = str(plan["method"]), results.layers, results.examples
    assert layers is not None, "only of what was trained"
    assert data is not None, "only of what was trained"
    teacher, student = (tex(str(plan[side]["name"]).rstrip("/").split("/")[-1]) for side in ("teacher", "student"))
    where = "; ".join(f"{pair.teacher} to {pair.student}" for pair in layers.every)
    effort = (
        f"{results.steps} steps of {plan['batch_size']} examples, learning rate {plan['learning_rate']:g}, "
        f"{results.trained_parameters or 0:,} parameters"
        if results.steps
        else "no step of training"
    )
    said = [
        f"We transferred knowledge from {teacher} to {student} {HOW.get(method, method)}.",
        f"Layers are counted from 0; teacher to student layer: {where}, chosen by {layers.chosen_by}.",
        f"Data: {data.n} examples ({tex(data.name)}, digest {data.digest[:12]}); {effort}, seed {plan['seed']}.",
        "Recall counts an item if greedy decoding gives the whole answer; intervals are 95\\,\\% (paired bootstrap), p-values exact McNemar tests.",
    ]
    for task, change in results.changes.items():
        low, high = (f"{100 * end:+.1f}" for end in (change.low, change.high))
        said.append(
            f"{tex(task_name(task))} ($n={change.n}$): {shown(change.before)} to {shown(change.after)}, "
            f"{100 * change.difference:+.1f} points [{low}, {high}], $p={change.p_value:.2g}$."
        )
    if results.behaviour is not None and (bits := results.behaviour.bits_per_byte):
        before, after = (number(one.value, 3) for one in bits)
        said.append(f"Bits per byte on general text went from {before} to {after}.")
    versions = results.versions
    named = ", ".join(
        f"{tex(name)} {tex(str(versions[name]))}" for name in ("pkt", "torch", "transformers") if name in versions
    )
    return " ".join(said) + (f" Software: {named}." if named else "")


def shown(share: float) -> str:
    return percent(share, 1).replace(f"{NO_BREAK}%", "\\,\\%")


def tex(text: str) -> str:
    """Text that LaTeX shows as it is."""
    signs = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(signs.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


def bibtex(plan: Mapping[str, Any]) -> str:
    """The papers behind a run's method, and behind the similarity it was measured with."""
    return "\n\n".join(PAPERS[key] for key in (*BEHIND.get(str(plan["method"]), ()), "cka2019"))
