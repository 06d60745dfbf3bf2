"""Records survive JSON, and what is no record of this version is one sentence; what is stored is computed once."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from pkt_core.base.records import from_json, to_json
from pkt_core.base.store import memo, save_artefact
from pkt_core.errors import StoreError


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
        (lambda told: told | {"later": 1}, "field 'later', which Outer of this version has not"),
        (
            lambda told: told | {"parts": {"x": told["parts"]["x"] | {"deep": 1}}},
            r"field 'parts\.x\.deep', which Outer of this version has not",
        ),
        (
            lambda told: {k: v for k, v in told.items() if k != "name"},
            r"no Outer of this version \(name: Field required",
        ),
        (lambda told: told | {"parts": {"x": {"at": [1], "values": []}}}, r"parts\.x\.at"),
        (lambda _: [], "no Outer of this version"),
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
