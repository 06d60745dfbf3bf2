"""What a state encodes: headline, captions and tables."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pandas as pd

from pkt_core.alignment.choice import BasisChoice
from pkt_core.studies.inspection.figures import spaces
from pkt_core.studies.inspection.record import BasisOptions, Crossing, HeadFacts, Inspection, Option, SideOption, Space
from pkt_core.words.style import number, percent, visible

READING = (
    "Each cell is a token whose basis is near the layer's state; colour and number are their cosine. The frame marks the chosen "
    "layers; hover shows the logit lens. The permuted panel is the control: the same map with each teacher token assigned to "
    "another student token. If the mapped tokens make no more sense than the control's, the map preserves no meaning at this token."
)
TRAJECTORY = (
    "Above: rank of a token in the vocabulary (1 is nearest); below: its coefficient, and in grey the nearest token of each layer. Dotted: the "
    "middle rank, and the expected cosine of the nearest of equally many random bases. Where the grey line is at that level, the token names carry "
    "no information. A followed token that stays near the middle rank is not encoded in the state."
)
DIFFERENCES = (
    "Tokens on which the teacher's state, mapped into the student's space, and the student's own state differ most, at the chosen layers. "
    "Blue bars: larger in the teacher; orange: larger in the student. Grey crosses: the same tokens with the vocabulary permuted; dotted: the "
    "largest difference of this control on any token. Bars within the dotted lines are no larger than those of a meaningless vector."
)
LAYERS = (
    "The nearest vocabulary token of each layer's state at the token before the framed one, where the framed one is predicted; cosines with the basis. "
    "Rank: rank of the actual token among all tokens, 1 is nearest. If neither the trained layer nor any layer above it changed, the change is not at this token."
)
OPTIONS = (
    "One row per way of computing bases; teacher / student in one cell; bold is the one in use. Residual: largest error of pinv(W) W = I. Recomposition: mean "
    "over layers. Matches prediction: share of prompts where the last layer's nearest basis is the token the model predicts. Map cosine: mapped "
    "teacher with student at the chosen layers. Control: mean ± spread of that with the vocabulary permuted. The paper leaves all three choices "
    "open; its literal reading is the first row. A map cosine within the control's spread refutes that the map preserves meaning."
)


def inspected(inspection: Inspection) -> str:
    """Headline: the rank of a followed token in the mapped teacher state, with its control; without a map, why there is none."""
    crossing, layer = inspection.crossing, inspection.layers[0]
    if crossing is None:
        return str(inspection.why_not)
    followed = zip(inspection.followed, crossing.carried.ranks, crossing.permuted.ranks, strict=True)
    ranked = [(token, ranks, permuted) for token, ranks, permuted in followed if ranks and permuted]
    if not ranked:
        return (
            "The student's vocabulary has none of the followed tokens, so the mapped teacher state has no rank to show."
        )
    token, ranks, permuted = next((one for one in ranked if one[0].asked), ranked[0])
    return (
        f"Mapped into the student, the teacher's state has “{visible(token.name)}” at rank {ranks[layer]:,} of "
        f"{crossing.carried.n_tokens:,} (permuted map: rank {permuted[layer]:,})."
    )


def readings(inspection: Inspection) -> str:
    """Nearest tokens of the chosen layers at the token, and the cosine of the mapped teacher state with the student's."""
    teacher, student = inspection.layers

    def nearest(space: Space, layer: int) -> str:
        name, value = space.top[layer][0]
        return f"“{visible(name)}” ({number(value)}, chance {number(space.nearest_by_chance)})"

    token = inspection.teacher.tokens[inspection.teacher.token][0]
    sentence = (
        f"Nearest tokens at “{visible(token)}”: teacher layer {teacher} {nearest(inspection.teacher.own, teacher)}, student layer {student} "
        f"{nearest(inspection.student.own, student)}"
    )
    crossing, meeting = inspection.crossing, inspection.meeting
    if crossing is None or meeting is None:
        return f"{sentence}."
    verdict = "above chance" if meeting.beyond_chance else "within chance"
    return (
        f"{sentence}, mapped teacher {nearest(crossing.carried, teacher)}. Mapped teacher and student states have cosine "
        f"{number(meeting.cosine)}, {verdict} (control {number(meeting.control)}, random directions ±{number(meeting.random)})."
    )


