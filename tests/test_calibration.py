"""Calibration: values worked out on paper, scikit-learn's curve as judge, a calibrated and an overconfident model."""

from dataclasses import replace

import numpy as np
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from torch.testing import assert_close

from pkt_core.evaluation.calibration import bins, calibration, ece


def test_two_bins_have_the_values_worked_out_on_paper():
    said, came = [0.2, 0.4, 0.6, 0.8], [False, True, True, True]
    # widths 0..0.5 and 0.5..1: confidence 0.3 and 0.7, right 1/2 and 1: (2 * 0.2 + 2 * 0.3) / 4 = 0.25
    assert_close(ece(bins(said, came, "width", 2)), 0.25)
    # Brier: (0.04 + 0.36 + 0.16 + 0.04) / 4
    assert_close(calibration(said, came).brier, 0.15)
    assert [one.n for one in bins(said, came, "mass", 2)] == [2, 2]
    assert bins([1.0], [True], "width", 10)[0].n == 1  # certainty belongs to the last bin


def test_scikit_learn_draws_the_same_curves():
    rng = np.random.default_rng(0)
    said = rng.uniform(size=500)
    came = rng.uniform(size=500) < said**2
    for kind, strategy in (("width", "uniform"), ("mass", "quantile")):
        rate, confidence = calibration_curve(came, said, n_bins=10, strategy=strategy)
        found = bins(said, came, kind, 10)
        assert_close([one.rate for one in found], rate.tolist(), atol=1e-9, rtol=0)
        assert_close([one.confidence for one in found], confidence.tolist(), atol=1e-9, rtol=0)
    assert_close(calibration(said, came).brier, brier_score_loss(came, said))


def test_a_calibrated_model_is_near_zero_and_an_overconfident_one_is_not():
    rng = np.random.default_rng(1)
    said = rng.uniform(size=20_000)
    came = rng.uniform(size=20_000) < said
    good, bad = calibration(said, came), calibration(np.sqrt(said), came)
    for found in (good.ece_width, good.ece_mass):
        assert found < 0.02
    for found in (bad.ece_width, bad.ece_mass):
        assert found > 0.1
    assert all(one.low <= one.rate <= one.high for one in good.curve)
    inside = [one.low <= one.confidence <= one.high for one in good.curve]
    assert sum(inside) >= 8  # of ten 95 % intervals
    assert not any(one.low <= one.confidence <= one.high for one in bad.curve[:5])


def test_a_model_is_overconfident_or_modest_only_beyond_a_margin():
    def told(confidence, rate):
        one = replace(calibration([0.5, 0.5], [True, False]), confidence=confidence, rate=rate)
        return one.overconfident, one.modest

    assert told(0.6, 0.5) == (True, False)
    assert told(0.5, 0.6) == (False, True)
    assert told(0.51, 0.5) == told(0.5, 0.51) == (False, False)
