"""The same places of a text in two models: for each token of the student, the teacher's state that has read as far.

Tokens are matched by characters. A student token that ends at character e is given the last teacher token that ends at or
before e: the teacher never looks ahead of the student, so a stitched prediction cannot see its answer. With one
tokenizer that is the same token. Position 0 is left out: it holds no text to speak of, and often
a massive activation; maps and stitching leave out every other massive token too.

Not covered: pooling over words (spans.py), which similarity uses and which may look ahead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pkt_core.activations.capture import Capture, Resume, forward_states, pad
from pkt_core.activations.collect import require_fit
from pkt_core.activations.spans import Span
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site

ALONE = -1
MASSIVE = 20.0
"""A token is massive where, in any layer of either model, its state is so many times as long as the layer's median one."""


def partners(teacher: Sequence[Span], student: Sequence[Span]) -> list[int]:
    """For each student token, the index of its teacher token; ALONE where none has read so little.

    A character may take several tokens, each with the offsets of the whole character. Of those, a student's is taken to have
    read the character only when the last has come, a teacher's as soon as the first has.
    """
    read, furthest = [], 0
    for _, end in teacher:
        furthest = max(furthest, end)
        read.append(furthest)
    positions = []
    for i, (start, end) in enumerate(student):
        reached = start if i + 1 < len(student) and student[i + 1][0] < end else end
        positions.append(sum(r <= reached for r in read) - 1)
    return positions


@dataclass(frozen=True)
class PairedBatch:
    """A few texts, read by both."""

    teacher: Float[Tensor, "L_T prompt token d_T"]
    """The teacher's block outputs at each student token's partner, float32 on the CPU; what stands at others means nothing."""
    resume: Resume
    """The student's own pass."""
    ids: Int[Tensor, "prompt token"]
    """The student's tokens."""
    paired: Bool[Tensor, "prompt token"]
    """Real tokens with a partner, position 0 left out."""
    n_bytes: Int[Tensor, "prompt token"]
    """UTF-8 bytes of text that each token adds."""

    @property
    def student(self) -> Float[Tensor, "L_S prompt token d_S"]:
        """The student's block outputs, float32 on the CPU."""
        return torch.stack(self.resume.outputs).float().cpu()


def added_bytes(text: str, offsets: Sequence[Span]) -> list[int]:
    """UTF-8 bytes of the text between the end of the token before and its own end, white space included."""
    ends = [0]
    for _, end in offsets:
        ends.append(max(ends[-1], end))
    return [len(text[a:b].encode()) for a, b in pairwise(ends)]


@torch.no_grad()
def paired_batches(
    teacher: LoadedModel, student: LoadedModel, texts: Sequence[str], *, batch_size: int = 16
) -> Iterator[PairedBatch]:
    """Both models over the texts, a batch at a time. Raises PromptError for a text longer than either reads."""
    sites = [Site("block_out", layer) for layer in range(teacher.n_layers)]
    for start in range(0, len(texts), batch_size):
        batch = list(texts[start : start + batch_size])
        encoded = []
        for side in (teacher, student):
            require_fit(side, batch)
            encoded.append(side.tokenizer(batch, return_offsets_mapping=True))
        ids, masks = (
            [pad(e["input_ids"], s.tokenizer.pad_token_id) for e, s in zip(encoded, (teacher, student), strict=True)],
            [pad(e["attention_mask"], 0) for e in encoded],
        )
        partner = pad([partners(t, s) for t, s in zip(*(e["offset_mapping"] for e in encoded), strict=True)], ALONE)
        paired = (partner != ALONE) & masks[1].bool()
        paired[:, 0] = False
        with Capture(teacher, sites) as seen:
            forward_states(teacher, ids[0], masks[0])
            rows = torch.arange(len(batch))[:, None]
            states = torch.stack([seen[site].float().cpu()[rows, partner.clamp_min(0)] for site in sites])
        n_bytes = [added_bytes(text, o) for text, o in zip(batch, encoded[1]["offset_mapping"], strict=True)]
        yield PairedBatch(states, Resume(student, ids[1], masks[1]), ids[1], paired, pad(n_bytes, 0))


def without_massive(batches: Sequence[PairedBatch]) -> tuple[list[PairedBatch], int]:
    """The same with massive tokens unpaired, and how many those were.

    One such token bends every least-squares fit to itself. Between Gemma 3 270M and SmolLM2 135M a single one of 1,375 made
    the student stitched after layer 11 cost 2.86 bits per byte instead of 1.90 (Sun et al. 2024 describe the role of such tokens).
    """
    if not any(bool(batch.paired.any()) for batch in batches):
        return list(batches), 0
    massive = [torch.zeros_like(batch.paired) for batch in batches]
    for side in ("teacher", "student"):
        lengths = [
            getattr(batch, side).norm(dim=-1) for batch in batches
        ]  # the student's states are stacked anew each time
        paired = torch.cat([length[:, batch.paired] for length, batch in zip(lengths, batches, strict=True)], dim=1)
        usual = paired.median(dim=1).values[:, None, None]
        massive = [old | (length > MASSIVE * usual).any(0) for old, length in zip(massive, lengths, strict=True)]
    kept = [replace(batch, paired=batch.paired & ~mask) for batch, mask in zip(batches, massive, strict=True)]
    return kept, sum(int((batch.paired & mask).sum()) for batch, mask in zip(batches, massive, strict=True))


@torch.no_grad()
def paired_states(
    teacher: LoadedModel,
    student: LoadedModel,
    texts: Sequence[str],
    sites: Sequence[tuple[Site, Site]],
    *,
    batch_size: int = 16,
) -> Iterator[tuple[Float[Tensor, "site n d_T"], Float[Tensor, "site n d_S"]]]:
    """Both models' activations at pairs of sites, a row per student token with a partner, a batch of texts at a time.

    float32 on the CPU. Raises PromptError for a text longer than either reads.
    """
    for start in range(0, len(texts), batch_size):
        batch = list(texts[start : start + batch_size])
        encoded, seen = [], []
        for k, side in enumerate((teacher, student)):
            require_fit(side, batch)
            encoded.append(side.tokenizer(batch, return_offsets_mapping=True))
            ids, mask = (
                pad(encoded[k]["input_ids"], side.tokenizer.pad_token_id),
                pad(encoded[k]["attention_mask"], 0),
            )
            with Capture(side, [pair[k] for pair in sites]) as capture:
                forward_states(side, ids, mask)
                seen.append([capture[pair[k]].float().cpu() for pair in sites])
        rows = [
            (i, partner, t)
            for i, (a, b) in enumerate(zip(*(e["offset_mapping"] for e in encoded), strict=True))
            for t, partner in enumerate(partners(a, b))
            if t > 0 and partner != ALONE
        ]
        text, of_teacher, of_student = (torch.tensor(column, dtype=torch.long) for column in zip(*rows, strict=True))
        yield (
            torch.stack([state[text, of_teacher] for state in seen[0]]),
            torch.stack([state[text, of_student] for state in seen[1]]),
        )
