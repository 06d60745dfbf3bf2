"""Which tokens two vocabularies share, matched by the text a token stands for, never by its id.

Ids differ between tokenizers, and embedding matrices are padded to different sizes for the same tokenizer; the text of
a token does not. Special tokens are left out: `<bos>` and `<|endoftext|>` mean what training made them mean.

Not covered: matching the tokens of one text (that is `activations.spans`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from pkt_core.errors import VocabularyMismatch

MINIMUM_SHARE = 0.5


@dataclass(frozen=True)
class VocabularyMatch:
    """Tokens that stand for the same text in both vocabularies, index-aligned, in order of the teacher's ids."""

    teacher_ids: Int[Tensor, m]
    """Their ids in the teacher's vocabulary."""
    student_ids: Int[Tensor, m]
    """Their ids in the student's."""
    n_teacher: int
    """Ordinary (not special) tokens of the teacher that have a row in its head."""
    n_student: int
    """The same of the student."""
    only_teacher: tuple[str, ...]
    """Up to 20 of the teacher's tokens without a partner."""
    only_student: tuple[str, ...]
    """Up to 20 of the student's tokens without a partner."""
    same_tokenizer: bool
    """Whether every ordinary token has the same id in both: then token positions and ids can be compared directly."""

    @property
    def n(self) -> int:
        return len(self.teacher_ids)

    @property
    def share(self) -> float:
        """Matched tokens over the smaller vocabulary, 0..1."""
        return self.n / max(1, min(self.n_teacher, self.n_student))

    def require(self, purpose: str) -> VocabularyMatch:
        """Itself, or VocabularyMismatch where fewer than half of the smaller vocabulary is shared."""
        if self.share < MINIMUM_SHARE:
            raise VocabularyMismatch(
                f"Teacher and student share {self.n} of {self.n_teacher} and {self.n_student} tokens ({self.share:.0%}); "
                f"{purpose} needs at least {MINIMUM_SHARE:.0%} of the smaller vocabulary. Choose models with related tokenizers."
            )
        return self


def byte_level_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-ins for the 256 bytes: character to byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(rest)}


def token_bytes(tokenizer: Any, n_rows: int) -> dict[int, bytes]:
    """Every ordinary token with a row in the head, by id in order, to the bytes it stands for."""
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    byte_level = "ByteLevel" in str(tokenizer.backend_tokenizer.decoder)
    alphabet = byte_level_alphabet()
    found: dict[int, bytes] = {}
    for token, index in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        if index in special or index >= n_rows:
            continue
        if byte_level and all(c in alphabet for c in token):
            found[index] = bytes(alphabet[c] for c in token)
        else:  # SentencePiece marks a space with a low line of its own
            found[index] = token.replace("▁", " ").encode()
    return found


def token_texts(tokenizer: Any, n_rows: int) -> dict[bytes, int]:
    """The same the other way round; of tokens for the same bytes the first."""
    texts: dict[bytes, int] = {}
    for index, text in token_bytes(tokenizer, n_rows).items():
        texts.setdefault(text, index)
    return texts


def token_names(tokenizer: Any, n_rows: int) -> dict[int, str]:
    """Every token that can be named on a screen, special ones by their own name; rows that only pad the head have none."""
    names = {index: readable(text) for index, text in token_bytes(tokenizer, n_rows).items()}
    special = {index: str(token) for index, token in tokenizer.added_tokens_decoder.items() if index < n_rows}
    return names | special


def readable(text: bytes) -> str:
    """A token's bytes as text; as numbers where they are a part of a character or cannot be seen."""
    try:
        shown = text.decode()
    except UnicodeDecodeError:
        shown = ""
    if shown and all(c.isprintable() or c in "\n\r\t" for c in shown):
        return shown
    return f"<{' '.join(f'0x{byte:02X}' for byte in text)}>"


def match_vocabularies(teacher: Any, student: Any, teacher_rows: int, student_rows: int) -> VocabularyMatch:
    """Match two tokenizers; `rows` are the heads' first dimensions, since ids beyond them have no vector."""
    of_teacher, of_student = token_texts(teacher, teacher_rows), token_texts(student, student_rows)
    shared = [text for text in of_teacher if text in of_student]
    teacher_ids = torch.tensor([of_teacher[t] for t in shared], dtype=torch.long)
    student_ids = torch.tensor([of_student[t] for t in shared], dtype=torch.long)

    def some(texts: dict[bytes, int], others: dict[bytes, int]) -> tuple[str, ...]:
        alone = (t.decode(errors="replace") for t in texts if t not in others)
        return tuple(text for text, _ in zip(alone, range(20), strict=False))

    return VocabularyMatch(
        teacher_ids=teacher_ids,
        student_ids=student_ids,
        n_teacher=len(of_teacher),
        n_student=len(of_student),
        only_teacher=some(of_teacher, of_student),
        only_student=some(of_student, of_teacher),
        same_tokenizer=len(shared) == len(of_teacher) == len(of_student) and torch.equal(teacher_ids, student_ids),
    )
