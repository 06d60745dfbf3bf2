"""What to say under the curves of a training: of what is drawn, which differs by method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pkt_core.report.captions import TRAINING
from pkt_core.report.figures_transfer import DECADES, every, losses

Json = Mapping[str, Any]


def training(steps: Sequence[Json]) -> str:
    """How to read the curves of these steps, and what they cannot show."""
    said = [TRAINING]
    aligned = any(step.get("alignment") is not None for step in steps)
    asked = any(step.get("recall") for step in steps)
    if aligned:
        said.append(
            "Right, the mean cosine between the trained student layer and the mapped teacher in each batch: it is what is being "
            "trained and rises by design, so only behaviour on held-out tasks can show that knowledge crossed."
        )
    if asked:
        said.append(
            f"{'Marks' if aligned else 'Right, marks'}: the share of some items of each task answered right on the way; too few "
            "for a verdict, enough to see a task being forgotten."
        )
    if not aligned and not asked:
        said.append("Nothing is drawn on the right: this method trains no cosine, and no task was asked on the way.")
    if (apart := every(steps)) > 1:
        said.append(f"Of loss and cosine, one step in {apart} is drawn.")
    values = losses(steps)
    if values and min(values) < max(values) / 10**DECADES:
        said.append(
            f"The axis of the loss ends {10**DECADES:,} times below its largest value; what is smaller is cut off."
        )
    return " ".join(said)
