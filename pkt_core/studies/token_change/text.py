"""Changes of single tokens: headlines, captions and tables."""

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
    "Sentences by KL(before ‖ after) per token, bits; 0 is no change. Bits: surprisal of the student per token, after − before; below zero is better. "
    "Teacher: KL(teacher ‖ student), after − before; below zero is closer. If neither is below zero, a large change is no improvement. Click a row to read it."
)
SENTENCE = (
    "Each token is coloured by the change of its prediction, given all tokens before it; grey tokens did not change. The line marks the answer. "
    "Click a token to see each model's predictions. A transfer of facts should change answers; changes elsewhere are side effects."
)
NEXT = (
    "The most likely tokens at the framed position, each model over its own vocabulary; the outlined bar is the actual token, with its rank where it is not among "
    "them. If `after` differs from `before` but not towards the teacher, the student was changed, not taught."
)
SPANS = "Teacher and student tokenise differently, so they are compared over shared spans, in bits per span; positions and token ids are never matched."
RELIABILITY = (
    "Next tokens of these texts in ten equal-count bins by confidence; whiskers are 95 % intervals (Wilson), although adjacent tokens are not independent. Below "
    "the dashed line a model is overconfident. ECE: mean distance from the line, over bins of equal count or width; the Brier score also rewards discrimination."
)


def direction(change: Estimate, phrases: tuple[str, str, str]) -> str:
    """One of three phrases for a paired change: below zero, above zero, or an interval across zero."""
    return phrases[0] if change.high < 0 else phrases[1] if change.low > 0 else phrases[2]


def tokens(reading: TokenChange) -> str:
    """Headline: share of tokens with a new prediction; then where the change is, bits per byte, and distance to the teacher."""
    if not reading.half:
        return f"No prediction changed at any of {reading.n_tokens:,} tokens of {reading.name}."
    sentence = (
        f"On {reading.name}, the student's prediction changed at {percent(1 - reading.same_top.value)} of {reading.n_tokens:,} tokens. "
        f"The {percent(reading.half / reading.n_tokens)} that changed most account for half of the change"
    )
    if reading.answers:
        sentence += f"; the answers are {percent(reading.answers.tokens)} of the tokens and {percent(reading.answers.change)} of the change"
    teacher, before, after = (number(reading.bits(who).value) for who in ("teacher", "before", "after"))
    better = direction(reading.bits_change, ("It predicts better", "It predicts worse", "Its predictions are not significantly better or worse"))  # fmt: skip
    sentence += f". {better} ({before} to {after} bits per byte, teacher {teacher})"
    if reading.to_teacher:
        first, second, change = reading.to_teacher
        near = direction(change, ("came closer to the teacher", "moved away from the teacher", "did not significantly approach or leave the teacher"))  # fmt: skip
        sentence += f". It {near} ({number(first.value)} to {number(second.value)} bits per token)"
    return sentence + "."


def calibration(by_model: Mapping[str, Calibration]) -> str:
    """Calibration of the student after and before."""

    def verdict(one: Calibration) -> str:
        term = "overconfident" if one.overconfident else "underconfident" if one.modest else "well calibrated"
        return (
            f"{term} (confidence {percent(one.confidence)}, right {percent(one.rate)}, ECE {number(one.ece_mass, 3)})"
        )

    before, after = (verdict(by_model[who]) for who in ("before", "after"))
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
    """Tokens at which the most likely next token changed."""
    same = sentence.change.same_top
    return len(same) - sum(same)


def verdict(sentence: Sentence) -> str:
    """Whether greedy decoding gives the answer before and after; empty for plain text."""
    return VERDICTS[sentence.right.before, sentence.right.after] if sentence.right else ""


def ranked(reading: TokenChange) -> pd.DataFrame:
    """One row per sentence, most changed first (mean KL(before ‖ after) per token)."""
    rows = []
    for one in reading.sentences:
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
    """The most likely tokens of each model at one position."""
    return pd.DataFrame(
        [
            {"model": who, "place": place, "token": name, "probability": p}
            for who, read in sentence.models.items()
            for place, (name, p) in enumerate(read.top[token - 1], 1)
        ]
    )


def spans_table(sentence: Sentence) -> pd.DataFrame:
    """Bits for each shared span of both tokenizers."""
    return pd.DataFrame(
        [
            {"piece": sentence.text[a:b], "start": a, "teacher": teacher, "before": before, "after": after, "change": after - before}
            for a, b, teacher, before, after in sentence.spans or []
        ]
    )  # fmt: skip


def calibration_table(by_model: Mapping[str, Calibration]) -> pd.DataFrame:
    """One row per model and bin of equal number."""
    return pd.DataFrame([{"model": who, **asdict(one)} for who, of in by_model.items() for one in of.curve])


def calibration_shown(by_model: Mapping[str, Calibration]) -> pd.DataFrame:
    """One row per model, as text with sensible digits."""
    names = {"before": "Student before", "after": "Student after", "teacher": "Teacher"}
    return pd.DataFrame(
        [
            {
                "Model": names[who],
                "Mean confidence": percent(of.confidence, 1),
                "Right": percent(of.rate, 1),
                "ECE, equal count": number(of.ece_mass, 3),
                "ECE, equal width": number(of.ece_width, 3),
                "Brier": number(of.brier, 3),
                "Predictions": f"{of.n:,}",
            }
            for who, of in ((who, by_model[who]) for who in names if who in by_model)
        ]
    )
