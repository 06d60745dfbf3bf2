"""Small hand-made results, for tests of figures and pages: records where they have a class, else their JSON form. The numbers mean nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from pkt_core.base.records import from_json
from pkt_core.studies.alignment_maps.record import MapComparison, StitchedGrid
from pkt_core.studies.factors.record import Factors
from pkt_core.studies.inspection.record import BasisOptions, Inspection
from pkt_core.studies.latent_map.record import ChainMap, LatentMap, TurnoverTable
from pkt_core.studies.layer_pair.record import CloserLook

HOSTILE = "<script>alert(1)</script> [x](http://evil) $a$ **b** <b>c</b>"


def grid(n_teacher: int = 6, n_student: int = 3, top: float = 0.8) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    values = rng.uniform(0.1, top, (n_teacher, n_student))
    values[0, 0] = -0.03
    values[4, 2] = top + 0.05
    return {
        "measure": "debiased_linear_cka",
        "larger_is_closer": True,
        "values": values.tolist(),
        "low": (values - 0.05).tolist(),
        "high": (values + 0.05).tolist(),
        "null_max": rng.uniform(0.01, 0.06, 200).tolist(),
        "null_mean": [[0.001] * n_student] * n_teacher,
        "p_values": np.where(values > 0.06, 0.004975, 0.5).tolist(),
        "p_rows": np.where(values > 0.06, 0.004975, 0.3).tolist(),
        "p_cells": np.where(values > 0.06, 0.004975, 0.2).tolist(),
        "noise_rows": [0.05] * n_teacher,
        "noise_cells": [[0.04] * n_student] * n_teacher,
        "n": 512,
        "recipe": {
            "pooling": "mean",
            "part": "block_out",
            "outliers": "none",
            "skip_first": False,
            "permutations": 200,
            "seed": 0,
            "interval": "weighted bootstrap of prompts",
        },
    }


def curve(mean: float, n: int) -> dict[str, list[float]]:
    values = [mean + 0.01 * i for i in range(n)]
    return {"mean": values, "low": [v - 0.02 for v in values], "high": [v + 0.02 for v in values]}


def curves(n: int) -> dict[str, Any]:
    drawn = {"gaussian": curve(0.5, n), "embedding_rows": curve(0.6, n), "permuted": curve(0.0, n)}
    return {"real": curve(0.7, n), **drawn, "closed_form": 0.5}


def attribution(n: int = 6) -> dict[str, Any]:
    scores = [0.1 * (i + 1) for i in range(n)]
    return {"scores": scores, "low": [s - 0.02 for s in scores], "high": [s + 0.02 for s in scores], "best": n - 1}


def outliers(n: int = 6, *, top: float = 0.1, first: float = 3.0) -> dict[str, list[float]]:
    return {"top_share": [top] * n, "top3_share": [min(1.0, 2 * top)] * n, "first_ratio": [first] * n}


def facts(name: str, n_layers: int, d_model: int) -> dict[str, Any]:
    return {
        "name": name,
        "n_layers": n_layers,
        "d_model": d_model,
        "vocabulary": 4096,
        "n_parameters": 5_000_000,
        "dtype": "float32",
        "device": "cpu",
        "tied": True,
        "context": 128,
        "memory_gib": 0.02,
    }


def vocabulary_side(**changes: Any) -> dict[str, Any]:
    side = {"rows": 4096, "ordinary": 4093, "alone": 0, "special": 3, "specials": ["<pad>", "<bos>", "<eos>"]}
    return {**side, "doubles": 0, "rowless": 0, "padding": 0, **changes}


def comparison(**changes: Any) -> dict[str, Any]:
    return {
        "teacher": facts("teacher", 6, 256),
        "student": facts("student", 3, 96),
        "vocabulary": {
            "n": 4093,
            "share": 1.0,
            "n_teacher": 4093,
            "n_student": 4093,
            "same_tokenizer": True,
            "only_teacher": [],
            "only_student": [],
            "sides": {"teacher": vocabulary_side(), "student": vocabulary_side()},
        },
        "prompts": "facts",
        "n_prompts": 512,
        "pooling": "mean",
        "part": "block_out",
        "outliers": {"teacher": outliers(6), "student": outliers(3)},
        "grid": grid(),
        "recomposition": {"teacher": curves(6), "student": curves(3)},
        "crossing": {"real": curve(0.3, 3), "permuted": curve(0.0, 3), "pairing": [0, 2, 5], "n": 512},
        "attribution": attribution(),
        "pairing": [0, 2, 5],
        "chosen": [5, 2],
        "seconds": 4.2,
        **changes,
    }


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


def picked_tokens(n: int = 2) -> dict[str, Any]:
    said = [[" a|b", 0.9], ["\n", 0.05], [HOSTILE, 0.01]]
    rows = [
        {"id": 100 + i, "text": HOSTILE, "last_token": " in", "teacher": said, "student": said, "js_bits": 0.5}
        for i in range(n)
    ]
    return {"rows": rows, "n_picked": n, "facts": {"shared_tokens": 4093, "share": 1.0}}


def picked_cell(n: int = 2, enough: bool = False) -> dict[str, Any]:
    facts = {
        "measure": "debiased_linear_cka", "larger_is_closer": True, "n": 512, "enough": 32, "overlap": 0.4,
        "overlap_picked": 0.2, "overlap_chance": 0.02, "all": 0.9,
    }  # fmt: skip
    facts |= {"picked": 0.4, "low": 0.85, "high": 0.95} if enough else {}
    rows = [{"id": 100 + i, "text": HOSTILE, "overlap": 0.1} for i in range(n)]
    return {"rows": rows, "n_picked": n, "facts": facts}


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


def picked_continuations(n: int = 2) -> dict[str, Any]:
    rows = [{"id": 100 + i, "text": HOSTILE, "before": " x.", "after": " y.\n", "teacher": HOSTILE} for i in range(n)]
    return {"rows": rows, "n_picked": n, "facts": {"decoding": "greedy, 12 tokens"}}


def space(n_layers: int, n_followed: int, k: int = 5) -> dict[str, Any]:
    return {
        "top": [
            [(HOSTILE if i == 1 else f" t{layer}{i}", 0.5 - 0.05 * i) for i in range(k)] for layer in range(n_layers)
        ],
        "ranks": [[1 + 7 * layer for layer in range(n_layers)] if i != 1 else None for i in range(n_followed)],
        "cosines": [[0.3 - 0.05 * layer for layer in range(n_layers)] if i != 1 else None for i in range(n_followed)],
        "n_tokens": 4093,
        "nearest_by_chance": 0.35,
    }


def reader(name: str, n_layers: int, d_model: int, tokens: list[tuple[str, int, int]], token: int) -> dict[str, Any]:
    return {
        "name": name,
        "n_layers": n_layers,
        "d_model": d_model,
        "tokens": tokens,
        "token": token,
        "own": space(n_layers, 3),
        "lens": [[(HOSTILE, 0.6), (" b", 0.2), (" c", 0.1)]] * n_layers,
        "predicted": (HOSTILE, 0.6),
    }


def inspection(*, after: bool = False, shared: bool = True, cut_alike: bool = True) -> Inspection:
    text = "a <b>city</b> in"
    tokens = [("a", 0, 1), (" <b>city</b>", 1, 13), (" in", 13, 16)]
    other = tokens if cut_alike else [("a <b>", 0, 5), ("city</b>", 5, 13), (" in", 13, 16)]
    differences = [
        {
            "name": HOSTILE if i == 0 else f" w{i}",
            "carried": 0.4 - 0.1 * i,
            "own": -0.2 + 0.1 * i,
            "permuted": 0.02 * i,
            "after": 0.1 if after else None,
        }
        for i in range(4)
    ]
    crossing = {
        "carried": space(6, 3),
        "permuted": space(6, 3),
        "meeting": [[0.1 * (t + s) for s in range(3)] for t in range(6)],
        "meeting_permuted": [[0.01] * 3] * 6,
        "meeting_after": [[0.2] * 3] * 6 if after else None,
        "differences": differences,
        "control_reach": 0.7,
        "n_shared": 4093,
    }
    found = {
        "text": text,
        "at": 15,
        "part": "block_out",
        "choice": {"gain": False, "norm": False, "ridge": 0.0},
        "layers": [5, 2],
        "teacher": reader("teacher", 6, 256, tokens, 2),
        "student": reader("student", 3, 96, other, 2),
        "after": reader("student", 3, 96, other, 2) if after else None,
        "run": HOSTILE if after else None,
        "followed": [{"name": HOSTILE, "why": "teacher predicts"}, {"name": " x", "why": "student predicts"}, {"name": " y", "why": "asked for"}],
        "crossing": crossing if shared else None,
        "why_not": None if shared else "The two vocabularies share 20 tokens, 4% of the smaller one; the semantic map needs half.",
        "seconds": {"loading": 0.1, "reading": 0.05},
    }  # fmt: skip
    return from_json(Inspection, found, "The sample")


def basis_options(*, refused: bool = False) -> BasisOptions:
    side = {
        "condition_number": 40.8,
        "solved_condition_number": 40.5,
        "residual": 3e-14,
        "recomposition": 0.79,
        "top1": 0.98,
    }
    grid = [[0.1] * 3] * 6
    options = []
    for gain in (False, True):
        for norm in (False, True):
            for ridge in (0.0, 1e-6, 1e-3):
                way = {"gain": gain, "norm": norm, "ridge": ridge}
                if refused and ridge == 0:
                    options.append(
                        {
                            **way,
                            **dict.fromkeys(("teacher", "student", "cosine", "control", "control_spread")),
                            "refused": "no rank",
                        }
                    )
                else:
                    options.append({**way, "teacher": side, "student": side, "cosine": grid, "control": grid, "control_spread": grid, "refused": None})  # fmt: skip
    head = {"norm": "layer", "norm_bias": True, "softcap": 30.0, "rank": 96, "d_model": 96, "vocabulary": 4096}
    found = {
        "teacher": {"name": "teacher", "n_layers": 6, "tied": True, **head},
        "student": {"name": "student", "n_layers": 3, "tied": False, **head},
        "options": options,
        "part": "block_out",
        "n": 128,
        "draws": 5,
        "seconds": 2.0,
    }
    return from_json(BasisOptions, found, "The sample")


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


def change() -> dict[str, Any]:
    before, difference = np.full((6, 3), 0.6), np.zeros((6, 3))
    difference[:, 2], difference[5, 2] = 0.05, -0.1
    p = np.where(difference != 0, 0.01, 1.0)
    return {
        "measure": "debiased_linear_cka",
        "larger_is_closer": True,
        "before": before.tolist(),
        "after": (before + difference).tolist(),
        "difference": difference.tolist(),
        "low": (difference - 0.01).tolist(),
        "high": (difference + 0.01).tolist(),
        "p_values": p.tolist(),
        "own": np.eye(3).tolist(),
        "n": 512,
        "recipe": {"pooling": "mean"},
    }


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
        factor("student depth", "Depth in the student", 0.4, 0.3),
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


def writing(n: int = 3) -> dict[str, Any]:
    rows = [
        {"id": i, "text": HOSTILE, "before": " :red[x] $a$ [x](http://evil) same", "after": " same" if i else " :red[x] $a$ [x](http://evil) same", "teacher": HOSTILE}
        for i in range(n)
    ]  # fmt: skip
    return {"rows": rows, "n_picked": n, "facts": {"decoding": "greedy", "new_tokens": 24}}


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
