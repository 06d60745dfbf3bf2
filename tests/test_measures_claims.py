"""Every claim of every record, and that nothing holds that is not claimed. Generated from the records."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import noise, related, takes
from torch.testing import assert_close

from pkt_core.similarity.measures import MEASURES, measure

ALL = pytest.mark.parametrize("name", list(MEASURES))
EQUAL = 1e-7  # next-token agreement is computed in float32, the others agree to 1e-12
SEEN = 1e-5
# Why X with itself may fall short of the best value: by what, at 60 samples of 7 dimensions.
SHORT = {"cknna": 1e-4, "linear_regression_r2": 1e-5, "procrustes": 1e-6, "next_token_agreement": 1e-6}


def changes(width):
    """What may be done to a side, by the name of the invariance."""
    generator = torch.Generator().manual_seed(3)
    rotation = torch.linalg.qr(torch.randn(width, width, dtype=torch.float64, generator=generator))[0]
    stretch = torch.diag(torch.linspace(0.1, 4, width, dtype=torch.float64)) @ rotation
    shift = torch.randn(width, generator=generator, dtype=torch.float64)  # not the same in all dimensions
    return {
        "rotation": lambda x: x @ rotation,
        "scale": lambda x: 3.5 * x,
        "translation": lambda x: x + shift,
        "linear": lambda x: x @ stretch,
    }


@ALL
@pytest.mark.parametrize("invariance", ["rotation", "scale", "translation", "linear"])
def test_what_is_claimed_changes_nothing_and_what_is_not_does(name, invariance):
    x, y = related()
    reading = takes(name, x, y)
    value = measure(name, x, y, reading)
    changed = [
        measure(name, changes(7)[invariance](x), y, reading) - value,
        measure(name, x, changes(5)[invariance](y), reading) - value,
    ]
    if invariance in MEASURES[name].invariant_to:
        assert max(map(abs, changed)) < EQUAL
    else:
        assert max(map(abs, changed)) > SEEN


@ALL
def test_swapping_the_sides(name):
    x, y = noise(60, 6, 6, seed=0)
    y = y + x
    reading = takes(name, x, y)
    difference = abs(measure(name, x, y, reading) - measure(name, y, x, reading))
    if name in ("semantic_cosine", "next_token_agreement"):
        return  # the sides belong to two models: swapped, they do not fit the Reading
    assert (difference < EQUAL) == MEASURES[name].symmetric


@ALL
def test_itself_is_the_best_value_and_nothing_is_better(name):
    x, _ = noise(60, 7, 7, seed=1)
    record, reading = MEASURES[name], takes(name, x, x)
    itself = measure(name, x, x, reading)
    assert_close(itself, record.best, atol=SHORT.get(name, 1e-9), rtol=0)
    disturbed = measure(name, x, x + 0.3 * noise(60, 7, 7, seed=2)[0], reading)
    assert (disturbed < itself) == record.larger_is_closer


@ALL
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.sampled_from([12, 17, 40]), width=st.sampled_from([2, 5, 20]))
def test_range(name, seed, n, width):
    x, y = noise(n, 4, width, seed)
    record = MEASURES[name]
    assert record.low - 1e-9 <= measure(name, x, y, takes(name, x, y)) <= record.high + 1e-9


@ALL
def test_permuting_the_samples_of_one_side_destroys_it(name):
    x, y = related(n=200)
    reading = takes(name, x, y)
    generator = torch.Generator().manual_seed(0)
    value = measure(name, x, y, reading)
    shuffled = torch.tensor([measure(name, x, y[torch.randperm(200, generator=generator)], reading) for _ in range(12)])
    closer = 1 if MEASURES[name].larger_is_closer else -1
    assert closer * (value - shuffled.mean()) > 5 * shuffled.std()


@pytest.mark.parametrize("name", [m.name for m in MEASURES.values() if m.chance_level is not None])
@pytest.mark.parametrize(("d1", "d2"), [(6, 9), (40, 25)])
def test_independent_noise_gives_the_stated_chance_level(name, d1, d2):
    level = MEASURES[name].chance_level
    pairs = [noise(200, d1, d2, seed) for seed in range(20)]
    found = torch.tensor([measure(name, x, y, takes(name, x, y)) for x, y in pairs])
    assert_close(float(found.mean()), level(200, d1, d2), atol=3 * float(found.std()) / 20**0.5 + 1e-9, rtol=0.01)
    # The control: what is there to be found lies beyond that.
    x, y = noise(200, d1, d1, seed=99)
    assert abs(measure(name, x, x + 0.2 * y, takes(name, x, y)) - level(200, d1, d1)) > 5 * float(found.std())
