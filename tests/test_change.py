"""What a run moved in the grid: nothing where nothing moved, and the right way where something did."""

import numpy as np
import pytest
import torch
from scipy.stats import t as student_t
from torch.testing import assert_close

from pkt_core.base.records import to_json
from pkt_core.errors import MeasureError, StoreError
from pkt_core.runs.folder import create_run, open_run
from pkt_core.similarity.interval import jackknife_groups, jackknife_interval, paired_difference
from pkt_core.similarity.pairwise import grid_of
from pkt_core.studies.comparison.change import similarity_change


def naive(before, after, left_before, left_after):
    """One cell at a time; Holm by its definition."""
    groups, cells = len(left_before), [divmod(k, before.shape[1]) for k in range(before.numel())]
    error, p = torch.zeros_like(before), torch.zeros_like(before)
    for i, j in cells:
        each = [float(left_after[g, i, j] - left_before[g, i, j]) for g in range(groups)]
        error[i, j] = np.sqrt((groups - 1) / groups * sum((e - np.mean(each)) ** 2 for e in each))
        p[i, j] = 2 * student_t.sf(abs(float(after[i, j] - before[i, j])) / float(error[i, j]), groups - 1)
    order, worst, corrected = sorted(cells, key=lambda c: float(p[c])), 0.0, torch.zeros_like(p)
    for rank, cell in enumerate(order):
        worst = max(worst, min(1.0, float(p[cell]) * (len(cells) - rank)))
        corrected[cell] = worst
    margin = float(student_t.ppf(0.975, groups - 1)) * error
    return after - before, after - before - margin, after - before + margin, corrected


def grids(teacher, student, measure="debiased_linear_cka"):
    n = teacher.shape[1]
    every = [grid_of(measure, teacher[:, i], student[:, i]) for i in [torch.arange(n), *jackknife_groups(n, 1)]]
    return every[0], torch.stack(every[1:])


def test_a_rotated_student_did_not_move_one_that_learnt_came_closer_and_one_that_forgot_went_away():
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(2, 200, 12, generator=generator).double()
    noise = torch.randn(2, 200, 12, generator=generator).double()
    before = teacher + noise
    rotation = torch.linalg.qr(torch.randn(12, 12, generator=generator).double())[0]
    first = grids(teacher, before)
    found = {}
    for name, after in {
        "turned": before @ rotation,
        "learnt": teacher + noise / 2,
        "forgot": teacher + 2 * noise,
    }.items():
        second = grids(teacher, after)
        found[name] = paired_difference(first[0], second[0], first[1], second[1])
        for ours, theirs in zip(found[name], naive(first[0], second[0], first[1], second[1]), strict=True):
            if name != "turned":  # rounding over rounding
                assert_close(ours, theirs, atol=1e-9, rtol=1e-6)
    own = torch.tensor([[True, False], [False, True]])
    assert found["turned"][0].abs().max() < 1e-9
    difference, low, high, p = found["learnt"]
    assert (low[own] > 0).all()
    assert (p[own] < 0.01).all()
    assert (found["forgot"][2][own] < 0).all()
    assert (low <= difference).all()
    assert (difference <= high).all()
    assert (p[~own] > 0.05).all()  # layers that have nothing to do with each other


def test_what_cannot_move_has_p_one_and_what_cannot_be_computed_stays_so():
    before = torch.tensor([[0.5, torch.nan, 0.5]], dtype=torch.float64)
    after = torch.tensor([[0.5, 0.4, 0.9]], dtype=torch.float64)
    spread = 0.01 * torch.arange(10, dtype=torch.float64)[:, None, None]
    without = before.expand(10, 1, 3), after.expand(10, 1, 3) + spread * torch.tensor([0.0, 1.0, 1.0])
    difference, _, _, p = paired_difference(before, after, *without)
    assert p[0, 0] == 1
    assert torch.isnan(p[0, 1])
    assert torch.isnan(difference[0, 1])
    assert p[0, 2] < 0.01


def test_the_recorded_run_moved_the_trained_layer_only_and_is_not_read_twice(monkeypatch):
    found = similarity_change(open_run("demo-semalign-v1"), measure="mutual_knn", n_prompts=128)
    assert not found.difference[:, :2].any()
    assert (found.difference[:, 2] != 0).any()
    assert found.own[:2, :2].diagonal().tolist() == pytest.approx([1, 1])
    assert found.own[2, 2] < 1
    np.testing.assert_allclose(found.after - found.before, found.difference)
    monkeypatch.setattr("pkt_core.runs.student.Trained.load_all", lambda *_: pytest.fail("models were loaded again"))
    again = similarity_change(open_run("demo-semalign-v1"), measure="mutual_knn", n_prompts=128)
    assert to_json(again) == to_json(found)


def test_wrong_asks_are_one_sentence():
    with pytest.raises(StoreError, match="demo-sft keeps no trained student"):
        similarity_change(open_run("demo-sft"))
    with pytest.raises(MeasureError, match="no measure 'telepathy'"):
        similarity_change(open_run("demo-semalign-v1"), measure="telepathy")
    with pytest.raises(StoreError):
        similarity_change(create_run(open_run("demo-sft").plan()))


def test_a_jackknife_interval_of_ten_groups_covers_what_it_says_and_a_normal_one_does_not():
    """Correlations of 300 pairs, 3,000 times: 95 of 100 intervals hold the true one; with 1.96 errors only 92 do."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3000, 300, generator=generator, dtype=torch.float64)
    y = 0.6 * x + 0.8 * torch.randn(3000, 300, generator=generator, dtype=torch.float64)

    def correlation(rows):
        return torch.stack([torch.corrcoef(torch.stack([a, b]))[0, 1] for a, b in zip(x[:, rows], y[:, rows], strict=True)])  # fmt: skip

    values = correlation(torch.arange(300))[:, None]
    without = torch.stack([correlation(rows) for rows in jackknife_groups(300, 1)])[:, :, None]
    low, high = jackknife_interval(values, without)
    assert 0.94 < ((low < 0.6) & (high > 0.6)).double().mean() < 0.96
    normal = (high - values) * 1.959964 / 2.262157
    assert ((values - 0.6).abs() < normal).double().mean() < 0.93
