"""What `measure` and whole grids take as activations: any table of real numbers, or one sentence."""

import numpy as np
import pytest
import torch
from measured import related
from torch.testing import assert_close

from pkt_core.errors import MeasureError
from pkt_core.similarity.measures import measure
from pkt_core.similarity.pairwise import grid_of

NAME = "debiased_linear_cka"


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[::-1][::-1],
        lambda x: x[::-1].copy()[::-1],
        lambda x: np.asfortranarray(x)[:, ::-1],
        lambda x: x.astype(">f8"),
        lambda x: x.astype(np.longdouble),
        lambda x: x.tolist(),
        lambda x: list(x),
        lambda x: list(torch.from_numpy(x)),
        lambda x: torch.from_numpy(x).requires_grad_(),
        lambda x: torch.from_numpy(x).T.contiguous().T,
    ],
)
def test_any_table_of_numbers_is_taken(change):
    x, y = (side.numpy() for side in related())
    assert_close(measure(NAME, change(x), change(y)), measure(NAME, x, y))
    assert_close(float(grid_of(NAME, [change(x)], [change(y)])[0, 0]), measure(NAME, x, y))


@pytest.mark.parametrize("kind", [bool, np.int8, np.uint16])
def test_whole_numbers_are_taken(kind):
    x = np.random.RandomState(0).randint(0, 2, (30, 5)).astype(kind)
    assert_close(measure(NAME, x, x), 1.0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, r"NoneType of object"),
        ("states.npy", r"str of <U10"),
        ([["a", "b"]] * 60, r"list of <U1"),
        ([[1.0, 2.0], [3.0]], r"got list"),
        (np.full((60, 2), None), r"ndarray of object"),
        ({"states": 1}, r"dict of object"),
        (np.ones((60, 2), dtype=complex), r"ndarray of complex128"),
        (torch.ones(60, 2, dtype=torch.complex64), r"complex64"),
        (torch.eye(60).to_sparse(), r"torch.sparse_coo"),
        (torch.ones(60, 2, device="meta"), r"float32"),
        (np.zeros((60, 2), dtype="M8[s]"), r"datetime64"),
        (np.zeros(60, dtype=[("a", float), ("b", float)]), r"got ndarray"),
    ],
)
def test_what_is_no_table_of_numbers_is_one_sentence(given, words):
    y = related()[1]
    with pytest.raises(MeasureError, match=rf"^The second activations are not a table of real numbers .*{words}"):
        measure(NAME, y, given)
    with pytest.raises(MeasureError, match=rf"^The student's activations are not a table of real numbers .*{words}"):
        grid_of(NAME, [y], [given])


def test_what_float64_cannot_hold_is_named():
    if np.finfo(np.longdouble).max == np.finfo(np.float64).max:
        pytest.skip("long double is float64 here")
    with pytest.raises(MeasureError, match="hold values that are not numbers"):
        measure(NAME, np.full((60, 2), np.longdouble(10) ** 400), related()[1])


@pytest.mark.parametrize("name", [["cka"], None, {"name": "cka"}])
def test_a_name_that_is_none_lists_those_that_exist(name):
    with pytest.raises(MeasureError, match="There is no measure .*expected one of debiased_linear_cka"):
        measure(name, *related())
