"""Gain against likeness beyond depth: the value by regression, its rate of false alarms under depth trends, its power and its interval."""

import itertools

import numpy as np
import pytest

from pkt_core.evaluation import ease as easing
from pkt_core.evaluation.ease import FEWEST, Block, ease, explained_by_depth, product

SHAPES = [(6, 3), (10, 8), (24, 12)]


@pytest.fixture
def few_draws(monkeypatch):
    monkeypatch.setattr(easing, "DRAWS", 399)


def block(gains):
    teachers, students = gains.shape
    return Block(gains.ravel(), np.array(list(itertools.product(range(teachers), range(students)))))


def layered(rng, teachers, students, *, trend=0.0, bend=0.0, layer=0.0, noise=1.0):
    """Values that drift and bend with depth, with an effect of each whole layer and noise."""
    x, y = np.linspace(-1, 1, teachers)[:, None], np.linspace(-1, 1, students)[None]
    ways = rng.choice([-1, 1], 3)
    drift = trend * (ways[0] * x + ways[1] * y) + bend * ways[2] * x**2
    return (
        drift
        + layer * (rng.normal(size=(teachers, 1)) + rng.normal(size=(1, students)))
        + noise * rng.normal(size=(teachers, students))
    )


def shuffled_p(gains, grid, rng, draws=99):
    """The null that does not hold: rank correlation against shuffles of whole layers."""
    from scipy.stats import rankdata

    def rho(values):
        return float(np.corrcoef(rankdata(gains), rankdata(values))[0, 1])

    teachers, students = gains.shape
    found = abs(rho(grid))
    null = [abs(rho(grid[rng.permutation(teachers)][:, rng.permutation(students)])) for _ in range(draws)]
    return (1 + sum(one >= found for one in null)) / (1 + draws)


def test_the_correlation_is_that_of_two_regressions_residuals():
    rng = np.random.default_rng(0)
    gains, grid = layered(rng, 7, 4, trend=1.0), layered(rng, 7, 4, bend=1.0)

    def within(values):  # the trends of each student layer by itself
        powers = np.stack([np.arange(7.0) ** power for power in range(3)], axis=1)
        return values - powers @ np.linalg.lstsq(powers, values, rcond=None)[0]

    expected = np.corrcoef(within(gains).ravel(), within(grid).ravel())[0, 1]
    found = ease([block(gains)], [grid])
    assert found is not None
    assert found.rho == pytest.approx(expected)
    assert found.n == 28


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "made",
    [
        {},
        {"trend": 2.0},
        {"trend": 2.0, "bend": 2.0},
        {"trend": 2.0, "layer": 1.0, "noise": 0.5},
        {"layer": 1.0, "noise": 0.3},
    ],
    ids=["noise", "trends", "bends", "trends and layers", "layers"],
)
@pytest.mark.usefixtures("few_draws")
def test_no_trend_and_no_layer_raises_more_false_alarms_than_promised(shape, made):
    rng, tries = np.random.default_rng([*shape, len(made)]), 200
    alarms = 0
    for _ in range(tries):
        found = ease(
            [block(layered(rng, *shape, **made))], [layered(rng, *shape, **made)], seed=int(rng.integers(2**31))
        )
        alarms += found.p_value <= 0.05
    assert 0.005 <= alarms / tries <= 0.1  # 5 %, give or take three standard errors of 200 tries


def test_a_shuffle_of_layers_raises_a_false_alarm_often_where_both_sides_drift_with_depth():
    rng, tries = np.random.default_rng(1), 40
    made = {"trend": 1.0, "noise": 0.5}
    alarms = sum(
        shuffled_p(layered(rng, 10, 8, **made), layered(rng, 10, 8, **made), rng) <= 0.05 for _ in range(tries)
    )
    assert alarms / tries > 0.3


@pytest.mark.usefixtures("few_draws")
def test_what_eases_beyond_depth_is_found_and_its_correlation_covered():
    rng, tries, rho = np.random.default_rng(2), 200, 0.6
    found_true = covered = 0
    for _ in range(tries):
        factor, other = rng.normal(size=(2, 10, 8))
        grid = factor + layered(rng, 10, 8, trend=2.0, noise=0)
        gains = rho * factor + np.sqrt(1 - rho**2) * other + layered(rng, 10, 8, trend=2.0, bend=1.0, noise=0)
        found = ease([block(gains)], [grid])
        found_true += found.p_value <= 0.05
        covered += found.low <= rho <= found.high
    assert found_true / tries > 0.9
    assert 0.91 <= covered / tries <= 1.0


def test_two_blocks_are_pooled_by_their_points_whatever_their_units():
    rng = np.random.default_rng(3)
    small, large = rng.normal(size=(2, 6, 3)), rng.normal(size=(2, 10, 8))
    one, two = ease([block(small[0])], [small[1]]), ease([block(large[0])], [large[1]])
    both = ease([block(100 * small[0] + 7), block(large[0])], [small[1] / 50, large[1]])
    weights = 3 * (6 - 3), 8 * (10 - 3)
    assert both.rho == pytest.approx((weights[0] * one.rho + weights[1] * two.rho) / sum(weights))
    assert both.n == 18 + 80


def test_points_that_miss_a_student_layer_are_left_out_and_too_few_teacher_layers_say_nothing():
    gains = np.random.default_rng(4).normal(size=(6, 3))
    full = block(gains)
    kept = product(Block(full.gains[:-1], full.layers[:-1]))  # layer 5 to 2 was not tried
    assert kept.teacher.tolist() == list(range(5))
    assert kept.student.tolist() == [0, 1, 2]
    once = product(Block(full.gains[:8], np.array([[t, 0] for t in range(6)] + [[0, 1], [1, 1]])))
    assert (once.gains.shape, once.student.tolist()) == ((6, 1), [0])
    few = gains[: FEWEST - 1]
    assert product(block(few)) is None
    assert ease([block(few)], [few]) is None
    assert explained_by_depth([block(few)]) is None


def test_what_depth_alone_explains():
    rng = np.random.default_rng(5)
    depth = layered(rng, 8, 4, trend=2.0, bend=1.0, noise=0.0)
    assert explained_by_depth([block(depth)]) == pytest.approx(1.0)
    assert ease([block(depth)], [rng.normal(size=(8, 4))]) is None  # nothing is left to go with
    assert explained_by_depth([block(rng.normal(size=(40, 30)))]) < 0.15
