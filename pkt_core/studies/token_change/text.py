"""Changes of single tokens in words: answers, captions and tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from pkt_core.evaluation.calibration import Calibration
from pkt_core.evaluation.statistics import Estimate
from pkt_core.studies.token_change.record import Sentence, TokenChange
from pkt_core.words.style import number, percent

RANKED = (
    "Sentences by KL(before ‖ after) per token, bits; 0 is the same. Bits: what the student needs per token, after − before, below zero is better. "
    "Teacher: KL(teacher ‖ student), after − before, below zero is nearer. A change that is large where neither is below zero is only different. Click a row to read it."
)
SENTENCE = (
    "Each token is coloured by how the prediction of it changed, given all tokens before it; grey tokens did not change. The line marks the answer. "
    "Click a token to see what each model would have said. A transfer that taught facts should colour answers; colour everywhere else is what it cost."
)
NEXT = (
    "The most likely tokens at the framed place, each model over its own vocabulary; the outlined bar is the token that came, with its rank where it is not among "
    "them. If `after` differs from `before` but not towards the teacher, the student was changed, not taught."
)
SPANS = (
    "Teacher and student cut text differently, so they are compared over pieces that both cut alike, in bits for the whole piece; positions and token ids are "
    "never matched."
)
RELIABILITY = (
    "Next tokens of these texts in ten bins of equal number by confidence; whiskers are 95 % intervals (Wilson), neighbouring tokens of a text are not independent. Below "
    "the dashed line a model is surer than it is right. ECE is the mean distance from the line, over bins of equal number or width; Brier also rewards telling right from wrong."
)


def direction(change: Estimate, words: tuple[str, str, str]) -> str:
    """One of three words for a paired change: below zero, above zero, or an interval across zero."""
    return words[0] if change.high < 0 else words[1] if change.low > 0 else words[2]


def tokens(found: TokenChange) -> str:
    """How much changed and where it sits; whether the student predicts better, and whether it came nearer the teacher."""
    if not found.half:
        return f"Nothing changed: before and after say the same at all {found.n_tokens:,} tokens of {found.name}."
    said = (
        f"On {found.name}, the student would say something else than before at {percent(1 - found.same_top.value)} of {found.n_tokens:,} tokens; "
        f"half of the change lies in the {percent(found.half / found.n_tokens)} that changed most"
    )
    if found.answers:
        said += f"; the answers are {percent(found.answers.tokens)} of the tokens and hold {percent(found.answers.change)} of the change"
    teacher, before, after = (number(found.bits(who).value) for who in ("teacher", "before", "after"))
    better = direction(found.bits_change, ("It predicts better", "It predicts worse", "It predicts neither better nor worse beyond chance"))  # fmt: skip
    said += f". {better} ({before} to {after} bits per byte, teacher {teacher})"
    if found.to_teacher:
        first, second, change = found.to_teacher
        near = direction(change, ("came nearer the teacher", "moved away from the teacher", "neither came nearer the teacher nor moved away beyond chance"))  # fmt: skip
        said += f" and {near} ({number(first.value)} to {number(second.value)} bits per token)"
    return said + "."


def calibration(found: Mapping[str, Calibration]) -> str:
    """Whether the student after is more sure than it is right, beside before."""

    def said(one: Calibration) -> str:
        word = "overconfident" if one.overconfident else "too modest" if one.modest else "about as sure as it is right"
        return f"{word} (says {percent(one.confidence)}, right {percent(one.rate)}, ECE {number(one.ece_mass, 3)})"

    before, after = (said(found[who]) for who in ("before", "after"))
    return f"Before, the student is {before}; after, {after}."


VERDICTS = {
    (False, True): "newly right",
    (True, False): "forgotten",
    (True, True): "right before and after",
    (False, False): "wrong before and after",
}


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def flips(sentence: Sentence) -> int:
    """Tokens at which the most likely next token is another than before."""
    same = sentence.change.same_top
    return len(same) - sum(same)


def verdict(sentence: Sentence) -> str:
    """Whether greedy decoding gives the answer before and after; empty for plain text."""
    return VERDICTS[sentence.right.before, sentence.right.after] if sentence.right else ""


def ranked(found: TokenChange) -> pd.DataFrame:
    """One row per sentence, most changed first (mean KL(before ‖ after) per token)."""
    rows = []
    for one in found.sentences:
        row: dict[str, Any] = {
            "sentence": one.id,
            "text": one.text,
            "verdict": verdict(one),
            "change": mean(one.change.kl),
            "bits": mean(one.after.bits) - mean(one.before.bits),
        }
        if one.to_teacher:
            row["teacher"] = mean(one.to_teacher[1].kl) - mean(one.to_teacher[0].kl)
        elif one.spans:
            row["teacher_bits"] = sum(span[2] for span in one.spans) / len(one.spans)
        row |= {
            "flips": flips(one),
            "tokens": len(one.after.bits),
            "task": one.group,
        }
        rows.append(row)
    return pd.DataFrame(rows).sort_values("change", ascending=False, kind="stable", ignore_index=True)


def tokens_table(sentence: Sentence) -> pd.DataFrame:
    """One row per predicted token: bits, probability, rank and entropy of each model, divergences between them."""
    rows = []
    for i, (text, start, end) in enumerate(sentence.tokens[1:]):
        row: dict[str, Any] = {"token": i + 1, "text": text, "start": start, "end": end}
        for who, read in sentence.models.items():
            row |= {f"bits_{who}": read.bits[i], f"entropy_{who}": read.entropy[i], f"rank_{who}": read.rank[i]}
            row[f"probability_{who}"] = 2 ** -read.bits[i]
            row[f"top_{who}"] = " ".join(f"{name!r}:{p:.4f}" for name, p in read.top[i])
        for pair, values in sentence.apart.items():
            row |= {f"{measure}_{pair}": numbers[i] for measure, numbers in vars(values).items()}
        rows.append(row)
    return pd.DataFrame(rows)


def next_table(sentence: Sentence, token: int) -> pd.DataFrame:
    """What each model held most likely at one token."""
    return pd.DataFrame(
        [
            {"model": who, "place": place, "token": name, "probability": p}
            for who, read in sentence.models.items()
            for place, (name, p) in enumerate(read.top[token - 1], 1)
        ]
    )


def spans_table(sentence: Sentence) -> pd.DataFrame:
    """Bits for each piece of text that both tokenizers cut alike."""
    return pd.DataFrame(
        [
            {"piece": sentence.text[a:b], "start": a, "teacher": teacher, "before": before, "after": after, "change": after - before}
            for a, b, teacher, before, after in sentence.spans or []
        ]
    )  # fmt: skip


def calibration_table(found: Mapping[str, Calibration]) -> pd.DataFrame:
    """One row per model and bin of equal number."""
    return pd.DataFrame([{"model": who, **asdict(one)} for who, told in found.items() for one in told.curve])


def calibration_shown(found: Mapping[str, Calibration]) -> pd.DataFrame:
    """One row per model, as text with sensible digits."""
    names = {"before": "Student before", "after": "Student after", "teacher": "Teacher"}
    return pd.DataFrame(
        [
            {
                "Model": names[who],
                "Mean confidence": percent(told.confidence, 1),
                "Right": percent(told.rate, 1),
                "ECE, equal number": number(told.ece_mass, 3),
                "ECE, equal width": number(told.ece_width, 3),
                "Brier": number(told.brier, 3),
                "Predictions": f"{told.n:,}",
            }
            for who, told in ((who, found[who]) for who in names if who in found)
        ]
    )
