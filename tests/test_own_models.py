"""Bringing two models of one's own: what fits this device is said before anything is loaded."""

from __future__ import annotations

import fakes
import pytest
from pages import page

from dashboard import device, loaders, own_models
from dashboard.engine.client import Engine
from dashboard.engine.worker import answer
from pkt_core.base.progress import silent

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]


def shown(app):
    kinds = ("markdown", "caption", "warning", "info")
    return " ".join(str(one.value) for kind in kinds for one in app.main.get(kind)).replace("\\", "")


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Two models on disk that nobody compared yet."""
    names = {}
    for side, layers in (("teacher", 4), ("student", 2)):
        names[side] = fakes.loaded(tmp_path / side, layers=layers).ref.name
    monkeypatch.setattr(loaders, "known", lambda *_: None)
    return names


def test_the_room_for_a_pair_is_counted_from_its_configurations(tmp_path):
    teacher, student = (fakes.loaded(tmp_path / side, layers=n) for side, n in (("t", 4), ("s", 2)))
    asked = {"pair": "custom", "teacher": teacher.ref.name, "student": student.ref.name, "device": "cpu"}
    found = answer("pair_room", asked, silent)
    counted = {
        side: sum(p.numel() for p in one.model.parameters())
        for side, one in (("teacher", teacher), ("student", student))
    }
    assert found["n_parameters"] == counted
    assert found["bytes"] == 4 * sum(counted.values())
    half = answer("pair_room", asked | {"dtype": "bfloat16"}, silent)
    assert half["bytes"] == found["bytes"] / 2


def test_whether_they_fit_is_said_before_they_are_compared(two, monkeypatch):
    app = page("pair", pair="custom", **two)
    assert not app.exception
    assert "Not compared yet" in shown(app)
    assert "comparing them needs about" in shown(app)
    assert not app.warning
    monkeypatch.setattr("pkt_core.transfer.requirements.free_memory", lambda _: 1000)
    app = page("pair", pair="custom", **two)
    assert "Choose smaller models, 16 bits under Advanced" in app.warning[0].value.replace("\\", "")
    assert app.button(key="compare-now")  # it is a warning, not a wall


def test_a_pair_of_the_catalogue_says_what_it_wants_and_asks_no_hub(monkeypatch, answers):
    monkeypatch.setattr(Engine, "known", lambda *_: None)
    app = page("pair", pair="pythia")
    assert "Needs about 2 GiB; CPU has" in shown(app)
    assert not answers.asked


def test_the_first_page_invites_and_says_what_fits(monkeypatch):
    monkeypatch.setattr(device, "cards", lambda: [("NVIDIA X", 2.0, 8.0)])
    app = page("pair")
    assert not app.exception
    assert "NVIDIA X has 6.00 GiB free: enough to compare two models of about 2.7 billion parameters in total" in shown(
        app
    )
    table = own_models.fitting().set_index("Pair")
    assert table.loc["demo", "Fits now"] == "yes"
    assert table.loc["llama2-chat", "Fits now"] == "no"
    monkeypatch.setattr(device, "cards", list)
    monkeypatch.setattr(device, "memory_gib", lambda: (100.0, 128.0))
    assert (own_models.fitting()["Fits now"] == "yes").all()
    app.button(key="own-models").click().run()
    assert app.selectbox(key="pair").value == "custom"


def test_a_public_demo_invites_nobody(monkeypatch):
    monkeypatch.setenv("PKT_DEMO", "1")
    app = page("pair")
    assert not app.exception
    assert "Bring your own models" not in shown(app)
