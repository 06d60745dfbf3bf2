"""Every page in Streamlit's own test harness: nothing there yet, the demo, and things that are broken.

Not covered: clicks in figures and what a browser draws.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import recorded_results
import recorded_runs
import recorded_studies
from pages import PAGES, finished_run, page, words

from dashboard import recorded, widgets
from dashboard.engine.client import Engine
from dashboard.params import Param
from pkt_core.runs import folder as run_folder
from pkt_core.runs.results import RunResults, TaughtLayers

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_with_nothing_there(name):
    app = page(name)
    assert not app.exception
    assert len(app.title) == 1
    assert app.title[0].value in (
        "Two models side by side", "Where do the layers agree?", "Both latent spaces in one picture", "Mapping states from teacher to student", "What does a state encode?", "Run a transfer", "What changed, and at what cost?", "Where did predictions change?", "Runs", "Compare methods",
        "What predicts transfer gain?", "Standard benchmarks"
    )  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_every_page_shows_a_finished_run_and_a_comparison(name):
    finished_run()
    app = page(name)
    assert not app.exception
    assert not app.error


@pytest.mark.parametrize("name", PAGES)
def test_every_page_survives_broken_things_in_one_sentence(answers, name, cache):
    (cache / "runs" / "broken").mkdir(parents=True)
    (cache / "runs" / "broken" / "plan.json").write_text("{")
    answers.status, answers.error = "failed", "there is no folder nowhere."
    app = page(name, run="broken")
    assert not app.exception


def test_another_measure_is_asked_for_with_the_same_settings(answers):
    app = page("alignment", measure="mutual_knn", outliers="clamp", skip1="true")
    assert not app.exception
    asked = [arguments for function, arguments in answers.asked if function == "similarity"]
    assert asked[0]["measure"] == "mutual_knn"
    assert (asked[0]["outliers"], asked[0]["skip_first"]) == ("clamp", True)
    assert "Mutual" in words(app)


def test_an_unknown_measure_in_a_link_gives_the_default_and_a_notice():
    app = page("alignment", measure="telepathy")
    assert not app.exception
    assert any("telepathy" in one.value for one in app.info)


def test_a_dimension_that_owns_the_picture_is_named(answers, monkeypatch):
    calm = recorded_results.comparison().outliers
    loud = recorded_results.comparison(outliers=replace(calm, teacher=replace(calm.teacher, top_share=[0.8] * 6)))
    monkeypatch.setattr(answers, "find", lambda *_: loud)
    for name in ("pair", "alignment"):
        assert any("80\u00a0% of its variance" in one.value.replace("\\", "") for one in page(name).warning)


def test_an_error_of_the_user_is_one_sentence_and_a_fault_is_called_one(answers):
    answers.status, answers.error = "failed", "there is no folder nowhere."
    assert [widgets.plain(answers.error)] == [e.value for e in page("alignment").error]
    answers.fault = True
    assert "fault in the program" in page("alignment").error[0].value


def test_a_comparison_under_way_shows_progress_and_no_result(answers):
    answers.status = "working"
    app = page("alignment")
    assert not app.exception
    assert "The comparison" in app.main.get("progress")[0].proto.text
    assert not app.get("plotly_chart")


def test_the_recorded_comparison_is_shown_at_once_and_labelled(answers, monkeypatch):
    monkeypatch.setattr(recorded, "comparison", recorded_results.comparison)
    app = page("pair")
    assert not answers.asked
    assert "recorded" in words(app)
    assert "share all 4,093 tokens" in words(app).replace("\\", "")
    page("pair", fresh="true")
    assert {name for name, _ in answers.asked} == {"compare"}


def test_other_settings_than_the_recorded_ones_are_computed(answers, monkeypatch):
    monkeypatch.setattr(recorded, "comparison", recorded_results.comparison)
    page("alignment", pooling="last")
    assert answers.asked[0][1]["pooling"] == "last"


def test_a_pair_that_does_not_ship_is_compared_only_when_asked(answers, monkeypatch):
    monkeypatch.setattr(Engine, "known", lambda *_: None)
    app = page("alignment", pair="pythia")
    assert not answers.asked
    app.button(key="compare-now").click().run()
    assert answers.asked[0][1]["pair"] == "pythia"


def test_the_link_chooses_the_layers_on_every_page(answers):
    assert page("alignment", tl="1", sl="0").selectbox(key="tl").value == "1"
    page("latent_map", tl="1", sl="0", picture="joined by a map")
    asked = [a for name, a in answers.asked if name == "latent_map"][-1]
    assert (asked["teacher_layer"], asked["student_layer"]) == (1, 0)


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("pair", {"tl": "99"}),
        ("pair", {"pair": "nobody"}),
        ("latent_map", {"view": "tsne", "picture": "joined by a map"}),
        ("latent_map", {"picture": "horoscope"}),
        ("latent_map", {"chain": "of command"}),
        ("pair", {"n": "3"}),
        ("behaviour", {"run": "../../etc"}),
    ],
)
def test_bad_values_in_a_link_give_the_default_and_a_notice(name, link):
    finished_run()
    app = page(name, **link)
    assert not app.exception
    assert any("not available here" in one.value or "cannot be shown" in one.value for one in app.info)


def test_a_umap_under_way_leaves_the_pca_on_the_page(answers):
    answers.status = "umap works"
    app = page("latent_map", view="umap", picture="joined by a map")
    assert not app.exception
    assert len(app.get("plotly_chart")) == 1
    assert "PCA" in words(app)


def test_hostile_text_is_never_markdown():
    made = finished_run(
        run_id="hostile", teacher={"name": recorded_studies.HOSTILE}, student={"name": "![x](http://evil/x.png)"}
    )
    for name in PAGES:
        app = page(name, run=made.id, pair="custom", teacher=recorded_studies.HOSTILE, student="s")
        assert not app.exception
        for one in [*app.markdown, *app.caption, *app.error, *app.info]:
            assert "](http" not in str(one.value)
            assert not getattr(one, "allow_html", False)


def test_starting_a_transfer_puts_a_run_into_the_queue_and_opens_it(worked):
    app = page("transfer", method="sft", steps="40", tl="1", sl="0")
    app.button(key="start").click().run()
    assert not app.exception
    ((run_id,),) = worked
    plan = run_folder.open_run(run_id).plan()
    assert (plan["method"], plan["steps"], plan["teacher_layer"], plan["student_layer"]) == ("sft", 40, 1, 0)
    assert app.selectbox(key="run").value == run_id
    assert "waiting to start" in words(app)
    assert "Next in the queue" in words(app)


def test_a_control_takes_the_meaning_out_of_the_plan(worked):
    app = page("transfer", control="permuted vocabulary")
    assert "What it removes: the map's meaning" in words(app).replace("\\", "")
    app.button(key="start").click().run()
    assert len(worked) == 1
    assert run_folder.list_runs()[0].plan["map"] == "permuted"


def test_a_running_run_is_found_by_its_link_and_can_be_stopped(monkeypatch):
    made = run_folder.create_run({"method": "sft", "steps": 20}, run_id="going")
    made.write_status("running", step=5, total_steps=20, message="Training")
    made.append_event(recorded_runs.event(5))
    stopped: list[str] = []
    monkeypatch.setattr("dashboard.jobs.stop", lambda run_id, **_: stopped.append(run_id))
    app = page("transfer", run="going")
    assert [one.value for one in app.subheader] == [
        "Watch",
        "Queue: 1 running, 0 waiting",
        "Plan another transfer",
    ]
    assert "step 5 of 20" in app.main.get("progress")[0].proto.text
    app.button(key="stop").click().run()
    assert stopped == ["going"]


def test_two_runs_are_compared_with_their_differing_settings():
    finished_run("one", learning_rate=0.1)
    finished_run("two", learning_rate=0.2)
    app = page("runs", run="one", **{"with": "two"})
    assert not app.exception
    assert len(app.get("plotly_chart")) == 1
    assert app.dataframe[-1].value["setting"].tolist() == ["learning_rate"]


def test_a_stopped_run_says_how_to_measure_it():
    made = run_folder.create_run({"method": "sft"}, run_id="short")
    made.write_status("running")
    made.write_results(RunResults(layers=TaughtLayers(1, 1, "plan")))
    made.write_status("stopped", message="Stopped after step 3 of 20.")
    app = page("behaviour", run="short")
    assert not app.exception
    assert app.button(key="go-on").label == "Resume this run"
    assert not app.code, "without a student there is nothing to measure"
    (made.folder / "student").mkdir()
    (made.folder / "student" / "model.safetensors").write_bytes(b"")
    assert page("behaviour", run="short").code[0].value == "pkt evaluate short"


def test_generations_can_be_narrowed_to_those_that_differ():
    finished_run()
    assert page("behaviour", proof="Answers").dataframe[-1].value["expected"].tolist() == ["x."]
    app = page("behaviour", proof="Answers")
    app.toggle(key="differ").set_value(True).run()
    assert app.dataframe[-1].value["after"].str.startswith("<script>").all()


def test_every_parameter_name_is_used_once_and_escapes_are_complete():
    assert len({p.value for p in Param}) == len(list(Param))
    assert "](" not in widgets.plain("[x](y)")
    assert widgets.spent(30) == "30 s"
    assert widgets.left(None) == ""


def test_a_recording_that_is_broken_counts_as_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("pkt_core.data.prompts.assets_folder", lambda: tmp_path)
    path = tmp_path / "recorded" / "comparison.json"
    path.parent.mkdir()
    assert recorded.read("comparison.json") is None
    for broken in ("{", "[]"):
        path.write_text(broken)
        assert recorded.read("comparison.json") is None
    path.write_text(json.dumps({"a": 1}))
    assert recorded.read("comparison.json") == {"a": 1}


def test_maps_are_asked_for_at_the_chosen_layers_and_large_pairs_are_not_stitched_unasked(answers, monkeypatch):
    app = page("maps", tl="4", sl="1", stitch="ridge")
    assert not app.exception
    asked = dict(answers.asked)
    assert (asked["alignment_maps"]["teacher_layer"], asked["alignment_maps"]["student_layer"]) == (4, 1)
    assert asked["stitching"]["kind"] == "ridge"
    assert "costs least" in words(app)
    known = Engine.known
    monkeypatch.setattr(Engine, "known", lambda self, f, a: None if f == "stitching" else known(self, f, a))
    answers.asked.clear()
    app = page("maps", pair="custom", teacher="one", student="other")
    assert "stitching" not in dict(answers.asked)
    app.button(key="stitch-now").click().run()
    assert "stitching" in dict(answers.asked)


def test_a_run_with_weights_shows_what_it_moved_and_one_without_says_so(answers):
    run = finished_run()
    app = page("behaviour", proof="Layers", run="one", measure="rsa")
    assert not app.exception
    assert "trained weights are not stored" in words(app)
    (run.folder / "student").mkdir()
    app = page("behaviour", proof="Layers", run="one", measure="rsa", n="128")
    assert not app.exception
    asked = dict(answers.asked)["similarity_change"]
    assert (asked["run"], asked["measure"], asked["n_prompts"]) == ("one", "rsa", 128)
    assert "came closer to the teacher" in words(app)
