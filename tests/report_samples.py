"""Small results for tests of figures and pages: recorded ones (`tests/recorded`) with odd names put in, else hand-made ones whose numbers mean nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pkt_core.base.records import from_json
from pkt_core.studies.alignment_maps.record import MapComparison, StitchedGrid
from pkt_core.studies.factors.record import Factors
from pkt_core.studies.generations.record import PickedCell, PickedContinuations, PickedTokens, Writing
from pkt_core.studies.inspection.record import BasisOptions, Inspection, Option, Reader, Space
from pkt_core.studies.latent_map.record import ChainMap, LatentMap, TurnoverTable
from pkt_core.studies.layer_pair.record import CloserLook

HOSTILE = "<script>alert(1)</script> [x](http://evil) $a$ **b** <b>c</b>"
T = TypeVar("T")


def stored(name: str) -> dict[str, Any]:
    """The JSON of a result that `tests/recorded/record.py` computed."""
    text = Path(__file__).with_name("recorded").joinpath(f"{name}.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def recorded(name: str, kind: type[T]) -> T:
    """That result as its record."""
    return from_json(kind, stored(name), f"The recorded {name}")


def attribution(n: int = 6) -> dict[str, Any]:
    scores = [0.1 * (i + 1) for i in range(n)]
    return {"scores": scores, "low": [s - 0.02 for s in scores], "high": [s + 0.02 for s in scores], "best": n - 1}


def latent(n: int = 40, method: str = "pca") -> LatentMap:
    rng = np.random.default_rng(1)
    sample = {
        "method": method,
        "teacher_xy": rng.normal(size=(n, 2)).tolist(),
        "student_xy": rng.normal(size=(n, 2)).tolist(),
        "ids": list(range(100, 100 + n)),
        "texts": [HOSTILE] * n,
        "labels": {"relation": [f"r{i % 12}" for i in range(n)]},
        "last_tokens": ["<b>"] * n,
        "neighbour_overlap": rng.uniform(size=n).tolist(),
        "trust": {"teacher": 0.6, "student": 0.5, "overlap": 0.3, "overlap_chance": 0.03},
        "map": "semantic",
        "map_cosine": 0.4,
        "map_control": 0.01,
        "map_r2": None,
        "map_r2_control": None,
        "teacher_layer": 5,
        "student_layer": 2,
        "shuffled": False,
        "seconds": 1.0,
    }
    return from_json(LatentMap, sample, "The sample")


def chain(n: int = 40, method: str = "pca", kind: str = "run", shuffled: bool = False) -> ChainMap:
    rng = np.random.default_rng(2)
    models = {"run": ("teacher", "before", "after"), "pair": ("teacher", "student"), "teacher": ("teacher",) * 5}[kind]
    count = len(models)
    sample = {
        "method": method,
        "kind": kind,
        "run": "one" if kind == "run" else None,
        "slices": [
            {"name": f"student {m}" if m in ("before", "after") else m, "model": m, "layer": i, "fidelity": 0.4, "explained": 0.7 if method == "pca" else None}
            for i, m in enumerate(models)
        ],
        "xy": rng.normal(size=(count, n, 2)).tolist(),
        "partners": [rng.permutation(n).tolist() for _ in range(count - 1)] if shuffled else None,
        "ids": list(range(100, 100 + n)),
        "texts": [HOSTILE] * n,
        "labels": {"relation": [f"r{i % 12}" for i in range(n)]},
        "last_tokens": ["<b>"] * n,
        "overlap": rng.uniform(size=(count, n)).tolist(),
        "steps": [0.44, 0.59, 0.6, 0.7][: count - 1],
        "ends": 0.42,
        "overlap_chance": 0.03,
        "regularisation": 0.01,
        "pooling": "mean",
        "seed": 0,
        "shuffled": shuffled,
        "seconds": 1.0,
    }  # fmt: skip
    return from_json(ChainMap, sample, "The sample")


def turnover(n: int = 40) -> TurnoverTable:
    ids = list(range(100, 100 + n))
    sample = {
        "first": "student before, layer 2",
        "second": "student after, layer 2",
        "rows": [
            {"id": i, "text": HOSTILE, "turnover": 0.9, "relative": 0.7 - 0.1 * k, "q": 0.001 * (k + 1), "before": ids[:3], "after": ids[3:6]}
            for k, i in enumerate(ids)
        ],
        "texts": {str(i): f"text {i}" for i in ids},
        "labels": {"relation": {str(i): "r" for i in ids}},
        "mean": 0.4,
        "chance": 0.97,
        "noise": 0.1,
        "k": 10,
        "shuffled": False,
    }  # fmt: skip
    return from_json(TurnoverTable, sample, "The sample")


def picked_tokens(n: int = 2) -> PickedTokens:
    real = recorded("picked_tokens", PickedTokens)
    odd = [(" a|b", 0.9), ("\n", 0.05), (HOSTILE, 0.01)]
    rows = [replace(row, text=HOSTILE, teacher=odd, student=odd) for row in real.rows[:n]]
    return replace(real, rows=rows, n_picked=n)


def picked_cell(n: int = 2, enough: bool = False) -> PickedCell:
    """By the first few prompts; enough: by 40, where the similarity of these prompts is measured too."""
    real = recorded("picked_cell_restricted" if enough else "picked_cell", PickedCell)
    return replace(real, rows=[replace(row, text=HOSTILE) for row in real.rows[:n]], n_picked=n)


def closer_look(teacher_layer: int = 5, student_layer: int = 2, n: int = 40, **recipe: Any) -> CloserLook:
    """A look whose layers share 6 of 10 neighbours and order pairs of prompts much alike; layers move the numbers a little."""
    rng = np.random.default_rng(10 * teacher_layer + student_layer)
    first, second = np.triu_indices(n, 1)
    x = rng.uniform(-0.5, 0.9, len(first))
    better = 0.01 * teacher_layer
    ids, shares = list(range(100, 100 + n)), np.round(rng.uniform(size=n), 1).tolist()
    near = [[ids[(i + k) % n] for k in (1, 2, 3)] for i in range(n)]
    told = {
        "teacher_layer": teacher_layer, "student_layer": student_layer, "ids": ids, "texts": [HOSTILE] * n, "n_all": n,
        "recipe": {"pooling": "mean"} | recipe,
        "pairs": {"first": first.tolist(), "second": second.tolist(), "student": x.tolist(), "teacher": (x * 0.8).tolist()},
        "n_pairs": len(first),
        "correlation": {"value": 0.8 + better, "low": 0.7, "high": 0.9, "p_value": 0.005, "noise": 0.02, "draws": 200, "left_out": (0.8 + better + 0.01 * rng.normal(size=10)).tolist()},
        "overlap": {"values": shares, "mean": float(np.mean(shares)), "low": 0.4, "high": 0.7, "chance": 10 / (n - 1), "beyond": 0.5, "left_out": (np.mean(shares) + 0.01 * rng.normal(size=10)).tolist(), "k": 10},
        "near": {"teacher": near, "student": near},
    }  # fmt: skip
    return from_json(CloserLook, told, "The sample")


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


def estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.02, "high": value + 0.02, "n": 64}


def maps(teacher: int = 5, student: int = 2) -> MapComparison:
    def score(k: int, sign: int) -> dict[str, Any]:
        return {name: estimate(sign * (0.2 + 0.1 * k)) for name in ("cosine", "r2", "round_trip")} | {
            "bits_per_byte": estimate(2.0 - sign * 0.2 * k)
        }

    kinds = ("semantic", "logit-preserving", "ridge", "procrustes", "affine")
    told = {
        "teacher_layer": teacher,
        "student_layer": student,
        "maps": {kind: score(k, 1) for k, kind in enumerate(kinds)},
        "controls": {kind: score(k, -1) for k, kind in enumerate(kinds)},
        "own": estimate(0.9),
        "constant": estimate(3.0),
        "bound": 0.95,
        "n_fitted": 1000,
        "n_held_out": 990,
        "recipe": {"prompts": "facts", "seed": 0, "ridge": 0.01, "texts": 256},
    }
    return from_json(MapComparison, told, "The sample")


def stitching(kind: str = "affine") -> StitchedGrid:
    values = np.linspace(0.85, 1.6, 18).reshape(6, 3)
    fields = {
        "values": values,
        "low": values - 0.1,
        "high": values + 0.1,
        "control": values + 2,
        "round_trip": values / 2,
    }
    told = {
        "kind": kind,
        **{name: value.tolist() for name, value in fields.items()},
        "own": estimate(0.9),
        "n": 128,
        "recipe": {"prompts": "facts", "seed": 0, "ridge": 0.01, "texts": 256},
    }
    return from_json(StitchedGrid, told, "The sample")


def factors(*, sure: bool = True) -> Factors:
    """What `factors.answer` says of two groups, one of them a control."""
    generator = np.random.default_rng(3)
    grid = generator.random((4, 3))
    plan = {
        "method": "semalign-v1",
        "teacher": {"name": "a/teacher"},
        "student": {"name": f"b/{HOSTILE}"},
        "steps": 9,
        "seed": 0,
    }
    points = [
        {
            "teacher": t,
            "student": s,
            "runs": [f"run-{t}-{s}"],
            "gains": {"facts": [float(grid[t, s]) / 5], "general text": [-0.1 * t]},
        }
        for t in range(4)
        for s in range(3)
    ]

    def factor(name: str, label: str, rho: float | None, p: float) -> dict[str, Any]:
        told = {"rho": rho, "low": None, "high": None, "p_value": None, "p_corrected": None, "visible": None}
        if rho is not None:
            told |= {
                "low": rho - 0.2,
                "high": min(1.0, rho + 0.1),
                "p_value": p,
                "p_corrected": min(1.0, 4 * p),
                "visible": 0.55,
            }
        kind = "depth" if "depth" in name else "likeness"
        return {"name": name, "label": label, "kind": kind, **told, "n": 12, "values": {"g": grid.tolist()}}

    listed = [
        factor("debiased_linear_cka", "CKA (debiased, linear)", 0.9, 0.001 if sure else 0.2),
        factor("rsa", "RSA", 0.4, 0.3),
        factor("procrustes", "Procrustes", -0.1, 0.8),
        factor("same relative depth", "Same relative depth", None, 1.0),
    ]
    found = {
        "groups": [
            {"key": "g", "plan": plan, "control": False, "points": points},
            {"key": "c", "plan": {**plan, "map": "permuted"}, "control": True, "points": points[:2]},
        ],
        "used": ["g"],
        "factors": {"facts": listed, "general text": listed[1:]},
        "depth": {"facts": 0.9, "general text": None},
    }
    return from_json(Factors, found, "The sample")


HOSTILE_TOKENS = ["<bos>", "<script>alert(1)</script>", " [x](javascript:alert(1))", " $latex$", " :red[y]", " **b**", " in", " France", "."]  # fmt: skip


def token_change(*, alike: bool = True, plain: bool = False) -> dict[str, Any]:
    """Two sentences, one of them hostile; the second did not change."""
    sentences = []
    for number in range(2):
        words = HOSTILE_TOKENS if number == 0 else ["<bos>", "Paris", " is", " here"]
        tokens, at = [], 0
        for i, word in enumerate(words):
            tokens.append([word, at, at if i == 0 else at + len(word)])
            at += len(word) * (i > 0)
        n, moved = len(words) - 1, 2.5 * (number == 0)

        def read(bits: float, n: int = n) -> dict[str, Any]:
            top = [[HOSTILE, 0.5], [" b", 0.2], [" c", 0.1]]
            return {
                "bits": [bits] * n,
                "entropy": [2.0] * n,
                "rank": [1 + 8 * (i % 2) for i in range(n)],
                "top": [top] * n,
            }

        def between(kl: float, n: int = n) -> dict[str, Any]:
            return {
                "kl": [kl * (i + 1) / n for i in range(n)],
                "js": [min(1.0, kl)] * n,
                "agreement": [0.4] * n,
                "same_top": [int(kl == 0)] * n,
            }

        models = {"before": read(3.0), "after": read(1.0), "teacher": read(0.5)}
        apart = {"before_after": between(moved), "teacher_before": between(2.0), "teacher_after": between(1.0)}
        spans = None
        if not alike:
            models.pop("teacher")
            apart = {"before_after": between(moved)}
            spans = [[0, 5, 1.0, 3.0, 2.0]]
        right = None if plain else {"teacher": True, "before": False, "after": number == 0}
        sentences.append(
            {"id": number, "text": "".join(words[1:]), "group": "" if plain else "demo/unknown-seen", "answer_at": None if plain else at - 1,
             "tokens": tokens, "models": models, "apart": apart, "spans": spans, "right": right}
        )  # fmt: skip

    def told(value: float) -> dict[str, Any]:
        return {"value": value, "low": value - 0.02, "high": value + 0.02, "n": 64}

    whole = {f"bits_{who}": told(1.0) for who in ("teacher", "before", "after")} | {"bits_change": told(-0.1)}
    pairs = ("before_after", "teacher_before", "teacher_after") if alike else ("before_after",)
    whole |= {f"{key}_{pair}": told(0.5) for key in ("kl", "js", "agreement", "same_top") for pair in pairs}
    whole |= {"kl_teacher_change": told(-0.3)} if alike else {}
    bins = [
        {"confidence": 0.1 * i, "rate": 0.09 * i, "low": 0.05 * i, "high": 0.1 * i + 0.05, "n": 30} for i in range(10)
    ]
    sure = {"ece_width": 0.05, "ece_mass": 0.04, "brier": 0.1, "confidence": 0.6, "rate": 0.5, "n": 300, "curve": bins}
    return {
        "run": "one", "name": "the run's tasks", "sentences": sentences, "same_tokenizer": alike, "n_shared": 4093, "whole": whole,
        "half": 2, "n_tokens": 11, "answers": None if plain else {"tokens": 0.2, "change": 0.6},
        "calibration": dict.fromkeys(("before", "after", "teacher"), sure),
    }  # fmt: skip


def writing(n: int = 3) -> Writing:
    """Recorded rows, with hostile prompts and texts; the first row did not change."""
    real = recorded("writing", Writing)
    odd = " :red[x] $a$ [x](http://evil) same"
    rows = [
        replace(row, text=HOSTILE, before=odd, after=odd if i == 0 else " same", teacher=HOSTILE)
        for i, row in enumerate(real.rows[:n])
    ]
    return replace(real, rows=rows, n_picked=n)


def user_task(n: int = 4, choices: bool = True) -> dict[str, Any]:
    names = ("choice, log-likelihood", "choice, log-likelihood per byte") if choices else ("cloze, greedy",)
    one = {"n": n, "correct": 2, "rate": 0.5, "low": 0.2, "high": 0.8}
    change = {"before": 0.5, "after": 0.25, "difference": -0.25, "low": -0.5, "high": 0.0, "p_value": 1.0, "n": n}
    test = {"p_holm": 1.0, "detectable": None, "gap": 0.5, "gap_low": 0.1, "gap_high": 0.9, "closed": None}
    bins = [{"confidence": 0.5, "rate": 0.5, "low": 0.2, "high": 0.8, "n": n}]
    sure = {"ece_width": 0.0, "ece_mass": 0.0, "brier": 0.2, "confidence": 0.5, "rate": 0.5, "n": n, "curve": bins}
    who = ("teacher", "before", "after")
    scored = [
        {"scoring": name, "chance": 0.25, "models": dict.fromkeys(who, one), "change": change, "test": test,
         "right": {"teacher": "1111", "before": "1100", "after": "1000"}, "calibration": dict.fromkeys(who, sure)}
        for name in names
    ]  # fmt: skip
    return {
        "run": "one",
        "task": "kept:mine-00.jsonl",
        "n": n,
        "digest": "d",
        "scored": scored,
        "items": [[HOSTILE, " a."]] * n,
    }
