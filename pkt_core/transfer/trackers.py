"""Experiment trackers through Accelerate: each step of a run is also logged to TensorBoard, W&B, MLflow or trackio."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pkt_core.errors import PlanError
from pkt_core.transfer.plan import TransferPlan

TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio")


class Tracker:
    """Logs to one tracker, or none. Raises PlanError where it is not known, not installed, or does not start."""

    def __init__(self, name: str | None, folder: Path, run: str, plan: TransferPlan):
        self.accelerator: Any = None
        if name is None:
            return
        from accelerate import Accelerator
        from accelerate.tracking import get_available_trackers

        there = [tracker.value for tracker in get_available_trackers()]
        if name not in TRACKERS or name not in there:
            raise PlanError(
                f"Got tracker {name}; installed here: {', '.join(t for t in there if t in TRACKERS) or 'none'}. "
                f"Install it with pip, or choose one of those."
            )
        self.accelerator = Accelerator(log_with=name, project_dir=str(folder))
        config = {"run": run, "plan": json.dumps(plan.model_dump(mode="json"))}
        try:
            self.accelerator.init_trackers("pkt", config=config)
        except Exception as error:  # each has its own kinds: no server, no login, a store it no longer writes to
            reason = " ".join(str(error).split())[:300]
            raise PlanError(
                f"The tracker {name} could not be started ({reason}). Set it up, or run without it."
            ) from error

    def tell(self, event: dict[str, Any]) -> None:
        """One step: each term of the loss, the alignment, recall where it was probed."""
        if self.accelerator is None:
            return
        values = {f"loss/{name}": value for name, value in event["terms"].items()}
        values |= {f"recall/{name}": value for name, value in event.get("recall", {}).items()}
        if event["alignment"] is not None:
            values["alignment"] = event["alignment"]
        self.accelerator.log(values, step=event["step"])

    def end(self) -> None:
        """Close it."""
        if self.accelerator is not None:
            self.accelerator.end_training()
