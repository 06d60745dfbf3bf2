"""Stitching: no training, one layer's output moved to the mapped teacher's in closed form, no labels.

The form is that of MEMIT (Meng et al. 2023, arXiv 2210.07229); what is theirs and what is ours, and the maths, are in
`transfer/maths/closed_form.py`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from pkt_core.errors import PlanError
from pkt_core.transfer.method import Batch, Extract, Extraction, LoadedModel, Method, Pairs, Paper, Terms, Trainable
from pkt_core.transfer.plan import Part, Positions
from pkt_core.transfer.settings import MapName, Mapped


class StitchPlan(Mapped):
    """Settings of stitching."""

    method: Literal["stitch"] = "stitch"
    part: Part = "block_out"
    map: MapName = "ridge"
    positions: Positions = "all"
    strength: float = Field(1.0, ge=0, le=10)
    """Of stitch: the share of the way to the mapped teacher; 1 is all of it."""
    steer: bool = False
    """Of stitch: move every row by one steering vector (the teacher's mean on the data less its mean on general text), not each to its own mapped state."""

    @property
    def rows_matter(self) -> bool:
        return not self.steer

    def effort(self) -> dict[str, Any]:
        return {"strength": self.strength, **super().effort()}

    def check_settings(self) -> None:
        if self.steer and self.rows == "shuffled":
            raise PlanError(
                "Got rows shuffled with a steering vector, which is a mean over rows and the same in any order, so shuffling has no effect. Use paired."
            )
        super().check_settings()


def extract(extraction: Extraction, plan: StitchPlan) -> Extract:
    """`change.K [d_S, w]` for each student layer K: the change of its matrix at strength 1."""
    from pkt_core.transfer.maths.closed_form import change_matrices

    if plan.part == "attn_out":
        raise PlanError(
            "Got part attn_out with stitch, which changes the matrix an MLP ends in. Use block_out, block_delta or mlp_out."
        )
    return change_matrices(extraction, strength=plan.strength, steer=plan.steer, shuffled=plan.rows == "shuffled")


def install(student: LoadedModel, plan: StitchPlan, pairs: Pairs, extract: Extract) -> Trainable:
    """Change the matrices once; nothing trains."""
    from pkt_core.transfer.maths.closed_form import stitch

    return stitch(student, pairs, extract, plan.strength)


def terms(_batch: Batch, _plan: StitchPlan) -> Terms:
    """There is no step whose loss it could be."""
    return {}


def changed(_plan: StitchPlan, blocks: str, _n: int) -> str:
    return f"the last MLP matrix of {blocks}, in closed form"


METHOD = Method(
    plan=StitchPlan,
    order=90,
    title="Stitching",
    sentence="Stitching: no training, one layer's output moved to the mapped teacher's in closed form, no labels",
    group="No training",
    pull="no training: one matrix solved so that its block outputs the mapped teacher state, or is shifted by one steering vector (`--steer`)",
    source="ours, after MEMIT (arXiv 2210.07229)",
    how="in closed form, by changing one matrix (after MEMIT \\cite{memit2023})",
    papers=(
        Paper(
            "memit2023",
            """@inproceedings{memit2023,
  title = {Mass-Editing Memory in a Transformer},
  author = {Meng, Kevin and Sharma, Arnab Sen and Andonian, Alex and Belinkov, Yonatan and Bau, David},
  booktitle = {International Conference on Learning Representations}, year = {2023}, note = {arXiv:2210.07229}
}""",
        ),
    ),
    terms=terms,
    extract=extract,
    install=install,
    changed=changed,
)
