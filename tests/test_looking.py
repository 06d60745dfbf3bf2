"""Any measure over the whole grid: the same states, read once, by prompt; rules and settings reach the numbers."""

import fakes
import numpy as np
import pytest
from torch.testing import assert_close

from pkt_core.base.store import load_artefact
from pkt_core.data.prompts import PromptSet, pasted
from pkt_core.errors import MeasureError, PktError, PlanError, PromptError
from pkt_core.models.catalog import custom_pair
from pkt_core.similarity.measures import MEASURES, measure
from pkt_core.studies.comparison import compute as comparison_compute
from pkt_core.studies.comparison.compute import compare, similarity
from pkt_core.studies.comparison.recipe import Recipe

WORDS = " ".join(fakes.TEXT).split()
LINES = pasted(
    "\n".join(f"{' '.join(WORDS[i % 7 : i % 7 + 5])} number {i} and {WORDS[i % len(WORDS)]}" for i in range(80))
)
FEW = {"permutations": 20}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return fakes.pair(tmp_path_factory.mktemp("models"))


@pytest.fixture
def states(cache):
    def found():
        key = next(
            p.name.removeprefix("states-") for p in (cache / "artefacts").iterdir() if p.name.startswith("states-")
        )
        return load_artefact("states", key)[0]

    return found


@pytest.mark.parametrize("pooling", ["mean", "tokens"])
def test_repeated_prompts_change_no_number_and_are_said(pair, states, pooling):
    assert len(set(LINES.texts)) == len(LINES)
    once = compare(pair, prompts=LINES, pooling=pooling, **FEW)
    kept = states()["teacher"].shape
    twice = compare(pair, prompts=PromptSet("twice", LINES.texts + LINES.texts[:40]), pooling=pooling, **FEW)
    assert (once.grid.recipe.repeats, twice.grid.recipe.repeats) == (0, 40)
    assert (once.grid.n, once.n_prompts) == (twice.grid.n, twice.n_prompts)
    np.testing.assert_allclose(twice.grid.values, once.grid.values)
    np.testing.assert_array_equal(twice.grid.null_max, once.grid.null_max)
    assert kept == states()["teacher"].shape
    again = similarity(pair, measure="rsa", prompts=PromptSet("few", LINES.texts * 2), pooling=pooling, **FEW)
    assert again.recipe.repeats == len(LINES)
    with pytest.raises(PromptError, match=r"few gives 10 prompts \(70 more lines repeat one"):
        compare(pair, prompts=PromptSet("few", LINES.texts[:10] * 8), pooling=pooling, **FEW)


@pytest.mark.parametrize("name", ["mutual_knn", "procrustes", "rsa", "svcca"])
def test_a_grid_is_the_measure_of_the_stored_states(pair, states, name):
    grid = similarity(pair, measure=name, prompts=LINES, **FEW)
    kept = states()
    for i in range(3):
        for j in range(2):
            assert_close(float(grid.values[i, j]), measure(name, kept["teacher"][i], kept["student"][j]))
    assert grid.larger_is_closer == MEASURES[name].larger_is_closer
    inside = (grid.low <= grid.values) & (grid.values <= grid.high)
    assert inside.all()
    assert grid.recipe.permutations == 20


def test_what_was_read_is_not_read_again_and_settings_change_it(pair, monkeypatch):
    plain = similarity(pair, measure="rsa", prompts=LINES, **FEW)
    monkeypatch.setattr(comparison_compute, "load", lambda *_: pytest.fail("models were loaded again"))
    monkeypatch.setattr("pkt_core.models.loading.load", lambda *_: pytest.fail("models were loaded again"))
    np.testing.assert_array_equal(similarity(pair, measure="rsa", prompts=LINES, **FEW).values, plain.values)
    similarity(pair, measure="jaccard", prompts=LINES, **FEW)
    monkeypatch.undo()
    for settings in ({"outliers": "standardise"}, {"skip_first": True}, {"pooling": "last"}, {"part": "mlp_out"}):
        other = similarity(pair, measure="rsa", prompts=LINES, **FEW, **settings)
        assert not np.allclose(other.values, plain.values)
        assert {k: getattr(other.recipe, k) for k in settings} == settings


@pytest.mark.parametrize("name", ["semantic_cosine", "next_token_agreement"])
def test_measures_that_read_through_the_models_say_same_of_a_model_and_itself(tmp_path, name):
    fakes.folder(tmp_path / "one", layers=2)
    fakes.folder(tmp_path / "other", layers=2, seed=3)
    same = custom_pair(str(tmp_path / "one"), str(tmp_path / "one"))
    other = custom_pair(str(tmp_path / "one"), str(tmp_path / "other"))
    grids = [similarity(p, measure=name, prompts=LINES, pooling="last", **FEW).values for p in (same, other)]
    assert (grids[0].diagonal() > 0.5).all()
    assert (grids[0].diagonal() > grids[1].diagonal() + 0.002).all()  # random models predict nearly nothing
    if name == "next_token_agreement":
        assert grids[0].diagonal().tolist() == pytest.approx([1, 1], abs=1e-5)


def test_the_comparison_says_what_stands_out_in_either_model(pair):
    found = compare(pair, prompts=LINES, **FEW)
    for (_, facts), layers in zip(found.outliers.items(), (3, 2), strict=True):
        assert len(facts.top_share) == len(facts.top3_share) == len(facts.first_ratio) == layers
        assert all(0 < one <= three <= 1 for one, three in zip(facts.top_share, facts.top3_share, strict=True))
    assert found.grid.recipe.block_difference == 0.0
    assert similarity(pair, measure="debiased_linear_cka", prompts=LINES, **FEW).recipe == found.grid.recipe


def test_mini_batches_are_held_against_the_full_sample(pair):
    many = pasted("\n".join(f"{t} again {i}" for i in range(4) for t in LINES.texts))
    difference = compare(pair, prompts=many, **FEW).grid.recipe.block_difference
    assert 0 < difference < 0.05


def test_wrong_settings_are_one_sentence(pair):
    with pytest.raises(MeasureError, match="no measure 'telepathy'; expected one of debiased_linear_cka"):
        similarity(pair, measure="telepathy", prompts=LINES)
    with pytest.raises(PlanError, match="pooling: got 'sideways'"):
        compare(pair, prompts=LINES, pooling="sideways")
    with pytest.raises(PlanError, match="permutations: got 3"):
        Recipe.of({"permutations": 3})
    with pytest.raises(PlanError, match="colour: got 1"):
        Recipe.of({"colour": 1})
    with pytest.raises(PktError, match="samples"):
        similarity(pair, measure="rsa", prompts=pasted("one\ntwo"))


def test_layers_are_attributed_by_examples_that_any_teacher_is_asked_where_it_reads_that_much(tmp_path):
    for name, context in (("short", 64), ("long", 512)):
        fakes.folder(tmp_path / name, layers=2, max_position_embeddings=context)
    short, long = (
        compare(custom_pair(str(tmp_path / name), str(tmp_path / "long")), prompts=LINES, **FEW)
        for name in ("short", "long")
    )
    assert short.attribution is None
    assert short.chosen == (1, 1)
    assert long.attribution is not None
    assert len(long.attribution.scores) == 2
