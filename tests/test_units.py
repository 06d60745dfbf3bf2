"""Intervals over units: they cover what they should, a test over items of the same units does not, and seeds count as they are."""

import functools

import numpy as np
import pytest

from pkt_core.errors import MeasureError
from pkt_core.evaluation.units import mean_over_units, share_over_units, unit_means


def logistic(x):
    return 1 / (1 + np.exp(-x))


def answers(rng, n, seeds, *, base=0.0, gain=0.0, seed_spread=0.0, forms=2):
    """Answers to `forms` forms of n facts before and after: forms of one fact are alike, seeds shift all facts alike."""
    fact = rng.normal(0, 1.5, (n, 1))
    before = rng.random((n, forms)) < logistic(base + fact)
    shift = rng.normal(0, seed_spread, (seeds, 1, 1)) + rng.normal(0, 1.0, (seeds, n, 1)) + rng.normal(0, 1.0, (n, 1))
    after = rng.random((seeds, n, forms)) < logistic(base + gain + fact + shift)
    units = np.repeat(np.arange(n), forms).tolist()
    return before.reshape(-1), after.reshape(seeds, -1), units


@functools.cache
def true_difference(seed_spread, base, gain):
    rng = np.random.default_rng(99)  # one draw of many facts
    fact, shift = rng.normal(0, 1.5, 200_000), rng.normal(0, np.sqrt(2 + seed_spread**2), 200_000)
    return float((logistic(base + gain + fact + shift) - logistic(base + fact)).mean())


@pytest.mark.parametrize(("seeds", "seed_spread"), [(1, 0.0), (3, 0.0), (3, 0.4), (5, 0.4)])
@pytest.mark.parametrize("n", [20, 100, 500])
@pytest.mark.parametrize(("base", "gain"), [(0.0, 0.0), (-1.5, 2.5)])
def test_the_interval_covers_the_difference(n, seeds, seed_spread, base, gain):
    rng, draws = np.random.default_rng([n, seeds, int(10 * gain)]), 400
    true, covered = true_difference(seed_spread, base, gain), 0
    for _ in range(draws):
        before, after, units = answers(rng, n, seeds, base=base, gain=gain, seed_spread=seed_spread)
        estimate = mean_over_units(after.astype(float) - before, units)
        covered += estimate.low <= true <= estimate.high
    assert 0.92 <= covered / draws <= 0.99  # 95 %, give or take three standard errors of 600 draws and the half answers


@pytest.mark.parametrize("n", [20, 100, 500])
def test_alarms_are_as_rare_as_promised_and_a_test_over_items_raises_more(n):
    """Nothing changes on average, but the facts of one run turn together: the unit is the fact, whatever number of forms it has."""
    from statsmodels.stats.contingency_tables import mcnemar

    rng, draws = np.random.default_rng(n), 400
    over_units = over_items = 0
    for _ in range(draws):
        turned = rng.choice([-1, 0, 1], n, p=[0.3, 0.4, 0.3])
        before = np.repeat(turned < 0, 4) | np.repeat((turned == 0) & (rng.random(n) < 0.5), 4)
        after = np.repeat(turned > 0, 4) | (before & np.repeat(turned == 0, 4))
        units = np.repeat(np.arange(n), 4).tolist()
        over_units += mean_over_units(after.astype(float) - before, units).p_value < 0.05
        table = [[0, int((before & ~after).sum())], [int((~before & after).sum()), 0]]
        over_items += mcnemar(table, exact=True).pvalue < 0.05
    assert 0.02 <= over_units / draws <= 0.075
    assert over_items / draws > 0.2


def test_the_p_value_and_the_interval_agree():
    rng = np.random.default_rng(3)
    for _ in range(200):
        before, after, units = answers(rng, 25, 3, gain=rng.uniform(0, 1.5), seed_spread=0.3)
        estimate = mean_over_units(after.astype(float) - before, units)
        if abs(estimate.p_value - 0.05) > 0.001:
            assert estimate.differs == (estimate.p_value < 0.05)


def test_units_that_agree_leave_an_interval():
    estimate = mean_over_units(np.zeros(40), np.repeat(np.arange(20), 2).tolist())
    assert (estimate.value, estimate.p_value, estimate.n, estimate.n_items) == (0.0, 1.0, 20, 40)
    assert estimate.low < 0 < estimate.high < 0.15
    share = share_over_units(np.ones(40), np.repeat(np.arange(20), 2).tolist())
    assert (share.value, share.high, share.n) == (1.0, 1.0, 20)
    assert 0.75 < share.low < 0.9


def test_forms_of_one_fact_do_not_narrow_an_interval_and_independent_items_do():
    rng = np.random.default_rng(0)
    facts = rng.random(100) < 0.4
    once = share_over_units(facts, list(range(100)))
    four_times = share_over_units(np.repeat(facts, 4), np.repeat(np.arange(100), 4).tolist())
    independent = share_over_units(np.repeat(facts, 4), list(range(400)))
    assert (four_times.low, four_times.high) == pytest.approx((once.low, once.high))
    assert independent.high - independent.low == pytest.approx((once.high - once.low) / 2, rel=0.05)


def test_items_of_single_units_give_statsmodels_wilson():
    from statsmodels.stats.proportion import proportion_confint

    right = np.arange(2000) < 700
    ours = share_over_units(right, list(range(2000)))
    assert (ours.low, ours.high) == pytest.approx(proportion_confint(700, 2000, method="wilson"), abs=2e-4)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_a_share_is_covered(share):
    rng, draws, covered = np.random.default_rng(5), 1500, 0
    for _ in range(draws):
        chance = rng.beta(2 * share, 2 * (1 - share), 100)
        right = (rng.random((100, 4)) < chance[:, None]).reshape(-1)
        estimate = share_over_units(right, np.repeat(np.arange(100), 4).tolist())
        covered += estimate.low <= share <= estimate.high
    assert 0.925 <= covered / draws <= 0.975


def test_a_unit_counts_once_and_in_the_order_of_its_first_item():
    means, units = unit_means([1.0, 0.0, 1.0, 1.0], ["b", "a", "b", "b"])
    assert units == ["b", "a"]
    assert means.tolist() == [[1.0, 0.0]]


def test_what_cannot_be_resampled_is_refused():
    with pytest.raises(MeasureError, match="4 items and 2 units"):
        unit_means(np.ones(4), ["a", "b"])
    with pytest.raises(MeasureError, match="Got 1 unit .* expected at least 2"):
        mean_over_units(np.ones(4), ["a"] * 4)
