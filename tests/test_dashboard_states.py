"""All pages in all states: nothing there at all, the demo as it ships, and everything broken that can break.

Each cell of the table says what the page has to show or to tell; what it shows of its own subject is in that page's tests.
"""

from __future__ import annotations

import pytest
import recorded_results
from pages import PAGES, finished_run, page, words

from dashboard import loaders
from dashboard import recorded as dashboard_recorded
from dashboard.params import Param
from pkt_core.base.records import to_json
from pkt_core.benchmarks.record import Board, Readiness
from pkt_core.data.prompts import assets_folder
from pkt_core.runs import folder as run_folder

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]
RECORDED = ("comparison", "grids", "maps", "stitching", "family", "factors")
NO_WEIGHTS = "demo:teacher holds no weights. Build the demo pair again."
WAITS, ON_TRANSFER = "Waiting for the engine", "on the page Transfer"
TABLE = {  # page: what is told where nothing is there; the demo's first words; what is told where all is broken
    "pair": (WAITS, "Yes: they share all 4,093 tokens", NO_WEIGHTS),
    "alignment": (WAITS, "18 of 18 layer pairs are more similar than noise", NO_WEIGHTS),
    "latent_map": (WAITS, "nearest neighbours (chance", NO_WEIGHTS),
    "maps": (WAITS, "map is best", NO_WEIGHTS),
    "inspector": (WAITS, "Mapped into the student", NO_WEIGHTS),
    "transfer": ("SemAlign v1", "What is matched", "broken-results"),
    "families": (ON_TRANSFER, "controls are not significantly worse", ON_TRANSFER),
    "factors": ("Try every pair of layers below", "A sweep of the demo pair", NO_WEIGHTS),
    "behaviour": (ON_TRANSFER, "The student gained 12 points", "damaged: expected a JSON object"),
    "tokens": (ON_TRANSFER, "the student's prediction changed", "trained weights are not stored"),
    "benchmarks": (ON_TRANSFER, "No benchmark has been run on these models yet", "trained weights are not stored"),
    "runs": (ON_TRANSFER, "5 were recorded with the project", "2 damaged"),
}
DRAWN = dict.fromkeys(PAGES, 1) | {"transfer": 0, "benchmarks": 0, "runs": 0}
"""Figures that the demo has at least."""


def told(app) -> str:
    """All that a page says, progress and options among it, without the marks that keep Markdown away."""
    at_work = " ".join(one.proto.text for one in app.main.get("progress"))
    named = " ".join(str(one.value) for one in app.selectbox)
    return f"{words(app)} {at_work} {named}".replace("\\", "")


def without_recordings(monkeypatch) -> None:
    for name in RECORDED:
        monkeypatch.setattr(dashboard_recorded, name, lambda none={} if name in ("grids", "stitching") else None: none)


def test_the_table_has_every_page():
    assert set(TABLE) == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_where_nothing_is_there_a_page_says_what_to_do(answers, monkeypatch, name):
    without_recordings(monkeypatch)
    answers.status = "working"
    app = page(name)
    assert not app.exception
    assert not app.error
    assert len(app.title) == 1
    assert TABLE[name][0] in told(app)
    assert not app.get("plotly_chart")


@pytest.mark.parametrize("name", PAGES)
def test_the_demo_fills_every_page_at_once(answers, monkeypatch, name):
    find, recorded = answers.find, assets_folder() / "recorded"
    nothing = Board(lines=[], protocols={}, asked=[], models={}, stopped=False)
    ready = Readiness(missing=None, unavailable=None, why="")
    board = {"benchmark_board": to_json(nothing), "benchmark_sandbox": to_json(ready)}
    monkeypatch.setattr(answers, "find", lambda asked, given: board.get(asked) or find(asked, given))
    monkeypatch.setattr(run_folder, "recorded_root", lambda: recorded)
    monkeypatch.setattr(dashboard_recorded, "comparison", recorded_results.comparison)
    app = page(name)
    assert not app.exception
    assert not app.error
    assert not app.warning
    assert TABLE[name][1] in told(app)
    assert len(app.get("plotly_chart")) >= DRAWN[name]


