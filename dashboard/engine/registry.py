"""Which record each function of the engine answers with, so that pages get typed results and not their JSON.

Names are resolved when an answer is read, so that the dashboard loads only what it shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pkt_core.base.records import from_json

RECORDS: dict[str, str] = {
    "latent_map": "pkt_core.studies.latent_map.record.LatentMap",
    "chain_map": "pkt_core.studies.latent_map.record.ChainMap",
    "turnover": "pkt_core.studies.latent_map.record.TurnoverTable",
}
"""Module and class by the name of the function."""


def read(function: str, answer: Mapping[str, Any]) -> Any:
    """The record in an answer of the engine. Raises StoreError where it is none of this version."""
    module, _, name = RECORDS[function].rpartition(".")
    return from_json(getattr(import_module(module), name), answer, f"The answer to {function}")
