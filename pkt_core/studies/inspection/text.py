"""What a state encodes, in words: answers, captions and tables."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pandas as pd

from pkt_core.alignment.choice import BasisChoice
from pkt_core.studies.inspection.figures import spaces
from pkt_core.studies.inspection.record import BasisOptions, Crossing, HeadFacts, Inspection, Option, SideOption, Space
from pkt_core.words.style import number, percent, visible

READING = (
    "Each cell is a token whose basis is near the layer's state; colour and number are the cosine of the two. The frame marks the chosen "
    "layers; hover gives the logit lens. The panel called meaningless is the control: the same map with each teacher token recomposed as "
    "some other student token. If the carried reading makes no more sense than that one, the map carries no meaning at this token."
)
TRAJECTORY = (
    "Above, the place of a token among all tokens of the vocabulary (1 is nearest); below, its coefficient, and in grey the nearest token of each "
    "layer by name. Dotted: the middle place, and the cosine that the nearest of as many random bases would have by chance. A grey line at that "
    "level says nothing by its names, and a followed token that stays near the middle place is not in the state."
)
DIFFERENCES = (
    "The tokens on which the teacher's state, carried into the student's space, and the student's own state differ most, at the chosen layers. "
    "Blue bars: more of it in the teacher; orange: more of it in the student. Grey crosses: the same tokens with the vocabulary permuted; dotted, the "
    "largest difference that this control shows on any token. Bars that end within the dotted lines are what a meaningless vector would show too."
)
LAYERS = (
    "The nearest vocabulary token of each layer's state at the token before the framed one, which is where the framed one is decided; cosines with the basis. "
    "Rank: place of the token that came among all tokens, 1 is nearest. If no trained layer or one above it changed, the change does not sit at this token."
)
OPTIONS = (
    "One row per way of making bases; teacher / student in one cell; bold is the one in use. Residual: largest error of pinv(W) W = I. Recomposition: mean "
    "over layers. Names the prediction: share of prompts where the last layer's nearest basis is the token the model itself predicts. Map cosine: carried "
    "teacher with student at the chosen layers, beside the mean and spread of the same with the vocabulary permuted. The paper leaves all three choices "
    "open; its literal reading is the first row. A choice whose map cosine lies within its control's spread carries nothing."
)


def inspected(inspection: Inspection) -> str:
    """What the chosen layers mean at the token, and whether the carried teacher meets the student there."""
    teacher, student = inspection.layers

    def nearest(space: Space, layer: int) -> str:
        name, value = space.top[layer][0]
        return f"“{visible(name)}” ({number(value)}, by chance {number(space.nearest_by_chance)})"

    token = inspection.teacher.tokens[inspection.teacher.token][0]
    readings = (
        f"At “{visible(token)}”, teacher layer {teacher} reads {nearest(inspection.teacher.own, teacher)}, student layer {student} reads "
        f"{nearest(inspection.student.own, student)}"
    )
    crossing, meeting = inspection.crossing, inspection.meeting
    if crossing is None or meeting is None:
        return f"{readings}. {inspection.why_not}"
    verdict = "more than chance" if meeting.beyond_chance else "no more than chance"
    return (
        f"{readings}. Carried over, the teacher's state reads {nearest(crossing.carried, teacher)} and meets the student's own at cosine "
        f"{number(meeting.cosine)}: {verdict} (control {number(meeting.control)}, random directions ±{number(meeting.random)})."
    )


def layers_changed(inspection: Inspection, n_changed: int) -> str:
    """How many layers changed their top semantic token at one token; for a student that was read after a run."""
    before, after = inspection.student, inspection.after
    assert after is not None, "only what was read after a run can have changed"
    return (
        f"At “{visible(before.tokens[before.token][0])}”, which decides what comes next, {n_changed} of {before.n_layers} layers changed "
        f"their top semantic token; the student predicted “{visible(before.predicted[0])}” before and “{visible(after.predicted[0])}” after."
    )


def head_in_words(head: HeadFacts, side: str) -> str:
    """One model's head in words: tied or not, its norm, its rank."""
    tied = (
        "is tied: it is the token embedding itself, so input rows and output bases differ only by the pseudoinverse"
        if head.tied
        else "is its own matrix, apart from the token embedding"
    )
    norm = {
        "none": "no final norm, so gain and norm change nothing",
        "root mean square": "a root-mean-square final norm",
        "layer": "a final layer norm, which also takes away the mean",
    }[head.norm]
    extra = " and a bias" * head.norm_bias + (
        f"; logits are capped at {head.softcap:g}, which keeps their order" if head.softcap else ""
    )
    return f"The {side}'s head ({head.vocabulary:,} x {head.d_model}, rank {head.rank}) {tied}; {norm}{extra}."


def reading_table(inspection: Inspection) -> pd.DataFrame:
    """One row per reading, layer and place."""
    return pd.DataFrame(
        [
            {"reading": name, "layer": layer, "place": place, "token": text, "coefficient": value}
            for name, (_, space, _) in spaces(inspection).items()
            for layer, row in enumerate(space.top)
            for place, (text, value) in enumerate(row, 1)
        ]
    )


