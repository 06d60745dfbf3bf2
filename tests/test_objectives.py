"""Losses against naive twins, their invariances, and one invariance that each must not have."""

from __future__ import annotations

import math

import pytest
import reference_transfer as naive
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from pkt_core.similarity.measures import measure
from pkt_core.transfer.objectives import (
    DIVERGENCES,
    bucketed,
    cka_loss,
    distillation_kl,
    fisher_quadratic,
    procrustes_loss,
    standardised_mse,
    token_geometry,
)


def draw(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def rotation(d, seed=0):
    return torch.linalg.qr(draw(d, d, seed)).Q


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 5), st.integers(2, 12), st.sampled_from([0.5, 1.0, 2.0]), st.integers(0, 99))
def test_divergences_are_their_formulas_over_kept_tokens_and_one_bucket(n, vocabulary, temperature, seed):
    logits, teacher = draw(n, vocabulary, seed), draw(n, vocabulary, seed + 1)
    k = max(1, vocabulary - 1)
    top = torch.log_softmax(teacher / temperature, -1).topk(k)
    for kind, loss in DIVERGENCES.items():
        found = temperature**2 * float(loss(*bucketed(logits, top.values, top.indices, temperature)).mean())
        assert found == pytest.approx(naive.divergence(kind, logits, top.values, top.indices, temperature), abs=1e-4)
        assert found >= -1e-6


def test_divergences_tell_directions_apart_and_jensen_shannon_does_not():
    one, other = draw(4, 6, 1), 3 * draw(4, 6, 2)
    both = {}
    for kind, loss in DIVERGENCES.items():
        tops = [torch.log_softmax(z, -1).topk(6) for z in (one, other)]
        both[kind] = [
            float(loss(*bucketed(a, t.values, t.indices, 1.0)).mean()) for a, t in ((other, tops[0]), (one, tops[1]))
        ]
    assert both["kl"] == pytest.approx(both["reverse-kl"][::-1], rel=1e-4)
    assert abs(both["kl"][0] - both["kl"][1]) > 0.1
    assert both["jsd"][0] == pytest.approx(both["jsd"][1], rel=1e-4)
    assert 0 < both["jsd"][0] < math.log(2)


def test_fisher_is_its_quadratic_form_and_nears_the_divergence_it_expands():
    target, delta = draw(6, 40, 1), draw(6, 40, 2)
    assert float(fisher_quadratic(target + delta, target)) == pytest.approx(
        naive.fisher_quadratic(target + delta, target)
    )
    assert_close(fisher_quadratic(target + delta + 7, target), fisher_quadratic(target + delta, target))
    assert float(fisher_quadratic(2 * (target + delta), target)) > 1.1 * float(fisher_quadratic(target + delta, target))
    top = torch.log_softmax(target, -1).topk(40)
    errors = []
    for size in (0.1, 0.01):
        kl = float(distillation_kl((target + size * delta).double(), top.values.double(), top.indices, 1.0))
        fisher = float(fisher_quadratic((target + size * delta).double(), target.double()))
        errors.append(abs(fisher / kl - 1))
    assert errors[1] < errors[0] / 5  # what is left out is of third order


def test_token_geometry_is_its_formula_within_each_text_and_blind_to_rotations_alone():
    state, target = draw(9, 5, 1), draw(9, 7, 2)
    sequence = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2])  # the last text has one token and says nothing
    texts = [naive.token_geometry(state[rows], target[rows]) for rows in (slice(0, 4), slice(4, 8))]
    assert float(token_geometry(state, target, sequence)) == pytest.approx(sum(texts) / 2, abs=1e-5)
    turned = token_geometry(2 * state @ rotation(5) + 3, target, sequence)
    assert_close(turned, token_geometry(state, target, sequence), atol=1e-4, rtol=1e-3)
    stretched = token_geometry(state * torch.tensor([5.0, 1, 1, 1, 0.1]), target, sequence)
    assert abs(float(stretched - token_geometry(state, target, sequence))) > 0.01
    assert float(token_geometry(state, state @ rotation(5, 3), sequence)) == pytest.approx(0, abs=1e-5)
    assert float(token_geometry(state[:1], target[:1], sequence[:1])) == 0


def test_cka_loss_is_one_minus_the_measure_and_procrustes_the_least_distance():
    x, y = draw(30, 6, 1), draw(30, 8, 2)
    assert float(cka_loss(x, y)) == pytest.approx(1 - measure("linear_cka", x, y), abs=1e-5)
    assert float(procrustes_loss(x, y)) == pytest.approx(naive.procrustes(x, y), abs=1e-5)
    for loss in (cka_loss, procrustes_loss):
        assert float(loss(x, x @ rotation(6))) == pytest.approx(0, abs=1e-5)
        assert float(loss(x, y)) > 0.1  # negative control: unrelated rows
        assert float(loss(x, x[torch.randperm(30, generator=torch.Generator().manual_seed(0))])) > 0.1


def test_standardised_mse_ignores_a_common_scale_and_no_rotation():
    x, y = draw(10, 4, 1), draw(10, 4, 2)
    assert_close(standardised_mse(5 * x, 5 * y), standardised_mse(x, y))
    assert float(standardised_mse(x @ rotation(4), x)) > 0.1
    assert float(standardised_mse(x, x)) == 0


@pytest.mark.parametrize("loss", [cka_loss, procrustes_loss])
def test_losses_of_geometry_have_finite_gradients_that_lead_down(loss):
    x, y = draw(20, 5, 1).requires_grad_(), draw(20, 9, 2)
    before = loss(x, y)
    before.backward()
    assert torch.isfinite(x.grad).all()
    assert float(loss((x - 0.5 * x.grad / x.grad.norm()).detach(), y)) < float(before.detach())
