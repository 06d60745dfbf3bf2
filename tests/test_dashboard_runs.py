"""Runs that went wrong, on the pages that show runs: what they measured before stays reachable, what they lack is not offered."""

from __future__ import annotations

import pytest
import recorded_runs
from pages import finished_run, page, words

from pkt_core.runs import folder as run_folder

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]


def test_a_run_that_failed_before_it_taught_anything_offers_no_behaviour():
    made = run_folder.create_run({"method": "sft", "steps": 20, "seed": 0}, run_id="bad")
    made.write_status("running", message="Starting")
    made.write_status("failed", message="There is no example file.")
    app = page("transfer", run="bad")
    assert "There is no example file" in words(app)
    assert not app.get("page_link")
    finished_run("good")
    assert page("transfer", run="good").get("page_link")


def test_what_was_measured_stays_on_the_page_when_measuring_again_fails():
    made = finished_run("one")
    made.write_status("running", message="Loading")
    made.write_status("failed", message="The disk is full.")
    app = page("behaviour", proof="Costs", run="one")
    assert "cannot be shown" not in words(app)
    assert "What did it cost elsewhere?" in [h.value for h in app.subheader]


@pytest.mark.parametrize("name", ["transfer", "behaviour", "runs"])
@pytest.mark.parametrize("file", ["plan.json", "results.json", "status.json"])
def test_a_run_whose_file_says_nothing_is_no_fault(name, file):
    made = finished_run("one")
    (made.folder / file).write_text("{}")
    app = page(name, run="one")
    assert not app.exception


def test_what_a_link_sets_under_advanced_is_in_sight():
    def opened(app):
        return [box.proto.expanded for box in app.expander if box.label == "Advanced"]

    assert opened(page("transfer")) == [False, False]
    assert sorted(opened(page("transfer", lr="0.003"))) == [False, True]
    assert sorted(opened(page("transfer", pooling="last", lr="0.003"))) == [True, True]
    assert True in opened(page("latent_map", aligned="pca"))
    assert True not in opened(page("latent_map", view="umap"))


def test_the_list_of_runs_says_what_each_came_to_and_two_rows_are_compared():
    finished_run("one")
    bare = run_folder.create_run({"method": "sft", "steps": 5, "seed": 0}, run_id="bare")
    bare.write_status("running")
    app = page("runs")
    assert not app.exception
    table = app.dataframe[0].value.set_index("run")
    changes = [100 * change.difference for change in recorded_runs.results().changes.values()]
    assert table.loc["one", "taught"] == pytest.approx(changes[0])
    assert table.loc["one", "lost most"] == pytest.approx(min(changes))
    assert table.loc["one", "bits per byte"] > 0
    assert table.loc["bare", ["taught", "lost most", "bits per byte"]].isna().all()
    assert set(table["state"]) == {"done", "running"}


@pytest.mark.parametrize(("rows", "held"), [([], {}), ([1], {"run": "b"}), ([2, 0, 1, 9], {"run": "c", "with": "a"})])
def test_a_ticked_row_opens_its_run_and_a_second_one_is_set_beside_it(monkeypatch, rows, held):
    import dashboard.state as session
    from dashboard.views.runs import listing as runs_listing

    found: dict[str, str] = {}
    monkeypatch.setattr(session, "selected_rows", lambda _: rows)
    monkeypatch.setattr(session, "open_run", lambda run, param="run": found.update({str(param): run}))
    runs_listing.opened_by_click(["a", "b", "c"])
    assert found == held


def test_a_result_that_cannot_be_read_leaves_its_numbers_empty():
    made = finished_run("one")
    (made.folder / "results.json").write_text("{")
    table = page("runs").dataframe[0].value.set_index("run")
    assert table.loc["one", ["taught", "lost most"]].isna().all()
