"""What a state encodes, in words: answers, captions and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pkt_core.studies.inspection.figures import spaces
from pkt_core.words.style import number, percent, visible

Json = Mapping[str, Any]


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
OPTIONS = (
    "One row per way of making bases; teacher / student in one cell; bold is the one in use. Residual: largest error of pinv(W) W = I. Recomposition: mean "
    "over layers. Names the prediction: share of prompts where the last layer's nearest basis is the token the model itself predicts. Map cosine: carried "
    "teacher with student at the chosen layers, beside the mean and spread of the same with the vocabulary permuted. The paper leaves all three choices "
    "open; its literal reading is the first row. A choice whose map cosine lies within its control's spread carries nothing."
)


def inspected(found: Json) -> str:
    """What the chosen layers mean at the token, and whether the carried teacher meets the student there."""
    teacher, student = found["layers"]

    def nearest(space: Json, layer: int) -> str:
        name, value = space["top"][layer][0]
        return f"“{visible(name)}” ({number(value)}, by chance {number(space['nearest_by_chance'])})"

    token = found["teacher"]["tokens"][found["teacher"]["token"]][0]
    said = (
        f"At “{visible(token)}”, teacher layer {teacher} reads {nearest(found['teacher']['own'], teacher)}, student layer {student} reads "
        f"{nearest(found['student']['own'], student)}"
    )
    crossing = found["crossing"]
    if crossing is None:
        return f"{said}. {found['why_not']}"
    value, control = (crossing[key][teacher][student] for key in ("meeting", "meeting_permuted"))
    chance = 2 / found["student"]["d_model"] ** 0.5  # twice the scatter of random directions
    verdict = "more than chance" if value > max(chance, control) else "no more than chance"
    return (
        f"{said}. Carried over, the teacher's state reads {nearest(crossing['carried'], teacher)} and meets the student's own at cosine "
        f"{number(value)}: {verdict} (control {number(control)}, random directions ±{number(chance)})."
    )


def head_in_words(facts: Json, side: str) -> str:
    """One model's head in words: tied or not, its norm, its rank."""
    tied = (
        "is tied: it is the token embedding itself, so input rows and output bases differ only by the pseudoinverse"
        if facts["tied"]
        else "is its own matrix, apart from the token embedding"
    )
    norm = {
        "none": "no final norm, so gain and norm change nothing",
        "root mean square": "a root-mean-square final norm",
        "layer": "a final layer norm, which also takes away the mean",
    }[facts["norm"]]
    extra = " and a bias" * facts["norm_bias"] + (
        f"; logits are capped at {facts['softcap']:g}, which keeps their order" if facts["softcap"] else ""
    )
    return (
        f"The {side}'s head ({facts['vocabulary']:,} x {facts['d_model']}, rank {facts['rank']}) {tied}; {norm}{extra}."
    )


def reading_table(found: Json) -> pd.DataFrame:
    """One row per reading, layer and place."""
    return pd.DataFrame(
        [
            {"reading": name, "layer": layer, "place": place, "token": text, "coefficient": value}
            for name, (_, space, _) in spaces(found).items()
            for layer, row in enumerate(space["top"])
            for place, (text, value) in enumerate(row, 1)
        ]
    )


def lens_table(found: Json) -> pd.DataFrame:
    """One row per layer: what each model would say next if this layer were its last."""
    columns = {
        who.capitalize(): [
            ", ".join(f"{visible(text)} {number(p)}" for text, p in row[:3]) for row in reversed(found[who]["lens"])
        ]
        for who in ("teacher", "student", "after")
        if found[who] and found[who]["lens"]
    }
    depth = max(map(len, columns.values()), default=0)
    layers = {f"{who} layer": [*map(str, reversed(range(len(rows))))] for who, rows in columns.items()}
    both = {
        key: value for who in columns for key, value in ((f"{who} layer", layers[f"{who} layer"]), (who, columns[who]))
    }
    return pd.DataFrame({key: [*value, *[""] * (depth - len(value))] for key, value in both.items()})


def trajectory_table(found: Json) -> pd.DataFrame:
    """One row per reading, followed token and layer."""
    return pd.DataFrame(
        [
            {"reading": name, "layer": layer, "token": one["name"], "why": one["why"], "rank": rank, "coefficient": cosine}
            for name, (_, space, _) in spaces(found).items()
            for one, of_ranks, cosines in zip(found["followed"], space["ranks"], space["cosines"], strict=True)
            if of_ranks is not None
            for layer, (rank, cosine) in enumerate(zip(of_ranks, cosines, strict=True))
        ]
    )  # fmt: skip


def difference_table(found: Json) -> pd.DataFrame:
    """One row per token, largest difference first."""
    table = pd.DataFrame(found["crossing"]["differences"])
    return table.assign(difference=table["carried"] - table["own"])


def at(option: Json, key: str, layers: tuple[int, int]) -> float | None:
    """A grid of an option at a pair of layers."""
    return None if option[key] is None else option[key][layers[0]][layers[1]]


def options_table(found: Json, layers: tuple[int, int]) -> pd.DataFrame:
    """One row per way of making bases, all numbers; the map's at a pair of layers."""
    sides = ("condition_number", "solved_condition_number", "residual", "recomposition", "top1")
    return pd.DataFrame(
        [
            {key: option[key] for key in ("gain", "norm", "ridge")}
            | {f"{who}_{key}": (option[who] or {}).get(key) for key in sides for who in ("teacher", "student")}
            | {key: at(option, key, layers) for key in ("cosine", "control", "control_spread")}
            | {"refused": option["refused"]}
            for option in found["options"]
        ]
    )


def small(value: float) -> str:
    """A residual: digits where they say something, else the power of ten."""
    return number(value, 4) if value >= 1e-3 else f"{value:.0e}".replace("e-0", "e-").replace("-", "−")


def options_shown(found: Json, chosen: Json, layers: tuple[int, int]) -> pd.DataFrame:
    """The same for the screen, teacher / student in one cell, the chosen row in bold (Markdown)."""
    rows = []
    for option in found["options"]:
        sides = [option["teacher"], option["student"]]
        row = {
            "Gain": "folded in" if option["gain"] else "left out",
            "Final norm": "applied" if option["norm"] else "not applied",
            "Ridge": f"{option['ridge']:g}",
        }
        if option["refused"]:
            row["Condition"] = "rank too small, needs a ridge"
        else:
            row |= {
                "Condition": " / ".join(number(side["solved_condition_number"], 1) for side in sides),
                "Residual": " / ".join(small(side["residual"]) for side in sides),
                "Recomposition": " / ".join(number(side["recomposition"], 3) for side in sides),
                "Names the prediction": " / ".join(percent(side["top1"]) for side in sides),
                "Map cosine": number(at(option, "cosine", layers), 3),
                "Control": " ± ".join(number(at(option, key, layers), 3) for key in ("control", "control_spread")),
            }
        bold = all(option[key] == chosen[key] for key in ("gain", "norm", "ridge"))
        rows.append({key: f"**{value}**" if bold else value for key, value in row.items()})
    return pd.DataFrame(rows).fillna("")
