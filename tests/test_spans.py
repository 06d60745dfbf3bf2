"""Two tokenizers are matched by the characters their tokens cover, never by position or id."""

from itertools import pairwise

import fakes
import numpy as np
import pytest
import reference_similarity
import reference_text
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from pkt_core.activations.collect import collect, pieces, stream
from pkt_core.activations.spans import shared_pieces, spread, tokens_touching
from pkt_core.data.prompts import PER_PROMPT, load_prompts, pasted
from pkt_core.errors import PromptError
from pkt_core.models.catalog import custom_pair, demo_pair
from pkt_core.models.loading import LoadedModel, load
from pkt_core.models.sites import Site
from pkt_core.similarity.measures import measure
from pkt_core.studies.comparison.compute import compare

HARD = [
    "the quick brown fox jumps over the lazy dog",
    '"Don\'t!" she said... (really?) 12345678 times.',
    "  indented\n\n\tand   spaced  ",
    "naïve café, Zürich, Ελλάδα, Россия",
    "東京は日本の首都です。人口は約千四百万人。",
    "👩‍👩‍👧 family 🇫🇷 flag 👍🏽 thumb",
    "e\u0301galite\u0301 with combining accents",
    "def f(x):\n    return [i**2 for i in x]\n",
    "x",
    " ",
]


def sentencepiece(texts=HARD, vocabulary=300):
    """Unigram with bytes for what it does not know, NFKC and a mark for spaces; it adds <bos>."""
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=vocabulary, special_tokens=["<unk>", "<bos>", "<pad>"], unk_token="<unk>", show_progress=False
    )
    made.train_from_iterator(texts * 10, trainer)
    made.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", bos_token="<bos>", pad_token="<pad>")


@pytest.fixture(scope="module")
def tokenizers():
    return {
        "bytes": fakes.tokenizer(),
        "other bytes": fakes.tokenizer(texts=[*HARD, "the fox, the dog and the language model"], vocabulary=420),
        "unigram": sentencepiece(),
    }


def offsets(tokenizer, text):
    return tokenizer(text, return_offsets_mapping=True)["offset_mapping"]


@pytest.mark.parametrize("text", HARD)
@pytest.mark.parametrize("pair", [("bytes", "other bytes"), ("bytes", "unigram"), ("unigram", "unigram")])
def test_pieces_are_those_of_the_naive_twin_and_hold_whole_tokens(tokenizers, text, pair):
    both = [offsets(tokenizers[name], text) for name in pair]
    found = shared_pieces(text, both)
    assert found == reference_text.shared_pieces(text, both)
    assert all(a < b <= c for (a, b), (c, _) in pairwise(found))
    for cut in both:
        owned = [tokens_touching(cut, span) for span in found]
        assert all(owned)
        together = [t for tokens in owned for t in tokens]
        assert len(together) == len(set(together))  # no token tells two pieces
    for start, end in found:
        assert text[start:end] == text[start:end].strip() != ""


spans = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 4)).map(lambda p: (p[0], min(12, p[0] + p[1]))), max_size=9
)


@given(st.text("ab \n東", min_size=12, max_size=12), spans, spans)
def test_any_offsets_give_the_pieces_of_the_naive_twin(text, one, other):
    assert shared_pieces(text, [one, other]) == reference_text.shared_pieces(text, [one, other])


def test_the_finest_pieces_that_both_cut_alike():
    # un|believ|able and unbeliev|able share one boundary inside the word; a token over two words joins them.
    assert shared_pieces("unbelievable", [[(0, 2), (2, 8), (8, 12)], [(0, 8), (8, 12)]]) == [(0, 8), (8, 12)]
    assert shared_pieces('end." So', [[(0, 3), (3, 5), (5, 8)], [(0, 4), (4, 5), (5, 8)]]) == [(0, 5), (6, 8)]
    assert shared_pieces("of the", [[(0, 6)], [(0, 2), (2, 6)]]) == [(0, 6)]
    # Whose a space is makes no difference, special tokens neither.
    assert shared_pieces("a b", [[(0, 0), (0, 1), (1, 3)], [(0, 2), (2, 3)]]) == [(0, 1), (2, 3)]
    # Bytes of one character are one piece, and what a tokenizer passes over is none.
    assert shared_pieces("😀a", [[(0, 1), (0, 1), (1, 2)]]) == [(0, 1), (1, 2)]
    assert shared_pieces("abc", [[(0, 1), (2, 3)], [(0, 1), (1, 2), (2, 3)]]) == [(0, 1), (2, 3)]


def test_a_language_without_spaces_has_many_pieces(tokenizers):
    text = HARD[4]
    found = shared_pieces(text, [offsets(tokenizers[name], text) for name in ("bytes", "unigram")])
    assert len(found) > 8
    assert max(end - start for start, end in found) <= 8


