"""Vocabularies are matched by what a token stands for, never by its id, and a poor match is refused."""

import fakes
import pytest

from pkt_core.errors import VocabularyMismatch
from pkt_core.models.vocabulary import match_vocabularies, token_texts
from pkt_core.studies.comparison.compute import vocabulary_facts, vocabulary_side


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


def test_every_row_of_a_head_is_counted_once():
    one, other = fakes.tokenizer(), fakes.tokenizer(texts=["entirely different words appear here zebra quilt"])
    one.add_special_tokens({"additional_special_tokens": ["<tool>"]})
    match = match_vocabularies(one, other, len(one) + 64, len(other))
    side = vocabulary_side(one, len(one) + 64, match.n)
    assert (side.special, side.padding, side.doubles, side.rowless) == (4, 64, 0, 0)
    assert side.specials == ["<pad>", "<bos>", "<eos>", "<tool>"]
    assert side.rows == match.n + side.alone + side.special + side.padding
    assert side.alone == match.n_teacher - match.n > len(match.only_teacher) == 20
    cut = vocabulary_side(one, 100, 0)
    assert (cut.ordinary, cut.rowless, cut.padding) == (97, len(one) - 101, 0)


def test_a_special_token_has_no_partner_even_of_the_same_name():
    match = match_vocabularies(fakes.tokenizer(), fakes.tokenizer(), 320, 320)
    assert not {0, 1, 2} & {*match.teacher_ids.tolist(), *match.student_ids.tolist()}


def test_equal_ids_with_other_rules_are_not_the_same_tokenizer():
    import json

    from tokenizers import Tokenizer, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    def changed(change):
        told = json.loads(fakes.tokenizer().backend_tokenizer.to_str())
        change(told)
        return PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer.from_str(json.dumps(told)),
            bos_token="<bos>",
            eos_token="<eos>",
            pad_token="<pad>",
        )

    def fewer_merges(told):
        told["model"]["merges"] = told["model"]["merges"][:20]

    def other_cuts(told):
        told["pre_tokenizer"] = json.loads(pre_tokenizers.ByteLevel(add_prefix_space=True).__getstate__())

    assert match_vocabularies(fakes.tokenizer(), changed(dict.copy), 320, 320).same_tokenizer
    for change in (fewer_merges, other_cuts):
        match = match_vocabularies(fakes.tokenizer(), changed(change), 320, 320)
        assert match.share == 1
        assert not match.same_tokenizer


def test_a_byte_by_its_number_is_that_byte():
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE({"<0x41>": 0, "<0x0A>": 1, "A": 2, "▁": 3, "<u>": 4}, [], unk_token="<u>"))
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    pieces = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<u>")
    assert token_texts(pieces, 5) == {b"<0x41>": 0, b"\n": 1, b"A": 2, b" ": 3}
    match = match_vocabularies(pieces, fakes.tokenizer(), 5, 320)
    assert match.n == 3
    assert match.only_teacher == ("<0x41>",)


def test_what_is_said_of_a_match_adds_up():
    from pkt_core.studies.comparison import vocabularies

    one, other = fakes.tokenizer(), fakes.tokenizer(texts=["entirely different words appear here zebra quilt"])
    match = match_vocabularies(one, other, 384, len(other))
    facts = vocabulary_facts(match, vocabulary_side(one, 384, match.n), vocabulary_side(other, len(other), match.n))
    counts = vocabularies.counts(facts)
    for side in counts.values():
        rows, ordinary, matched, alone, special, padding = side.values()
        assert rows == ordinary + special + padding
        assert ordinary == matched + alone
    said = vocabularies.sentence(facts)
    assert f"{match.n:,} tokens have the same text" in said
    assert "3 and 3 special tokens, 64 and 0 padding rows" in said
    assert set(vocabularies.left_out(facts)) == {
        "Only the teacher has", "Only the student has", "Special in the teacher", "Special in the student"
    }  # fmt: skip
    assert vocabularies.same_names(facts) == ["<pad>", "<bos>", "<eos>"]
