"""Runs that went wrong, on the pages that show runs: what they measured before stays reachable, what they lack is not offered."""

from __future__ import annotations

import pytest
from test_dashboard import answers, finished_run, page, words  # noqa: F401 - answers replaces the engine

from pkt_core import runs

pytestmark = pytest.mark.filterwarnings("default")


def test_a_run_that_failed_before_it_taught_anything_offers_no_behaviour():
    made = runs.create_run({"method": "sft", "steps": 20, "seed": 0}, run_id="bad")
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