def test_spread_takes_the_last_one():
    assert [spread(n, 4) for n in (4, 9)] == [[0, 1, 2, 3], [1, 3, 5, 8]]


LINES = [
    f"{' '.join(' '.join(fakes.TEXT).split()[i % 9 : i % 9 + 6])} and {i} {'東京 naïve'[i % 3 :]}"
    for i in range(64)  # four pieces of each are one mini-batch
]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two tiny random models of two tokenizers."""
    folder = tmp_path_factory.mktemp("models")
    fakes.folder(folder / "teacher", layers=3, width=48)
    fakes.folder(folder / "student", seed=1, layers=2, rows=420)
    fakes.tokenizer(420, [*HARD, *LINES[:9]]).save_pretrained(folder / "student")
    return custom_pair(str(folder / "teacher"), str(folder / "student"))


@pytest.mark.parametrize("skip", [False, True])
def test_the_grid_is_that_of_naively_pooled_pieces(pair, skip):
    found = compare(pair, prompts=pasted("\n".join(LINES)), pooling="tokens", skip_first=skip, permutations=20)
    models = [load(ref) for ref in (pair.teacher, pair.student)]
    columns = [[[] for _ in range(m.n_layers)] for m in models]
    for text in LINES:
        cut = [offsets(m.tokenizer, text) for m in models]
        spans = reference_text.spread(reference_text.shared_pieces(text, cut)[skip:], PER_PROMPT)
        for model, layers in zip(models, columns, strict=True):
            for layer, vectors in zip(
                layers, reference_text.states(model.model, model.tokenizer, text, spans), strict=True
            ):
                layer.extend(vectors)
    for i in range(3):
        for j in range(2):
            naive = reference_similarity.debiased_cka(np.array(columns[0][i]), np.array(columns[1][j]))
            assert float(found.grid.values[i, j]) == pytest.approx(naive, abs=2e-4)
    assert found.grid.recipe.too_short == 0
    assert not found.vocabulary.same_tokenizer


def coarser(loaded: LoadedModel, share: float) -> LoadedModel:
    """The same weights behind a tokenizer that has forgotten its last merges: other tokens for the same text."""
    import json

    told = json.loads(loaded.tokenizer.backend_tokenizer.to_str())
    merges = told["model"]["merges"]
    told["model"]["merges"] = merges[: int(share * len(merges))]
    again = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(told)), pad_token="<pad>")
    return LoadedModel(loaded.ref, loaded.model, again, loaded.layout, loaded.digest)


def test_one_model_under_two_tokenizations_agrees_with_itself_by_characters_and_not_by_position():
    teacher = load(demo_pair().teacher)
    other = coarser(teacher, 0.4)
    texts = list(load_prompts("general").sample(80, 0).texts)
    spans = pieces(texts, [teacher, other])
    texts, spans = [t for t, s in zip(texts, spans, strict=True) if s], [s for s in spans if s]
    changed = [teacher.tokenizer(t)["input_ids"] != other.tokenizer(t)["input_ids"] for t in texts]
    assert sum(changed) > 0.9 * len(texts)
    site = [Site("block_out", 2)]

    def states(model, at):
        return torch.cat(list(stream(model, texts, site, "tokens", spans=at)), dim=1)[0]

    x, y = states(teacher, spans), states(other, spans)
    by_position = []  # what matching by index would do: the same ordinal tokens of both
    for text, found in zip(texts, spans, strict=True):
        first, second = (offsets(m.tokenizer, text) for m in (teacher, other))
        by_position.append([second[tokens_touching(first, span)[0]] for span in found])
    shuffled = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(0))]
    values = {
        name: measure("debiased_linear_cka", x, side)
        for name, side in (("characters", y), ("position", states(other, by_position)), ("shuffled", shuffled))
    }
    assert values["characters"] > 0.7
    assert values["position"] < 0.5 * values["characters"]
    assert abs(values["shuffled"]) < 0.05


def test_a_prompt_with_too_few_pieces_is_left_out_and_counted(pair):
    found = compare(pair, prompts=pasted("\n".join([*LINES, "x", "a b"])), pooling="tokens", permutations=20)
    assert (found.grid.n, found.grid.recipe.too_short) == (4 * len(LINES), 2)
    with pytest.raises(PromptError, match="Prompt 1 has fewer than the 4 shared spans"):
        collect(load(pair.teacher), [LINES[0], "x"], [Site("embed")], "tokens")


@pytest.mark.parametrize("name", ["facts", "general", "code", "arithmetic"])
def test_every_bundled_set_gives_pieces_under_tokenizers_of_different_kinds(tokenizers, name):
    texts = load_prompts(name).sample(60, 0).texts
    demo = AutoTokenizer.from_pretrained(str(demo_pair().teacher.folder))
    counts = [len(shared_pieces(t, [offsets(demo, t), offsets(tokenizers["unigram"], t)])) for t in texts]
    assert min(counts) >= 4
