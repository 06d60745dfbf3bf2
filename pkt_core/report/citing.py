"""A run as a paragraph for a methods section, and the papers behind it in BibTeX.

Reconstructions are named as such; differing versions of a paper are distinguished. Not covered: citation of the project itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pkt_core.runs.results import RunResults
from pkt_core.transfer.method import Paper, methods
from pkt_core.transfer.plan import settings
from pkt_core.words.style import NO_BREAK, number, percent, task_name

MEASURE = Paper(
    "cka2019",
    """@inproceedings{cka2019,
  title = {Similarity of Neural Network Representations Revisited},
  author = {Kornblith, Simon and Norouzi, Mohammad and Lee, Honglak and Hinton, Geoffrey},
  booktitle = {International Conference on Machine Learning}, year = {2019}
}""",
)
"""The similarity measured for every run."""


def paragraph(plan: Mapping[str, Any], results: RunResults) -> str:
    """Method and results as LaTeX text: models, method, layers, data, seeds, tests and results."""
    plan = {name: field.default for name, field in settings().items()} | dict(plan)  # also plans of older versions
    method, layers, data = str(plan["method"]), results.layers, results.examples
    assert layers is not None, "needs a trained run"
    assert data is not None, "needs a trained run"
    teacher, student = (tex(str(plan[side]["name"]).rstrip("/").split("/")[-1]) for side in ("teacher", "student"))
    where = "; ".join(f"{pair.teacher} to {pair.student}" for pair in layers.every)
    effort = (
        f"{results.steps} steps of {plan['batch_size']} examples, learning rate {plan['learning_rate']:g}, "
        f"{results.trained_parameters or 0:,} parameters"
        if results.steps
        else "no training"
    )
    sentences = [
        f"We transferred knowledge from {teacher} to {student} {known.how if (known := methods().get(method)) else method}.",
        f"Teacher to student layer (from 0): {where}, chosen by {layers.chosen_by}.",
        f"Data: {data.n} examples ({tex(data.name)}, digest {data.digest[:12]}); {effort}, seed {plan['seed']}.",
        "Recall is the share of items whose whole answer is right under greedy decoding; intervals are 95\\,\\% (paired bootstrap), p-values from exact McNemar tests.",
    ]
    for task, change in results.changes.items():
        low, high = (f"{100 * end:+.1f}" for end in (change.low, change.high))
        sentences.append(
            f"{tex(task_name(task))} ($n={change.n}$): {shown(change.before)} to {shown(change.after)}, "
            f"{100 * change.difference:+.1f} points [{low}, {high}], $p={change.p_value:.2g}$."
        )
    if results.behaviour is not None and (bits := results.behaviour.bits_per_byte):
        before, after = (number(one.value, 3) for one in bits)
        sentences.append(f"Bits per byte on general text went from {before} to {after}.")
    versions = results.versions
    named = ", ".join(
        f"{tex(name)} {tex(str(versions[name]))}" for name in ("pkt", "torch", "transformers") if name in versions
    )
    return " ".join(sentences) + (f" Software: {named}." if named else "")


def shown(share: float) -> str:
    return percent(share, 1).replace(f"{NO_BREAK}%", "\\,\\%")


def tex(text: str) -> str:
    """Text escaped for LaTeX."""
    signs = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(signs.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


def bibtex(plan: Mapping[str, Any]) -> str:
    """BibTeX of the papers behind a run's method and its similarity measure."""
    return "\n\n".join(paper.bibtex for paper in papers(str(plan["method"])))


def papers(method: str) -> list[Paper]:
    """Papers cited by a run of a method; for an unknown method, only that of the similarity measure."""
    known = methods().get(method)
    return [*(known.papers if known else ()), MEASURE]
