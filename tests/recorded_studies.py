"""Results of studies as records: recorded ones (`tests/recorded`, `assets/recorded`), with odd names put in where pages and figures must escape them.

Each call reads anew, so that no test sees what another did. Other cases are made of these by `dataclasses.replace`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import recorded_results
from recorded_runs import HOSTILE

from pkt_core.base.records import from_json
from pkt_core.studies.alignment_maps.record import MapComparison, StitchedGrid
from pkt_core.studies.behaviour.record import UserTask
from pkt_core.studies.factors.record import Factors, RecordedFactors
from pkt_core.studies.generations.record import PickedCell, PickedContinuations, PickedTokens, Writing
from pkt_core.studies.inspection.record import BasisOptions, Inspection, Option, Reader, Space
from pkt_core.studies.latent_map.record import ChainMap, LatentMap, TurnoverTable
from pkt_core.studies.layer_pair.record import CloserLook
from pkt_core.studies.token_change.record import Between, Sentence, TokenChange

T = TypeVar("T")


def stored(name: str) -> dict[str, Any]:
    """The JSON of a result that `tests/recorded/record.py` computed."""
    text = Path(__file__).with_name("recorded").joinpath(f"{name}.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def recorded(name: str, kind: type[T]) -> T:
    """That result as its record."""
    return from_json(kind, stored(name), f"The recorded {name}")


def latent(name: str = "pca") -> LatentMap:
    """Of teacher layer 5 and student layer 2 over 40 prompts, under hostile texts: `pca`, `umap`, or `ridge`, a PCA by another map."""
    real = recorded(f"latent_{name}", LatentMap)
    return replace(real, texts=[HOSTILE] * len(real.ids), last_tokens=["<b>"] * len(real.ids))


def chain(method: str = "pca", kind: str = "run", shuffled: bool = False) -> ChainMap:
    """The same prompts in the spaces of the pair, of a run, or of the teacher's six layers, of which there is no null picture."""
    real = recorded(f"chain_{kind}_{method}{'_shuffled' * shuffled}", ChainMap)
    return replace(real, texts=[HOSTILE] * len(real.ids), last_tokens=["<b>"] * len(real.ids))


def turnover(surely: int = 3) -> TurnoverTable:
    """Between the student before and after, as if the first few had moved beyond chance; as recorded none of 40 prompts has."""
    real = recorded("turnover", TurnoverTable)
    rows = [replace(row, text=HOSTILE, q=0.01 if place < surely else row.q) for place, row in enumerate(real.rows)]
    return replace(real, rows=rows)


def picked_tokens(n: int = 2) -> PickedTokens:
    real = recorded("picked_tokens", PickedTokens)
    odd = [(" a|b", 0.9), ("\n", 0.05), (HOSTILE, 0.01)]
    rows = [replace(row, text=HOSTILE, teacher=odd, student=odd) for row in real.rows[:n]]
    return replace(real, rows=rows, n_picked=n)


def picked_cell(n: int = 2, enough: bool = False) -> PickedCell:
    """By the first few prompts; enough: by 40, where the similarity of these prompts is measured too."""
    real = recorded("picked_cell_restricted" if enough else "picked_cell", PickedCell)
    return replace(real, rows=[replace(row, text=HOSTILE) for row in real.rows[:n]], n_picked=n)


def closer_look(teacher_layer: int = 5, student_layer: int = 2) -> CloserLook:
    """Of two pairs of layers, 5 and 2 or 1 and 0; any other pair bears the numbers of the first. Every fourth pair of prompts is drawn."""
    looked = (teacher_layer, student_layer) if (teacher_layer, student_layer) == (1, 0) else (5, 2)
    real = recorded("closer_look_{}_{}".format(*looked), CloserLook)
    return replace(real, teacher_layer=teacher_layer, student_layer=student_layer, texts=[HOSTILE] * len(real.ids))


def picked_continuations(n: int = 2) -> PickedContinuations:
    real = recorded("picked_continuations", PickedContinuations)
    return replace(real, rows=[replace(row, text=HOSTILE, teacher=HOSTILE) for row in real.rows[:n]], n_picked=n)


def odd_space(space: Space) -> Space:
    """A reading with a hostile token in every layer, of a vocabulary that lacks the second followed token."""
    top = [[row[0], (HOSTILE, row[1][1]), *row[2:]] for row in space.top]
    absent = [i == 1 for i in range(len(space.ranks))]
    ranks = [None if gone else one for gone, one in zip(absent, space.ranks, strict=True)]
    cosines = [None if gone else one for gone, one in zip(absent, space.cosines, strict=True)]
    return replace(space, top=top, ranks=ranks, cosines=cosines)


def odd_reader(reader: Reader, tokens: list[tuple[str, int, int]]) -> Reader:
    """The same with other tokens, the last one read, and a hostile prediction."""
    lens = [[(HOSTILE, row[0][1]), *row[1:]] for row in reader.lens or []]
    predicted = (HOSTILE, reader.predicted[1])
    return replace(reader, own=odd_space(reader.own), tokens=tokens, token=2, lens=lens or None, predicted=predicted)


