"""Records survive JSON, and what is no record of this version is one sentence; what is stored is computed once."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import recorded_results

from pkt_core.base.arrays import Table, Vector
from pkt_core.base.records import from_json, to_json
from pkt_core.base.store import memo, save_artefact
from pkt_core.errors import StoreError
from pkt_core.similarity.facts import MeasureFacts
from pkt_core.similarity.grid import GridChange, SimilarityGrid
from pkt_core.studies.comparison.record import Comparison


@dataclass(frozen=True)
class Inner:
    at: tuple[int, int]
    values: list[float | None]


@dataclass(frozen=True)
class Outer:
    name: str
    parts: dict[str, Inner]
    p: float | None = None


RECORD = Outer("a", {"x": Inner((1, 2), [0.1, None, float("inf")])}, 0.5)


def test_a_record_comes_back_from_json_as_it_was():
    told = json.loads(json.dumps(to_json(RECORD)))
    assert from_json(Outer, told, "It") == RECORD


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda told: told | {"later": 1}, "field 'later', which Outer of this version does not have"),
        (
            lambda told: told | {"parts": {"x": told["parts"]["x"] | {"deep": 1}}},
            r"field 'parts\.x\.deep', which Outer of this version does not have",
        ),
        (
            lambda told: {k: v for k, v in told.items() if k != "name"},
            r"not a valid Outer of this version \(name: Field required",
        ),
        (lambda told: told | {"parts": {"x": {"at": [1], "values": []}}}, r"parts\.x\.at"),
        (lambda _: [], "not a valid Outer of this version"),
    ],
)
def test_what_is_no_record_of_this_version_is_one_sentence(change, sentence):
    with pytest.raises(StoreError, match=sentence):
        from_json(Outer, change(to_json(RECORD)), "It")


def test_what_is_stored_is_computed_once_and_again_where_it_cannot_be_read(caplog):
    made: list[int] = []

    def make() -> Outer:
        made.append(1)
        return RECORD

    assert memo("outer", "k", Outer, make) == memo("outer", "k", Outer, make) == RECORD
    assert len(made) == 1
    save_artefact("outer", "k", {}, to_json(RECORD) | {"later": 1})
    assert memo("outer", "k", Outer, make) == RECORD
    assert len(made) == 2
    assert "computed again" in caplog.text


def number(chance: random.Random) -> float:
    """Any, the odd ones often."""
    return chance.choice([math.nan, math.inf, -math.inf, 0.0, chance.gauss(0, 1), 10 ** chance.uniform(-300, 300)])


def made(hint: Any, chance: random.Random) -> Any:
    """A value of a type, records and their fields included."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint in (Table, Vector):
        shape = [chance.randint(1, 3), chance.randint(1, 3)] if hint == Table else [chance.randint(1, 4)]
        return np.array([number(chance) for _ in range(math.prod(shape))]).reshape(shape)
    if origin is list:
        return [made(parts[0], chance) for _ in range(chance.randint(0, 3))]
    if origin is tuple:
        return tuple(made(part, chance) for part in parts)
    if origin is dict:
        return {made(parts[0], chance): made(parts[1], chance) for _ in range(chance.randint(0, 2))}
    if origin is Literal:
        return chance.choice(parts)
    if origin in (Union, UnionType):
        return made(chance.choice(parts), chance)
    if origin is not None:  # a generic record: the same of both models
        return origin(made(parts[0], chance), made(parts[0], chance))
    if is_dataclass(hint):
        hints = get_type_hints(hint, include_extras=True)
        return hint(**{one.name: made(hints[one.name], chance) for one in fields(hint)})
    text = chance.choice(["", "a", "<b>|\n$x$", "\u00e9\u6771"])
    return {float: number(chance), int: chance.randint(-9, 9), str: text, bool: chance.random() < 0.5}.get(hint)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", [Comparison, SimilarityGrid, GridChange, MeasureFacts], ids=lambda kind: kind.__name__)
def test_any_record_of_a_comparison_comes_back_from_json_field_by_field(kind, seed):
    record = made(kind, random.Random(seed))
    same(from_json(kind, json.loads(json.dumps(to_json(record))), "It"), record)


def test_a_grid_without_a_null_comes_back_without_one():
    grid = recorded_results.grid(null_max=np.array([]), null_mean=None)
    same(from_json(SimilarityGrid, json.loads(json.dumps(to_json(grid))), "It"), grid)


def same(one: object, other: object) -> None:
    """Equal, arrays and not-a-number included."""
    assert type(one) is type(other)
    if is_dataclass(one):
        for each in fields(one):
            same(getattr(one, each.name), getattr(other, each.name))
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            same(*pair)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        same(list(one.values()), list(other.values()))
    else:
        assert one == other or (one != one and other != other)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"values": [[0.1, 0.2], [0.3]]}, r"not a valid SimilarityGrid of this version \(values: .*inhomogeneous"),
        ({"values": [0.1, 0.2]}, r"values: .*1 dimensions of numbers, expected 2"),
        ({"null_max": "many"}, r"null_max: "),
        ({"p_cells": {"0": 1}}, r"p_cells: .*no table of numbers"),
        ({"recipe": {"estimator": "e"}}, r"recipe\.interval: Field required"),
        ({"best_of": 3}, "field 'best_of', which SimilarityGrid of this version does not have"),
    ],
)
def test_a_grid_that_is_none_is_one_sentence(change, sentence):
    with pytest.raises(StoreError, match=sentence):
        from_json(SimilarityGrid, to_json(recorded_results.grid()) | change, "It")


def test_what_was_stored_of_a_value_that_is_worked_out_is_passed_over():
    """Grids of before hold `best` and `noise_level`; what the numbers say counts."""
    grid = recorded_results.grid()
    stored = to_json(grid)
    assert (stored["best"], stored["noise_level"]) == (list(grid.best), grid.noise_level)
    for changed in (stored | {"best": [0, 0, 9.0]}, {k: v for k, v in stored.items() if k != "best"}):
        assert from_json(SimilarityGrid, changed, "It").best == grid.best
