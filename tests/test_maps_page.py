"""The latent map page and the picked prompts on every page, in Streamlit's test harness; UMAP stays out of its process.

Not covered: drawing a lasso and what a browser shows (test_browser.py).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import recorded_results
import recorded_studies
from pages import Answers, finished_run, page, words

from dashboard import recorded
from dashboard.engine.client import Engine
from pkt_core.runs import folder as run_folder

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]
ROOT = Path(__file__).resolve().parents[1]
PLAN = {"teacher": {"name": "demo:teacher"}, "student": {"name": "demo:student"}}


def kept_run(run_id: str = "one") -> run_folder.Run:
    """A finished run of the demo pair that keeps weights."""
    made = finished_run(run_id, **PLAN)
    (made.folder / "student").mkdir()
    (made.folder / "student" / "model.safetensors").write_bytes(b"")
    return made


def last(answers: Answers, function: str) -> dict:
    return [arguments for name, arguments in answers.asked if name == function][-1]


def test_without_a_run_the_chain_goes_from_teacher_to_student(answers):
    app = page("latent_map", tl="4", sl="1")
    assert not app.exception
    asked = last(answers, "chain_map")
    assert (asked["kind"], asked["run"], asked["teacher_layer"], asked["student_layer"]) == ("pair", None, 4, 1)
    chain = recorded_studies.chain(kind="pair")
    shared, chance = (f"{100 * share:.0f} %" for share in (chain.steps[0], chain.overlap_chance))
    said = words(app).replace("\\", "")
    assert f"share {shared} of each prompt's nearest neighbours (chance {chance})" in said
    assert len(app.get("plotly_chart")) == 1


def test_a_run_in_the_link_makes_the_chain_before_and_after(answers):
    kept_run()
    app = page("latent_map", run="one")
    assert not app.exception
    assert (last(answers, "chain_map")["kind"], last(answers, "chain_map")["run"]) == ("run", "one")
    chain = recorded_studies.chain()
    before, after = (f"{100 * share:.0f} %" for share in (chain.steps[0], chain.ends))
    said = words(app).replace("\\", "")
    assert (
        f"{before} of each prompt's nearest neighbours with the teacher before the transfer and {after} after" in said
    )
    # Who moved is asked between before and after, and of the very chain that is shown.
    asked = last(answers, "turnover")
    assert (asked["first"], asked["second"], asked["run"]) == (1, 2, "one")
    assert app.dataframe[0].value["prompt"].tolist() == [row.id for row in recorded_studies.turnover().rows]


def test_runs_of_other_models_or_without_weights_are_not_offered(answers):
    finished_run("no-weights", **PLAN)
    app = page("latent_map", chain="before and after a run")
    assert not app.exception
    assert "No run of this pair has a stored student yet" in words(app)
    kept_run("good")
    app = page("latent_map", chain="before and after a run", run="no-weights")
    assert last(answers, "chain_map")["run"] == "good"
    assert any("none of this pair" in one.value.replace("\\", "") for one in app.info)


@pytest.mark.parametrize("chain", ["teacher's layers", "student's layers"])
def test_layers_make_a_chain_and_chosen_layers_do_not_matter(answers, chain):
    app = page("latent_map", chain=chain, tl="4", sl="1")
    assert not app.exception
    asked = last(answers, "chain_map")
    assert (asked["kind"], asked["teacher_layer"], asked["student_layer"]) == (chain.split("'")[0], 0, 0)


def test_the_pca_is_asked_first_and_shown_until_the_umap_is_there(answers, monkeypatch):
    monkeypatch.setattr(recorded, "comparison", recorded_results.comparison)
    answers.status = "umap works"
    app = page("latent_map")
    assert not app.exception
    assert [a["method"] for name, a in answers.asked if name == "chain_map"][:2] == ["pca", "umap"]
    assert "The UMAP" in app.main.get("progress")[0].proto.text
    assert len(app.get("plotly_chart")) == 1
    answers.status = "working"
    answers.asked.clear()
    page("latent_map")
    assert {a.get("method") for name, a in answers.asked if name == "chain_map"} == {"pca"}


def test_the_null_picture_is_one_click_away_and_labelled(answers):
    app = page("latent_map")
    app.toggle(key="shuffled").set_value(True).run()
    assert last(answers, "chain_map")["shuffled"] is True
    assert last(answers, "turnover")["shuffled"] is True
    assert "Null picture" in words(app)


def test_umap_is_warmed_after_the_picture_and_not_by_other_pages(answers):
    page("alignment")
    assert "warm_projection" not in {name for name, _ in answers.asked}
    page("latent_map")
    assert answers.asked[-1] == ("warm_projection", {"method": "umap"})


def test_picked_prompts_are_on_every_page_until_cleared(answers, monkeypatch):
    kept_run()
    app = page("latent_map", picked="100, 101")
    assert not app.exception
    assert last(answers, "picked_tokens")["ids"] == [100, 101]
    assert "JS" in words(app)
    app.switch_page("views/alignment/page.py").run()
    assert last(answers, "picked_cell")["ids"] == [100, 101]
    assert last(answers, "picked_cell")["measure"] == "debiased_linear_cka"
    assert "A separate similarity needs at least 32 prompts" in words(app).replace("\\", "")
    monkeypatch.setattr(recorded_studies, "picked_cell", lambda: SPECIAL)
    app.run()
    assert "Outside the range of random choices of 40 prompts" in words(app).replace("\\", "")
    monkeypatch.setattr(Engine, "known", lambda *_: None)  # nobody asked for more yet
    app.switch_page("views/behaviour/page.py").run()
    assert (last(answers, "picked_continuations")["ids"], last(answers, "picked_continuations")["run"]) == (
        [100, 101],
        "one",
    )
    assert not app.exception
    app.button(key="unpick").click().run()
    assert app.text_input(key="picked").value == ""
    answers.asked.clear()
    app.switch_page("views/alignment/page.py").run()
    assert "picked_cell" not in {name for name, _ in answers.asked}


SPECIAL = recorded_studies.picked_cell(40, enough=True)


def test_nothing_picked_says_how_to_pick(answers):
    assert "Pick prompts in the map" in words(page("latent_map"))
    assert "picked_tokens" not in {name for name, _ in answers.asked}


def test_many_picked_prompts_fit_the_link(answers):
    ids = list(range(1000, 2000))
    app = page("latent_map", picked=", ".join(map(str, ids)))
    assert not app.exception
    assert app.button(key="unpick").label == "Clear 1000 picked"
    assert last(answers, "picked_tokens")["ids"] == ids[:200]


def test_a_task_tells_time_left_from_the_pace_of_its_stage(monkeypatch):
    from dashboard.engine import client

    now = [100.0]
    monkeypatch.setattr(client.time, "monotonic", lambda: now[0])
    task = client.Task("chain_map", {})
    task.tell("Compiling", 0.3)
    now[0] = 160.0
    task.tell("Aligning", 0.4)
    assert task.left is None
    now[0] = 162.0
    task.tell("Aligning", 0.6)
    assert task.left == pytest.approx(4.0)  # 0.2 in 2 s, the minute of compiling does not count
    now[0] = 163.0
    assert task.left == pytest.approx(3.0)
    task.status = "done"
    assert task.left is None


SCRIPT = """
import sys, time
from streamlit.testing.v1 import AppTest
from dashboard import loaders
app = AppTest.from_file("dashboard/app.py", default_timeout=120)
app.query_params.update({"points": "50", "aligned": "pca", "tl": "5", "sl": "2"})
app.run()
app.switch_page("views/latent_map/page.py").run()
end = time.monotonic() + 400
while not app.get("plotly_chart") and time.monotonic() < end:
    time.sleep(1)
    app.run()
assert not app.exception
print("charts", len(app.get("plotly_chart")))
print("loaded", [m for m in ("umap", "numba", "sklearn", "pkt_core.projection") if m in sys.modules])
loaders.engine().release()
"""


@pytest.mark.slow
def test_the_dashboard_process_never_imports_umap():
    out = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, cwd=ROOT, timeout=500)
    assert out.returncode == 0, out.stderr[-2000:]
    assert out.stdout.strip().splitlines()[-2:] == ["charts 1", "loaded []"]


def test_selected_points_become_prompt_ids_whatever_plotly_calls_them(monkeypatch):
    import streamlit as st

    from dashboard import state

    points = [{"customdata": ["7", "x"]}, {"customdata": {"0": 9, "1": "y"}}, {"customdata": ["7", "x"]}, {"x": 1}]
    monkeypatch.setattr(
        st, "session_state", {"figure-a": {"selection": {"points": points}}, "table-b": {"selection": {"rows": [2, 0]}}}
    )
    assert state.selected_ids("figure-a") == [7, 9]
    assert state.selected_ids("figure-missing") is None
    assert state.selected_rows("table-b") == [2, 0]