def inspection(*, after: bool = False, shared: bool = True, cut_alike: bool = True) -> Inspection:
    """The recorded reading of the demo pair, under a hostile text with hostile tokens.

    after: with the student of a run; shared: whether the vocabularies meet; cut_alike: whether both models have the same tokens.
    """
    real = recorded("inspection", Inspection)
    tokens = [("a", 0, 1), (" <b>city</b>", 1, 13), (" in", 13, 16)]
    other = tokens if cut_alike else [("a <b>", 0, 5), ("city</b>", 5, 13), (" in", 13, 16)]
    crossing, student_after = real.crossing, real.after
    assert crossing is not None
    assert student_after is not None
    first, *rest = crossing.differences
    differences = [replace(first, name=HOSTILE), *rest]
    crossing = replace(
        crossing,
        carried=odd_space(crossing.carried),
        permuted=odd_space(crossing.permuted),
        meeting_after=crossing.meeting_after if after else None,
        differences=differences if after else [replace(one, after=None) for one in differences],
    )
    return replace(
        real,
        text="a <b>city</b> in",
        at=15,
        teacher=odd_reader(real.teacher, tokens),
        student=odd_reader(real.student, other),
        after=odd_reader(student_after, other) if after else None,
        run=HOSTILE if after else None,
        followed=[replace(real.followed[0], name=HOSTILE), *real.followed[1:]],
        crossing=crossing if shared else None,
        why_not=None
        if shared
        else "The two vocabularies share 20 tokens, 4% of the smaller one; the semantic map needs half.",
    )


def basis_options(*, refused: bool = False) -> BasisOptions:
    """The recorded table; refused: as if a head lacked rank, so that bases need a ridge."""
    real = recorded("basis_options", BasisOptions)
    if not refused:
        return real
    options = [Option.impossible(one.choice, "no rank") if one.ridge == 0 else one for one in real.options]
    return replace(real, options=options)


def maps(teacher: int = 5, student: int = 2) -> MapComparison:
    """Of layers 5 and 2; any other pair of layers bears the same numbers."""
    real = from_json(MapComparison, recorded_results.read("maps.json")["maps"], "maps.json")
    return replace(real, teacher_layer=teacher, student_layer=student)


def stitching(kind: str = "affine") -> StitchedGrid:
    return from_json(StitchedGrid, recorded_results.read("maps.json")["stitching"][kind], "maps.json")


def factors() -> Factors:
    """The recorded sweep, its student under a hostile name, and part of it as if it were of controls."""
    real = from_json(RecordedFactors, recorded_results.read("factors.json"), "factors.json")
    (swept,) = real.groups
    named = replace(swept, plan={**swept.plan, "student": {"name": f"b/{HOSTILE}"}})
    control = replace(named, key="c", plan={**named.plan, "map": "permuted"}, control=True, points=named.points[:2])
    return Factors(groups=[named, control], used=real.used, factors=real.factors, depth=real.depth)


ODD_TOKENS = ["<script>alert(1)</script>", " [x](javascript:alert(1))", " $latex$", " :red[y]", " **b**", " <b>in</b>", " in", " France", "."]  # fmt: skip


def odd_sentence(real: Sentence) -> Sentence:
    """The same numbers over hostile tokens, with hostile tokens expected in their place."""
    tokens, at = [real.tokens[0]], 0
    for token in ODD_TOKENS[: len(real.tokens) - 1]:
        tokens.append((token, at, at + len(token)))
        at += len(token)
    models = {
        who: replace(one, top=[[(HOSTILE, row[0][1]), *row[1:]] for row in one.top]) for who, one in real.models.items()
    }
    return replace(real, tokens=tokens, text="".join(ODD_TOKENS), answer_at=tokens[-2][1], models=models)


def unchanged(real: Sentence) -> Sentence:
    """As if the student after were the one before."""
    n, before = len(real.tokens) - 1, real.apart["teacher_before"]
    same = Between(kl=[0.0] * n, js=[0.0] * n, agreement=[1.0] * n, same_top=[1] * n)
    return replace(
        real,
        models={**real.models, "after": real.before},
        apart={"before_after": same, "teacher_before": before, "teacher_after": before},
    )


def token_change() -> TokenChange:
    """Four items of a run's tasks: the first hostile and newly right, the third unchanged."""
    real = recorded("token_change", TokenChange)
    first, second, third, fourth = real.sentences
    return replace(real, sentences=[odd_sentence(first), second, unchanged(third), fourth])


def writing(n: int = 3) -> Writing:
    """Recorded rows, with hostile prompts and texts; the first row did not change."""
    real = recorded("writing", Writing)
    odd = " :red[x] $a$ [x](http://evil) same"
    rows = [
        replace(row, text=HOSTILE, before=odd, after=odd if i == 0 else " same", teacher=HOSTILE)
        for i, row in enumerate(real.rows[:n])
    ]
    return replace(real, rows=rows, n_picked=n)


def user_task(choices: bool = True) -> UserTask:
    """Four facts in a file of the user's own, as a choice by two scorings or as words to be written."""
    real = recorded("user_task" if choices else "user_task_cloze", UserTask)
    return replace(real, items=[(HOSTILE, " a.")] * real.n)
