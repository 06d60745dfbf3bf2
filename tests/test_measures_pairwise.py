"""Whole grids and their null: the same numbers as pair by pair, without repeating a layer's own work."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from calibrated_similarity import calibrate_layers
from measured import noise, takes
from torch.testing import assert_close

from pkt_core.errors import MeasureError
from pkt_core.similarity import kernels, measures
from pkt_core.similarity.measures import MEASURES, measure
from pkt_core.similarity.pairwise import grid_of, null_of

ALL = pytest.mark.parametrize("name", list(MEASURES))
N = 24


def layers():
    """Three layers of seven dimensions and two of five, the later ones explained by the earlier."""
    x, steps = noise(N, 7, 7, seed=0)
    teacher = [x, x + 0.5 * steps, torch.tanh(x + steps) + 0.3]
    mixing = noise(7, 5, 5, seed=1)[0]
    return teacher, [x @ mixing, (x @ mixing).abs() + 0.2 * noise(N, 5, 5, seed=2)[1]]


def orders(count=4, n=N):
    return torch.rand(count, n, generator=torch.Generator().manual_seed(0)).argsort(-1)


@ALL
def test_a_grid_is_its_pairs(name):
    teacher, student = layers()
    reading = takes(name, teacher[0], student[0])
    seen = []
    grid = grid_of(name, teacher, student, reading, lambda label, done: seen.append((label, done)))
    assert grid.shape == (3, 2)
    for i, x in enumerate(teacher):
        for j, y in enumerate(student):
            assert_close(float(grid[i, j]), measure(name, x, y, reading), atol=1e-6, rtol=0)
    assert [done for _, done in seen] == sorted(done for _, done in seen)
    assert seen[-1] == ("Comparing layers", 1.0)


@ALL
def test_a_null_is_the_grid_of_reordered_samples(name):
    teacher, student = layers()
    reading = takes(name, teacher[0], student[0])
    for first, second in (
        (teacher, student),
        (teacher[:1], student),
    ):  # the side with fewer layers is the one that moves
        null = null_of(name, first, second, orders(), reading)
        for p, order in enumerate(orders()):
            expected = grid_of(name, first, [y[order] for y in second], reading)
            assert_close(null.cells[p], expected, atol=2e-6, rtol=0)
        assert null.best.shape == (4,)
        assert null.row_best.shape == (4, len(first))
        best = torch.amax if MEASURES[name].larger_is_closer else torch.amin
        assert_close(null.best, best(null.cells, (1, 2)))
        assert_close(null.row_best, best(null.cells, 2))
    still = null_of(name, teacher, student, torch.arange(N)[None], reading)
    assert_close(still.cells[0], grid_of(name, teacher, student, reading), atol=2e-6, rtol=0)


def test_a_null_in_pieces_is_the_null(monkeypatch):
    teacher, student = layers()
    whole = null_of("debiased_linear_cka", teacher, student, orders())
    monkeypatch.setattr(kernels, "AT_A_TIME", 64)
    assert_close(null_of("debiased_linear_cka", teacher, student, orders()).cells, whole.cells, atol=1e-6, rtol=0)


@ALL
def test_moving_a_prepared_layer_is_preparing_the_moved_layer(name):
    teacher, student = layers()
    record = MEASURES[name].with_reading(takes(name, teacher[0], student[0]))
    prepare = record.prepare_student or record.prepare
    x, y, order = record.prepare(teacher[1]), student[1], orders(1)[0]
    moved = record.compare(x, record.permute(prepare(y), order))
    assert_close(moved, record.compare(x, prepare(y[order])), atol=1e-6, rtol=0)
    assert abs(moved - record.compare(x, prepare(y))) > 1e-4


@ALL
def test_each_layers_own_work_is_done_once(name, monkeypatch):
    teacher, student = layers()
    calls = []

    def counting(prepare):
        return lambda x: calls.append(1) or prepare(x)

    record = MEASURES[name].with_reading(takes(name, teacher[0], student[0]))
    counted = replace(
        record,
        sides=None,
        prepare=counting(record.prepare),
        prepare_student=counting(record.prepare_student or record.prepare),
    )
    monkeypatch.setitem(measures.MEASURES, name, counted)
    null_of(name, teacher, student, orders())
    assert len(calls) == 5


@ALL
def test_a_layer_that_does_not_vary_is_nan_and_spoils_no_other(name):
    teacher, student = layers()
    reading = takes(name, teacher[0], student[0])
    whole = grid_of(name, teacher, student, reading)
    broken = [teacher[0], torch.full((N, 7), 0.1), teacher[2]]
    grid = grid_of(name, broken, student, reading)
    assert grid[1].isnan().all()
    assert_close(grid[[0, 2]], whole[[0, 2]])
    null = null_of(name, broken, student, orders(), reading)
    assert null.cells[:, 1].isnan().all()
    assert null.best.isfinite().all()
    assert grid_of(name, broken[1:2], student, reading).isnan().all()


def test_the_null_of_the_maximum_is_calibrated_similaritys():
    """calibrated-similarity 0.1.1, given the same permutations: its threshold is an order statistic of null and observed."""
    teacher, student = layers()
    given = orders(39)
    grid, null = (
        grid_of("debiased_linear_cka", teacher, student),
        null_of("debiased_linear_cka", teacher, student, given),
    )
    drawn = iter(given)
    _, p, threshold = calibrate_layers(
        teacher,
        student,
        lambda x, y: measure("debiased_linear_cka", x, y),
        K=39,
        perm_fn=lambda n, device: next(drawn),  # noqa: ARG005
    )
    combined = torch.cat([null.best, grid.max()[None]]).sort().values
    assert_close(float(threshold), float(combined[int(np.ceil(0.95 * 40)) - 1]), atol=1e-5, rtol=0)
    assert_close(float(p), (1 + int((null.best >= grid.max()).sum())) / 40)


def test_noise_lies_within_its_null_and_relation_beyond():
    x, y = noise(60, 30, 40, seed=0)
    teacher, student = [x, x + y[:, :30]], [y[:, :20], torch.tanh(y)]
    for name in ("debiased_linear_cka", "mutual_knn", "procrustes"):
        closer = 1 if MEASURES[name].larger_is_closer else -1
        for first, related in ((teacher[:1], False), (teacher, True)):
            values = grid_of(name, first, student) * closer
            best = null_of(name, first, student, orders(60, 60)).best * closer
            assert (float(values.max()) > float(best.quantile(0.99))) == related


@pytest.mark.parametrize(
    ("teacher", "student", "given", "words"),
    [
        ([], [np.ones((5, 2))], orders(1, 5), "Got 0 teacher and 1 student layers"),
        ([np.eye(5)], [np.eye(6)], orders(1, 5), "Got 5 and 6 rows"),
        ([np.eye(5), np.eye(7)], [np.eye(5)], orders(1, 5), "Got 5 and 7 rows"),
        ([np.eye(3)], [np.eye(3)], orders(1, 3), "Got 3 samples; expected at least 4"),
        ([np.eye(5)], [np.eye(5) * np.nan], orders(1, 5), "student's activations hold values that are not numbers"),
        ([np.eye(5)], [np.eye(5)], orders(1, 4), "expected rows that each hold 0..4 once"),
        ([np.eye(5)], [np.eye(5)], torch.zeros(2, 5).long(), "expected rows that each hold 0..4 once"),
    ],
)
def test_what_is_no_grid_is_one_sentence(teacher, student, given, words):
    with pytest.raises(MeasureError, match=words):
        null_of("debiased_linear_cka", teacher, student, given)
