"""One picture of two spaces: partners meet when the spaces agree, and not when they do not."""

import pytest
import torch
from torch.testing import assert_close

from pkt_core.errors import MeasureError
from pkt_core.projection.maps import neighbour_overlap, project_together


def spaces(n=120, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = 4 * torch.randn(6, 8, generator=generator)
    latent = centres[torch.arange(n) % 6] + torch.randn(n, 8, generator=generator)
    rotation = torch.linalg.qr(torch.randn(8, 8, generator=generator))[0]
    return latent, 7 * latent @ rotation + 3, torch.randperm(n, generator=generator), rotation


def gap(a, b):
    return float((a - b).norm(dim=-1).mean())


@pytest.mark.parametrize("method", ["pca", "umap"])
def test_partners_meet_and_shuffled_partners_do_not(method):
    teacher, student, order, rotation = spaces()
    mapped = teacher @ rotation  # a perfect alignment map, but for scale and shift
    picture = project_together(mapped, student, method=method, seed=0)
    apart = gap(picture.teacher_xy, picture.student_xy[order])
    assert gap(picture.teacher_xy, picture.student_xy) < 0.2 * apart
    assert 0 < picture.trust_student <= 1
    assert 0 < picture.trust_teacher <= 1
    again = project_together(mapped, student, method=method, seed=0)
    assert torch.equal(picture.teacher_xy, again.teacher_xy)


def test_scale_does_not_matter():
    teacher, student, _, rotation = spaces()
    one, other = (project_together(scale * teacher @ rotation, student, method="pca", seed=0) for scale in (1, 100))
    assert_close(one.teacher_xy, other.teacher_xy, atol=1e-4, rtol=1e-4)
    assert one.explained is not None
    assert 0 < one.explained <= 1


def test_neighbour_overlap_is_high_for_one_latent_and_chance_for_shuffled():
    teacher, student, order, _ = spaces()
    assert float(neighbour_overlap(teacher, student).mean()) > 0.95
    assert abs(float(neighbour_overlap(teacher, student[order]).mean()) - 10 / 119) < 0.05


def test_wrong_input_is_one_sentence():
    teacher, student, *_ = spaces()
    for x, y, words in [
        (teacher, student[:50], "same prompts on both sides"),
        (teacher[:5], student[:5], "takes 12 to 1000"),
        (teacher * float("nan"), student, "not numbers"),
    ]:
        with pytest.raises(MeasureError, match=words):
            project_together(x, y, method="pca", seed=0)
