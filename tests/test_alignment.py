"""Bases, maps, pairing, attribution and recomposition: against the paper's equations, and with their controls."""

import fakes
import numpy as np
import pytest
import reference_alignment as naive
import torch
from torch.nn.functional import cosine_similarity
from torch.testing import assert_close

from pkt_core.alignment.attribution import layer_attribution
from pkt_core.alignment.basis import semantic_basis
from pkt_core.alignment.maps import (
    held_out_error,
    logit_preserving_map,
    permuted_vocabulary_map,
    procrustes_map,
    random_basis_map,
    ridge_map,
    semantic_map,
)
from pkt_core.alignment.pairing import interpolation, pair_for, pair_layers, paired_teacher_layer
from pkt_core.alignment.recomposition import recomposition, recomposition_curves
from pkt_core.data.examples import Example, encode
from pkt_core.errors import LayerNotFound, ModelError


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_bases_are_the_pseudoinverse():
    head = randn(500, 40)
    basis = semantic_basis(head)
    assert_close(basis.vectors, torch.linalg.pinv(head.double()).T.float(), atol=1e-6, rtol=1e-5)
    assert basis.residual < 1e-10
    assert_close(basis.condition_number, float(torch.linalg.cond(head.double())), rtol=1e-6, atol=0)
    assert_close(basis.unit().norm(dim=-1), torch.ones(500))


def test_a_badly_conditioned_head_still_has_its_pseudoinverse():
    head = randn(500, 40) * torch.logspace(0, -4, 40)
    found, exact = semantic_basis(head).vectors, torch.linalg.pinv(head.double()).T.float()
    assert float((found - exact).abs().max() / exact.abs().max()) < 1e-5


def test_gain_and_ridge_do_what_they_say():
    head, gain = randn(100, 8), torch.rand(8) + 0.5
    folded = semantic_basis(head, gain=gain)
    assert folded.gain_folded
    assert_close(folded.vectors, semantic_basis(head * gain).vectors)
    gram = head.double().T @ head.double()
    ridged = torch.linalg.solve(gram + 0.1 * gram.diagonal().mean() * torch.eye(8), head.double().T).T
    assert_close(semantic_basis(head, ridge=0.1).vectors, ridged.float())


def test_a_head_without_full_rank_is_refused_unless_ridged():
    head = randn(100, 8)
    head[:, 7] = head[:, 0]
    with pytest.raises(ModelError, match="less than full rank.*Set a ridge"):
        semantic_basis(head)
    assert semantic_basis(head, ridge=1e-6).vectors.isfinite().all()
    with pytest.raises(ModelError, match="not numbers"):
        semantic_basis(head * float("nan"))


def two_models(vocabulary=400, d_teacher=24, d_student=16):
    """Heads that give the same tokens the same meaning: linear images of one semantic space, plus paired states."""
    meaning, states = randn(vocabulary, 10, seed=1), randn(200, 10, seed=2)
    to_teacher, to_student = randn(10, d_teacher, seed=3), randn(10, d_student, seed=4)
    heads = [
        meaning @ to + 0.3 * randn(vocabulary, to.shape[1], seed=5 + i) for i, to in enumerate((to_teacher, to_student))
    ]
    return heads, [states @ to for to in (to_teacher, to_student)]


def test_the_semantic_map_is_equations_one_and_two():
    heads, (x, _) = two_models()
    teacher, student = map(semantic_basis, heads)
    ids = torch.arange(0, 400, 2)
    mapped = semantic_map(teacher, student, ids, ids)(x[:5])
    for state, found in zip(x[:5], mapped, strict=True):
        exact = naive.recomposed(state, teacher.vectors[ids], student.vectors[ids])
        assert_close(float(cosine_similarity(found, exact, dim=0)), 1.0)
        assert_close(found / state.norm(), exact, atol=1e-4, rtol=1e-4)


def test_the_same_model_on_both_sides_gives_its_own_frame():
    head = randn(300, 12)
    basis, ids = semantic_basis(head), torch.arange(300)
    assert_close(semantic_map(basis, basis, ids, ids).matrix, basis.unit().T @ basis.unit(), atol=1e-4, rtol=1e-4)


def test_meaning_crosses_and_vanishes_with_the_vocabulary_permuted():
    heads, (x, y) = two_models()
    bases, ids = [semantic_basis(h) for h in heads], torch.arange(400)
    generator = torch.Generator().manual_seed(0)
    real = held_out_error(semantic_map(*bases, ids, ids), x, y)
    preserving = held_out_error(logit_preserving_map(*heads, ids, ids), x, y)
    permuted = held_out_error(permuted_vocabulary_map(*bases, ids, ids, generator), x, y)
    chance = held_out_error(random_basis_map(24, 16, 400, generator), x, y)
    assert min(real.cosine, preserving.cosine) > 0.5
    assert max(abs(permuted.cosine), abs(chance.cosine)) < 0.2
    assert preserving.r2 <= 1


def test_fitted_maps_recover_linear_truth_and_not_shuffled_pairs():
    x = randn(300, 12, seed=1)
    rotation = torch.linalg.qr(randn(12, 12, seed=2))[0]
    y = 2.5 * x @ rotation + 1
    for fitted in (ridge_map(x[:200], y[:200], 1e-8), procrustes_map(x[:200], y[:200])):
        assert held_out_error(fitted, x[200:], y[200:]).r2 > 0.999
    shuffled = y[:200][torch.randperm(200, generator=torch.Generator().manual_seed(3))]
    for fitted in (ridge_map(x[:200], shuffled, 1e-8), procrustes_map(x[:200], shuffled)):
        assert held_out_error(fitted, x[200:], y[200:]).r2 < 0.1
    narrow = procrustes_map(x, y[:, :5])
    scale = narrow.matrix @ narrow.matrix.T
    assert_close(scale, scale[0, 0] * torch.eye(5), atol=1e-5, rtol=1e-4)


