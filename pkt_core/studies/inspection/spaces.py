"""One token's states in both models, each in its own vocabulary and the teacher's in the student's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pkt_core.activations.capture import Capture, forward_ids
from pkt_core.activations.collect import require_fit
from pkt_core.activations.spans import Span, tokens_touching
from pkt_core.alignment.lens import SemanticLens, coefficients, nearest_by_chance, ranked_differences, ranks, top_tokens
from pkt_core.alignment.maps import AlignmentMap, permuted_vocabulary_map, semantic_map
from pkt_core.errors import PromptError
from pkt_core.models.loading import LoadedModel
from pkt_core.models.vocabulary import VocabularyMatch, token_names, token_texts
from pkt_core.studies.comparison.states import block_sites
from pkt_core.studies.inspection.record import Crossing, Difference, Followed, Named, Reader, Space

DIFFERENCES = 12


@dataclass(frozen=True)
class Vocabulary:
    """A model's tokens and their display names."""

    names: dict[int, str]
    """By id; padding rows of the head have none."""
    nameable: Tensor
    """`[V]`, whether a row of the head has a name."""
    ids: dict[bytes, int]
    """Ordinary tokens by their bytes."""

    @classmethod
    def of(cls, loaded: LoadedModel) -> Vocabulary:
        rows = loaded.layout.head.weight.shape[0]
        names = token_names(loaded.tokenizer, rows)
        nameable = torch.zeros(rows, dtype=torch.bool)
        nameable[list(names)] = True
        return cls(names, nameable, token_texts(loaded.tokenizer, rows))

    def named(self, found: Sequence[tuple[int, float]]) -> list[Named]:
        return [(self.names[index], value) for index, value in found]


@dataclass(frozen=True)
class Side:
    """A model with its vocabulary and bases."""

    loaded: LoadedModel
    vocabulary: Vocabulary
    lens: SemanticLens

    def coefficients(self, states: Tensor) -> Tensor:
        """Coefficients `[L, V]` of prepared states."""
        return coefficients(states, self.lens.basis.vectors)


@dataclass(frozen=True)
class Seen:
    """A model at one token."""

    tokens: list[tuple[str, int, int]]
    token: int
    states: Tensor
    """`[L, d]`, float32 on the CPU."""
    logits: Tensor
    """`[V]`, of the model at this token."""


def token_at(offsets: Sequence[Span], special: Sequence[int], at: int) -> int:
    """Position of the token that covers a character: the last of several; the next one where no token covers it."""
    ordinary = [i for i, mark in enumerate(special) if not mark]
    covering = [i for i in tokens_touching(offsets, (at, at + 1)) if i in ordinary]
    after = [i for i in ordinary if offsets[i][1] > at]
    return covering[-1] if covering else after[0] if after else ordinary[-1]


@torch.no_grad()
def see(loaded: LoadedModel, text: str, at: int, part: str) -> Seen:
    """Every layer's state at the token that covers a character. Raises PromptError for text that is too long or has no token."""
    require_fit(loaded, [text])
    encoded = loaded.tokenizer([text], return_offsets_mapping=True, return_special_tokens_mask=True)
    offsets, special = encoded["offset_mapping"][0], encoded["special_tokens_mask"][0]
    if all(special):
        raise PromptError("Got a text without an ordinary token; expected at least one word. Enter some text.")
    position = token_at(offsets, special, at)
    ids = torch.tensor(encoded["input_ids"])
    sites = block_sites(loaded, part)
    with Capture(loaded, sites) as seen:
        logits = forward_ids(loaded, ids, torch.ones_like(ids))[0, position].float().cpu()
        states = torch.stack([seen[site][0, position].float().cpu() for site in sites])
    ordinary = [i for i, mark in enumerate(special) if not mark]
    ends = [(int(offsets[i][0]), int(offsets[i][1])) for i in ordinary]
    tokens = [(text[start:end], start, end) for start, end in ends]
    return Seen(tokens, ordinary.index(position), states, logits)


def space(side: Side, states: Tensor, followed: Sequence[int | None], k: int) -> Space:
    """States in a side's vocabulary, with the ranks of the followed tokens."""
    values, vocabulary = side.coefficients(states), side.vocabulary
    n = int(vocabulary.nameable.sum())
    return Space(
        top=[vocabulary.named(row) for row in top_tokens(values, vocabulary.nameable, k)],
        ranks=[None if token is None else ranks(values, vocabulary.nameable, token).tolist() for token in followed],
        cosines=[None if token is None else values[:, token].tolist() for token in followed],
        n_tokens=n,
        nearest_by_chance=nearest_by_chance(n, states.shape[1]),
    )


