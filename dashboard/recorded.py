"""Recorded results of the demo pair, shown before anything is computed here; made by `assets/recorded/record.py`."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import streamlit as st

from dashboard import access
from pkt_core.base.records import from_json
from pkt_core.errors import PathError, StoreError
from pkt_core.similarity.facts import MeasureFacts
from pkt_core.similarity.grid import SimilarityGrid
from pkt_core.studies.alignment_maps.record import MapComparison, StitchedGrid
from pkt_core.studies.comparison.record import Comparison
from pkt_core.studies.factors.record import RecordedFactors
from pkt_core.studies.families.record import RecordedFamily

T = TypeVar("T")


@st.cache_data(show_spinner=False)
def comparison() -> Comparison | None:
    """The comparison of the demo pair that ships with the project; None where it is missing or broken."""
    return record(Comparison, read("comparison.json"))


@st.cache_data(show_spinner=False)
def grids() -> dict[str, SimilarityGrid]:
    """The same comparison by every other measure, by its name; those that are missing or broken are left out."""
    return records(SimilarityGrid, read("grids.json"))


@st.cache_data(show_spinner=False)
def maps() -> MapComparison | None:
    """All alignment maps at the recorded pair of layers; None where they are missing or broken."""
    return record(MapComparison, (read("maps.json") or {}).get("maps"))


@st.cache_data(show_spinner=False)
def stitching() -> dict[str, StitchedGrid]:
    """Stitching by kind of map; kinds that are missing or broken are left out."""
    return records(StitchedGrid, (read("maps.json") or {}).get("stitching"))


@st.cache_data(show_spinner=False)
def family() -> RecordedFamily | None:
    """The family of the demo pair that ships with the project as its table; None where it is missing or broken."""
    return record(RecordedFamily, read("family.json"))


@st.cache_data(show_spinner=False)
def factors() -> RecordedFactors | None:
    """The recorded factors of transfer gain over every pair of layers of the demo pair; None where they are missing or broken."""
    return record(RecordedFactors, read("factors.json"))


@st.cache_data(show_spinner=False)
def measures() -> dict[str, MeasureFacts]:
    """Properties of each similarity measure by name, from a recorded file: importing the measures would import torch."""
    return records(MeasureFacts, read("measures.json")) or claims()


def claims() -> dict[str, MeasureFacts]:
    """The same, from the measures themselves."""
    from pkt_core.similarity.measures import MEASURES

    return {name: measure.facts for name, measure in MEASURES.items()}


def record(kind: type[T], data: object) -> T | None:
    """A recorded result as its record; None where it is missing or broken."""
    try:
        return from_json(kind, data, "The recorded result")
    except StoreError:
        return None


def records(kind: type[T], data: object) -> dict[str, T]:
    """Recorded results by name; those that are missing or broken are left out."""
    parsed = {name: record(kind, one) for name, one in data.items()} if isinstance(data, dict) else {}
    return {name: one for name, one in parsed.items() if one is not None}


def read(name: str) -> dict[str, Any] | None:
    """A file of the recordings in its JSON form; None where it is missing or broken."""
    from pkt_core.data.prompts import assets_folder

    try:
        content = json.loads(access.own(assets_folder() / "recorded" / name))
    except (PathError, ValueError):
        return None
    return content if isinstance(content, dict) else None
