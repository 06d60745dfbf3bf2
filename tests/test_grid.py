"""The streamed grid: pieces change nothing, chance is known, and nothing ends in NaN."""

import json

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pkt_core.base.records import from_json, to_json
from pkt_core.data.prompts import PromptSet
from pkt_core.errors import MeasureError
from pkt_core.similarity.blocks import block_sums, entry_order, upper_triangles
from pkt_core.similarity.cka import gram, u_centred
from pkt_core.similarity.fitter import GridFitter
from pkt_core.similarity.grid import SimilarityGrid
from pkt_core.similarity.interval import bootstrap_weights
from pkt_core.similarity.measures import measure
from pkt_core.similarity.null import permutations
from pkt_core.similarity.pairwise import grid_of


def layers(n=512, seed=0, noise=False):
    """Two stacks of layers that share a latent, or that share nothing."""
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(*shape, generator=generator)

    latent = randn(n, 6)
    teacher = torch.stack([latent @ randn(6, 24) + 0.5 * (i + 1) * randn(n, 24) for i in range(4)])
    source = randn(n, 6) if noise else latent
    student = torch.stack([source @ randn(6, 16) + 0.5 * (i + 1) * randn(n, 16) for i in range(3)])
    return teacher, student


def fit(teacher, student, pieces=None, **options):
    fitter = GridFitter(len(teacher), len(student), **{"permutations": 40, **options})
    start = 0
    for size in pieces or [teacher.shape[1]]:
        fitter.update(teacher[:, start : start + size], student[:, start : start + size])
        start += size
    return fitter.finish()


NUMBERS = (
    "values",
    "low",
    "high",
    "null_max",
    "null_mean",
    "noise_rows",
    "noise_cells",
    "p_values",
    "p_rows",
    "p_cells",
)


def test_published_value_of_four_blocks():
    generator = np.random.RandomState(1337)
    x = generator.randn(100, 10)
    y = generator.randn(100, 10) + x
    grid = fit(torch.from_numpy(x)[None], torch.from_numpy(y)[None], block=25)
    assert_close(float(grid.values[0, 0]), 0.513268, atol=1e-6, rtol=0)


def test_one_block_is_the_measure_itself():
    teacher, student = layers(n=64)
    grid = fit(teacher, student, block=64)
    for i in range(4):
        for j in range(3):
            assert_close(float(grid.values[i, j]), measure("debiased_linear_cka", teacher[i], student[j]))


