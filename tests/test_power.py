"""What n items can find: against simulated experiments judged by statsmodels, and by its ends."""

import math

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar

from pkt_core.evaluation.power import detectable, found


def simulated(n, discordant, change, experiments=4000):
    """The share of made-up experiments in which statsmodels' exact McNemar test says p < 0.05."""
    rng = np.random.default_rng(0)
    chances = [(discordant + change) / 2, (discordant - change) / 2, 1 - discordant]
    seen = {}
    hits = 0
    for right, wrong, _ in rng.multinomial(n, chances, size=experiments):
        key = (int(right), int(wrong))
        if key not in seen:
            seen[key] = mcnemar([[0, key[1]], [key[0], 0]], exact=True).pvalue <= 0.05
        hits += seen[key]
    return hits / experiments


@pytest.mark.parametrize(("n", "discordant"), [(40, 0.5), (164, 0.13), (164, None), (500, 0.3)])
def test_the_change_it_names_is_found_four_times_in_five(n, discordant):
    change = detectable(n, discordant)
    share = 0.5 if discordant is None else discordant
    assert simulated(n, max(share, change), change) == pytest.approx(0.8, abs=0.02)
    assert simulated(n, share, 0.5 * change) < 0.5  # a change half as large is mostly missed
    assert found(n, share, 0.0) <= 0.05  # and none at all is hardly ever "found"


def test_it_shrinks_with_n_and_grows_with_what_differs():
    assert [detectable(n) for n in (20, 40, 164, 1000)] == sorted(
        (detectable(n) for n in (20, 40, 164, 1000)), reverse=True
    )
    assert detectable(164, 0.1) < detectable(164, 0.3) < detectable(164)
    assert detectable(14042, 0.2) == pytest.approx(
        2.802 * math.sqrt(0.2 / 14042), rel=0.02
    )  # the textbook's normal approximation
    assert 0.06 < detectable(164, 0.12) < 0.09  # "with 164 problems a change under 8 points cannot be seen"


def test_its_ends():
    assert math.isinf(detectable(5))  # 5 of 5 turned right is p = 0.0625
    assert detectable(6) < 1
    # Too few items differ for any finding: the change that would show is then all in one direction, and larger than that share.
    change = detectable(50, 0.01)
    assert change > 0.01
    assert simulated(50, change, change) == pytest.approx(0.8, abs=0.02)
    assert detectable(50, 0.0) == pytest.approx(change)
    assert detectable(164, 0.2, alpha=0.01) > detectable(164, 0.2)
