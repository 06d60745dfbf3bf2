"""The streamed grid: pieces change nothing, chance is known, and nothing ends in NaN."""

import json

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pkt_core.errors import MeasureError
from pkt_core.similarity import GridFitter, SimilarityGrid, measure
from pkt_core.similarity.null import permutations


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


def test_the_size_of_the_pieces_changes_nothing():
    teacher, student = layers()
    whole, torn = fit(teacher, student), fit(teacher, student, pieces=[1, 100, 300, 11, 100])
    for name in ("values", "low", "high", "null_max", "p_values"):
        assert torch.equal(getattr(whole, name), getattr(torn, name))


def test_shared_latents_stand_out_and_noise_does_not():
    found, noise = fit(*layers()), fit(*layers(noise=True))
    assert found.best[2] > 0.5 > 0.1 > found.noise_level
    assert float(found.p_values.min()) == pytest.approx(1 / 41)
    assert abs(noise.best[2]) < 0.1
    assert float(noise.p_values.min()) > 0.02
    assert torch.all(found.low <= found.values)
    assert torch.all(found.values <= found.high)


def test_the_null_of_the_maximum_is_calibrated():
    """Of grids of pure noise, about 5 % exceed their own 95 % noise level: 1 to 8 of 60 leaves a one-in-a-thousand miss."""
    exceeded = sum(
        (grid := fit(*layers(n=64, seed=s, noise=True), block=64)).best[2] > grid.noise_level for s in range(60)
    )
    assert exceeded <= 8


def test_either_side_may_be_the_smaller_one():
    teacher, student = layers()
    one, other = fit(teacher, student), fit(student, teacher)
    assert_close(one.values, other.values.T)
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


def test_few_samples_give_no_interval_and_say_so():
    grid = fit(*layers(n=128))
    assert grid.low is None
    assert "fewer than 8 blocks" in str(grid.recipe["interval"])


def test_a_rest_too_small_for_a_block_is_counted():
    grid = fit(*layers(n=64 + 5), block=64)
    assert (grid.n, grid.recipe["dropped"]) == (64, 5)
    assert fit(*layers(n=64 + 40), block=64).n == 104


def test_a_constant_layer_is_not_computable_and_hurts_no_other():
    teacher, student = layers(n=128)
    teacher[1] = 3.0
    grid = fit(teacher, student)
    assert grid.values[1].isnan().all()
    assert not grid.values[[0, 2, 3]].isnan().any()
    assert not grid.null_max.isnan().any()
    assert grid.best[0] != 1


def test_json_round_trip_with_missing_cells():
    teacher, student = layers()
    teacher[1] = 3.0
    grid = fit(teacher, student)
    text = json.dumps(grid.to_json(), allow_nan=False)
    back = SimilarityGrid.from_json(json.loads(text))
    assert_close(back.values.double(), grid.values, equal_nan=True, atol=1e-6, rtol=1e-6)
    assert back.best[:2] == grid.best[:2]
    assert back.recipe == grid.recipe


def test_wrong_input_is_one_sentence():
    teacher, student = layers(n=20)
    with pytest.raises(MeasureError, match="expected at least 32"):
        fit(teacher, student)
    with pytest.raises(MeasureError, match="layers of the same samples"):
        GridFitter(4, 2).update(teacher, student)
    with pytest.raises(MeasureError, match="multiple of the group"):
        GridFitter(1, 1, block=64, group_size=5)
    with pytest.raises(MeasureError, match="not numbers"):
        fit(teacher * float("nan"), student)
