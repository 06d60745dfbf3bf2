"""Who left their neighbourhood: a group that moves together did not, a prompt that changes groups did, noise does nothing."""

import numpy as np
import pytest
import reference_turnover as reference
import torch
from torch.testing import assert_close

from pkt_core.errors import MeasureError
from pkt_core.projection.turnover import neighbour_turnover


def groups(sizes, width=12, spread=0.5, seed=0):
    """Groups of points around centres far apart, and which group each is in."""
    generator = torch.Generator().manual_seed(seed)
    centres = 6 * torch.nn.functional.normalize(torch.randn(len(sizes), width, generator=generator), dim=-1)
    member = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    return centres[member] + spread * torch.randn(len(member), width, generator=generator), member, centres


@pytest.mark.parametrize("shuffled", [False, True])
def test_it_is_the_formula(shuffled):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(60, 8, generator=generator)
    y = torch.cat([x + 0.4 * torch.randn(60, 8, generator=generator), torch.randn(60, 3, generator=generator)], 1)
    order = torch.randperm(60, generator=generator) if shuffled else torch.arange(60)
    found = neighbour_turnover(x, y, partners=order, k=7)
    turnover, relative = reference.turnover(x.double().numpy(), y.double().numpy(), order.tolist(), 7)
    assert_close(found.turnover, torch.tensor(turnover))
    assert_close(found.relative, torch.tensor(relative))


@pytest.mark.parametrize("size", [6, 30])
def test_a_group_that_moves_together_is_not_flagged_and_a_prompt_that_changes_groups_is_first(size):
    x, member, centres = groups([40, 40, 40, size])
    y = x.clone()
    moved = member == 3
    y[moved] += 3 * centres[0] - centres[3]  # rigidly, to another side of group 0
    y[5] = x[60] + 0.1  # and one prompt of group 0 goes to group 1 alone
    found = neighbour_turnover(x, y)
    ranked = found.ranked()
    assert ranked[0] == 5
    assert found.relative[5] >= 0.7
    assert found.q_values[5] < 1e-4
    assert found.relative[5] > found.noise
    if size < 10:
        assert found.turnover[moved].median() > 0.3  # a plain ranking by turnover would flag the whole group
    assert found.relative[moved].max() <= 0.3
    assert not bool((found.q_values[moved] < 0.05).any())
    assert int((found.q_values < 0.05).sum()) <= 3  # the mean moved too, which turns a few others over


def test_equal_spaces_turn_nothing_over_whatever_their_scale_rotation_and_width():
    x, *_ = groups([50, 50])
    rotation = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(1)))[0]
    found = neighbour_turnover(x, torch.cat([7 * x @ rotation + 3, torch.zeros(100, 4)], 1))
    assert float(found.turnover.max()) == 0
    assert float(found.relative.abs().max()) == 0
    assert torch.equal(found.before, found.after)


def test_unrelated_spaces_turn_over_as_much_as_chance_says_and_nobody_stands_out():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(200, 8, generator=generator), torch.randn(200, 6, generator=generator)
    found = neighbour_turnover(x, y)
    assert abs(float(found.turnover.mean()) - (1 - 10 / 199)) < 0.02
    assert not bool((found.q_values < 0.05).any())
    assert float(found.relative.max()) <= found.noise + 0.1


def test_noise_on_one_latent_flags_nobody():
    generator = torch.Generator().manual_seed(2)
    latent, *_ = groups([60, 60, 60])
    x, y = (latent + 0.4 * torch.randn(180, 12, generator=generator) for _ in range(2))
    found = neighbour_turnover(x, y)
    assert 0.1 < float(found.turnover.mean()) < 0.9
    assert int((found.q_values < 0.05).sum()) <= 2


def test_the_same_seed_gives_the_same_noise():
    x, *_ = groups([30, 30])
    y = x + 0.3 * torch.randn(60, 12, generator=torch.Generator().manual_seed(4))
    assert neighbour_turnover(x, y, seed=5).noise == neighbour_turnover(x, y, seed=5).noise


def test_wrong_input_is_one_sentence():
    x = torch.randn(20, 4)
    with pytest.raises(MeasureError, match="20 teacher and 19 student points"):
        neighbour_turnover(x, x[:19])
    with pytest.raises(MeasureError, match="Got 20 neighbours for 20 prompts"):
        neighbour_turnover(x, x, k=20)
    with pytest.raises(MeasureError, match="do not pair 20 prompts"):
        neighbour_turnover(x, x, partners=torch.zeros(20, dtype=torch.long))
    with pytest.raises(MeasureError, match="not numbers"):
        neighbour_turnover(x, x * np.nan)
