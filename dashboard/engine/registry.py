"""The engine's functions: where each lives, its subject, and the record that it returns.

Names are resolved when a request or an answer is read, so that the dashboard loads only what it shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from pkt_core.base.records import from_json

RECORDS: dict[str, str] = {
    "compare": "pkt_core.studies.comparison.record.Comparison",
    "similarity": "pkt_core.similarity.grid.SimilarityGrid",
    "similarity_change": "pkt_core.similarity.grid.GridChange",
    "benchmark_board": "pkt_core.benchmarks.record.Board",
    "benchmark_sandbox": "pkt_core.benchmarks.record.Readiness",
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
    "run_controls": "pkt_core.studies.behaviour.record.Controls",
    "task_tests": "pkt_core.studies.behaviour.record.TaskTests",
    "family_table": "pkt_core.studies.families.record.FamilyTable",
    "family_members": "pkt_core.studies.families.record.PlannedFamily",
    "sweep_members": "pkt_core.studies.families.record.PlannedFamily",
    "control_plan": "pkt_core.studies.families.record.PlannedRun",
    "plan_needs": "pkt_core.transfer.record.PlanNeeds",
    "pair_room": "pkt_core.transfer.record.PairNeeds",
    "latent_map": "pkt_core.studies.latent_map.record.LatentMap",
    "chain_map": "pkt_core.studies.latent_map.record.ChainMap",
    "turnover": "pkt_core.studies.latent_map.record.TurnoverTable",
}
"""Module and class by the name of the function."""


@dataclass(frozen=True)
class Function:
    """A function of the engine."""

    place: str
    """Module and name."""
    subject: Literal["pair", "run", "plan", "none"]
    """Its first argument, opened from the request: two models by `pair`, a run by `run`, a plan by `plan`."""
    renewed_by: tuple[str, ...] = ()
    """Arguments that only serve as a cache key: the function runs again when they change."""


GLUE = "dashboard.engine.functions"
STUDIES = "pkt_core.studies"
FUNCTIONS = {
    "compare": Function(f"{STUDIES}.comparison.compute.compare", "pair"),
    "similarity": Function(f"{STUDIES}.comparison.compute.similarity", "pair"),
    "closer_look": Function(f"{STUDIES}.layer_pair.compute.closer_look", "pair"),
    "latent_map": Function(f"{STUDIES}.latent_map.compute.latent_map", "pair"),
    "chain_map": Function(f"{STUDIES}.latent_map.compute.chain_map", "pair"),
    "turnover": Function(f"{STUDIES}.latent_map.compute.turnover", "pair"),
    "alignment_maps": Function(f"{STUDIES}.alignment_maps.compute.alignment_maps", "pair"),
    "stitching": Function(f"{STUDIES}.alignment_maps.compute.stitching", "pair"),
    "picked_cell": Function(f"{STUDIES}.generations.picked.picked_cell", "pair"),
    "picked_tokens": Function(f"{STUDIES}.generations.picked.picked_tokens", "pair"),
    "picked_continuations": Function(f"{STUDIES}.generations.picked.picked_continuations", "pair"),
    "inspect_token": Function(f"{STUDIES}.inspection.compute.inspect_token", "pair"),
    "basis_options": Function(f"{STUDIES}.inspection.basis_options.basis_options", "pair"),
    "pair_room": Function("pkt_core.transfer.requirements.pair_needs", "pair"),
    "similarity_change": Function(f"{STUDIES}.comparison.change.similarity_change", "run"),
    "token_change": Function(f"{STUDIES}.token_change.compute.token_change", "run"),
    "writing": Function(f"{STUDIES}.generations.compute.writing", "run"),
    "user_task": Function(f"{STUDIES}.behaviour.user_task.user_task", "run"),
    "run_controls": Function(f"{STUDIES}.behaviour.controls.controls_of", "run", ("finished", "others")),
    "task_tests": Function(f"{STUDIES}.behaviour.controls.task_tests", "run", ("finished",)),
    "benchmark_board": Function("pkt_core.benchmarks.board.benchmark_board", "run", ("kept",)),
    "plan_needs": Function(f"{GLUE}.plan_needs", "plan"),
    "control_plan": Function(f"{GLUE}.control_plan", "plan"),
    "family_members": Function(f"{GLUE}.family_members", "plan"),
    "sweep_members": Function(f"{GLUE}.sweep_members", "plan"),
    "family_table": Function(f"{STUDIES}.families.compute.table", "none"),
    "factors": Function(f"{GLUE}.factors", "none"),
    "benchmark_sandbox": Function("pkt_core.benchmarks.tasks.benchmark_sandbox", "none"),
    "warm_projection": Function(f"{GLUE}.warm_projection", "none", ("method",)),
}
"""By the name in a request."""


def resolved(place: str) -> Any:
    """The function or class at a place."""
    module, _, name = place.rpartition(".")
    return getattr(import_module(module), name)


def read(function: str, answer: Mapping[str, Any]) -> Any:
    """The record in an answer of the engine. Raises StoreError where it does not fit this version."""
    return from_json(resolved(RECORDS[function]), answer, f"The answer to {function}")
