"""Vocabularies are matched by what a token stands for, never by its id, and a poor match is refused."""

import fakes
import pytest

from pkt_core.errors import VocabularyMismatch
from pkt_core.models.vocabulary import match_vocabularies, token_texts


def test_one_tokenizer_padded_to_two_sizes_is_the_same_tokenizer():
    one = fakes.tokenizer()
    match = match_vocabularies(one, fakes.tokenizer(), len(one), len(one) + 64)
    assert match.same_tokenizer
    assert match.share == 1
    assert match.n == len(one) - 3  # <pad>, <bos>, <eos> are left out
    assert match.require("anything") is match


def test_shuffled_ids_still_match_by_text():
    one = fakes.tokenizer()
    other = fakes.tokenizer(texts=[*fakes.TEXT[::-1], "entirely different words appear here zebra quilt"])
    match = match_vocabularies(one, other, len(one), len(other))
    assert not match.same_tokenizer
    assert 0.5 < match.share < 1
    of_teacher, of_student = token_texts(one, len(one)), token_texts(other, len(other))
    texts = {i: t for t, i in of_teacher.items()}, {i: t for t, i in of_student.items()}
    assert all(texts[0][int(a)] == texts[1][int(b)] for a, b in zip(match.teacher_ids, match.student_ids, strict=True))
    assert match.only_teacher
    assert match.only_student


def test_ids_without_a_row_in_the_head_are_not_matched():
    one = fakes.tokenizer()
    assert match_vocabularies(one, one, 100, len(one)).n == 97


def test_disjoint_vocabularies_are_refused_with_counts():
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({f"word{i}": i for i in range(200)}, unk_token="word0"))
    )
    match = match_vocabularies(fakes.tokenizer(), words, 320, 200)
    with pytest.raises(VocabularyMismatch, match=r"share 0 of \d+ and 200 tokens \(0%\); transfer needs at least 50%"):
        match.require("transfer")


def test_a_sentencepiece_space_is_a_byte_level_space():
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE({"▁the": 0, "the": 1, "<u>": 2}, [], unk_token="<u>"))
    made.decoder = decoders.Metaspace()
    pieces = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<u>")
    assert token_texts(pieces, 3) == {b" the": 0, b"the": 1}
    assert any(text.startswith(b" ") for text in token_texts(fakes.tokenizer(), 320))
