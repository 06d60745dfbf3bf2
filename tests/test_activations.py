"""Pooling and collection: padding and batch size change nothing, special tokens do not count, nothing is cut."""

import fakes
import pytest
import torch
from torch.testing import assert_close

from pkt_core.activations import collect
from pkt_core.activations.capture import Capture
from pkt_core.activations.pooling import token_groups
from pkt_core.activations.spans import tokens_touching
from pkt_core.errors import PromptError
from pkt_core.models.sites import Site

SITES = [Site("embed"), Site("block_out", 0), Site("block_delta", 2)]
TEXTS = [
    "a dog",
    "the quick brown fox jumps over the lazy dog",
    "Paris is a city in France. Rome is too.",
    "text and more text",
]


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_batch_size_changes_nothing(tmp_path, family, pooling):
    model = fakes.loaded(tmp_path, family)
    one, many = (collect(model, TEXTS, SITES, pooling, batch_size=size) for size in (1, 4))
    assert one.shape == (3, 4, 32)
    assert_close(one, many, atol=1e-5, rtol=1e-4)
    # The text matters: what is equal above is not equal by being constant.
    assert (one[:, 0] - one[:, 1]).abs().max() > 1e-3


@pytest.mark.parametrize("family", fakes.FAMILIES)
@torch.no_grad()
def test_the_head_is_left_out_and_the_states_are_those_of_the_whole_model(tmp_path, family):
    model = fakes.loaded(tmp_path, family)
    ids = torch.tensor([model.tokenizer(TEXTS[1])["input_ids"]])
    with Capture(model, SITES) as seen:
        model.model(input_ids=ids)
        whole = torch.stack([seen[site][0, -1] for site in SITES])
    ran = []
    model.layout.head.register_forward_hook(lambda *_: ran.append(1))
    assert_close(collect(model, [TEXTS[1]], SITES, "last")[:, 0], whole, atol=1e-6, rtol=1e-5)
    assert ran == []
    model.model(input_ids=ids)
    assert ran == [1]  # the counter works


def test_mean_and_last_are_what_their_names_say(tmp_path):
    model = fakes.loaded(tmp_path)
    site = [Site("embed")]
    ids = model.tokenizer(TEXTS[1])["input_ids"]
    rows = model.model.get_input_embeddings().weight[ids]
    assert_close(collect(model, [TEXTS[1]], site, "mean")[0, 0], rows.mean(0))
    assert_close(collect(model, [TEXTS[1]], site, "last")[0, 0], rows[-1])


def test_tokens_pooling_gives_the_same_number_of_pieces_for_each_prompt(tmp_path):
    model = fakes.loaded(tmp_path)
    assert collect(model, TEXTS[1:], SITES, "tokens").shape == (3, 3 * 4, 32)


def test_special_tokens_are_left_out():
    offsets, special = [(0, 0), (0, 3), (3, 6), (0, 0)], [1, 0, 0, 1]
    assert token_groups(offsets, special, "mean", []) == [[1, 2]]
    assert token_groups(offsets, special, "last", []) == [[2]]
    assert token_groups(offsets, special, "tokens", [(4, 6), (0, 4)]) == [[2], [1, 2]]
    with pytest.raises(PromptError, match="without a single ordinary token"):
        token_groups([(0, 0)], [1], "mean", [])


def test_tokens_are_found_by_their_characters():
    assert tokens_touching([(0, 0), (0, 4), (4, 8)], (3, 5)) == [1, 2]


def test_a_prompt_longer_than_the_context_is_refused(tmp_path):
    model = fakes.loaded(tmp_path)
    with pytest.raises(PromptError, match=r"A prompt has \d+ tokens, .* reads at most 64.* 'word word"):
        collect(model, ["fine", "word " * 100], SITES, "mean")
    # Before anything is read, wherever in the set it stands.
    ran = []
    model.model.register_forward_hook(lambda *_: ran.append(1))
    with pytest.raises(PromptError):
        collect(model, ["fine", "fine", "word " * 100], SITES, "mean", batch_size=1)
    assert ran == []


def test_half_precision_is_pooled_in_float32(tmp_path):
    from pkt_core.models.loading import load
    from pkt_core.models.ref import ModelRef

    model = load(ModelRef(name=str(fakes.folder(tmp_path)), device="cpu", dtype="bfloat16"))
    assert collect(model, TEXTS, SITES, "mean").dtype == torch.float32
