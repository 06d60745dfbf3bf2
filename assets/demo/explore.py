"""Which label-free transfer moves the frontier of the demo pair: new recall on unseen templates against old recall and bits per byte.

    python assets/demo/explore.py NAME...              # trials of TRIALS by name or prefix, each with --seeds
    python assets/demo/explore.py kd anchor=1 --as x   # one trial with settings of its own, called x
    python assets/demo/explore.py --table              # what trials.jsonl holds, mean over seeds

A trial trains the bundled student on `demo/unknown-seen` (all facts, or few) and appends one line to `trials.jsonl`; a line
that is there already (same settings, same seed) is not made again. The known facts are never trained on: they measure
what is forgotten. Text besides the training sentences is either glosses of the prompt set `general` (never those that
bits per byte is measured on), or sentences the student itself says from an empty prompt (`replay`), which are its own
knowledge and cost no data.

Not covered: other pairs, several devices; this is a laboratory, the engine is `pkt_core/transfer`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import rms_norm, scaled_dot_product_attention, silu

from pkt_core.activations.capture import pad
from pkt_core.data.examples import IGNORE, Encoded, ExampleSet, demo_facts, encode
from pkt_core.data.prompts import load_prompts
from pkt_core.models.catalog import demo_pair
from pkt_core.models.loading import LoadedModel, load

HERE = Path(__file__).parent
LOG = HERE / "trials.jsonl"
KEPT = Path(tempfile.gettempdir()) / "explore-cache"
N_REPLAY, REPLAY_TOKENS = 2048, 32
N_MEASURED_TEXTS = 600
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Trial:
    """Everything that names one training, but its seed."""

    facts: int = 0
    """How many facts to train on, each in its two seen templates; 0 takes all 522. Recall is of those facts."""
    steps: int = 300
    batch: int = 32
    lr: float = 3e-3
    schedule: str = "constant"
    """`constant`, or `cosine` to 5 % of lr."""
    scope: str = "all"
    """Blocks that train (`all`, or digits such as `2`), optionally `:mlp`, `:down`."""
    ema: float = 0.0
    """Decay of a running mean of the weights that is measured instead of the last ones; 0: none."""
    labels: float = 0.0
    """Weight of cross entropy with the answers (the only term with labels)."""
    kd: float = 0.0
    """Weight of KL(teacher || student) at `kd_at`."""
    kd_at: str = "answer"
    """`answer` or `all` positions of the training sentences."""
    disagree: bool = False
    """Weight output terms by how much teacher and untrained student disagree there (Jensen-Shannon over ln 2)."""
    lens: str = ""
    """Student layers whose own lens (final norm and head) is also pulled to the teacher's next token, such as `01`."""
    lens_weight: float = 1.0
    state: float = 0.0
    """Weight of the distance to the teacher's mapped states."""
    pairs: str = "11,23,25"
    """Student layer and teacher layer of each pair; `c` for the teacher layer takes all its layers side by side."""
    map_on: str = "replay"
    """Text the ridge maps are fitted on: `replay`, `general`, `train`."""
    precise: bool = False
    """Measure the state term in units of the map's own error on text kept from its fit (Mahalanobis): directions it predicts well count."""
    state_at: str = "all"
    """`all` (but the first), `answer`, or `context`: all but answer positions."""
    metric: str = "nmse"
    """`nmse`: squared error over the state's variance; `cos`: 1 - cosine; `fisher`: half the variance, under the mapped
    state's own prediction, of the difference of logits through the student's final norm and head."""
    until: float = 1.0
    """Share of the steps during which the state term is on."""
    anchor: float = 0.0
    """Weight of the distance of the student's states to its own untrained ones on anchor text."""
    anchor_at: str = "012"
    """Layers of that; `n` is the last state after the final norm."""
    anchor_out: float = 0.0
    """Weight of KL(untrained student || student) on anchor text."""
    anchor_on: str = "replay"
    """`replay`, `general`, `both`, or `teacher-general`, `teacher-replay`: KL to the teacher there instead of to itself."""
    anchor_batch: int = 32
    stay: float = 0.0
    """Weight of anchor on the training sentences themselves, at all but answer positions."""
    inner: str = "plain"
    """What distances between states are measured in, `nmse` only: `plain`, or `fisher`: the second moment of the gradient of
    the student's own log-probabilities at that layer, on replay."""
    preserve_by: str = "input"
    """`input`: as said above; `kfac`: tr(G dW C dW^T), G the second moment of the gradient at the matrix' output: the change of
    the student's own predictions on replay to second order, in closed form."""
    drop: float = 0.0
    """Chance that a token of the prompt (not its first or last) is hidden from the student; targets stay those of the whole sentence."""
    ridge: float = 1e-3
    """Strength of the maps' ridge, in mean eigenvalues."""
    preserve: float = 0.0
    """Closed form of the same: weight of ||dW C^1/2||^2 over matrices, C the second moment of their inputs on anchor text."""


