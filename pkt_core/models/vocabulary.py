"""Which tokens two vocabularies share, matched by the text a token stands for, never by its id.

Ids differ between tokenizers, and embedding matrices are padded to different sizes for the same tokenizer; the text of
a token does not. Special and added tokens are left out, also where both have one of the same name: `<bos>` and
`<|endoftext|>` mean what training made them mean. Rows of a head that no token has are left out too.

Not covered: matching the tokens of one text (that is `activations.spans`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from pkt_core.errors import VocabularyMismatch

MINIMUM_SHARE = 0.5
EXAMPLES = 20
# Texts on which two tokenizers with equal rules must agree as well: what they add, spaces, digits, signs, other scripts.
PROBES = ("", "The quick  brown fox.", "  x = 1234567\n\treturn x", "naïve café 東京タワー", "👩‍🚀 don't!!!")


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
    """Up to 20 of the teacher's tokens without a partner, evenly spread over its ids."""
    only_student: tuple[str, ...]
    """Up to 20 of the student's tokens without a partner."""
    same_tokenizer: bool
    """Whether every ordinary token has the same id in both and both tokenise by the same rules: then token positions and ids can
    be compared directly."""

    @property
    def n(self) -> int:
        return len(self.teacher_ids)

    @property
    def share(self) -> float:
        """Matched tokens over the smaller vocabulary, 0..1."""
        return self.n / max(1, min(self.n_teacher, self.n_student))

    @property
    def enough(self) -> bool:
        """Whether at least half of the smaller vocabulary is shared."""
        return self.share >= MINIMUM_SHARE

    def require(self, purpose: str) -> VocabularyMatch:
        """Itself, or VocabularyMismatch where fewer than half of the smaller vocabulary is shared."""
        if not self.enough:
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


def left_out(tokenizer: Any) -> set[int]:
    """Ids of special and added tokens."""
    return {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}


def token_bytes(tokenizer: Any, n_rows: int) -> dict[int, bytes]:
    """Every ordinary token with a row in the head, by id in order, to the bytes it stands for."""
    special = left_out(tokenizer)
    byte_level = "ByteLevel" in str(tokenizer.backend_tokenizer.decoder)
    alphabet = byte_level_alphabet()
    spellings: dict[int, bytes] = {}
    spelled: dict[int, bytes] = {}
    for token, index in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        if index in special or index >= n_rows:
            continue
        if byte_level and all(c in alphabet for c in token):
            spellings[index] = bytes(alphabet[c] for c in token)
        elif not byte_level and re.fullmatch("<0x[0-9A-F]{2}>", token):  # SentencePiece's way to spell any byte
            spelled[index] = bytes([int(token[3:5], 16)])
        else:  # SentencePiece marks a space with the character U+2581
            spellings[index] = token.replace("▁", " ").encode()
    plain = set(spellings.values())
    for index, byte in spelled.items():  # where the byte has a token of its own, the spelling stands for itself
        spellings[index] = f"<0x{byte[0]:02X}>".encode() if byte in plain else byte
    return dict(sorted(spellings.items()))


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


def spread_over(texts: Iterable[bytes], others: Mapping[bytes, int]) -> tuple[str, ...]:
    """Up to 20 of the tokens that the others lack, evenly spread, for people to read."""
    alone = [text for text in texts if text not in others]
    chosen = alone if len(alone) <= EXAMPLES else [alone[i * len(alone) // EXAMPLES] for i in range(EXAMPLES)]
    return tuple(text.decode(errors="replace") for text in chosen)


def same_rules(one: Any, other: Any) -> bool:
    """Whether two tokenizers tokenise by the same rules, whatever their vocabularies: normalisation, first cuts, kind and merges of the model."""
    one, other = one.backend_tokenizer, other.backend_tokenizer
    if one.model.__getstate__() == other.model.__getstate__():  # spares reading some megabytes of JSON
        return all(
            getattr(one, part).__getstate__() == getattr(other, part).__getstate__()
            for part in ("normalizer", "pre_tokenizer")
        )

    def rules_of(backend: Any) -> list[Any]:
        config = json.loads(backend.to_str())
        model = {key: value for key, value in config["model"].items() if key not in ("vocab", "unk_token", "unk_id")}
        return [config["normalizer"], config["pre_tokenizer"], model]

    return rules_of(one) == rules_of(other)


def cut_alike(teacher: Any, student: Any) -> bool:
    """Whether two tokenizers with the same ordinary ids cut by the same rules and put special tokens in the same places."""

    def cut(tokenizer: Any, special: set[int]) -> list[list[int]]:
        return [[-1 if i in special else i for i in ids] for ids in tokenizer(list(PROBES))["input_ids"]]

    special = left_out(teacher) | left_out(student)
    return cut(teacher, special) == cut(student, special) and same_rules(teacher, student)


def match_vocabularies(teacher: Any, student: Any, teacher_rows: int, student_rows: int) -> VocabularyMatch:
    """Match two tokenizers; `rows` are the heads' first dimensions, since ids beyond them have no vector."""
    of_teacher, of_student = token_texts(teacher, teacher_rows), token_texts(student, student_rows)
    shared = [text for text in of_teacher if text in of_student]
    teacher_ids = torch.tensor([of_teacher[t] for t in shared], dtype=torch.long)
    student_ids = torch.tensor([of_student[t] for t in shared], dtype=torch.long)
    same_ids = len(shared) == len(of_teacher) == len(of_student) and torch.equal(teacher_ids, student_ids)
    return VocabularyMatch(
        teacher_ids=teacher_ids,
        student_ids=student_ids,
        n_teacher=len(of_teacher),
        n_student=len(of_student),
        only_teacher=spread_over(of_teacher, of_student),
        only_student=spread_over(of_student, of_teacher),
        same_tokenizer=same_ids and cut_alike(teacher, student),
    )
