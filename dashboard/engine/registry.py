"""Which record each function of the engine answers with, so that pages get typed results and not their JSON.

Names are resolved when an answer is read, so that the dashboard loads only what it shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pkt_core.base.records import from_json

RECORDS: dict[str, str] = {
    "inspect_token": "pkt_core.studies.inspection.record.Inspection",
    "basis_options": "pkt_core.studies.inspection.record.BasisOptions",
    "factors": "pkt_core.studies.factors.record.Factors",
    "alignment_maps": "pkt_core.studies.alignment_maps.record.MapComparison",
    "closer_look": "pkt_core.studies.layer_pair.record.CloserLook",
    "stitching": "pkt_core.studies.alignment_maps.record.StitchedGrid",
    "token_change": "pkt_core.studies.token_change.record.TokenChange",
    "writing": "pkt_core.studies.generations.record.Writing",
    "picked_cell": "pkt_core.studies.generations.record.PickedCell",
    "picked_tokens": "pkt_core.studies.generations.record.PickedTokens",
    "picked_continuations": "pkt_core.studies.generations.record.PickedContinuations",
    "user_task": "pkt_core.studies.behaviour.record.UserTask",
    "latent_map": "pkt_core.studies.latent_map.record.LatentMap",
    "chain_map": "pkt_core.studies.latent_map.record.ChainMap",
    "turnover": "pkt_core.studies.latent_map.record.TurnoverTable",
}
"""Module and class by the name of the function."""


def read(function: str, answer: Mapping[str, Any]) -> Any:
    """The record in an answer of the engine. Raises StoreError where it is none of this version."""
    module, _, name = RECORDS[function].rpartition(".")
    return from_json(getattr(import_module(module), name), answer, f"The answer to {function}")