def layers_changed(inspection: Inspection, n_changed: int) -> str:
    """How many layers changed their nearest token at one token, for a student read after a run."""
    before, after = inspection.student, inspection.after
    assert after is not None, "needs a student read after a run"
    return (
        f"At “{visible(before.tokens[before.token][0])}”, where the next token is predicted, {n_changed} of {before.n_layers} layers changed "
        f"their nearest token. The student predicted “{visible(before.predicted[0])}” before and “{visible(after.predicted[0])}” after."
    )


def head_in_words(head: HeadFacts, side: str) -> str:
    """One model's head as a sentence: tied or not, its norm, its rank."""
    tied = (
        "is tied to the token embedding, so input rows and output bases differ only by the pseudoinverse"
        if head.tied
        else "is not tied to the token embedding"
    )
    norm = {
        "none": "no final norm, so gain and norm have no effect",
        "root mean square": "a root-mean-square final norm",
        "layer": "a final layer norm, which also subtracts the mean",
    }[head.norm]
    extra = " and a bias" * head.norm_bias + (
        f"; logits are capped at {head.softcap:g}, which preserves their order" if head.softcap else ""
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
    """One row per layer: each model's next-token distribution if this layer were its last (logit lens)."""
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
    """The nearest token of each student layer before and after a run at one token, changed ones first."""
    assert inspection.after is not None, "needs a student read after a run"
    before, after = inspection.student.own, inspection.after.own
    chosen = next((i for i, one in enumerate(inspection.followed) if one.asked), None)
    ranks = None if chosen is None else (before.ranks[chosen], after.ranks[chosen])
    rows = []
    for layer, (old, new) in enumerate(zip(before.top, after.top, strict=True)):
        row: dict[str, Any] = {"layer": layer, "changed": old[0][0] != new[0][0]}
        row |= {"before": old[0][0], "before_cosine": old[0][1], "after": new[0][0], "after_cosine": new[0][1]}
        if ranks and ranks[0] is not None and ranks[1] is not None:
            row |= {"rank_before": ranks[0][layer], "rank_after": ranks[1][layer]}
        rows.append(row)
    return pd.DataFrame(rows).sort_values("changed", ascending=False, kind="stable", ignore_index=True)


def cell(grid: list[list[float]] | None, layers: tuple[int, int]) -> float | None:
    """A grid at a layer pair; None where there is no grid."""
    return None if grid is None else grid[layers[0]][layers[1]]


def options_table(measured: BasisOptions, layers: tuple[int, int]) -> pd.DataFrame:
    """One row per way of computing bases, all numbers; those of the map at one layer pair."""

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
    """A residual: four digits from 0.001 on, else the power of ten."""
    return number(value, 4) if value >= 1e-3 else f"{value:.0e}".replace("e-0", "e-").replace("-", "−")


def options_shown(measured: BasisOptions, chosen: BasisChoice, layers: tuple[int, int]) -> pd.DataFrame:
    """The same as text, teacher / student in one cell, the chosen row in bold (Markdown)."""
    rows = []
    for option in measured.options:
        row = {
            "Gain": "folded in" if option.gain else "left out",
            "Final norm": "applied" if option.norm else "not applied",
            "Ridge": f"{option.ridge:g}",
        }
        if option.teacher is None or option.student is None:
            row["Condition"] = "rank too low, needs a ridge"
        else:
            sides = (option.teacher, option.student)
            row |= {
                "Condition": " / ".join(number(side.solved_condition_number, 1) for side in sides),
                "Residual": " / ".join(small(side.residual) for side in sides),
                "Recomposition": " / ".join(number(side.recomposition, 3) for side in sides),
                "Matches prediction": " / ".join(percent(side.top1) for side in sides),
                "Map cosine": number(cell(option.cosine, layers), 3),
                "Control": " ± ".join(
                    number(cell(grid, layers), 3) for grid in (option.control, option.control_spread)
                ),
            }
        bold = option.choice == chosen
        rows.append({key: f"**{value}**" if bold else value for key, value in row.items()})
    return pd.DataFrame(rows).fillna("")
