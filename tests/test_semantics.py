"""Reading states in words: against naive twins, over families of models, and with controls on the demo pair."""

from dataclasses import replace

import fakes
import pytest
import reference_semantics as naive
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cosine_similarity, normalize
from torch.testing import assert_close

from pkt_core.alignment.basis import semantic_basis
from pkt_core.alignment.choice import BasisChoice
from pkt_core.alignment.lens import (
    coefficients,
    nearest_by_chance,
    ranked_differences,
    ranks,
    semantic_lens,
    top_tokens,
)
from pkt_core.alignment.maps import permuted_vocabulary_map, semantic_map
from pkt_core.alignment.recomposition import (
    crossing_curves,
    permuted_recomposition,
    recomposition,
    recomposition_curves,
)
from pkt_core.errors import ModelError
from pkt_core.models.norms import final_norm, zero_mean
from pkt_core.models.pool import KEPT, Pool
from pkt_core.models.vocabulary import token_names, token_texts
from pkt_core.studies.inspection.spaces import token_at

FAMILIES = ["llama", "qwen2", "gemma2", "gemma3", "gpt2", "gpt_neox", "opt", "phi"]


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def loud(model, seed=3):
    """The model with a final norm that does something: random models have gain 1 and bias 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.layout.final_norm.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def test_coefficients_places_and_differences_are_those_of_one_token_at_a_time():
    rows, states = randn(60, 8, seed=1), randn(3, 8, seed=2)
    found = coefficients(states, normalize(rows, dim=-1))
    every = torch.ones(60, dtype=torch.bool)
    for state, top in zip(states, top_tokens(found, every, 4), strict=True):
        exact = naive.reading(state, rows, 4)
        assert [i for i, _ in top] == [i for i, _ in exact]
        assert_close(torch.tensor([v for _, v in top]), torch.tensor([v for _, v in exact]))
    assert ranks(found, every, 7).tolist() == [naive.rank(state, rows, 7) for state in states]
    ranked = ranked_differences(found[0], found[1], every, 60)
    sizes = [abs(naive.cosine(states[0], rows[i]) - naive.cosine(states[1], rows[i])) for i in ranked]
    assert sizes == sorted(sizes, reverse=True)
    assert sorted(ranked) == list(range(60))


def test_rows_without_a_name_are_never_shown_nor_counted():
    found = coefficients(randn(1, 8), normalize(randn(30, 8, seed=1), dim=-1))
    best = int(found.argmax())
    named = torch.ones(30, dtype=torch.bool)
    named[best] = False
    assert best not in [i for i, _ in top_tokens(found, named, 29)[0]]
    second = int(found[0].topk(2).indices[1])
    assert ranks(found, torch.ones(30, dtype=torch.bool), second).tolist() == [2]
    assert ranks(found, named, second).tolist() == [1]
    assert best not in ranked_differences(found[0], -found[0], named, 29)


@pytest.mark.parametrize(("n", "d"), [(4093, 96), (500, 16)])
def test_the_nearest_by_chance_is_what_random_bases_give(n, d):
    state = normalize(randn(d), dim=-1)
    nearest = [float((normalize(randn(n, d, seed=s), dim=-1) @ state).max()) for s in range(1, 41)]
    assert abs(sorted(nearest)[20] - nearest_by_chance(n, d)) < 0.02


def test_decomposing_and_recomposing_in_different_orders_leaves_nothing():
    rows, states = randn(400, 24, seed=1), randn(50, 24, seed=2)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(5))
    exact = [naive.permuted_recomposition(h, rows, order) for h in states[:4]]
    assert_close(recomposition(states[:4], rows, order).double(), torch.tensor(exact).double(), atol=1e-4, rtol=1e-3)
    same = recomposition(states, rows, torch.arange(400))
    assert_close(same, recomposition(states, rows))
    assert float(same.mean()) > 0.9
    draws = permuted_recomposition(states[None], rows, torch.Generator().manual_seed(0), draws=20)
    assert abs(float(draws.mean())) < 0.05
    # What survives a permutation is what all bases have in common; the control shows it, it does not hide it.
    leaning = permuted_recomposition(states[None].abs(), rows + 3, torch.Generator().manual_seed(0), draws=5)
    assert float(leaning.mean()) > 0.5


def test_curves_hold_all_controls_and_the_real_one_stands_above_the_permuted():
    states, head = randn(3, 50, 16), randn(300, 16, seed=1)
    curves = recomposition_curves(
        states, semantic_basis(head), randn(300, 16, seed=2), torch.Generator().manual_seed(0)
    )
    for real, permuted, low, high in zip(
        curves.real.mean, curves.permuted.mean, curves.permuted.low, curves.permuted.high, strict=True
    ):
        assert low <= permuted <= high
        assert real > 0.8 > 0.3 > abs(permuted)


def test_crossing_curves_tell_meaning_from_its_permutation():
    meaning, inner = randn(400, 10, seed=1), randn(60, 10, seed=2)
    ways = randn(10, 24, seed=3), randn(10, 16, seed=4)
    heads = [meaning @ way + 0.3 * randn(400, way.shape[1], seed=9) for way in ways]
    x, y = ((inner @ way)[None].repeat(n, 1, 1) for way, n in zip(ways, (4, 2), strict=True))
    ids = torch.arange(400)
    given_bases = (*map(semantic_basis, heads), ids, ids)
    generator = torch.Generator().manual_seed(0)
    permuted = [permuted_vocabulary_map(*given_bases, generator) for _ in range(5)]
    found = crossing_curves(x, y, [1, 3], semantic_map(*given_bases), permuted)
    exact = cosine_similarity(semantic_map(*given_bases)(x[1]), y[0], dim=-1).mean()
    assert_close(found.real.mean[0], float(exact))
    assert min(found.real.mean) > 0.5
    assert max(map(abs, found.permuted.mean)) < 0.15
    assert (found.pairing, found.n) == ([1, 3], 60)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_final_norm_is_taken_apart_without_asking_for_its_kind(tmp_path, family):
    model = loud(fakes.loaded(tmp_path, family))
    norm = final_norm(model)
    module = model.layout.final_norm
    gain = 1 + module.weight if family.startswith("gemma") else module.weight
    assert_close(norm.gain, gain.detach(), atol=1e-4, rtol=1e-4)
    layer = family in ("gpt2", "gpt_neox", "opt", "phi")
    assert norm.kind == ("layer" if layer else "root mean square")
    assert_close(norm.bias, module.bias.detach() if layer else torch.zeros(32), atol=1e-5, rtol=1e-4)
    state = randn(32, seed=7) * 5 + 2
    exact = naive.normed(state, norm.kind, norm.gain.double(), norm.bias.double())
    assert_close(norm(state).double(), exact, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folded_gain_and_a_state_without_it_give_the_models_own_logits(tmp_path, family):
    """Head times gain reads the state without gain as the model reads its last one, softcap and head bias apart."""
    model = loud(fakes.loaded(tmp_path, family))
    norm, head, state = final_norm(model), model.layout.head, randn(4, 32, seed=5) * 3 + 1
    logits = norm.without_gain(state) @ (head.weight * norm.gain).T
    logits = logits if head.bias is None else logits + head.bias
    if model.layout.softcap:
        logits = model.layout.softcap * torch.tanh(logits / model.layout.softcap)
    assert_close(logits, model.layout.logits(state), atol=1e-4, rtol=1e-3)


def test_a_gain_of_zero_is_a_dimension_the_folded_head_does_not_see(tmp_path):
    model = fakes.loaded(tmp_path)
    with torch.no_grad():
        model.layout.final_norm.weight[3] = 0
    norm = final_norm(model)
    assert norm.without_gain(randn(2, 32))[:, 3].tolist() == [0, 0]
    with pytest.raises(ModelError, match="Set a ridge"):
        semantic_lens(model, BasisChoice(gain=True))
    assert semantic_lens(model, BasisChoice(gain=True, ridge=1e-6)).basis.vectors.isfinite().all()
    assert semantic_lens(model, BasisChoice(gain=True, ridge=1e-6)).basis.rank == 31


def test_a_norm_of_another_form_is_refused_and_none_at_all_is_fine(tmp_path):
    class Squashing(torch.nn.Module):
        def forward(self, states):
            return torch.tanh(states)

    model = fakes.loaded(tmp_path)
    for found, expected in ((Squashing(), None), (None, "none")):
        layout = type(model.layout)(**{**model.layout.__dict__, "final_norm": found})
        other = type(model)(**{**model.__dict__, "layout": layout})
        if expected is None:
            with pytest.raises(ModelError, match="Squashing that is neither"):
                final_norm(other)
        else:
            norm, states = final_norm(other), randn(2, 32)
            assert norm.kind == expected
            assert torch.equal(norm(states), states)
            assert torch.equal(norm.without_gain(states), states)


@given(st.integers(3, 200))
@settings(max_examples=30)
def test_the_probe_has_no_mean_and_no_zero(d):
    assert float(zero_mean(d).sum()) == 0
    assert bool((zero_mean(d) != 0).all())


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
@pytest.mark.parametrize(
    "choice", [BasisChoice(g, n, r) for g in (False, True) for n in (False, True) for r in (0.0, 1e-3)]
)
def test_a_lens_is_the_pseudoinverse_of_what_was_chosen(tmp_path, family, choice):
    model = loud(fakes.loaded(tmp_path, family))
    lens, norm = semantic_lens(model, choice), final_norm(model)
    exact = naive.bases(model.layout.head.weight.detach(), choice.ridge, norm.gain if choice.gain else None)
    silent = (model.layout.head.weight == 0).all(dim=-1)  # the row of a padding token has no direction at all
    assert_close(lens.basis.vectors[~silent].double(), normalize(exact, dim=-1)[~silent], atol=1e-4, rtol=1e-3)
    assert bool((lens.basis.vectors[silent] == 0).all())
    state = randn(2, 32, seed=4) * 3 + 1
    expected = state
    if choice.norm:
        expected = model.layout.final_norm(state) / (norm.gain if choice.gain else 1)
    assert_close(lens.prepare(state), expected, atol=1e-4, rtol=1e-4)
    assert lens.basis.rank == 32
    assert (lens.basis.solved_condition_number < lens.basis.condition_number) == (choice.ridge > 0)


def test_with_a_root_mean_square_norm_folding_the_gain_leaves_nothing_for_the_norm_to_do(tmp_path):
    model = loud(fakes.loaded(tmp_path))
    states = randn(5, 32)
    readings = [
        coefficients(lens.prepare(states), lens.basis.vectors)
        for lens in (semantic_lens(model, BasisChoice(True, norm)) for norm in (False, True))
    ]
    assert_close(*readings, atol=1e-5, rtol=1e-4)
    other = semantic_lens(model, BasisChoice(False, True))
    assert not torch.allclose(coefficients(other.prepare(states), other.basis.vectors), readings[0], atol=1e-3)


def test_a_character_finds_its_token_whatever_the_tokenizer_leaves_out():
    offsets, special = [(0, 0), (0, 3), (4, 8), (8, 9), (8, 9), (0, 0)], [1, 0, 0, 0, 0, 1]
    assert [token_at(offsets, special, at) for at in (0, 2, 3, 4, 7)] == [1, 1, 2, 2, 2]
    assert token_at(offsets, special, 8) == 4  # one character cut into bytes: the last of them has seen all
    assert token_at(offsets, special, 30) == 4


def test_every_token_can_be_named_but_padding_of_the_head_cannot():
    tokenizer = fakes.tokenizer()
    names = token_names(tokenizer, 400)
    assert names[1] == "<bos>"
    assert max(names) == len(tokenizer) - 1
    texts = token_texts(tokenizer, 400)
    assert set(names) == {*texts.values(), *tokenizer.all_special_ids}
    assert (names[texts[b" city"]], names[texts[b"\xe2"]], names[texts[b"\x01"]]) == (" city", "<0xE2>", "<0x01>")
    assert len(set(names.values())) == len(names)  # two that look alike could not be told apart


def test_the_pool_holds_what_one_look_needs_and_lets_go_before_it_loads(tmp_path):
    pool, log = Pool(), []
    a, b, c, d = (replace(fakes.loaded(tmp_path), digest=name) for name in "abcd")

    def loader(model):
        def load():
            log.append((model.digest, sorted(key[0] for key in pool.models)))
            return model

        return (model.digest, "somewhere", "auto", "cpu"), load

    assert pool.open([loader(a), loader(b)]) == [a, b]
    assert pool.open([loader(a), loader(b), loader(c)]) == [a, b, c]
    assert pool.open([loader(a), loader(a)]) == [a, a]
    assert sorted(pool.models) == [("a", "somewhere", "auto", "cpu")]
    pool.keep((("a", "somewhere", "auto", "cpu"), "bases"), lambda: 1)
    assert pool.open([loader(d)]) == [d]
    assert log == [("a", []), ("b", ["a"]), ("c", ["a", "b"]), ("d", [])]
    assert not pool.made
    made = [pool.keep((("d", "somewhere", "auto", "cpu"), i), lambda i=i: i) for i in range(KEPT + 3)]
    assert made == list(range(KEPT + 3))
    assert len(pool.made) == KEPT
    assert pool.keep((("d", "somewhere", "auto", "cpu"), KEPT), lambda: pytest.fail("it was made already")) == KEPT
    pool.clear()
    assert not pool.models
    assert not pool.made