def lens_table(inspection: Inspection) -> pd.DataFrame:
    """One row per layer: what each model would say next if this layer were its last."""
    columns = {
        who.capitalize(): [
            ", ".join(f"{visible(text)} {number(p)}" for text, p in row[:3]) for row in reversed(reader.lens)
        ]
        for who, reader in inspection.readers.items()
        if reader.lens
    }
    depth = max(map(len, columns.values()), default=0)
    both = {}
    for who, rows in columns.items():
        both[f"{who} layer"] = [str(layer) for layer in reversed(range(len(rows)))]
        both[who] = rows
    return pd.DataFrame({key: [*value, *[""] * (depth - len(value))] for key, value in both.items()})


def trajectory_table(inspection: Inspection) -> pd.DataFrame:
    """One row per reading, followed token and layer."""
    return pd.DataFrame(
        [
            {"reading": name, "layer": layer, "token": one.name, "why": one.why, "rank": rank, "coefficient": cosine}
            for name, (_, space, _) in spaces(inspection).items()
            for one, ranks, cosines in zip(inspection.followed, space.ranks, space.cosines, strict=True)
            if ranks is not None and cosines is not None
            for layer, (rank, cosine) in enumerate(zip(ranks, cosines, strict=True))
        ]
    )


def difference_table(crossing: Crossing) -> pd.DataFrame:
    """One row per token, largest difference first."""
    table = pd.DataFrame(crossing.differences)
    return table.assign(difference=table["carried"] - table["own"])


def layers_table(inspection: Inspection) -> pd.DataFrame:
    """The top semantic token of each student layer before and after a run at one token, changed ones first."""
    assert inspection.after is not None, "only what was read after a run can have changed"
    before, after = inspection.student.own, inspection.after.own
    asked = next((i for i, one in enumerate(inspection.followed) if one.asked), None)
    ranks = None if asked is None else (before.ranks[asked], after.ranks[asked])
    rows = []
    for layer, (old, new) in enumerate(zip(before.top, after.top, strict=True)):
        row: dict[str, Any] = {"layer": layer, "changed": old[0][0] != new[0][0]}
        row |= {"before": old[0][0], "before_cosine": old[0][1], "after": new[0][0], "after_cosine": new[0][1]}
        if ranks and ranks[0] is not None and ranks[1] is not None:
            row |= {"rank_before": ranks[0][layer], "rank_after": ranks[1][layer]}
        rows.append(row)
    return pd.DataFrame(rows).sort_values("changed", ascending=False, kind="stable", ignore_index=True)


def cell(grid: list[list[float]] | None, layers: tuple[int, int]) -> float | None:
    """A grid at a pair of layers; None where there is no grid."""
    return None if grid is None else grid[layers[0]][layers[1]]


def options_table(measured: BasisOptions, layers: tuple[int, int]) -> pd.DataFrame:
    """One row per way of making bases, all numbers; the map's at a pair of layers."""

    def sides(option: Option) -> dict[str, Any]:
        return {
            f"{who}_{field.name}": getattr(side, field.name, None)
            for field in fields(SideOption)
            for who, side in (("teacher", option.teacher), ("student", option.student))
        }

    return pd.DataFrame(
        [
            {"gain": option.gain, "norm": option.norm, "ridge": option.ridge}
            | sides(option)
            | {
                "cosine": cell(option.cosine, layers),
                "control": cell(option.control, layers),
                "control_spread": cell(option.control_spread, layers),
                "refused": option.refused,
            }
            for option in measured.options
        ]
    )


def small(value: float) -> str:
    """A residual: digits where they say something, else the power of ten."""
    return number(value, 4) if value >= 1e-3 else f"{value:.0e}".replace("e-0", "e-").replace("-", "−")


def options_shown(measured: BasisOptions, chosen: BasisChoice, layers: tuple[int, int]) -> pd.DataFrame:
    """The same for the screen, teacher / student in one cell, the chosen row in bold (Markdown)."""
    rows = []
    for option in measured.options:
        row = {
            "Gain": "folded in" if option.gain else "left out",
            "Final norm": "applied" if option.norm else "not applied",
            "Ridge": f"{option.ridge:g}",
        }
        if option.teacher is None or option.student is None:
            row["Condition"] = "rank too small, needs a ridge"
        else:
            sides = (option.teacher, option.student)
            row |= {
                "Condition": " / ".join(number(side.solved_condition_number, 1) for side in sides),
                "Residual": " / ".join(small(side.residual) for side in sides),
                "Recomposition": " / ".join(number(side.recomposition, 3) for side in sides),
                "Names the prediction": " / ".join(percent(side.top1) for side in sides),
                "Map cosine": number(cell(option.cosine, layers), 3),
                "Control": " ± ".join(
                    number(cell(grid, layers), 3) for grid in (option.control, option.control_spread)
                ),
            }
        bold = option.choice == chosen
        rows.append({key: f"**{value}**" if bold else value for key, value in row.items()})
    return pd.DataFrame(rows).fillna("")
