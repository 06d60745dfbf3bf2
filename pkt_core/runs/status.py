"""How far a run is, and whether the process that runs it still lives: one file, one writer, no reading of log text.

Not covered: where the status is kept and who may write it (`runs/folder.py`).
"""

from __future__ import annotations

import socket
import time
from typing import Annotated, Any, Literal

import psutil
from pydantic import BaseModel, ConfigDict, Field

WrittenState = Literal["queued", "running", "done", "failed", "stopped"]
State = Literal["queued", "running", "done", "failed", "stopped", "lost"]
SILENT_SECONDS = 3600.0
"""A run of another machine that wrote nothing for this long counts as lost; here its process can be looked at instead."""
CLOCK_SECONDS = 30.0
"""How far two readings of one process's start may differ, because the system clock is adjusted."""
LATEST = 9e9
"""Seconds since 1970: beyond the year 2255 a file is damaged, and tables cannot show the day."""
Time = Annotated[float, Field(ge=0, le=LATEST, allow_inf_nan=False)]
"""Seconds since 1970, or how many."""
Count = Annotated[int, Field(ge=0, le=10**12)]


class Process(BaseModel):
    """Which process, in a way that a later process with the same number is not mistaken for it."""

    model_config = ConfigDict(frozen=True)

    pid: int = Field(gt=0, lt=2**31, strict=True)
    created: Time
    """When it started, seconds since 1970."""
    host: str
    """Name of its machine."""

    @staticmethod
    def of(pid: int) -> Process:
        """The living process with this number. Raises psutil.NoSuchProcess."""
        return Process(pid=pid, created=psutil.Process(pid).create_time(), host=socket.gethostname())

    def elsewhere(self) -> bool:
        """Whether it belongs to another machine, where this one cannot look."""
        return self.host != socket.gethostname()

    def alive(self) -> bool:
        """Whether it still runs on this machine; a zombie does not, nor a later process that got its number."""
        try:
            process = psutil.Process(self.pid)
            recycled = abs(process.create_time() - self.created) > CLOCK_SECONDS
            return not self.elsewhere() and not recycled and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:  # another user's, and alive
            return not self.elsewhere()


class RunStatus(BaseModel):
    """How far a run is. Times are seconds since 1970."""

    model_config = ConfigDict(frozen=True)

    kind: str
    """What runs, for instance `transfer`."""
    state: State
    """`lost` is never written: it is what a reader concludes when the process is gone."""
    step: Count = 0
    """Steps done, 0..total_steps."""
    total_steps: Count = 0
    """0 while unknown."""
    fraction: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    """How much is done, 0..1; step / total_steps where only steps are reported."""
    message: str = ""
    """One sentence for a person."""
    created: Time
    """When the run folder was made."""
    started: Time | None = None
    """When it began to run."""
    updated: Time
    """When this status was written."""
    finished: Time | None = None
    """When it ended, in whatever way."""
    process: Process | None = None
    """Who runs it and writes this status."""
    eta_seconds: Time | None = None
    """Seconds left as of `updated`, at the mean pace since `pace_from`; None while unknown and when nothing runs."""
    pace_from: tuple[Time, Time] | None = None
    """Fraction and time of the first reported progress."""

    @property
    def pid(self) -> int | None:
        """Number of the process, None before it began."""
        return self.process.pid if self.process else None

    def begun(self, process: Process) -> RunStatus:
        """The same run at its start, run by `process`; figures of an earlier attempt are gone."""
        now = time.time()
        return RunStatus(
            kind=self.kind, state="running", created=self.created, started=now, updated=now, process=process
        )

    def advanced(
        self,
        state: WrittenState,
        *,
        step: int | None,
        total_steps: int | None,
        fraction: float | None,
        message: str | None,
    ) -> RunStatus:
        """The next status; None keeps what stands. Fills in times, fraction and remaining seconds."""
        now = time.time()
        step = self.step if step is None else step
        total_steps = self.total_steps if total_steps is None else total_steps
        if fraction is None:
            fraction = min(step / total_steps, 1.0) if total_steps else self.fraction
        changes: dict[str, Any] = {
            "state": state,
            "step": step,
            "total_steps": total_steps,
            "fraction": fraction,
            "message": self.message if message is None else message,
            "updated": now,
            "finished": now if state in ("done", "failed", "stopped") else None,
            "eta_seconds": None,
        }
        if state == "running" and fraction > 0:
            # Loading is quick beside training: its pace does not predict that of the steps, so they start a new one.
            first_step = step > 0 and self.step == 0
            since, began = changes["pace_from"] = (
                self.pace_from if self.pace_from and not first_step else (fraction, now)
            )
            left = (now - began) * (1 - fraction) / (fraction - since) if fraction > since else -1.0
            changes["eta_seconds"] = left if 0 <= left < LATEST else None  # a clock that was set back gives no estimate
        return RunStatus.model_validate(self.model_dump() | changes)

    def where(self) -> str:
        """Where it is, as the end of a sentence."""
        if self.total_steps:
            return f"at step {self.step} of {self.total_steps}"
        return f"after {self.fraction:.0%}" if self.fraction else "before its first step"
