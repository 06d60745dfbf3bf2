"""The terms of the field and of this project: each in two lines, with its source.

`ours` as a source: the term is this project's, or is used here in a special sense.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

SEMALIGN = "Gu et al. 2025, SemAlign v1, arXiv 2510.24208v1"


@dataclass(frozen=True)
class Entry:
    """One term."""

    meaning: str
    """At most two lines."""
    source: str
    also: tuple[str, ...] = ()
    """Other forms of the term in texts."""


GLOSSARY: dict[str, Entry] = {
    "teacher and student": Entry(
        "Knowledge is transferred from the teacher, the larger model, which stays unchanged, to the student, the smaller model, which is changed.",
        "Hinton, Vinyals & Dean 2015, arXiv 1503.02531",
        ("teacher", "student"),
    ),
    "latent space": Entry(
        "The space of all states (vectors) of a model at one site, here one layer. Two models' spaces differ in width and axes.",
        SEMALIGN,
        ("latent spaces",),
    ),
    "CKA": Entry(
        "Centred kernel alignment: whether the same prompts are similar in both spaces, 0 to 1; invariant to rotation and scale. Here the debiased "
        "estimate, which is 0 on average for unrelated spaces and independent samples.",
        "Kornblith et al. 2019, arXiv 1905.00414; debiased: Song et al. 2012, JMLR 13",
    ),
    "noise": Entry(
        "Noise level: the 95 % quantile of a measure under the permutation null (prompts of one side shuffled); for a grid, that of its best cell.",
        "ours; a permutation null, as in Good 2005, Permutation, Parametric and Bootstrap Tests",
        ("noise level",),
    ),
    "attribution": Entry(
        "How much the answer's loss depends on the output of a layer: gradient times activation, in nats. It suggests which teacher layer to use.",
        f"{SEMALIGN}, section 4",
    ),
    "pairing": Entry(
        "The rule that assigns a teacher layer to each student layer; the paper's rule uses the same relative depth, rounded down.",
        f"{SEMALIGN}, section 4",
    ),
    "semantic basis": Entry(
        "A direction in a latent space that represents one token: a column of the pseudoinverse of the output head. A state is a weighted sum of them.",
        f"{SEMALIGN}, section 3; Gu et al. 2024, arXiv 2401.16184",
        ("semantic bases", "bases"),
    ),
    "recomposition": Entry(
        "Decomposing a state into coefficients of semantic bases and summing these up again; the cosine with the state measures what is preserved.",
        SEMALIGN,
    ),
    "alignment map": Entry(
        "A matrix that maps teacher states into the student's latent space; semantic (through shared tokens), or fitted (ridge, Procrustes).",
        f"{SEMALIGN}, section 3; Moschella et al. 2023, arXiv 2209.15430",
        ("alignment maps",),
    ),
    "logit lens": Entry(
        "Applying the final norm and the head to the state of an intermediate layer, which gives probabilities of tokens.",
        "nostalgebraist 2020, Interpreting GPT: the logit lens",
    ),
    "UMAP": Entry(
        "A two-dimensional projection that preserves nearest neighbours. Distances between groups and group sizes have no meaning in it.",
        "McInnes, Healy & Melville 2018, arXiv 1802.03426",
        ("AlignedUMAP",),
    ),
    "turnover": Entry(
        "The share of a prompt's nearest neighbours that differ from one space to the next, computed in the full spaces, not in the plot.",
        "ours; neighbourhood overlap as in Hamilton et al. 2016, arXiv 1606.02821",
    ),
    "Procrustes": Entry(
        "The rotation (and scale) that brings one set of points closest to another; it preserves all angles within the set.",
        "Schönemann 1966, Psychometrika 31",
    ),
    "stitching": Entry(
        "Passing the mapped state of one model to the upper layers of another, which continue from it; the loss shows whether they can use it.",
        "Lenc & Vedaldi 2015, arXiv 1411.5908; Bansal, Nakkiran & Barak 2021, arXiv 2106.07682",
        ("stitched", "Stitching"),
    ),
    "control": Entry(
        "The same transfer without its meaning, one of its terms or its teacher (ablation). A gain that a control also reaches does not depend on what it lacks.",
        "ours",
        ("controls",),
    ),
    "recall": Entry(
        "The share of questions whose whole answer is right under greedy decoding, 0 to 100 %.",
        "ours; exact match, as in Petroni et al. 2019, arXiv 1909.01066",
    ),
    "reworded": Entry(
        "Questions in a sentence form that training never uses: a right answer here is more than a memorised sentence.",
        "ours; paraphrases of one relation, as in Elazar et al. 2021, arXiv 2102.01017",
    ),
    "bits per byte": Entry(
        "Surprisal of text in bits, divided by its bytes; lower is better, and comparable between tokenizers.",
        "Gao et al. 2020, The Pile, arXiv 2101.00027, section 3.1",
    ),
    "KL": Entry(
        "Kullback-Leibler divergence between two next-token distributions, here in bits; 0 if they are identical. Not symmetric.",
        "Kullback & Leibler 1951, Annals of Mathematical Statistics 22",
        ("KL divergence",),
    ),
    "JS": Entry(
        "Jensen-Shannon divergence: a symmetric variant of KL, between 0 and 1 bit.",
        "Lin 1991, IEEE Transactions on Information Theory 37",
    ),
    "calibration": Entry(
        "Whether predictions with confidence p are right with frequency p; the expected calibration error (ECE) is the mean gap.",
        "Guo et al. 2017, arXiv 1706.04599",
    ),
    "LoRA": Entry(
        "Low-rank adaptation: training two low-rank matrices added to a weight matrix instead of the matrix itself.",
        "Hu et al. 2021, arXiv 2106.09685",
    ),
    "distillation": Entry(
        "Training the student towards the teacher's outputs or states, rather than towards labels.",
        "Hinton, Vinyals & Dean 2015, arXiv 1503.02531",
    ),
    "Seeking": Entry(
        "Extracting the teacher's most sensitive parameters and starting the student's LoRA from them.",
        "Zhong et al. 2024, arXiv 2310.11451",
        ("seeking",),
    ),
    "LaTen": Entry(
        "Locate, then align: a small network maps the teacher's most attributed neurons to changes of the student's.",
        "Tan et al. 2025, Neural Incompatibility, arXiv 2505.14436",
        ("laten",),
    ),
    "95 % interval": Entry(
        "A range that covers the true value in 95 of 100 repetitions. Shares: Wilson; changes and means: bootstrap over items.",
        "Wilson 1927, JASA 22; Efron 1979, Annals of Statistics 7",
        ("95 % intervals", "95 % bootstrap intervals"),
    ),
    "McNemar": Entry(
        "A paired test on the items whose answer changed: under the null, newly right and forgotten are equally frequent.",
        "McNemar 1947, Psychometrika 12",
    ),
    "Holm": Entry(
        "Correction of p-values for several tests; the probability of any false positive stays below 5 %.",
        "Holm 1979, Scandinavian Journal of Statistics 6",
        ("corrected p", "p corrected"),
    ),
    "rank correlation": Entry(
        "Spearman's rho, −1 to 1: whether two quantities have the same order, for any monotonic relation.",
        "Spearman 1904, American Journal of Psychology 15",
        ("rank correlations",),
    ),
    "correlation beyond depth": Entry(
        "A partial correlation over layer pairs, −1 to 1: what is left of gain and factor after the trends over depth are removed.",
        "Langsrud 2005, Statistics and Computing 15 (rotation tests)",
        ("correlations beyond depth",),
    ),
}


def found_in(text: str) -> list[str]:
    """The terms in a text, in order of first use."""
    first: dict[str, int] = {}
    for word, entry in GLOSSARY.items():
        ways = "|".join(re.escape(way) for way in (word, *entry.also))
        if hit := re.search(rf"(?<!\w)(?:{ways})(?!\w)", text):
            first[word] = hit.start()
    return sorted(first, key=lambda word: first[word])


def entries(words: Iterable[str]) -> list[tuple[str, Entry]]:
    """These terms with their entries."""
    return [(word, GLOSSARY[word]) for word in words]
