"""The one clock: what a page waits for, which parts a tick draws again, and that nothing else in the app has a timer."""

from __future__ import annotations

import ast

import pytest
from pages import ROOT, page, words
from run_store import fill

from dashboard import pulse
from dashboard.views.runs import listing as runs_listing
from pkt_core.errors import StoreError

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]


def test_no_fragment_has_a_timer_of_its_own():
    timers = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "dashboard").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.keyword) and node.arg == "run_every"
    ]
    assert not timers


def test_a_page_that_computes_is_watched_until_it_is_over(answers):
    answers.status = "working"
    app = page("alignment", fresh="true")
    assert len(app.session_state["page_waits_for"]) >= 1
    answers.status = "done"
    app.run()
    assert not app.session_state["page_waits_for"]


def test_what_cannot_be_read_does_not_stop_the_clock(monkeypatch):
    def damaged() -> bool:
        raise StoreError("The queue is damaged.")

    waits = [damaged, lambda: False]
    monkeypatch.setattr(pulse.state, "waited_for", lambda: waits)
    assert not pulse.any_over()
    waits.append(lambda: True)
    assert pulse.any_over()


@pytest.mark.parametrize(
    ("asked", "over", "expected"),
    [("here", False, ["parts"]), ("here", True, []), ("the page before", False, [])],
)
def test_a_tick_draws_parts_alone_unless_something_is_over_or_it_comes_from_the_former_page(
    monkeypatch, asked, over, expected
):
    """Where it asks for no parts, the clock itself is drawn, which asks for the whole page."""
    reruns: list[str] = []
    monkeypatch.setattr(pulse.st, "rerun", reruns.append)
    monkeypatch.setattr(pulse.state, "page_asked_for", lambda: asked)
    monkeypatch.setattr(pulse.state, "page_drawn", lambda: "here")
    monkeypatch.setattr(pulse.state, "waited_for", lambda: [lambda: over])
    pulse.tick()
    assert reruns == expected


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ({"steps": "many"}, "steps=many, which is not available here\\. Using 300"),
        ({"steps": "-5"}, "steps=-5, which is not available here\\. Using 300"),
        ({"batch": "1e9"}, "batch=1e9, which is not available here\\. Using auto"),
        ({"method": "magic"}, "method=magic, which is not available here\\. Using semalign\\-v1"),
        ({"steps": "120", "batch": "16", "pseed": "5"}, ""),
    ],
)
def test_a_link_brings_the_plan_back_and_a_value_that_cannot_be_is_one_sentence(link, said):
    app = page("transfer", **link)
    assert not app.exception
    told = [one.value for one in app.info if "The link sets" in one.value]
    assert len(told) == bool(said)
    if said:
        assert said.replace("\\", "") in told[0].replace("\\", "")
    else:
        held = {one.label: one.value for one in app.number_input}
        assert (held["Steps"], held["Batch size"]) == (120, 16)


def test_many_runs_are_shown_a_hundred_at_a_time_and_found_by_their_words():
    fill(120, family_of=40)
    app = page("runs")
    assert not app.exception
    assert "100 of 120 runs, newest first" in words(app).replace("\\", "")
    assert len(app.dataframe[0].value) == runs_listing.PAGE
    app.number_input(key="rows").set_value(200).run()
    assert len(app.dataframe[0].value) == 120
    app.text_input(key="find").set_value("family-001 done").run()
    assert len(app.dataframe[0].value) == 40
    app.text_input(key="find").set_value("nothing like it").run()
    assert "0 of 0 runs that match" in words(app).replace("\\", "")