def test_pairing_is_the_papers_list_counted_from_zero():
    paper = [
        1,
        2,
        3,
        5,
        6,
        7,
        8,
        10,
        11,
        12,
        13,
        15,
        16,
        17,
        18,
        20,
        21,
        22,
        23,
        25,
        26,
        27,
        28,
        30,
        31,
        32,
        33,
        35,
        36,
        37,
        38,
        40,
    ]
    assert pair_layers(40, 32) == [layer - 1 for layer in paper]
    assert {layer + 1 for layer in range(40)} - {layer + 1 for layer in pair_layers(40, 32)} == {
        4,
        9,
        14,
        19,
        24,
        29,
        34,
        39,
    }
    assert pair_for(19, 40, 32) == (19, 15)  # the paper's example: teacher 20 is partner of student 16
    assert pair_for(3, 40, 32) == (4, 3)  # teacher 4 is nobody's partner: the next deeper pair is taken
    assert pair_for(19, 20, 10) == (19, 9)
    assert pair_layers(6, 3) == [1, 3, 5]
    assert pair_layers(6, 3, "reversed") == [5, 0, 1]  # 3 would be the middle layer's own partner
    assert pair_layers(6, 3, "last-to-last") == [3, 4, 5]
    assert pair_layers(3, 6) == [0, 0, 0, 1, 1, 2]


def test_interpolation_ends_at_the_last_layer():
    for n_teacher, n_student in [(40, 32), (6, 3), (7, 3), (3, 5)]:
        a, b, weight = interpolation(n_student - 1, n_teacher, n_student)
        assert (b, weight) == (n_teacher - 1, 1.0)
        assert a == b - 1
    assert interpolation(0, 40, 32) == (0, 1, 0.25)


def test_layers_out_of_range_are_named():
    with pytest.raises(LayerNotFound, match="student has layers 0 to 2, got 3"):
        paired_teacher_layer(3, 6, 3)
    with pytest.raises(LayerNotFound, match="teacher has layers 0 to 5, got 9"):
        pair_for(9, 6, 3)


EXAMPLES = [
    Example("Paris is a city in", " France."),
    Example("Rome", " is a city in Italy."),
    Example("the quick brown", " fox"),
    Example("a language model", " reads text"),
]


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_attribution_is_one_backward_per_layer_done_at_once(tmp_path, family):
    model = fakes.loaded(tmp_path, family)
    encoded = encode(model.tokenizer, EXAMPLES, 64)
    exact = naive.attribution(model.model, model.layout.blocks, encoded)
    for batch_size in (1, 3, 4):  # padding and company change nothing
        found = layer_attribution(model, encoded, batch_size=batch_size)
        np.testing.assert_allclose(found.per_example, exact, atol=1e-5, rtol=1e-3)
    np.testing.assert_allclose(found.scores, exact.abs().mean(0), atol=1e-5, rtol=1e-3)
    np.testing.assert_allclose(found.aggregations["sum"], exact.mean(0), atol=1e-5, rtol=1e-3)
    assert (found.aggregations["sum_of_abs"] >= found.scores).all()
    assert ((found.low <= found.scores) & (found.scores <= found.high)).all()
    assert all(not p.requires_grad and p.grad is None for p in model.model.parameters())
    assert found.best == int(found.scores.argmax())


def test_the_last_layer_is_not_silenced_by_the_final_norm(tmp_path):
    """Gradient times the whole stream would be zero there, whatever the layer does; its contribution is not."""
    model = fakes.loaded(tmp_path)
    found = layer_attribution(model, encode(model.tokenizer, EXAMPLES, 64))
    assert float(found.scores[-1]) > 1e-3 * float(found.scores.max())


def test_recomposition_of_random_bases_is_the_closed_form():
    d, n_tokens = 64, 512
    states, bases = randn(200, d, seed=1), randn(n_tokens, d, seed=2)
    assert_close(float(recomposition(states, bases).mean()), (1 + d / n_tokens) ** -0.5, atol=0.01, rtol=0)
    unit = torch.nn.functional.normalize(bases, dim=-1)
    one = (unit @ states[0]) @ unit
    assert_close(float(recomposition(states[:1], bases)), float(cosine_similarity(states[0], one, dim=0)))
    # A basis set that lives in few dimensions does not recompose.
    assert float(recomposition(states, bases * torch.logspace(0, -3, d)).mean()) < 0.5


def test_curves_have_all_controls_and_survive_json():
    states, head = randn(3, 50, 16), randn(300, 16, seed=1)
    curves = recomposition_curves(
        states, semantic_basis(head), randn(300, 16, seed=2), torch.Generator().manual_seed(0)
    )
    assert all(len(c.mean) == 3 for c in (curves.real, curves.gaussian, curves.embedding_rows))
    assert all(
        low <= mean <= high for low, mean, high in zip(curves.real.low, curves.real.mean, curves.real.high, strict=True)
    )
    assert abs(curves.gaussian.mean[0] - curves.closed_form) < 0.03
