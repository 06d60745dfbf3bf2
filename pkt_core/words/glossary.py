"""The words of the field and of this project: each in two lines, with where it comes from.

`ours` as a source: the word is this project's own, or is used here in a sense of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

SEMALIGN = "Gu et al. 2025, SemAlign v1, arXiv 2510.24208v1"


@dataclass(frozen=True)
class Entry:
    """One word."""

    meaning: str
    """At most two lines."""
    source: str
    also: tuple[str, ...] = ()
    """Other ways in which a text says it."""


GLOSSARY: dict[str, Entry] = {
    "teacher and student": Entry(
        "The larger model gives knowledge and stays as it is; the smaller one receives it and changes.",
        "Hinton, Vinyals & Dean 2015, arXiv 1503.02531",
        ("teacher", "student"),
    ),
    "latent space": Entry(
        "All states (vectors) a model can have at one place inside it; here at one layer. Two models' spaces differ in width and axes.",
        SEMALIGN,
        ("latent spaces",),
    ),
    "CKA": Entry(
        "Centred kernel alignment: whether the same prompts are alike in both spaces, 0 to 1; blind to rotation and scale. We use the debiased "
        "estimate, which is 0 on average where nothing is shared by independent samples.",
        "Kornblith et al. 2019, arXiv 1905.00414; debiased: Song et al. 2012, JMLR 13",
    ),
    "noise": Entry(
        "What a measure still reaches in 5 of 100 comparisons with the prompts of one side shuffled, where nothing corresponds; of a grid, its closest cell.",
        "ours; a permutation null, as in Good 2005, Permutation, Parametric and Bootstrap Tests",
        ("noise level",),
    ),
    "attribution": Entry(
        "How much the answer's loss moves with what a layer adds: gradient times activation, in nats. It suggests which teacher layer holds what is asked.",
        f"{SEMALIGN}, section 4",
    ),
    "pairing": Entry(
        "The rule for which teacher layer a student layer learns from; the paper's takes the same relative depth, rounded down.",
        f"{SEMALIGN}, section 4",
    ),
    "semantic basis": Entry(
        "A direction in a latent space that stands for one token: a column of the pseudoinverse of the output head. A state is written as a sum of them.",
        f"{SEMALIGN}, section 3; Gu et al. 2024, arXiv 2401.16184",
        ("semantic bases", "bases"),
    ),
    "recomposition": Entry(
        "Writing a state as coefficients of semantic bases and adding these up again; the cosine with the state says how much was kept.",
        SEMALIGN,
    ),
    "alignment map": Entry(
        "A matrix that carries teacher states into the student's latent space; semantic (through shared tokens), or fitted (ridge, Procrustes).",
        f"{SEMALIGN}, section 3; Moschella et al. 2023, arXiv 2209.15430",
        ("alignment maps",),
    ),
    "logit lens": Entry(
        "Reading a middle layer as if it were the last: its state through the final norm and the head, as probabilities of tokens.",
        "nostalgebraist 2020, Interpreting GPT: the logit lens",
    ),
    "UMAP": Entry(
        "A picture of a high-dimensional space that keeps near neighbours near. Distances between groups and their sizes mean nothing in it.",
        "McInnes, Healy & Melville 2018, arXiv 1802.03426",
        ("AlignedUMAP",),
    ),
    "turnover": Entry(
        "The share of a prompt's nearest neighbours that it loses from one space to the next, in the full space and not on the picture.",
        "ours; neighbourhood overlap as in Hamilton et al. 2016, arXiv 1606.02821",
    ),
    "Procrustes": Entry(
        "The rotation (and scale) that brings one set of points nearest to another; it keeps all angles within the set.",
        "Schönemann 1966, Psychometrika 31",
    ),
    "stitching": Entry(
        "Handing the carried state of one model to the upper layers of another, and asking whether those can go on from it.",
        "Lenc & Vedaldi 2015, arXiv 1411.5908; Bansal, Nakkiran & Barak 2021, arXiv 2106.07682",
        ("stitched", "Stitching"),
    ),
    "control": Entry(
        "The same transfer with its meaning, one of its terms or its teacher taken away. What a control reaches too was not the work of what it lacks.",
        "ours",
        ("controls",),
    ),
    "recall": Entry(
        "The share of questions that greedy decoding answers with the whole right answer, 0 to 100 %.",
        "ours; exact match, as in Petroni et al. 2019, arXiv 1909.01066",
    ),
    "reworded": Entry(
        "Asked in a sentence form that training never uses: an answer right here is more than a sentence learnt by heart.",
        "ours; paraphrases of one relation, as in Elazar et al. 2021, arXiv 2102.01017",
    ),
    "bits per byte": Entry(
        "How many bits a model needs for a byte of general text; lower is better, and comparable between tokenizers.",
        "Gao et al. 2020, The Pile, arXiv 2101.00027, section 3.1",
    ),
    "KL": Entry(
        "Kullback-Leibler divergence between two next-token distributions, in bits here; 0 where they are the same. Not symmetric.",
        "Kullback & Leibler 1951, Annals of Mathematical Statistics 22",
        ("KL divergence",),
    ),
    "JS": Entry(
        "Jensen-Shannon divergence: the symmetric kin of KL, between 0 and 1 bit.",
        "Lin 1991, IEEE Transactions on Information Theory 37",
    ),
    "calibration": Entry(
        "Whether a model that is p sure is right a share p of the time; expected calibration error is the mean gap.",
        "Guo et al. 2017, arXiv 1706.04599",
    ),
    "LoRA": Entry(
        "Training two thin matrices beside a weight matrix instead of the matrix itself.",
        "Hu et al. 2021, arXiv 2106.09685",
    ),
    "distillation": Entry(
        "Training the student towards what the teacher says or holds, rather than towards labels.",
        "Hinton, Vinyals & Dean 2015, arXiv 1503.02531",
    ),
    "Seeking": Entry(
        "Extracting the teacher's most sensitive parameters and starting the student's LoRA from them.",
        "Zhong et al. 2024, arXiv 2310.11451",
        ("seeking",),
    ),
    "LaTen": Entry(
        "Locate, then align: a small network turns the teacher's most attributed neurons into changes of the student's.",
        "Tan et al. 2025, Neural Incompatibility, arXiv 2505.14436",
        ("laten",),
    ),
    "95 % interval": Entry(
        "A range made so that it holds the true value in 95 of 100 repetitions. Shares: Wilson's; changes and means: bootstrap over items.",
        "Wilson 1927, JASA 22; Efron 1979, Annals of Statistics 7",
        ("95 % intervals", "95 % bootstrap intervals"),
    ),
    "McNemar": Entry(
        "A paired test on the items that turned: as many newly right as forgotten is what no change would show.",
        "McNemar 1947, Psychometrika 12",
    ),
    "Holm": Entry(
        "Correcting p-values for asking several questions at once; the chance of even one false positive stays below 5 %.",
        "Holm 1979, Scandinavian Journal of Statistics 6",
        ("corrected p", "p corrected"),
    ),
    "rank correlation": Entry(
        "Spearman's rho, −1 to 1: whether two quantities put things into the same order, whatever the shape of the relation.",
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
    """The words that a text uses, in the order in which it first does."""
    first: dict[str, int] = {}
    for word, entry in GLOSSARY.items():
        ways = "|".join(re.escape(way) for way in (word, *entry.also))
        if hit := re.search(rf"(?<!\w)(?:{ways})(?!\w)", text):
            first[word] = hit.start()
    return sorted(first, key=lambda word: first[word])


def entries(words: Iterable[str]) -> list[tuple[str, Entry]]:
    """Those words with what they mean."""
    return [(word, GLOSSARY[word]) for word in words]