@pytest.mark.parametrize("n", [4, 40, 128, 129, 300])
def test_triangles_are_the_upper_half_of_the_u_centred_grams(n):
    """Less than a strip, a whole one, one entry more, and several; and more layers than are made together."""
    side = torch.randn(6, n, 24, generator=torch.Generator().manual_seed(n)) + 3
    rows, columns = entry_order(n)
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [
        (i, j) for i in range(n) for j in range(i + 1, n)
    ]
    for found, squares, x in zip(*upper_triangles(side), side.double(), strict=True):
        assert_close(found, u_centred(gram(x))[rows, columns], atol=1e-4, rtol=0)
        assert_close(squares, gram(x).diagonal(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("n", [40, 150])
def test_permuted_and_reweighted_sums_are_those_of_a_plain_loop(n):
    """In one strip and in two."""
    teacher, student = layers(n=n)
    generator = torch.Generator().manual_seed(0)
    orders, weights = permutations(n, 1, 5, generator), bootstrap_weights(n, 1, 5, generator)
    sums = block_sums(teacher, student, orders, weights)
    other_way = block_sums(student, teacher, orders, weights)  # the smaller stack is permuted either way
    assert_close(other_way.null, sums.null.transpose(1, 2))
    assert_close(other_way.drawn_cross, sums.drawn_cross.transpose(1, 2))
    for p, order in enumerate(orders):
        again = block_sums(teacher, student[:, order], orders[:0], weights[:0])
        assert_close(sums.null[p].double(), again.cross, atol=1e-4, rtol=1e-4)
    k, other = u_centred(gram(teacher[1].double())), u_centred(gram(student[2].double()))
    for d, weight in enumerate(weights.double()):
        naive = (weight[:, None] * weight * k * other).fill_diagonal_(0).sum() / (n * (n - 3))
        assert_close(sums.drawn_cross[d, 1, 2].double(), naive, atol=1e-4, rtol=1e-4)


def test_the_size_of_the_pieces_changes_nothing():
    teacher, student = layers()
    whole, torn = fit(teacher, student), fit(teacher, student, pieces=[1, 100, 300, 11, 100])
    for name in NUMBERS:
        np.testing.assert_array_equal(getattr(whole, name), getattr(torn, name))


def test_shared_latents_stand_out_and_noise_does_not():
    found, noise = fit(*layers()), fit(*layers(noise=True))
    assert found.best[2] > 0.5 > 0.1 > found.noise_level
    assert float(found.p_values.min()) == pytest.approx(1 / 41)
    assert abs(noise.best[2]) < 0.1
    assert float(noise.p_values.min()) > 0.02
    assert (found.low <= found.values).all()
    assert (found.values <= found.high).all()


def test_the_null_of_the_maximum_is_calibrated():
    """Of grids of pure noise, about 5 % exceed their own 95 % noise level: 1 to 8 of 60 leaves a one-in-a-thousand miss."""
    exceeded = sum(
        (grid := fit(*layers(n=64, seed=s, noise=True), block=64)).best[2] > grid.noise_level for s in range(60)
    )
    assert exceeded <= 8


def test_either_side_may_be_the_smaller_one():
    teacher, student = layers()
    one, other = fit(teacher, student), fit(student, teacher)
    np.testing.assert_allclose(one.values, other.values.T)
    assert_close(one.noise_level, other.noise_level, atol=0.02, rtol=0)


def test_groups_of_samples_move_together():
    orders = permutations(12, 3, 50, torch.Generator().manual_seed(0))
    for order in orders:
        assert sorted(order.tolist()) == list(range(12))
        assert torch.equal(order.reshape(4, 3) - order.reshape(4, 3)[:, :1], torch.arange(3).expand(4, 3))
    assert not torch.equal(orders[0], orders[1])
    # Tokens of a prompt that are copies of each other: treating them as independent makes chance look too small.
    teacher, student = (side.repeat_interleave(4, dim=1) for side in layers(n=128, noise=True))
    grouped, naive = fit(teacher, student, group_size=4), fit(teacher, student)
    assert grouped.noise_level > 1.5 * naive.noise_level


def test_samples_of_one_prompt_lift_the_chance_level_and_the_mean_of_the_null_says_so():
    """Four dependent pieces of each of 32 prompts, independent models: similarity is not 0 by chance, but what the null gives."""
    values, levels = [], []
    for seed in range(12):
        teacher, student = (side.repeat_interleave(4, dim=1) for side in layers(n=32, seed=seed, noise=True))
        grid = fit(teacher, student, block=128, group_size=4, draws=0)
        values.append(grid.values)
        levels.append(grid.null_mean)
    assert np.mean(values) > 0.08
    assert np.mean(levels) == pytest.approx(np.mean(values), abs=0.03)
    alone = fit(*layers(noise=True))  # the control: a prompt each
    assert abs(float(alone.null_mean.mean())) < 0.01


def test_what_is_picked_from_more_cells_must_beat_more_chance():
    grid = fit(*layers(n=128, noise=True))
    assert (grid.p_cells <= grid.p_rows).all()
    assert (grid.p_rows <= grid.p_values).all()
    assert (grid.noise_cells <= grid.noise_rows[:, None]).all()
    assert (grid.noise_rows <= grid.noise_level + 1e-12).all()


def test_intervals_hold_what_other_prompts_give():
    """95 % intervals of 60 draws of the same population hold its value (from 7,680 samples) most of the time."""
    teacher, student = (side[:1] for side in layers(n=7680))
    truth = fit(teacher, student, block=512, permutations=0, draws=0).values[0, 0]
    grids = [fit(x, y, permutations=0) for x, y in zip(teacher.split(128, 1), student.split(128, 1), strict=True)]
    held = sum(bool(grid.low[0, 0] <= truth <= grid.high[0, 0]) for grid in grids)
    assert held >= 50
    wide = sum(float(grid.high[0, 0] - grid.low[0, 0]) for grid in grids) / len(grids)
    assert wide < 0.2


def test_blocks_and_the_full_sample_agree_within_noise():
    teacher, student = layers(n=512)
    full, blocked = fit(teacher, student, block=512), fit(teacher, student, block=64)
    np.testing.assert_allclose(full.values, blocked.values, atol=0.02, rtol=0)
    assert full.noise_level < blocked.noise_level


def test_an_outlier_dimension_fakes_agreement_and_a_rule_removes_it():
    teacher, student = layers(n=256, noise=True)
    shared = 30 * torch.randn(256, generator=torch.Generator().manual_seed(5))
    teacher[:, :, 3] += shared * teacher.std()
    student[:, :, 7] += shared * student.std()
    assert fit(teacher, student).best[2] > 0.9
    assert fit(teacher, student, rule="drop_top").best[2] < 0.1
    assert fit(teacher, student, rule="standardise").best[2] < 0.3
    assert fit(teacher, student, rule="clamp").best[2] < fit(teacher, student).best[2]
    assert fit(teacher, student, rule="clamp").recipe.outliers == "clamp"


def test_a_rest_too_small_for_a_block_is_counted():
    grid = fit(*layers(n=64 + 5), block=64)
    assert (grid.n, grid.recipe.dropped) == (64, 5)
    assert fit(*layers(n=64 + 20), block=64).n == 84


def test_a_constant_layer_is_not_computable_and_hurts_no_other():
    teacher, student = layers(n=128)
    teacher[1] = 3.0
    grid = fit(teacher, student)
    assert np.isnan(grid.values[1]).all()
    assert not np.isnan(grid.values[[0, 2, 3]]).any()
    assert np.isfinite(grid.null_max).all()
    assert grid.best[0] != 1


@pytest.mark.parametrize("n", [256, 300])
@pytest.mark.parametrize("rule", ["none", "standardise"])
def test_layers_that_vary_by_rounding_alone_are_not_computable_and_a_very_long_sample_is(n, rule):
    """float32 means of a constant are not the constant: what is left must not look alike."""
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        teacher, student = (torch.randn(3, n, width, generator=generator) for width in (64, 32))
        teacher[0], student[0] = 5 * teacher[0, :1], 3 * student[0, :1]
        teacher[1] = teacher[1, :1].repeat(n, 1)
        teacher[1, 7] += 1  # one sample apart from equal ones: its block's U-centred Gram is zero
        teacher[2, 5] *= 1e4
        grid = fit(teacher, student, rule=rule, permutations=20, draws=20)
        for found in (grid.values, grid.low, grid.high):
            assert np.isnan(found[:2]).all()
            assert np.isnan(found[:, 0]).all()
            assert np.isfinite(found[2, 1:]).all()
        missing = np.isnan(grid.values)
        np.testing.assert_array_equal(missing, grid_of("debiased_linear_cka", teacher, student).isnan())
        assert (grid.p_values[missing] == 1).all()


def test_json_round_trip_with_missing_cells():
    teacher, student = layers()
    teacher[1] = 3.0
    grid = fit(teacher, student)
    text = json.dumps(to_json(grid), allow_nan=False)
    back = from_json(SimilarityGrid, json.loads(text), "It")
    for name in NUMBERS:
        np.testing.assert_array_equal(getattr(back, name), getattr(grid, name))
    assert (back.best, back.noise_level, back.recipe) == (grid.best, grid.noise_level, grid.recipe)


def test_a_grid_without_a_null_has_no_noise_level_and_one_that_is_not_computable_no_best_value():
    teacher, student = layers()
    grid = fit(teacher, student, permutations=0)
    assert grid.noise_level is grid.beyond_noise is None
    assert grid._repr_html_()
    still = fit(torch.full_like(teacher, 3.0), student)
    assert np.isnan(still.best[2])
    assert not still.beyond_noise.any()


def test_wrong_input_is_one_sentence():
    teacher, student = layers(n=12)
    with pytest.raises(MeasureError, match="expected at least 16"):
        fit(teacher, student)
    with pytest.raises(MeasureError, match="layers of the same samples"):
        GridFitter(4, 2).update(teacher, student)
    with pytest.raises(MeasureError, match="multiple of the group"):
        GridFitter(1, 1, block=64, group_size=5)
    with pytest.raises(MeasureError, match="not numbers"):
        fit(teacher * float("nan"), student)


def all_of(grid):
    """Every number of a grid that a reader is shown."""
    return torch.from_numpy(np.concatenate([getattr(grid, name).ravel() for name in NUMBERS]))


EVERY_RULE = ("none", "clamp", "drop_top", "standardise")


@pytest.mark.parametrize("rule", EVERY_RULE)
@pytest.mark.parametrize("noise", [True, False])
def test_values_null_p_and_interval_do_not_see_magnitude(rule, noise):
    """float32 holds fourth powers from 1e-10 to 1e9 only; a power of two changes not one bit, any other the last digits."""
    teacher, student = layers(n=300, noise=noise)
    plain = all_of(fit(teacher, student, rule=rule))
    assert plain.isfinite().all()
    for power in (-120, -40, 40, 120):
        assert torch.equal(all_of(fit(teacher * 2.0**power, student * 2.0**-power, rule=rule)), plain)
    mixed = torch.tensor([1e-30, 1.0, 1e30, 1e-12])[:, None, None]  # layer by layer
    for one, other in ((1e-30, 1e-30), (1e-12, 1e12), (1e30, 1e30), (mixed, mixed[:3])):
        assert_close(all_of(fit(teacher * one, student * other, rule=rule)), plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_type_of_number_is_read_at_its_own_magnitude(dtype):
    teacher, student = (side.to(dtype) for side in layers(n=128))
    plain = all_of(fit(teacher.float(), student.float()))
    assert torch.equal(all_of(fit(teacher, student)), plain)
    power = {torch.float16: 10, torch.bfloat16: 100, torch.float64: 900}[dtype]
    assert torch.equal(all_of(fit(teacher * 2.0**power, student * 2.0**power)), plain)
    assert torch.equal(all_of(fit(teacher * 2.0**-2, student * 2.0**-power if power > 10 else student)), plain)


@pytest.mark.parametrize("small_first", [True, False])
@pytest.mark.parametrize("rule", ["none", "drop_top"])
def test_blocks_of_very_different_magnitude_add_up(rule, small_first):
    """What is 1e24 times as large owns the sums, whichever comes first, as it does in float64."""
    teacher, student = layers(n=512)
    large = slice(256, 512) if small_first else slice(0, 256)
    weight = torch.full((512, 1), 1e-12)
    weight[large] = 1e12
    stream = fit(teacher * weight, student * weight, rule=rule, permutations=0, draws=0)
    if rule == "none":
        alone = fit(teacher[:, large], student[:, large], permutations=0, draws=0)
        np.testing.assert_allclose(stream.values, alone.values, atol=1e-5, rtol=0)
    found = fit(teacher * weight, student * weight, rule=rule)
    assert all_of(found).isfinite().all()
    assert found.noise_level < 0.2 < found.best[2]


def test_what_no_rule_can_bring_together_is_one_sentence():
    teacher, student = layers(n=512)
    teacher[:, 256:] *= 1e37
    teacher[:, :256] *= 1e-30
    with pytest.raises(MeasureError, match="magnitudes too different for one outlier rule"):
        fit(teacher, student, rule="standardise")
    assert np.isfinite(fit(teacher, student).values).all()  # the control: no rule


def test_repeated_prompts_are_no_samples():
    """64 prompts, each on four lines, read by two models that have nothing in common: 5 % of grids pass their own noise level.

    The naive twin takes every line for a sample; a line then pairs with its copies in both models, and nearly every grid passes.
    """
    tries, passed, naive = 40, 0, 0
    texts = [f"prompt {i}" for i in range(64)] * 4
    for seed in range(tries):
        stacks = layers(n=64, seed=seed, noise=True)

        def read(lines, stacks=stacks):
            rows = [int(line.split()[1]) for line in lines]
            return fit(*(side[:, rows] for side in stacks), draws=0)

        prompts = PromptSet("x", tuple(texts))
        assert (len(prompts), prompts.repeats) == (64, 192)
        ours, theirs = read(prompts.sample(512, seed).texts), read(texts)
        passed += ours.best[2] > ours.noise_level
        naive += theirs.best[2] > theirs.noise_level
    assert passed <= 6
    assert naive >= 30
