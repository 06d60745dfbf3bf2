"""Distributions across two tokenizers: spans against offsets read by hand, chains against products, ranks against sorting."""

from __future__ import annotations

import math
from itertools import pairwise

import fakes
import pytest
import torch
from torch.testing import assert_close
from trained import EXAMPLES, plan_for, trainer_for

from pkt_core.alignment import model_maps
from pkt_core.data.examples import encode
from pkt_core.errors import VocabularyMismatch
from pkt_core.transfer.check import check
from pkt_core.transfer.objectives import DIVERGENCES, bucketed, kl, sorted_distance
from pkt_core.transfer.readings import Reading, Span, read_alike, read_apart, spans, supervised, usable
from pkt_core.transfer.span_likelihood import chained, teacher_chains
from pkt_core.transfer.targets import TOP_K, kinds, likeliest, shuffled

OTHER = ["Paris France Rome Italy city in", "zebra quilt"]


@pytest.fixture
def models(tmp_path):
    teacher = fakes.loaded(tmp_path / "t", layers=4, width=48, texts=OTHER)
    return teacher, fakes.loaded(tmp_path / "s", seed=1)


def cuts(loaded, text):
    return [end for _, end in loaded.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]]


def test_spans_lie_between_the_places_where_both_cut(models):
    teacher, student = models
    encoded = encode(student.tokenizer, EXAMPLES, 64)
    lengths = set()
    for example, reading in zip(EXAMPLES, read_apart(teacher, student, EXAMPLES, encoded), strict=True):
        text = example.prompt + example.answer
        by_teacher, by_student = cuts(teacher, text), cuts(student, text)
        both = sorted(set(by_teacher) & set(by_student))
        found = spans(reading)
        assert [(by_student[s.start], by_student[s.start + s.n]) for s in found] == list(pairwise(both))
        for span, (low, high) in zip(found, pairwise(both), strict=True):
            assert span.m == sum(low < end <= high for end in by_teacher)
            assert span.n == sum(low < end <= high for end in by_student)
            lengths.add((span.n > 1, span.m > 1))
    assert len(lengths) > 1  # some are one token, some are more


def naive(kind, batch, encoded, readings, teacher, plan, shared):
    """One span at a time, probabilities in a dictionary of events, from both models' own softmax."""
    total, row = 0.0, 0
    back = dict(zip(shared[0].tolist(), shared[1].tolist(), strict=True))
    for example, reading in zip(encoded, readings, strict=True):
        with torch.no_grad():
            z = teacher.model(torch.tensor([reading.ids])).logits[0].double()
        p_all = torch.softmax(z / plan.temperature, -1)
        at = supervised(example, plan.positions)
        used = [t for t, u in zip(at, usable(reading, example, plan.positions, "span"), strict=True) if u]
        q_all = dict(
            zip(
                used,
                torch.softmax(batch.logits[row : row + len(used)].detach().double() / plan.temperature, -1),
                strict=True,
            )
        )
        row += len(used)
        for span in spans(reading):
            if span.start not in q_all or span.start + span.n - 1 not in q_all:
                continue
            theirs = reading.ids[span.partner + 1 : span.partner + 1 + span.m]
            own = example.ids[span.start + 1 : span.start + 1 + span.n]
            begins = set()
            p, q = {}, {}
            if (span.n, span.m) != (1, 1):
                begins = {own[0], back.get(theirs[0])}
                p["text"] = math.prod(float(p_all[span.partner + j, a]) for j, a in enumerate(theirs))
                q["text"] = math.prod(float(q_all[span.start + j][b]) for j, b in enumerate(own))
            for a, b in back.items():
                if b not in begins:
                    p[b], q[b] = float(p_all[span.partner, a]), float(q_all[span.start][b])
            keep = sorted((e for e in p if e != "text"), key=lambda e: -p[e])[: min(TOP_K, len(back) - 2)]
            keep += ["text"] if "text" in p else []
            p, q = ([*(side[e] for e in keep), 1 - sum(side[e] for e in keep)] for side in (p, q))
            middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
            one = {
                "kl": sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)),
                "reverse-kl": sum(b * math.log(b / a) for a, b in zip(p, q, strict=True)),
                "jsd": sum(x * math.log(x / m) for side in (p, q) for x, m in zip(side, middle, strict=True)) / 2,
            }
            total += plan.temperature**2 * one[kind]
    assert row == len(batch.labels)
    return total / row


@pytest.mark.parametrize("positions", ["answer", "all"])
@pytest.mark.parametrize(("kind", "temperature"), [("kl", 1.0), ("kl", 2.0), ("reverse-kl", 1.0), ("jsd", 1.0)])
def test_the_divergence_is_its_formula_over_shared_tokens_text_and_rest(models, tmp_path, kind, temperature, positions):
    teacher, student = models
    plan = plan_for(*models, method="logit-kd", divergence=kind, temperature=temperature, positions=positions)
    trainer = trainer_for(models, plan, tmp_path / "x")
    trainer.enter(trainer.phases[0])
    chosen = [0, 1, 2]
    batch = trainer.forward(chosen)
    encoded = [trainer.encoded[i] for i in chosen]
    readings = read_apart(teacher, student, EXAMPLES, trainer.encoded)[:3]
    match = model_maps.match(teacher, student)
    expected = naive(kind, batch, encoded, readings, teacher, plan, (match.teacher_ids, match.student_ids))
    assert float(batch.divergence(kind, temperature).detach()) == pytest.approx(expected, rel=1e-3, abs=1e-5)
    student_side, teacher_side = chained(batch.logits, batch.labels, batch.targets, temperature)
    for side in (student_side, teacher_side):
        assert_close(side.detach().exp().sum(-1), torch.ones(len(side)), atol=1e-5, rtol=0)


