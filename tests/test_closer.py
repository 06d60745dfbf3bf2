"""A closer look at one pair of layers: against its naive twin, what may and may not change it, what is stored and from what."""

import fakes
import numpy as np
import pytest
import reference_agreement as twin
import torch
from scipy.stats import hypergeom
from torch.testing import assert_close

from pkt_core.activations.collect import collect
from pkt_core.base.records import from_json, to_json
from pkt_core.base.store import list_artefacts
from pkt_core.data.prompts import pasted
from pkt_core.errors import LayerNotFound, MeasureError, StoreError
from pkt_core.models.loading import load
from pkt_core.models.sites import Site
from pkt_core.projection.maps import neighbour_overlap
from pkt_core.similarity import kernels
from pkt_core.similarity.agreement import agreement, beyond_chance, pairs_of, shuffled
from pkt_core.similarity.geometry import ranked
from pkt_core.similarity.null import permutations
from pkt_core.studies.comparison.compute import compare
from pkt_core.studies.comparison.recipe import Recipe
from pkt_core.studies.layer_pair import compute as layer_pair_compute
from pkt_core.studies.layer_pair.record import CloserLook

WORDS = " ".join(fakes.TEXT).split()
LINES = pasted(
    "\n".join(f"{' '.join(WORDS[i % 7 : i % 7 + 5])} number {i} and {WORDS[i % len(WORDS)]}" for i in range(80))
)
SETTINGS = {"prompts": LINES, "permutations": 20}


def clouds(n=40, noise=1.0, seed=0):
    """Two clouds that see the same six causes, each with noise of its own."""
    generator = torch.Generator().manual_seed(seed)
    causes = torch.randn(n, 6, generator=generator)
    return tuple(
        causes @ torch.randn(6, d, generator=generator) + noise * torch.randn(n, d, generator=generator) + 3.0
        for d in (20, 9)
    )


def rotation(d, seed=1):
    return torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(seed))).Q


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return fakes.pair(tmp_path_factory.mktemp("models"))


def test_agreement_is_what_its_naive_twin_says():
    x, y = clouds()
    found = agreement(x, y)
    a, b = x.double().numpy(), y.double().numpy()
    assert_close(found.teacher.numpy(), twin.cosines(a))
    assert_close(found.correlation, twin.correlation(a, b))
    assert_close(found.left_out.numpy(), twin.left_out(twin.correlation, a, b))
    assert_close(found.overlap.numpy(), twin.overlap(a, b))
    assert_close(found.overlap_left_out.numpy(), twin.left_out(lambda *s: twin.overlap(*s).mean(), a, b))
    assert_close(found.overlap.float(), neighbour_overlap(x, y))  # the same as the maps print
    facts = layer_pair_compute.rank_correlation(found)
    assert_close((facts.low, facts.high), twin.interval(facts.value, twin.left_out(twin.correlation, a, b)))


def test_the_null_moves_prompts_and_is_that_of_the_grid():
    x, y = clouds()
    ranks = [ranked(1 - side) for side in (agreement(x, y).teacher, agreement(x, y).student)]
    orders = permutations(len(x), 1, 12, torch.Generator().manual_seed(3))
    found = shuffled(*ranks, orders)
    naive = [twin.correlation(x.double().numpy(), y.double().numpy()[order]) for order in orders]
    assert_close(found, torch.tensor(naive, dtype=torch.float64), atol=1e-6, rtol=0)
    assert_close(found, kernels.null([ranks[0]], [ranks[1]], orders)[:, 0, 0], atol=1e-6, rtol=0)


def test_rotation_shift_and_scale_change_nothing_and_shuffling_prompts_does():
    x, y = clouds()
    plain, turned = agreement(x, y), agreement(x, 7 * y @ rotation(9) - 2)
    assert_close(turned.correlation, plain.correlation)
    assert_close(turned.overlap, plain.overlap)
    far = agreement(x.double() + 1e6, y)  # a common offset must not eat the digits
    assert_close((far.correlation, far.overlap), (plain.correlation, plain.overlap))
    assert plain.correlation > 0.3
    assert plain.correlation > plain.null.quantile(0.95)
    assert plain.overlap.mean() > 10 / 39 + 0.1
    shuffled_prompts = agreement(x, y[torch.randperm(40, generator=torch.Generator().manual_seed(2))])
    assert abs(shuffled_prompts.correlation) < plain.null.abs().max() + 0.05
    assert shuffled_prompts.correlation < plain.correlation - 0.2
    assert_close(float(shuffled_prompts.overlap.mean()), 10 / 39, atol=0.07, rtol=0)
    assert agreement(x, x @ rotation(20)).correlation == pytest.approx(1.0)


def test_the_interval_holds_what_more_prompts_of_the_same_kind_say():
    truth = agreement(*clouds(600)).correlation
    held = []
    for seed in range(20):
        x, y = clouds(600)
        index = torch.randperm(600, generator=torch.Generator().manual_seed(seed))[:60]
        facts = layer_pair_compute.rank_correlation(agreement(x[index], y[index]))
        held.append(facts.low <= truth <= facts.high)
    assert sum(held) >= 17


def test_one_prompt_that_changed_its_place_comes_first():
    x, _ = clouds(60, noise=0.1)
    y = x @ rotation(20)
    assert agreement(x, y).overlap.min() == 1.0
    y[7] = -2 * y[7] + 5 * torch.randn(20, generator=torch.Generator().manual_seed(5))
    assert int(agreement(x, y).overlap.argmin()) == 7


def test_pairs_are_drawn_once_each_and_by_seed():
    drawn = pairs_of(30, 100, seed=0)
    assert len({tuple(pair) for pair in drawn.tolist()}) == 100
    assert bool((drawn[:, 0] < drawn[:, 1]).all())
    assert_close(drawn, pairs_of(30, 100, seed=0))
    assert not torch.equal(drawn, pairs_of(30, 100, seed=1))
    assert len(pairs_of(30, 1000, seed=0)) == 30 * 29 // 2


