"""Small hand-made results in their JSON form, for tests of figures and pages. The numbers mean nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

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
    return {"real": curve(0.7, n), "gaussian": curve(0.5, n), "embedding_rows": curve(0.6, n), "closed_form": 0.5}


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
        "attribution": attribution(),
        "pairing": [0, 2, 5],
        "chosen": [5, 2],
        "seconds": 4.2,
        **changes,
    }


def latent(n: int = 40, method: str = "pca") -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {
        "method": method,
        "teacher_xy": rng.normal(size=(n, 2)).tolist(),
        "student_xy": rng.normal(size=(n, 2)).tolist(),
        "texts": [HOSTILE] * n,
        "labels": {"relation": [f"r{i % 12}" for i in range(n)]},
        "last_tokens": ["<b>"] * n,
        "neighbour_overlap": rng.uniform(size=n).tolist(),
        "trust": {"teacher": 0.6, "student": 0.5, "overlap": 0.3, "overlap_chance": 0.03},
        "map": "semantic",
        "map_cosine": 0.4,
        "map_control": 0.01,
        "teacher_layer": 5,
        "student_layer": 2,
        "shuffled": False,
        "seconds": 1.0,
    }


def step(i: int, total: int = 20) -> dict[str, Any]:
    terms = {"layer": 1 / i, "output": 2 / i, "cross_entropy": 3 / i}
    recall = {"recall": {"demo/unknown-seen": i / total}} if i % 10 == 0 else {}
    return {
        "kind": "step",
        "step": i,
        "total": total,
        "seconds": 0.1 * i,
        "terms": terms,
        "alignment": i / total,
        **recall,
    }


def scores(rate: float) -> dict[str, Any]:
    tasks = ("demo/unknown-seen", "demo/unknown-unseen", "demo/known-seen")
    value = {"value": 1 + rate, "low": 0.9 + rate, "high": 1.1 + rate, "n": 200}
    return {
        "tasks": {
            t: {"n": 500, "correct": int(500 * rate), "rate": rate, "low": rate - 0.03, "high": rate + 0.03}
            for t in tasks
        },
        "bits_per_byte": {**value, "n_texts": 200},
        "kl_to_teacher": {**value, "unit": "bits"},
        "top1_agreement": value,
    }


def results() -> dict[str, Any]:
    change = {
        "before": 0.31,
        "after": 0.49,
        "difference": 0.18,
        "low": 0.14,
        "high": 0.22,
        "p_value": 1e-9,
        "n": 500,
        "prior": 0.24,
    }
    loss = {
        "before": 0.5,
        "after": 0.33,
        "difference": -0.17,
        "low": -0.2,
        "high": -0.14,
        "p_value": 1e-8,
        "n": 500,
        "prior": 0.2,
    }
    behaviour = {"before": scores(0.31), "after": scores(0.49), "teacher": scores(0.97)}
    behaviour["teacher"] |= {"kl_to_teacher": None, "top1_agreement": None}
    return {
        "layers": {"teacher": 5, "student": 2, "chosen_by": "attribution"},
        "attribution": attribution(),
        "trained_parameters": 111_000,
        "alignment": {
            "before": {"cosine": 0.1, "cka": 0.5},
            "after": {"cosine": 0.6, "cka": 0.7},
            "control": {"before": 0.0, "after": 0.02},
            "n": 256,
            "pooling": "last",
            "part": "block_delta",
        },
        "behaviour": behaviour,
        "changes": {"demo/unknown-seen": change, "demo/unknown-unseen": change, "demo/known-seen": loss},
        "generations": [{"prompt": HOSTILE, "expected": " x.", "before": " y.", "after": HOSTILE, "teacher": " x."}],
        "steps": 20,
        "seconds": {"targets": 1.0, "training": 10.0, "evaluation": 5.0},
        "versions": {"torch": "2"},
        "command": "pkt transfer --pair demo --method semalign-v1 --seed 0",
    }