def test_worked_out_by_hand():
    # Teacher: a, b, ab. Student: a, b, c. The text "ab" is one token there, two here; "a" and "b" are shared.
    reading = Reading([9, 2], [0, 0, 1], [True, False, True])
    assert spans(reading) == [Span(0, 2, 0, 1)]
    p = torch.tensor([[0.2, 0.3, 0.5], [1 / 3] * 3]).log()
    said = teacher_chains(
        p, reading, [9, 0, 1], [0, 1], (torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2])), temperature=1.0, top_k=9
    )
    assert said["length"].tolist() == [2, 0]
    assert float(said["chain"][0].exp()) == pytest.approx(0.5)
    assert said["ids"][0].tolist() == [1]  # not 2, which is the text, nor 0, which the student begins it with
    q = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]]).log()
    student, teacher = (side[0].exp().tolist() for side in chained(q, torch.tensor([0, 1]), said, 1.0))
    assert student == pytest.approx([0.3, 0.6 * 0.7, 1 - 0.3 - 0.42])
    assert teacher == pytest.approx([0.3, 0.5, 0.2])


def test_with_one_tokenizer_it_is_the_plain_divergence(tmp_path):
    student = fakes.loaded(tmp_path / "s", seed=1)
    (example,) = encode(student.tokenizer, EXAMPLES[:1], 64)
    (reading,) = read_alike([example])
    at = supervised(example, "all")
    draw = torch.Generator().manual_seed(0)
    z, own = (torch.randn(len(example.ids), 40, generator=draw) for _ in range(2))
    every = torch.arange(40), torch.arange(40)
    low = example.ids if max(example.ids) < 40 else [i % 40 for i in example.ids]
    said = teacher_chains(z, Reading(low, reading.partner, reading.exact), low, at, every, temperature=1.0, top_k=12)
    assert said["length"].tolist() == [1] * len(at)
    student_side, teacher_side = chained(own[at], torch.tensor(low[1:]), said, 1.0)
    top = likeliest(z[at])
    plain = kl(*bucketed(own[at], top["log_probs"][:, :12], top["ids"][:, :12], 1.0))
    assert_close(kl(student_side, teacher_side), plain, atol=1e-4, rtol=1e-4)


def test_shuffled_rows_keep_the_spans_of_the_text(models, tmp_path):
    plan = plan_for(*models, method="logit-kd", positions="all", rows="shuffled")
    trainer = trainer_for(models, plan, tmp_path / "x")
    moved = trainer.targets.shards[0]
    straight = trainer_for(models, plan.model_copy(update={"rows": "paired"}), tmp_path / "y").targets.shards[0]
    for name in ("used", "length"):
        assert torch.equal(moved[name], straight[name])
    n = len(moved["used"])
    assert torch.equal(kinds(moved, n), kinds(straight, n))
    assert not torch.equal(moved["log_probs"], straight["log_probs"])
    assert_close(moved["log_probs"].sum(0), straight["log_probs"].sum(0), atol=1e-2, rtol=1e-3)
    again = shuffled(trainer.targets, 3).shards[0]["log_probs"]
    assert not torch.equal(again, moved["log_probs"])


def test_distance_by_rank_is_sorting_and_blind_to_what_tokens_are_called():
    draw = torch.Generator().manual_seed(0)
    own, theirs = torch.randn(5, 30, generator=draw), 2 * torch.randn(5, 30, generator=draw)
    top = torch.log_softmax(theirs, -1).sort(-1, descending=True).values
    expected = [
        sum(abs(a - b) for a, b in zip(sorted(x.tolist()), sorted(y.tolist()), strict=True))
        for x, y in zip(own.softmax(-1), theirs.softmax(-1), strict=True)
    ]
    assert_close(sorted_distance(own, top, 1.0), torch.tensor(expected), atol=1e-5, rtol=1e-4)
    renamed = own[:, torch.randperm(30, generator=draw)]
    assert_close(sorted_distance(renamed, top, 1.0), sorted_distance(own, top, 1.0))
    tokens = torch.log_softmax(theirs, -1).topk(30)
    assert not torch.allclose(
        kl(*bucketed(renamed, tokens.values, tokens.indices, 1.0)),
        kl(*bucketed(own, tokens.values, tokens.indices, 1.0)),
    )
    bounds = [float(sorted_distance(own, top[:, :k], 1.0).mean()) for k in (2, 8, 30)]
    assert bounds == sorted(bounds)  # merging can only lower it
    assert float(sorted_distance(theirs, top, 1.0).max()) < 1e-5


def test_by_rank_models_without_a_common_token_can_learn_and_by_token_they_are_refused(models, tmp_path):
    teacher, student = models
    match = model_maps.match(teacher, student)
    nothing = type(match)(
        **{**match.__dict__, "teacher_ids": match.teacher_ids[:0], "student_ids": match.student_ids[:0]}
    )
    plan = plan_for(*models, method="logit-kd", divergence="uld", positions="all", steps=12, learning_rate=3e-3)
    check(plan, teacher, student, nothing)
    with pytest.raises(VocabularyMismatch):
        check(plan.model_copy(update={"divergence": "kl"}), teacher, student, nothing)
    reports = list(trainer_for(models, plan, tmp_path / "x").steps())
    assert reports[-1].terms["uld"] < reports[0].terms["uld"]


def test_every_divergence_of_a_plan_has_its_loss():
    assert {*DIVERGENCES, "uld"} == {"kl", "reverse-kl", "jsd", "uld"}