@dataclass
class Bench:
    """Models, texts and all that is computed once."""

    teacher: LoadedModel
    student: LoadedModel
    start: Weights
    """The untrained student's weights."""
    replay: list[list[int]]
    """What the student says from an empty prompt."""
    general: list[list[int]]
    """Glosses that may be trained on."""
    measured: list[tuple[list[int], int]]
    """Held-out glosses, none of `general`, with their bytes."""
    seconds: dict[str, float] = field(default_factory=dict)
    """What was spent before training: sampling replay, teacher forwards."""
    kept: dict[str, Any] = field(default_factory=dict)
    """Targets by name."""


# --- the model, written out: three times as fast as the library's at this size, and any state is at hand ---------------


def weights_of(loaded: LoadedModel) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in loaded.model.state_dict().items()}


def rotary(n: int, dim: int, theta: float = 10000.0) -> tuple[Tensor, Tensor]:
    angle = torch.arange(n)[:, None] / theta ** (torch.arange(0, dim, 2) / dim)[None]
    angle = torch.cat([angle, angle], -1)
    return angle.cos(), angle.sin()


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


def run_states(
    w: Weights,
    ids: Tensor,
    heads: int,
    inputs: dict[str, list[Tensor]] | None = None,
    outputs: dict[str, Tensor] | None = None,
) -> list[Tensor]:
    """Residual stream after the embedding and after each block. Padding is on the right, so causality is mask enough.

    inputs: where given, collects what each trained matrix reads.
    """
    x = w["model.embed_tokens.weight"][ids]
    n, t, d = x.shape
    cos, sin = rotary(t, d // heads)
    states = [x]

    def linear(name: str, y: Tensor) -> Tensor:
        if inputs is not None:
            inputs.setdefault(name, []).append(y)
        z = y @ w[name].T
        if outputs is not None:
            outputs[name] = z
        return z

    layer = 0
    while f"model.layers.{layer}.input_layernorm.weight" in w:
        at = f"model.layers.{layer}."
        y = rms_norm(x, (d,), w[at + "input_layernorm.weight"], 1e-6)
        q, k, v = (
            linear(f"{at}self_attn.{p}_proj.weight", y).view(n, t, heads, d // heads).transpose(1, 2) for p in "qkv"
        )
        y = scaled_dot_product_attention(rotated(q, cos, sin), rotated(k, cos, sin), v, is_causal=True)
        x = x + linear(at + "self_attn.o_proj.weight", y.transpose(1, 2).reshape(n, t, d))
        y = rms_norm(x, (d,), w[at + "post_attention_layernorm.weight"], 1e-6)
        y = silu(linear(at + "mlp.gate_proj.weight", y)) * linear(at + "mlp.up_proj.weight", y)
        x = x + linear(at + "mlp.down_proj.weight", y)
        states.append(x)
        layer += 1
    return states


def final(w: Weights, x: Tensor) -> Tensor:
    return rms_norm(x, x.shape[-1:], w["model.norm.weight"], 1e-6)


def log_probs(w: Weights, x: Tensor) -> Tensor:
    return (final(w, x) @ w["model.embed_tokens.weight"].T).log_softmax(-1)


# --- texts and targets -------------------------------------------------------------------------------------------------


@torch.no_grad()
def say(w: Weights, heads: int, n: int, bos: int, eos: int, seed: int = 0) -> list[list[int]]:
    """Sentences sampled at temperature 1 from the beginning-of-text token, each once, cut at its end or at REPLAY_TOKENS."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.full((n, 1), bos)
    for _ in range(REPLAY_TOKENS - 1):
        p = log_probs(w, run_states(w, ids, heads)[-1][:, -1]).exp()
        ids = torch.cat([ids, torch.multinomial(p, 1, generator=generator)], 1)
    rows = [row[: row.index(eos) + 1] if eos in row else row for row in ids.tolist()]
    return [list(row) for row in dict.fromkeys(map(tuple, rows)) if len(row) > 3]


def bench() -> Bench:
    pair = demo_pair().held("cpu", "float32")
    teacher, student = load(pair.teacher), load(pair.student)
    tokenizer, start = student.tokenizer, weights_of(student)
    heads = student.model.config.num_attention_heads
    general = list(load_prompts("general").texts)
    texts = [t for t in (HERE / "heldout.txt").read_text(encoding="utf-8").splitlines() if t not in set(general)]
    texts = random.Random(0).sample(texts, N_MEASURED_TEXTS)
    measured = tokenizer(texts, return_offsets_mapping=True)
    n_bytes = [len(t[o[0][1] :].encode()) for t, o in zip(texts, measured["offset_mapping"], strict=True)]
    began = time.monotonic()
    KEPT.mkdir(exist_ok=True)
    kept = KEPT / f"replay-{student.digest[:12]}-{N_REPLAY}-{REPLAY_TOKENS}.json"
    if not kept.exists():
        replay = say(start, heads, N_REPLAY, tokenizer.bos_token_id, tokenizer.eos_token_id)
        kept.write_text(json.dumps({"replay": replay, "seconds": time.monotonic() - began}))
    stored = json.loads(kept.read_text())
    found = Bench(
        teacher,
        student,
        start,
        stored["replay"],
        tokenizer(general)["input_ids"],
        list(zip(measured["input_ids"], n_bytes, strict=True)),
        {"replay": stored["seconds"]},
    )
    check(found)
    return found


@torch.no_grad()
def check(b: Bench) -> None:
    """The model written out is the library's."""
    ids = torch.tensor(b.general[:2][0])[None]
    for loaded in (b.teacher, b.student):
        w = weights_of(loaded)
        ours = log_probs(w, run_states(w, ids, loaded.model.config.num_attention_heads)[-1])
        assert torch.allclose(ours, loaded.model(input_ids=ids).logits.log_softmax(-1), atol=1e-3), loaded.name


def chosen_items(name: str, n_facts: int, seed: int) -> ExampleSet:
    """Items of so many facts (relation and answering sentence apart, items of one fact stand side by side)."""
    task = demo_facts()[name]
    if not n_facts:
        return task
    facts = random.Random(seed).sample(range(len(task) // 2), n_facts)
    return ExampleSet(name, tuple(task.items[2 * i + k] for i in sorted(facts) for k in (0, 1)))


@torch.no_grad()
def read(w: Weights, heads: int, rows: list[list[int]], layers: bool, out: list[list[int]] | None) -> dict[str, Any]:
    """States after every block of all tokens (rows one after the other), and log-probabilities at positions `out`."""
    states: list[Tensor] = []
    outputs: list[Tensor] = []
    for at in range(0, len(rows), 64):
        chunk = rows[at : at + 64]
        found = run_states(w, pad(chunk, 0), heads)
        for i, row in enumerate(chunk):
            if layers:
                states.append(torch.stack([s[i, : len(row)] for s in found[1:]], 1))
            if out is not None and out[at + i]:
                outputs.append(log_probs(w, found[-1][i, out[at + i]]))
    return {"states": torch.cat(states) if layers else None, "out": torch.cat(outputs) if out is not None else None}


def starts_of(lengths: list[int]) -> list[int]:
    starts = [0]
    for n in lengths:
        starts.append(starts[-1] + n)
    return starts


def rows_of(starts: list[int], chosen: list[int]) -> Tensor:
    return torch.cat([torch.arange(starts[i], starts[i + 1]) for i in chosen])


def anchor_rows(b: Bench, which: str) -> list[list[int]]:
    return {
        "replay": b.replay,
        "general": b.general,
        "teacher-general": b.general,
        "teacher-replay": b.replay,
        "both": b.replay + b.general,
    }[which]


def heads_of(loaded: LoadedModel) -> int:
    return int(loaded.model.config.num_attention_heads)


def own(b: Bench, which: str) -> dict[str, Any]:
    """The untrained student's states on anchor text, cached."""
    key = f"own {which}"
    if key not in b.kept:
        b.kept[key] = read(b.start, heads_of(b.student), anchor_rows(b, which), True, None)
    return b.kept[key]


def teacher_on(b: Bench, which: str, rows: list[list[int]], out: list[list[int]] | None) -> dict[str, Any]:
    """The teacher's states (and log-probabilities) on a text, cached, seconds noted."""
    key = f"teacher {which} {out is not None}"
    if key not in b.kept:
        began = time.monotonic()
        b.kept[key] = read(weights_of(b.teacher), heads_of(b.teacher), rows, True, out)
        b.kept[f"seconds {key}"] = time.monotonic() - began
    b.seconds[f"teacher {which}"] = b.kept[f"seconds {key}"]
    return b.kept[key]


def not_first(rows: list[list[int]]) -> Tensor:
    """Tokens but the first of each text, whose state is of another size altogether."""
    return torch.cat([torch.arange(len(r)) > 0 for r in rows])


def ridge(x: Tensor, y: Tensor, strength: float = 1e-3) -> tuple[Tensor, Tensor, float, Tensor]:
    """Map and offset from x to y, the share of y's variance it explains on the tenth left out, and the inverse root of its error there."""
    cut = len(x) * 9 // 10
    mx, my = x[:cut].mean(0), y[:cut].mean(0)
    a, t = x[:cut] - mx, y[:cut] - my
    g, at = (a.T @ a).double(), (a.T @ t).double()
    m = torch.linalg.solve(g + strength * g.diagonal().mean() * torch.eye(len(g), dtype=g.dtype), at).float()
    left = y[cut:] - (x[cut:] - mx) @ m - my
    error = left.T @ left / len(left)
    root = torch.linalg.inv(rooted(error))
    return m, my - mx @ m, 1 - float(left.square().sum() / (y[cut:] - my).square().sum()), root


def mapped(b: Bench, trial: Trial, items: str, rows: list[list[int]], states: Tensor) -> tuple[dict[int, list], dict]:
    """Student layer to its targets (one tensor per pair), and each map's explained variance."""
    text = trial.map_on
    fit_rows = {"replay": b.replay, "general": b.general, "train": rows}[text]
    key = items if text == "train" else ""
    t = teacher_on(b, text + key, fit_rows, None)["states"]
    s = b.kept.setdefault(f"own fit {text}{key}", read(b.start, heads_of(b.student), fit_rows, True, None))["states"]
    keep = not_first(fit_rows)
    found: dict[int, list] = defaultdict(list)
    explained = {}
    for pair in trial.pairs.split(","):
        layer, source = int(pair[0]), pair[1:]
        pick = (lambda z: z.flatten(1)) if source == "c" else (lambda z, k=int(source): z[:, k])
        name = f"map {text}{key} {pair} {trial.ridge}"
        if name not in b.kept:
            b.kept[name] = ridge(pick(t)[keep], s[:, layer][keep], trial.ridge)
        m, c, r2, root = b.kept[name]
        found[layer].append((pick(states) @ m + c, root))
        explained[pair] = round(r2, 3)
    return found, explained


@torch.enable_grad()
def moments_of(b: Bench, which: str) -> dict[str, Any]:
    """Second moments on text that the student itself said: of each matrix' input (`in`), of the gradient of the text's
    log-probability at its output (`out`), and of the same at each state after a block (`state`). One pass, once."""
    key = f"moments {which}"
    if key in b.kept:
        return b.kept[key]
    began = time.monotonic()
    w = {n: t.clone().requires_grad_("layers" in n) for n, t in b.start.items()}
    rows = anchor_rows(b, which)
    sums: dict[str, Any] = {"in": {}, "out": {}, "state": {}, "n": 0}
    for k in range(0, len(rows), 64):
        ids = pad(rows[k : k + 64], 0)
        keep = torch.zeros(ids.shape, dtype=torch.bool)
        for i, row in enumerate(rows[k : k + 64]):
            keep[i, : len(row) - 1] = True
        inputs: dict[str, list[Tensor]] = {}
        outputs: dict[str, Tensor] = {}
        states = run_states(w, ids, heads_of(b.student), inputs, outputs)
        for z in [*states[1:], *outputs.values()]:
            z.retain_grad()
        p = log_probs(w, states[-1][keep])
        p.gather(1, ids[:, 1:][keep[:, :-1]][:, None]).sum().backward()
        n = int(keep.sum())
        sums["n"] += n
        for name, z in outputs.items():
            x, g = inputs[name][0].detach()[keep], z.grad[keep]
            sums["in"][name] = sums["in"].get(name, 0) + x.T @ x
            sums["out"][name] = sums["out"].get(name, 0) + g.T @ g
        for layer, z in enumerate(states[1:]):
            g = z.grad[keep]
            sums["state"][layer] = sums["state"].get(layer, 0) + g.T @ g
    found = {part: {n: m / sums["n"] for n, m in sums[part].items()} for part in ("in", "out", "state")}
    b.kept[key], b.kept[key + " s"] = found, time.monotonic() - began
    return found


def rooted(m: Tensor) -> Tensor:
    """Symmetric square root, a hundredth of the mean eigenvalue added."""
    values, vectors = torch.linalg.eigh(m)
    return vectors * (values.clamp(min=0) + 0.01 * values.mean()).sqrt() @ vectors.T


# --- training ----------------------------------------------------------------------------------------------------------


def trained_names(w: Weights, scope: str) -> list[str]:
    where, _, part = scope.partition(":")
    layers = "012" if where == "all" else where
    names = [n for n in w if n.startswith("model.layers.") and n.split(".")[2] in layers]
    return [n for n in names if not part or (f".{part}" in n)]


def kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) of log-probabilities, nats per row."""
    return (p.exp() * (p - q)).sum(-1)


def distance(trial: Trial, w: Weights, state: Tensor, target: Tensor, variance: Tensor) -> Tensor:
    """Per row, 0 is the same; see Trial.metric."""
    if trial.metric == "cos":
        return 1 - torch.cosine_similarity(state, target, dim=-1)
    if trial.metric == "fisher":
        head = w["model.embed_tokens.weight"].T
        p = log_probs(w, target).exp()
        delta = (final(w, state) - final(w, target)) @ head
        mean = (p * delta).sum(-1, keepdim=True)
        return 0.5 * (p * (delta - mean).square()).sum(-1)
    return (state - target).square().sum(-1) / variance


def seen_tokens(n: int, asked: int, drop: float, order: random.Random) -> list[int]:
    """Positions of a sentence that the student is shown: all, but for each of the prompt's inner ones with chance `drop`."""
    return [t for t in range(n) if t == 0 or t >= asked or not drop or order.random() >= drop]


def run(b: Bench, trial: Trial, seed: int) -> dict[str, Any]:
    torch.manual_seed(seed)
    heads, context = heads_of(b.student), b.student.context
    task = chosen_items("demo/unknown-seen", trial.facts, seed)
    encoded = encode(b.student.tokenizer, task.items, context)
    rows = [e.ids for e in encoded]
    answers = [[t for t, label in enumerate(e.labels[1:]) if label != IGNORE] for e in encoded]
    items = f"train {trial.facts} {seed if trial.facts else 0}"
    everywhere = [list(range(len(r) - 1)) for r in rows]
    out_at = everywhere if trial.kd_at == "all" else answers
    b.seconds = {"replay": b.seconds["replay"]}
    said = teacher_on(b, f"{items} {trial.kd_at}", rows, out_at)
    token_starts, out_starts = starts_of([len(r) for r in rows]), starts_of([len(o) for o in out_at])
    targets, explained = mapped(b, trial, items, rows, said["states"]) if trial.state else ({}, {})
    first = not_first(rows)
    is_answer = torch.cat(
        [
            torch.zeros(len(r), dtype=torch.bool).scatter(0, torch.tensor(a), True)
            for r, a in zip(rows, answers, strict=True)
        ]
    )
    at = {"all": first, "answer": is_answer, "context": first & ~is_answer}[trial.state_at]
    spread = own(b, "replay")["states"][not_first(b.replay)]
    roots = [rooted(moments_of(b, "replay")["state"][k]) for k in range(3)] if trial.inner == "fisher" else None
    if roots:
        spread = torch.stack([spread[:, k] @ roots[k] for k in range(3)], 1)
    variance = spread.var(0).sum(-1)  # [layer]
    weight = None
    if trial.disagree:
        mine = read(b.start, heads, rows, False, out_at)["out"]
        middle = ((mine.exp() + said["out"].exp()) / 2).log()
        weight = (kl(mine, middle) + kl(said["out"], middle)) / 2 / 0.6931472
        weight = weight / weight.mean()
    anchored = trial.anchor or trial.anchor_out
    texts = anchor_rows(b, trial.anchor_on)
    anchor_starts = starts_of([len(r) for r in texts])
    mine_on_anchor = own(b, trial.anchor_on)["states"] if anchored else None
    teacher_anchor = None
    if trial.anchor_on.startswith("teacher-"):
        teacher_anchor = teacher_on(b, trial.anchor_on[8:], texts, [list(range(len(r))) for r in texts])["out"]
    began, cpu = time.monotonic(), time.process_time()
    if trial.anchor_out and teacher_anchor is None:
        if f"said {trial.anchor_on}" not in b.kept:
            with torch.no_grad():
                b.kept[f"said {trial.anchor_on}"] = log_probs(b.start, mine_on_anchor[:, -1])
        teacher_anchor = b.kept[f"said {trial.anchor_on}"]
    own_here = read(b.start, heads, rows, True, None)["states"] if trial.stay else None

    w = dict(b.start)
    names = trained_names(w, trial.scope)
    for name in names:
        w[name] = w[name].clone().requires_grad_(True)
    moments: dict[str, Tensor] = {}
    if trial.preserve:
        found = moments_of(b, trial.anchor_on)
        moments = {n: found["in"][n] for n in names if n in found["in"]}
        scale = {n: float((b.start[n] @ moments[n] * b.start[n]).sum()) for n in moments}
    optimizer = torch.optim.AdamW([w[n] for n in names], lr=trial.lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: (
            1.0
            if trial.schedule == "constant"
            else min(1.0, (s + 1) / 20)
            * (0.05 + 0.95 * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * s / trial.steps)).item()))
        ),
    )
    mean = {n: w[n].detach().clone() for n in names} if trial.ema else {}
    order, anchor_order = random.Random(seed), random.Random(seed + 1)
    left: list[int] = []
    anchor_left: list[int] = []
    for step in range(trial.steps):
        while len(left) < trial.batch:
            left += order.sample(range(len(rows)), len(rows))
        chosen, left = left[: trial.batch], left[trial.batch :]
        views = [seen_tokens(len(rows[i]), answers[i][0], trial.drop, order) for i in chosen]
        ids = pad([[rows[i][t] for t in view] for i, view in zip(chosen, views, strict=True)], 0)
        states = run_states(w, ids, heads)
        keep = torch.zeros(ids.shape, dtype=torch.bool)
        picked = torch.zeros(ids.shape, dtype=torch.bool)
        for k, (i, view) in enumerate(zip(chosen, views, strict=True)):
            keep[k, : len(view)] = True
            picked[k, [t - len(rows[i]) + len(view) for t in out_at[i]] if trial.drop else out_at[i]] = True
        loss = torch.zeros(())
        out_rows = rows_of(out_starts, chosen)
        wanted = said["out"][out_rows]
        if trial.kd or trial.labels or trial.lens:
            importance = weight[out_rows] if weight is not None else torch.ones(len(out_rows))
            got = log_probs(w, states[-1][picked])
            if trial.kd:
                loss = loss + trial.kd * (importance * kl(wanted, got)).mean()
            if trial.labels:
                label = ids[:, 1:][picked[:, :-1]]
                loss = loss - trial.labels * got.gather(1, label[:, None]).mean()
            for layer in trial.lens:
                got = log_probs(w, states[int(layer) + 1][picked])
                loss = loss + trial.lens_weight * (importance * kl(wanted, got)).mean() / len(trial.lens)
        token_rows = torch.cat([torch.tensor(view) + token_starts[i] for i, view in zip(chosen, views, strict=True)])
        if trial.state and step < trial.until * trial.steps:
            mask = at[token_rows]
            n_pairs = sum(map(len, targets.values()))
            for layer, several in targets.items():
                state = states[layer + 1][keep][mask]
                for target, precision in several:
                    aim = target[token_rows][mask]
                    if trial.precise:
                        d = ((state - aim) @ precision).square().mean(-1)
                    elif roots:
                        d = ((state - aim) @ roots[layer]).square().sum(-1) / variance[layer]
                    else:
                        d = distance(trial, w, state, aim, variance[layer])
                    loss = loss + trial.state / n_pairs * d.mean()
        if own_here is not None:
            mask = (first & ~is_answer)[token_rows]
            d = torch.stack([s[keep][mask] for s in states[1:]], 1) - own_here[token_rows][mask]
            if roots:
                d = torch.stack([d[:, k] @ roots[k] for k in range(3)], 1)
            d = d.square().sum(-1)
            loss = loss + trial.stay * (d / variance).mean()
        if anchored:
            while len(anchor_left) < trial.anchor_batch:
                anchor_left += anchor_order.sample(range(len(texts)), len(texts))
            drawn, anchor_left = anchor_left[: trial.anchor_batch], anchor_left[trial.anchor_batch :]
            ids = pad([texts[i] for i in drawn], 0)
            keep = torch.zeros(ids.shape, dtype=torch.bool)
            for k, i in enumerate(drawn):
                keep[k, : len(texts[i])] = True
            states = run_states(w, ids, heads)
            token_rows = rows_of(anchor_starts, drawn)
            before = mine_on_anchor[token_rows]
            far = keep.clone()
            far[:, 0] = False
            far = far[keep]
            if trial.anchor:
                for layer in trial.anchor_at:
                    if layer == "n":
                        a, z = final(w, states[-1][keep]), final(w, before[:, -1])
                        loss = (
                            loss
                            + trial.anchor / len(trial.anchor_at) * ((a - z).square().sum(-1) / z.var(0).sum()).mean()
                        )
                    else:
                        d = states[int(layer) + 1][keep][far] - before[far, int(layer)]
                        d = (d @ roots[int(layer)] if roots else d).square().sum(-1)
                        loss = loss + trial.anchor / len(trial.anchor_at) * d.mean() / variance[int(layer)]
            if trial.anchor_out:
                loss = loss + trial.anchor_out * kl(teacher_anchor[token_rows], log_probs(w, states[-1][keep])).mean()
        for name, c in moments.items():
            change = w[name] - b.start[name]
            if trial.preserve_by == "kfac":
                loss = loss + trial.preserve * 0.5 * (found["out"][name] @ change @ c * change).sum()
                continue
            loss = loss + trial.preserve * (change @ c * change).sum() / scale[name]
        loss.backward()
        torch.nn.utils.clip_grad_norm_([w[n] for n in names], 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if not torch.isfinite(loss):
            return {"failed": f"loss no number at step {step}"}
        for n in mean:
            decay = min(trial.ema, (step + 1) / (step + 10))
            mean[n].mul_(decay).add_(w[n].detach(), alpha=1 - decay)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    w = {n: mean.get(n, t.detach()) for n, t in w.items()}
    return measure(b, w, trial.facts, seed) | {
        "seconds": round(seconds, 1),
        "cpu": round(cpu, 1),
        "before": {k: round(v, 2) for k, v in b.seconds.items()},
        "loss": round(float(loss.detach()), 4),
        "explained": explained,
    }


# --- measuring ---------------------------------------------------------------------------------------------------------


def encoded_task(b: Bench, name: str, n_facts: int, seed: int) -> list[Encoded]:
    n_facts = n_facts if "unknown" in name else 0
    return encode(b.student.tokenizer, chosen_items(name, n_facts, seed).items, b.student.context)


@torch.no_grad()
def measure(b: Bench, w: Weights, n_facts: int = 0, seed: int = 0) -> dict[str, float]:
    """Recall of the four sets in per cent and bits per byte on held-out glosses."""
    heads, found = heads_of(b.student), {}
    for name in ("unknown-seen", "unknown-unseen", "known-seen", "known-unseen"):
        encoded = sorted(encoded_task(b, f"demo/{name}", n_facts, seed), key=lambda e: len(e.ids))
        right = hard = 0
        for k in range(0, len(encoded), 128):
            batch = encoded[k : k + 128]
            labels = pad([e.labels for e in batch], IGNORE)[:, 1:]
            counts = labels != IGNORE
            states = run_states(w, pad([e.ids for e in batch], 0), heads)[-1][:, :-1]
            ok = torch.ones(counts.shape, dtype=torch.bool)
            ok[counts] = log_probs(w, states[counts]).argmax(-1) == labels[counts]
            right += int(ok.all(-1).sum())
            hard += sum(
                map(
                    bool,
                    [
                        o and b.student.tokenizer.decode(e.ids).find(" is governed from") > 0
                        for o, e in zip(ok.all(-1).tolist(), batch, strict=True)
                    ],
                )
            )
        found[name] = round(100 * right / len(encoded), 2)
        if name == "unknown-unseen":
            found["governed"] = hard  # the hardest form: the subject first, where the seen ones have it last
    nats, n_bytes = 0.0, 0
    texts = sorted(b.measured, key=lambda t: len(t[0]))
    for k in range(0, len(texts), 64):
        batch = [t[0] for t in texts[k : k + 64]]
        labels = pad(batch, IGNORE)[:, 1:]
        counts = labels != IGNORE
        states = run_states(w, pad(batch, 0), heads)[-1][:, :-1]
        nats -= float(log_probs(w, states[counts]).gather(1, labels[counts][:, None]).sum())
        n_bytes += sum(t[1] for t in texts[k : k + 64])
    return found | {"bpb": round(nats / n_bytes * 1.4426950408889634, 4)}


# --- trials ------------------------------------------------------------------------------------------------------------

TRIALS: dict[str, Trial] = {"sft": Trial(labels=1.0), "kd": Trial(kd=1.0)}


def logged() -> list[dict[str, Any]]:
    return [json.loads(line) for line in LOG.read_text().splitlines()] if LOG.exists() else []


def key_of(trial: Trial, seed: int) -> str:
    """Of what differs from the defaults alone, so that a new setting leaves old lines valid."""
    return hashlib.sha256(json.dumps([changed(trial), seed]).encode()).hexdigest()[:12]


def changed(trial: Trial) -> dict[str, Any]:
    return {k: v for k, v in asdict(trial).items() if v != getattr(Trial(), k)}


def table(prefixes: list[str]) -> None:
    groups: dict[str, list[dict]] = defaultdict(list)
    for line in logged():
        groups[json.dumps(line["settings"])].append(line)
    print(
        f"{'trial':36} seeds "
        + " ".join(f"{c:>11}" for c in ("new seen", "new unseen", "old seen", "old unseen", "bits/byte"))
    )
    for lines in groups.values():
        name = lines[-1]["name"]
        if prefixes and not any(name.startswith(p) for p in prefixes):
            continue
        if any("failed" in line for line in lines):
            print(f"{name:36} failed")
            continue
        cells = []
        for k in ("unknown-seen", "unknown-unseen", "known-seen", "known-unseen", "bpb"):
            values, digits = [line[k] for line in lines], 3 if k == "bpb" else 1
            spread = f" ±{(max(values) - min(values)) / 2:.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.{digits}f}{spread}".rjust(11))
        print(f"{name:36} {len(lines):5} {' '.join(cells)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="trials of TRIALS, or one of them and key=value settings")
    parser.add_argument("--as", dest="name", help="what to call a trial with settings of its own")
    parser.add_argument("--seeds", default="0", help="such as 0,1,2")
    parser.add_argument("--table", action="store_true", help="show what is logged, mean over seeds")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--file", help="trials one a line: NAME BASE key=value ...")
    args = parser.parse_args()
    if args.table:
        table(args.names)
        return
    torch.set_num_threads(args.threads)
    b = bench()
    todo: list[tuple[str, Trial]] = []
    lines = (
        [args.names]
        if not args.file
        else [li.split() for li in Path(args.file).read_text().splitlines() if li.strip() and li[0] != "#"]
    )
    for words in lines:
        if args.file:
            name, words = words[0], words[1:]
        else:
            name = args.name
        settings = dict(x.split("=", 1) for x in words if "=" in x)
        typed = {
            k: type(getattr(Trial(), k))(json.loads(v) if isinstance(getattr(Trial(), k), (bool, int, float)) else v)
            for k, v in settings.items()
        }
        for base in (x for x in words if "=" not in x):
            todo.append(
                (name or base + "".join(f" {k}={v}" for k, v in settings.items()), replace(TRIALS[base], **typed))
            )
    for name, trial in todo:
        for seed in map(int, args.seeds.split(",")):
            key = key_of(trial, seed)
            if any(line["key"] == key for line in logged()):
                continue
            line = {"name": name, "seed": seed, "key": key} | run(b, trial, seed)
            with LOG.open("a") as log:
                log.write(json.dumps(line | {"settings": changed(trial)}) + "\n")
            print(
                name,
                seed,
                {
                    k: line.get(k)
                    for k in (
                        "failed",
                        "unknown-seen",
                        "unknown-unseen",
                        "known-seen",
                        "known-unseen",
                        "bpb",
                        "cpu",
                        "governed",
                    )
                    if k in line
                },
                flush=True,
            )


if __name__ == "__main__":
    main()