@pytest.mark.parametrize("name", PAGES)
def test_where_all_is_broken_a_page_says_so_in_a_sentence(answers, monkeypatch, name):
    without_recordings(monkeypatch)
    answers.status, answers.error = "failed", NO_WEIGHTS
    for file in ("plan.json", "status.json", "results.json", "events.jsonl"):
        made = finished_run(f"broken-{file.split('.')[0]}")
        # Half a status is what a power cut leaves of it, and its run can go on; no object is damage.
        (made.folder / file).write_text("[]" if file == "status.json" else '{"half')
    app = page(name, run="broken-status" if name == "behaviour" else "broken-results")
    assert not app.exception
    assert len(app.title) == 1
    assert TABLE[name][2] in told(app)
    assert "Traceback" not in told(app)


def test_a_notice_of_the_link_stays_until_something_else_is_chosen_or_another_page():
    app = page("pair", measure="telepathy", tl="99")
    for _ in range(2):  # a page is drawn again whenever something is ready
        assert sum("tl=99" in one.value for one in app.info) == 1
        app.run()
    app.switch_page("views/alignment/page.py").run()
    for _ in range(2):
        assert ["telepathy" in one.value for one in app.info] == [True]  # that of the page before has been read
        app.run()
    app.selectbox(key=Param.MEASURE.value).set_value("linear_cka").run()
    assert not app.info


def test_a_run_that_is_not_there_is_told_until_one_is_chosen():
    finished_run("one")
    finished_run("two")
    app = page("behaviour", run="nobody")
    for _ in range(2):
        assert any("The run nobody cannot be shown here" in one.value.replace("\\", "") for one in app.info)
        app.run()
    app.selectbox(key=Param.RUN.value).set_value("one").run()
    assert not app.info


@pytest.mark.parametrize(
    ("name", "link", "said"),
    [
        ("inspector", {"at": "many"}, "at=many"),
        ("pair", {"picked": "all"}, "Picked prompts must be 0 to 1,047. Ignored: all."),
        ("pair", {"picked": "3, 1048, 2"}, "Ignored: 1048."),
        (
            "pair",
            {"pair": "custom", "teacher": "<img src=x onerror=alert(1)>", "student": "b"},
            "is not a valid model name",
        ),
        ("pair", {"pair": "custom", "teacher": "/a\0b", "student": "b"}, "cannot be a path"),
    ],
)
def test_what_a_link_cannot_mean_is_told(monkeypatch, request, name, link, said):
    if "teacher" in link:
        monkeypatch.undo()  # the true check of names
        monkeypatch.setenv("PKT_CACHE", str(request.getfixturevalue("tmp_path") / "cache"))
        loaders.unavailable.clear()
    app = page(name, **link)
    assert not app.exception
    assert said in told(app)


TABS = {
    "alignment": ("about", ["This pair of layers", "Other measures", "Which should teach", "Outliers", "Vocabulary"]),
    "behaviour": ("proof", ["Controls", "Costs", "Layers", "Answers", "Your own task", "How it was made"]),
}


@pytest.mark.parametrize(("name", "tab"), [(name, tab) for name, (_, tabs) in TABS.items() for tab in tabs])
@pytest.mark.usefixtures("answers")
def test_a_link_opens_a_part_of_a_page_and_draws_no_other(name, tab):
    param, tabs = TABS[name]
    finished_run()
    app = page(name, **{param: tab})
    assert not app.exception
    assert not app.error
    filled = [one.label for one in app.main.get("tab") if one.label in tabs and one.children]
    assert filled == [tab]


@pytest.mark.usefixtures("answers")
def test_a_part_that_no_page_has_is_told():
    finished_run()
    assert "The link sets proof=Secrets" in words(page("behaviour", proof="Secrets")).replace("\\", "")
