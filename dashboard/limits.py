"""What a visitor may do here: which folders a page may read, and with `pkt app --demo` which models, lengths and jobs.

The host wants to put the app before strangers without handing them the machine; the researcher wants to open models and files
of their own without a thought. Both are settings of the process (`PKT_FOLDERS`, `PKT_DEMO`), so no link can change them.

Not covered: who may visit at all; the app binds to this machine unless it is told otherwise (`.streamlit/config.toml`).
"""

from __future__ import annotations

import os
from typing import Any

from pkt_core.errors import PlanError

MOST_PROMPTS, MOST_STEPS, MOST_WAITING, MOST_CHARACTERS = 512, 300, 2, 4000
"""Of a public demo: prompts of a comparison, steps of a transfer, runs that wait, characters of a text."""


def demo() -> bool:
    """Whether this is a public demo: bundled models and prompts only, short runs, few at a time."""
    return os.environ.get("PKT_DEMO", "") not in ("", "0", "false")


def require_short(plan: Any) -> None:
    """Raises PlanError in a demo for a run that would keep others waiting."""
    from pkt_core import waiting

    if not demo():
        return
    if plan.total_steps > MOST_STEPS:
        raise PlanError(f"Got {plan.total_steps} steps; this public demo runs at most {MOST_STEPS}. Lower the steps.")
    if len(waiting.waiting()) >= MOST_WAITING:
        raise PlanError(
            f"{MOST_WAITING} runs wait already, as many as this public demo lets wait. Try again in some minutes."
        )