@torch.no_grad()
def reader(side: Side, seen: Seen, followed: Sequence[int | None], k: int, part: str) -> Reader:
    """A model at a token: bases, logit lens, prediction."""
    loaded, vocabulary = side.loaded, side.vocabulary
    lens = None
    if part == "block_out":
        logits = loaded.layout.logits(seen.states.to(loaded.device)).float().cpu()
        lens = [vocabulary.named(row) for row in top_tokens(logits.softmax(-1), vocabulary.nameable, k)]
    return Reader(
        name=loaded.name,
        n_layers=loaded.n_layers,
        d_model=loaded.d_model,
        tokens=seen.tokens,
        token=seen.token,
        own=space(side, side.lens.prepare(seen.states), followed, k),
        lens=lens,
        predicted=vocabulary.named(top_tokens(seen.logits.softmax(-1)[None], vocabulary.nameable, 1)[0])[0],
    )


def anchor_id(side: Side, anchor: str) -> int:
    """The token of an anchor: as a word within a text, else as given, else its first token."""
    for text in (f" {anchor.strip()}", anchor):
        if (found := side.vocabulary.ids.get(text.encode())) is not None:
            return found
    return int(side.loaded.tokenizer(f" {anchor.strip()}", add_special_tokens=False)["input_ids"][0])


def follow(
    sides: dict[str, Side], seen: dict[str, Seen], matched: VocabularyMatch, anchor: str
) -> tuple[list[Followed], list[int | None], list[int | None]]:
    """The tokens to follow: each model's prediction, and the anchor; their ids in both vocabularies."""
    across = dict(zip(matched.teacher_ids.tolist(), matched.student_ids.tolist(), strict=True))
    back = {student: teacher for teacher, student in across.items()}
    wanted: dict[tuple[int | None, int | None], list[str]] = {}
    for who, one in seen.items():
        token: int = top_tokens(one.logits[None], sides[who].vocabulary.nameable, 1)[0][0][0]
        ids: tuple[int | None, int | None]
        ids = (token, across.get(token)) if who == "teacher" else (back.get(token), token)
        why = {"teacher": "teacher predicts", "student": "student predicts", "after": "student after predicts"}[who]
        wanted.setdefault(ids, []).append(why)
    if anchor.strip():
        ids = (anchor_id(sides["teacher"], anchor), anchor_id(sides["student"], anchor))
        wanted.setdefault(ids, []).append("asked for")
    named = []
    for (of_teacher, of_student), reasons in wanted.items():
        side, known = ("teacher", of_teacher) if of_teacher is not None else ("student", of_student)
        assert known is not None
        named.append(Followed(sides[side].vocabulary.names[known], ", ".join(reasons)))
    return named, [ids[0] for ids in wanted], [ids[1] for ids in wanted]


def crossing_maps(teacher: Side, student: Side, found: VocabularyMatch, seed: int) -> tuple[AlignmentMap, AlignmentMap]:
    """The semantic map between two sides, and the same with the vocabulary permuted."""
    given = (teacher.lens.basis, student.lens.basis, found.teacher_ids, found.student_ids)
    return semantic_map(*given), permuted_vocabulary_map(*given, torch.Generator().manual_seed(seed))


def crossing(
    sides: dict[str, Side],
    seen: dict[str, Seen],
    maps: tuple[AlignmentMap, AlignmentMap],
    layers: tuple[int, int],
    followed: Sequence[int | None],
    k: int,
    n_shared: int,
) -> Crossing:
    """The teacher's states in the student's space and the student's own, layer by layer and at the chosen pair."""
    student = sides["student"]
    prepared = {who: sides[who].lens.prepare(one.states) for who, one in seen.items()}
    carried, permuted = (one(prepared["teacher"]) for one in maps)

    def meeting(states: Tensor, own: str = "student") -> list[list[float]]:
        return coefficients(states, torch.nn.functional.normalize(prepared[own], dim=-1)).tolist()

    at = {
        "carried": student.coefficients(carried[layers[0]]),
        "own": student.coefficients(prepared["student"][layers[1]]),
        "permuted": student.coefficients(permuted[layers[0]]),
    }
    if "after" in seen:
        at["after"] = student.coefficients(prepared["after"][layers[1]])
    chosen = ranked_differences(at["carried"], at["own"], student.vocabulary.nameable, DIFFERENCES)
    return Crossing(
        carried=space(student, carried, followed, k),
        permuted=space(student, permuted, followed, k),
        meeting=meeting(carried),
        meeting_permuted=meeting(permuted),
        meeting_after=meeting(carried, "after") if "after" in seen else None,
        differences=[
            Difference(
                student.vocabulary.names[token],
                carried=float(at["carried"][token]),
                own=float(at["own"][token]),
                permuted=float(at["permuted"][token]),
                after=float(at["after"][token]) if "after" in at else None,
            )
            for token in chosen
        ],
        control_reach=float((at["permuted"] - at["own"])[student.vocabulary.nameable].abs().max()),
        n_shared=n_shared,
    )
