"""The tour: offered on a bare first visit alone, through every step and back, its numbers those of the recording."""

from __future__ import annotations

import numpy as np
import pytest
from pages import page, plain

from dashboard import recorded as dashboard_recorded
from dashboard import tour
from pkt_core.runs import folder as run_folder

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]
COMPARISON, ROOT = dashboard_recorded.comparison, run_folder.recorded_root


@pytest.fixture
def recorded(answers, monkeypatch):  # noqa: ARG001 - it comes after `answers`
    """What ships with the project, which other page tests leave out."""
    monkeypatch.setattr(dashboard_recorded, "comparison", COMPARISON)
    monkeypatch.setattr(run_folder, "recorded_root", ROOT)


def buttons(app):
    return {button.key: button for button in app.button if button.key and button.key.startswith("tour")}


def test_a_bare_visit_is_offered_the_tour_and_a_link_is_not():
    assert set(buttons(page("pair"))) == {"tour-start", "tour-no"}
    assert not buttons(page("pair", pair="demo"))


def test_who_skips_is_not_asked_again():
    app = page("pair")
    buttons(app)["tour-no"].click().run()
    assert not buttons(app)
    app.switch_page("views/runs/page.py").run()
    assert not buttons(app)


@pytest.mark.usefixtures("recorded")
def test_each_step_is_on_its_page_and_says_what_was_recorded():
    app = page("pair")
    buttons(app)["tour-start"].click().run()
    said = []
    for number in range(len(tour.STEPS)):
        assert not app.exception
        text = plain(app)
        assert f"{number + 1} of {len(tour.STEPS)}: {tour.STEPS[number].title}" in text
        assert "tour-there" not in buttons(app)
        said.append(text)
        if "tour-next" in buttons(app):
            buttons(app)["tour-next"].click().run()
    values = dashboard_recorded.comparison().grid.values
    teacher, student = np.unravel_index(values.argmax(), values.shape)
    assert f"Teacher layer {teacher} and student layer {student} are the most similar, at {values.max():.2f}" in said[1]
    assert "took 300 steps" in said[3]
    buttons(app)["tour-back"].click().run()
    assert f"{len(tour.STEPS) - 1} of" in plain(app)
    buttons(app)["tour-skip"].click().run()
    assert not buttons(app)


def test_elsewhere_it_shows_the_way_back_to_its_step():
    app = page("pair")
    buttons(app)["tour-start"].click().run()
    app.switch_page("views/runs/page.py").run()
    assert "tour-there" in buttons(app)
    buttons(app)["tour-there"].click().run()
    assert "tour-there" not in buttons(app)
    assert "Two models side by side" in app.title[0].value


def test_without_recordings_it_still_explains():
    assert [step.fact() for step in tour.STEPS[:4]] == [""] * 4