@pytest.mark.parametrize("n", [16, 64, 512])
def test_beyond_chance_is_the_hypergeometric_quantile(n):
    least = round(10 * beyond_chance(n))
    assert hypergeom.sf(least - 1, n - 1, 10, 10) < 0.05 or least == 10
    assert hypergeom.sf(least - 2, n - 1, 10, 10) >= 0.05


def test_what_cannot_be_compared_is_one_sentence():
    x, y = clouds()
    for given, words in [
        ((x[:10], y[:10]), "at least 16"),
        ((x, y[:30]), "40 teacher and 30 student"),
        ((x, torch.ones(40, 9)), "student's activations in this layer are constant"),
        ((x * torch.nan, y), "not numbers"),
    ]:
        with pytest.raises(MeasureError, match=words):
            agreement(*given)


def test_a_closer_look_is_what_the_models_say_and_comes_from_stored_states(pair, monkeypatch):
    compare(pair, **SETTINGS)
    monkeypatch.setattr(layer_pair_compute, "load", lambda *_: pytest.fail("models were loaded again"))
    found = layer_pair_compute.closer_look(pair, teacher_layer=2, student_layer=1, **SETTINGS)
    texts = LINES.sample(512, 0)
    assert (found.ids, found.texts, found.n_all) == (list(texts.ids), list(texts.texts), 80)
    monkeypatch.undo()


def test_the_record_holds_what_the_twin_says_of_the_models(pair):
    found = layer_pair_compute.closer_look(pair, teacher_layer=2, student_layer=1, **SETTINGS)
    x, y = (
        collect(load(ref), found.texts, [Site("block_out", layer)], "mean")[0].double().numpy()
        for ref, layer in ((pair.teacher, 2), (pair.student, 1))
    )
    assert_close(found.correlation.value, twin.correlation(x, y), atol=1e-5, rtol=0)
    alike, i, j = twin.cosines(x), found.pairs.first[5], found.pairs.second[5]
    assert_close(found.pairs.teacher[5], alike[i, j], atol=1e-4, rtol=0)
    assert len(found.pairs.first) == found.n_pairs == 80 * 79 // 2
    np.fill_diagonal(alike, -2)
    assert found.near.teacher[0] == [found.ids[place] for place in (-alike[0]).argsort()[:3]]
    assert found.overlap.chance == pytest.approx(10 / 79)
    stored = layer_pair_compute.closer_look(pair, teacher_layer=2, student_layer=1, **SETTINGS)
    assert stored == found
    assert len(list_artefacts("closer-look")) == 1


FIELDS = {
    "teacher_layer": None,
    "student_layer": None,
    "ids": None,
    "texts": None,
    "n_all": None,
    "recipe": None,
    "n_pairs": None,
    "pairs": ["first", "second", "teacher", "student"],
    "correlation": ["value", "low", "high", "left_out", "p_value", "noise", "draws"],
    "overlap": ["values", "mean", "low", "high", "left_out", "chance", "beyond", "k"],
    "near": ["teacher", "student"],
}
"""Of what lies in stores since version 3 of the record."""


def test_a_stored_look_keeps_its_fields_and_one_that_lacks_some_is_one_sentence(pair):
    found = layer_pair_compute.closer_look(pair, teacher_layer=2, student_layer=1, **SETTINGS)
    (stored,) = list_artefacts("closer-look")
    assert set(stored) == set(FIELDS)
    assert {name: list(value) for name, value in stored.items() if FIELDS[name]} == {
        k: v for k, v in FIELDS.items() if v
    }
    again = from_json(CloserLook, stored, "It")
    assert again == found
    assert to_json(again) == stored
    del stored["correlation"]["noise"]
    with pytest.raises(StoreError, match=r"It is not a valid CloserLook of this version \(correlation.noise"):
        from_json(CloserLook, stored, "It")


def test_states_that_were_not_kept_are_read_again(pair, cache):
    import shutil

    first = layer_pair_compute.closer_look(pair, teacher_layer=2, student_layer=1, **SETTINGS)
    for folder in [*(cache / "artefacts").glob("states-*"), *(cache / "artefacts").glob("closer-look-*")]:
        shutil.rmtree(folder)
    again = layer_pair_compute.closer_look(pair, teacher_layer=2, student_layer=1, **SETTINGS)
    assert_close(again.correlation.value, first.correlation.value, atol=1e-6, rtol=0)


def test_pooled_over_words_a_prompt_is_the_mean_of_its_words_and_short_ones_are_left_out(pair):
    lines = pasted("\n".join([*LINES.texts[:30], "the", *LINES.texts[30:]]))
    found = layer_pair_compute.closer_look(
        pair, teacher_layer=2, student_layer=1, prompts=lines, permutations=20, pooling="tokens"
    )
    assert found.n_all == len(found.ids) == 80
    assert 30 not in found.ids
    assert dict(zip(found.ids, found.texts, strict=True)) == {i: t for i, t in enumerate(lines.texts) if i != 30}
    states = torch.randn(12, 5, generator=torch.Generator().manual_seed(0))
    assert_close(layer_pair_compute.by_prompt(Recipe(pooling="tokens"), states)[1], states[4:8].double().mean(0))
    assert_close(layer_pair_compute.by_prompt(Recipe(), states), states.double())


def test_a_layer_that_is_not_there_is_one_sentence(pair):
    with pytest.raises(LayerNotFound, match="student has layers 0 to 1, got 7"):
        layer_pair_compute.closer_look(pair, teacher_layer=0, student_layer=7, **SETTINGS)
