"""Where a run's student changed, token by token: teacher, student before and student after over the same texts.

token_change  one pass per text and model; per position a few numbers and the most likely tokens are stored  -> TokenChange  (stored)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pkt_core.activations.capture import forward_ids, pad
from pkt_core.activations.collect import require_fit
from pkt_core.alignment import model_maps
from pkt_core.base.fingerprint import fingerprint
from pkt_core.base.progress import Progress, silent
from pkt_core.base.store import memo
from pkt_core.data.examples import load_examples
from pkt_core.data.prompts import PromptSet, chosen, prompt_set
from pkt_core.errors import PlanError, PromptError
from pkt_core.evaluation.calibration import calibration
from pkt_core.evaluation.statistics import Estimate, ratio
from pkt_core.evaluation.tokens import among, apart, bits_by_span, own
from pkt_core.models.loading import LoadedModel
from pkt_core.models.vocabulary import VocabularyMatch, token_names
from pkt_core.runs.folder import Run
from pkt_core.runs.student import open_trained
from pkt_core.studies.token_change.record import AnswerShares, Between, Read, Right, Sentence, TokenChange
from pkt_core.transfer.plan import TransferPlan

TOKENS_VERSION = 1


MOST_TEXTS = 500
TEXTS = ("tasks", "general", "prompts")


def texts_of(
    plan: TransferPlan, texts: str, prompts: str | PromptSet | None, ids: Sequence[int], n: int, seed: int
) -> tuple[str, list[Text]]:
    """Label and texts: items of the run's tasks (equally many of each), general text, or custom prompts."""
    if texts not in TEXTS:
        raise PlanError(f"Got texts {texts!r}; expected one of {', '.join(TEXTS)}.")
    if not 2 <= n <= MOST_TEXTS:
        raise PlanError(f"Got {n} texts; expected 2 to {MOST_TEXTS}. Choose a number in that range.")
    if texts == "tasks":
        names = plan.tasks or (plan.data,)
        each = max(1, n // len(names))
        items = [(name, item) for name in names for item in load_examples(name).sample(each, seed).items]
        return "the run's tasks", [Text(e.prompt + e.answer, name, len(e.prompt)) for name, e in items]
    if texts == "general":
        general = prompt_set(plan.general).sample(n, seed)
        return f"general text ({general.name})", [Text(text) for text in general.texts]
    whole = prompt_set(prompts or plan.prompts)
    sample = chosen(whole, ids[:MOST_TEXTS]) if ids else whole.sample(n, seed)
    return f"{'picked prompts' if ids else 'prompts'} ({sample.name})", [Text(text) for text in sample.texts]


def token_change(
    run: Run,
    *,
    texts: str = "tasks",
    prompts: str | PromptSet | None = None,
    ids: Sequence[int] = (),
    n: int = 120,
    seed: int = 0,
    progress: Progress = silent,
) -> TokenChange:
    """Every token of the texts through teacher, student before and student after; computed once, then stored.

    texts: `tasks` (prompt and answer of the run's tasks), `general`, or `prompts` with a set and, where some are picked,
    their ids. Raises StoreError for a run without a stored student, PromptError or PlanError where texts do not fit.
    """
    plan = (trained := open_trained(run)).plan
    name, read = texts_of(plan, texts, prompts, ids, n, seed)
    items = [[one.text, one.group, -1 if one.answer_at is None else one.answer_at] for one in read]
    key = fingerprint(**trained.named, texts=items, run=run.id, version=TOKENS_VERSION)

    def make() -> TokenChange:
        progress("Loading teacher, student before and student after", 0.0)
        models = trained.load_all()
        match = model_maps.match(models["teacher"], models["before"])
        return read_tokens(models, read, match, run=run.id, name=name, progress=progress)

    return memo("token-change", key, TokenChange, make)


TOP = 6  # most likely tokens stored per position
BATCH = 8
ROOM = 2**27  # logits held at once by one model: half a GiB
DIGITS = 6


@dataclass(frozen=True)
class Text:
    """A text to read."""

    text: str
    group: str = ""
    """The task it comes from."""
    answer_at: int | None = None
    """Character at which its answer begins."""


@dataclass
class Sure:
    """One model's confidence in its next tokens, and whether they were right."""

    confidence: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    n_bytes: list[int] = field(default_factory=list)
    """Predicted bytes of each text."""
    bits: list[float] = field(default_factory=list)
    """Surprisal of each text, bits."""


@dataclass(frozen=True)
class Cut:
    """One text under one model's tokenizer, with its logits at every position."""

    ids: list[int]
    offsets: list[tuple[int, int]]
    special: list[int]
    logits: Tensor
    """`[T, V]`."""


def batches(models: dict[str, LoadedModel], texts: Sequence[Text]) -> Iterator[tuple[int, list[dict[str, Cut]]]]:
    """Consecutive texts with all models' logits, in batches that fit in memory."""
    longest = max(len(ids) for m in models.values() for ids in m.tokenizer([t.text for t in texts])["input_ids"])
    rows = max(m.layout.head.weight.shape[0] for m in models.values())
    size = max(1, min(BATCH, ROOM // (longest * rows)))
    for start in range(0, len(texts), size):
        batch = [one.text for one in texts[start : start + size]]
        cuts: list[dict[str, Cut]] = [{} for _ in batch]
        for who, loaded in models.items():
            encoded = loaded.tokenizer(batch, return_offsets_mapping=True, return_special_tokens_mask=True)
            ids, mask = pad(encoded["input_ids"], loaded.tokenizer.pad_token_id), pad(encoded["attention_mask"], 0)
            logits = forward_ids(loaded, ids, mask).cpu()
            for i, token_ids in enumerate(encoded["input_ids"]):
                offsets = [(int(a), int(b)) for a, b in encoded["offset_mapping"][i]]
                special = encoded["special_tokens_mask"][i]
                cuts[i][who] = Cut(token_ids, offsets, special, logits[i, : len(token_ids)])
        yield start, cuts


def log_probs(cut: Cut, rows: slice) -> Tensor:
    """Log probabilities of the next token at the given positions, float64."""
    return cut.logits[:-1][rows].double().log_softmax(-1)


def rounded(values: Tensor) -> list[float]:
    return [round(value, DIGITS) for value in values.tolist()]


def read_one(cut: Cut, names: dict[int, str], sure: Sure) -> Read:
    """One model over one text; its confidences are added to `sure`."""
    came = torch.tensor(cut.ids[1:])
    bits, entropy, rank, top = [], [], [], []
    for rows in chunks(len(came), cut.logits.shape[-1]):
        log_p = log_probs(cut, rows)
        actual, best = own(log_p, came[rows]), log_p.topk(min(TOP, log_p.shape[-1]))
        bits += actual.bits.tolist()
        entropy += rounded(actual.entropy)
        rank += actual.rank.tolist()
        for ids, values in zip(best.indices.tolist(), best.values.exp().tolist(), strict=True):
            top.append([(names.get(i, f"<row {i}>"), round(p, DIGITS)) for i, p in zip(ids, values, strict=True)])
        sure.confidence += best.values[:, 0].exp().tolist()
        sure.right += (best.indices[:, 0] == came[rows]).tolist()
    sure.bits.append(sum(bits))
    return Read([round(b, DIGITS) for b in bits], entropy, rank, top)


def compared(first: Cut, second: Cut, shared: tuple[Tensor, Tensor] | None) -> Between:
    """Two models that tokenise identically, over all tokens or the shared ones."""
    parts: list[dict[str, list[Any]]] = []
    for rows in chunks(len(first.ids) - 1, first.logits.shape[-1]):
        one, other = log_probs(first, rows), log_probs(second, rows)
        if shared is not None:
            one, other = among(one, shared[0]), among(other, shared[1])
        between = apart(one, other)
        parts.append({k: rounded(getattr(between, k)) for k in ("kl", "js", "agreement")} | {"same_top": between.same_top.tolist()})  # fmt: skip
    return Between(**{k: [v for part in parts for v in part[k]] for k in ("kl", "js", "agreement", "same_top")})


def chunks(n: int, vocabulary: int) -> Iterator[slice]:
    """Slices of positions whose distributions fit in memory."""
    size = max(1, ROOM // 8 // vocabulary)
    yield from (slice(start, start + size) for start in range(0, n, size))


def whole_answer(answer_at: int, cut: Cut, right: Sequence[bool]) -> bool:
    """Whether every token of the answer was the most likely one; a token that spans its beginning counts."""
    return all(ok for ok, (_, end) in zip(right, cut.offsets[1:], strict=True) if end > answer_at)


@torch.no_grad()
def read_tokens(
    models: dict[str, LoadedModel],
    texts: Sequence[Text],
    match: VocabularyMatch,
    *,
    run: str,
    name: str,
    progress: Progress,
) -> TokenChange:
    """Every token of every text through `teacher`, `before` and `after`. Raises PromptError for texts too long or too short."""
    for loaded in models.values():
        require_fit(loaded, [one.text for one in texts])
    short = [t.text for t, ids in zip(texts, models["before"].tokenizer([t.text for t in texts])["input_ids"], strict=True) if len(ids) < 2]  # fmt: skip
    if short:
        raise PromptError(f"Got a text of a single token, {short[0][:40]!r}; expected at least two tokens. Lengthen or remove it.")  # fmt: skip
    if len(texts) < 2:
        raise PromptError(f"Got {len(texts)} text; expected at least 2 for an interval over texts. Add texts.")
    names = {who: token_names(loaded.tokenizer, loaded.layout.head.weight.shape[0]) for who, loaded in models.items()}
    alike = match.same_tokenizer
    pairs: dict[str, tuple[str, str, tuple[Tensor, Tensor] | None]] = {"before_after": ("before", "after", None)}
    if alike:
        across = (match.teacher_ids, match.student_ids)
        pairs |= {f"teacher_{who}": ("teacher", who, across) for who in ("before", "after")}
    sure = {who: Sure() for who in models}
    sentences: list[Sentence] = []
    for start, batch in batches(models, texts):
        for i, cuts in enumerate(batch):
            one = texts[start + i]
            reads: dict[str, Read] = {}
            right: dict[str, bool] = {}
            for who, cut in cuts.items():
                at = len(sure[who].right)
                reads[who] = read_one(cut, names[who], sure[who])
                sure[who].n_bytes.append(len(one.text[cut.offsets[0][1] :].encode()))
                if one.answer_at is not None:
                    right[who] = whole_answer(one.answer_at, cut, sure[who].right[at:])
            spans = None
            if not alike:
                order = ("teacher", "before", "after")
                offsets, bits = [cuts[who].offsets for who in order], [reads[who].bits for who in order]
                spans = [(a, b, x, y, z) for (a, b), (x, y, z) in bits_by_span(one.text, offsets, bits)]
                del reads["teacher"]
            student = cuts["before"]
            tokens = [
                (names["before"].get(token, "") if mark else one.text[a:b], a, b)
                for token, mark, (a, b) in zip(student.ids, student.special, student.offsets, strict=True)
            ]
            between = {pair: compared(cuts[x], cuts[y], shared) for pair, (x, y, shared) in pairs.items()}
            sentences.append(
                Sentence(
                    id=start + i,
                    text=one.text,
                    group=one.group,
                    answer_at=one.answer_at,
                    tokens=tokens,
                    models=reads,
                    apart=between,
                    spans=spans,
                    right=Right(**right) if right else None,
                )
            )
        progress("Reading token by token", 0.2 + 0.7 * (start + len(batch)) / len(texts))
    progress("Summing up", 0.95)
    return summed(run, name, sentences, sure, match)


def summed(
    run: str, name: str, sentences: list[Sentence], sure: dict[str, Sure], match: VocabularyMatch
) -> TokenChange:
    """Totals over all texts, with intervals over texts, and the location of the change."""
    whole: dict[str, Estimate] = {f"bits_{who}": ratio(of.bits, of.n_bytes) for who, of in sure.items()}
    lengths = [len(one.tokens) - 1 for one in sentences]
    more = np.subtract(sure["after"].bits, sure["before"].bits)
    whole["bits_change"] = ratio(more, sure["before"].n_bytes)
    if match.same_tokenizer:
        sums = {
            who: np.array([sum(one.apart[f"teacher_{who}"].kl) for one in sentences]) for who in ("before", "after")
        }
        whole["kl_teacher_change"] = ratio(sums["after"] - sums["before"], lengths)
    for pair in sentences[0].apart:
        for measure in ("kl", "js", "agreement", "same_top"):
            totals = [sum(getattr(one.apart[pair], measure)) for one in sentences]
            whole[f"{measure}_{pair}"] = ratio(totals, lengths)
    moved = np.concatenate([one.change.kl for one in sentences])
    gone = np.cumsum(np.sort(moved)[::-1])
    answers = None
    if all(one.answer_at is not None for one in sentences):
        is_answer = np.concatenate([[end > (one.answer_at or 0) for _, _, end in one.tokens[1:]] for one in sentences])
        answers = AnswerShares(float(is_answer.mean()), float(moved[is_answer].sum() / (moved.sum() or 1.0)))
    return TokenChange(
        run=run,
        name=name,
        sentences=sentences,
        same_tokenizer=match.same_tokenizer,
        n_shared=match.n,
        whole=whole,
        half=int(np.searchsorted(gone, gone[-1] / 2)) + 1 if gone[-1] > 0 else 0,
        n_tokens=len(moved),
        answers=answers,
        calibration={who: calibration(of.confidence, of.right) for who, of in sure.items()},
    )
