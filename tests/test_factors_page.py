"""The page Factors, its figures, table and sentences: the recording, runs of one's own, too few, broken ones, a sweep begun."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import report_samples as samples
from made_runs import a_run
from pages import page, plain

from pkt_core.runs.queue import waiting
from pkt_core.studies.factors import text as factors_text
from pkt_core.studies.factors.figures import beside_figure, factors_figure, points_figure

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]


def listed(task="facts", **more):
    return samples.factors(**more).factors[task]


def group():
    return samples.factors().groups[0]


FIGURES = {
    "factors": lambda: factors_figure(listed()),
    "points": lambda: points_figure([group()], listed()[0], "facts", {"g": samples.HOSTILE}),
    "points of bits": lambda: points_figure([group()], listed()[0], "general text", {}),
    "beside": lambda: beside_figure(group(), listed()[0], "facts"),
}


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_figures_name_their_axes_and_let_no_tag_through(make):
    data = json.loads(make().to_json())
    assert all(axis["title"]["text"] for name, axis in data["layout"].items() if name.startswith("xaxis"))
    assert data["layout"]["yaxis"].get("title", {}).get("text") or data["layout"]["yaxis"].get("ticktext")
    assert "script>" not in json.dumps(data).replace("script&gt;", "")


def test_the_strongest_factor_stands_on_top_with_its_band_of_chance_and_what_cannot_be_said_is_left_out():
    figure = factors_figure(listed())
    assert figure.layout.yaxis.ticktext[-1] == "CKA (debiased, linear)"
    assert len(figure.layout.yaxis.ticktext) == len(figure.layout.shapes) == 3
    assert {(s.x0, s.x1) for s in figure.layout.shapes} == {(-0.55, 0.55)}
    alone = next(trace for trace in figure.data if trace.name == "depth alone")
    assert list(alone.x) == [0.4]


def test_each_point_knows_its_layers_and_its_run_and_each_gain_its_cell():
    points = points_figure([group()], listed()[0], "facts", {}).data[0]
    assert list(points.customdata[4]) == [1, 1, "run-1-1", 1]
    assert points.y[4] == pytest.approx(100 * group().points[4].gains["facts"][0])
    gained = beside_figure(group(), listed()[0], "general text").data[0]
    assert gained.z[3][0] == pytest.approx(-0.3)
    assert gained.zmin < 0 < gained.zmax


def test_sentences_say_what_eases_what_does_not_and_what_cannot_be_known():
    sure = factors_text.eases(listed(), "facts")
    assert "CKA (debiased, linear) predicts the gain in facts (rank correlation 0.90, corrected p" in sure
    unsure = factors_text.eases(listed(sure=False), "facts")
    assert "No measure predicts the gain in facts better than depth alone (" in unsure
    assert "layer pairs, corrected p" in unsure
    assert "cannot be predicted" in factors_text.eases([listed()[3]], "facts")
    assert "5 % of shuffles of whole layers exceed a rank correlation of ±0.55." in factors_text.cannot(listed())
    apart = [
        replace(factor, visible=None if factor.rho is None else 0.26 + 0.31 * (factor.name == listed()[0].name))
        for factor in listed()
    ]
    assert "of ±0.26 to ±0.57, depending on the factor." in factors_text.cannot(apart)
    assert (
        "Depth in the student alone reaches 0.40; CKA (debiased, linear) reaches 0.90, a difference that is not tested."
        in factors_text.cannot(listed())
    )
    weak = [listed()[1], listed()[2]]
    assert "no similarity measure exceeds it" in factors_text.cannot(weak)


def test_tables_hold_every_factor_and_every_run():
    assert len(factors_text.factors_table(listed())) == 4
    assert factors_text.factors_shown(listed())["Rank correlation"].tolist() == ["0.90", "0.40", "−0.10", "–"]
    table = factors_text.points_table([group()], listed()[0], "facts", {"g": "one"})
    assert table["run"].tolist() == [f"run-{t}-{s}" for t in range(4) for s in range(3)]


def test_a_first_visit_sees_the_recording_and_can_try_every_pair():
    app = page("factors")
    assert not app.exception
    said = plain(app)
    assert "recorded" in said
    assert "gain in" in said
    assert len(app.get("plotly_chart")) == 3
    assert any(b.key == "start-sweep" for b in app.button)


def test_without_a_recording_the_page_says_what_to_do(monkeypatch):
    monkeypatch.setattr("dashboard.recorded.factors", lambda: None)
    app = page("factors")
    assert not app.exception
    assert "No factor can be compared yet" in plain(app)


def done(run):
    run.write_status("running")
    run.write_status("done", message="Done.")


def test_own_runs_are_answered_from_and_a_hostile_name_shows_as_it_is():
    for t in range(4):
        done(a_run(0.1 * t, t, 1))
    app = page("factors")
    assert not app.exception
    said = plain(app)
    assert "the gain in" in said
    assert "A sweep of the demo pair" not in said  # the recorded one
    assert len(app.get("plotly_chart")) == 3
    other = page("factors", gained="general text")
    assert "No measure predicts the gain in general text" in plain(other)
    assert page("factors", factor="Procrustes").selectbox(key="factor").value == "Procrustes"


def test_a_sweep_goes_into_the_queue(monkeypatch):
    from dashboard import jobs

    monkeypatch.setattr(jobs, "work", lambda: None)
    app = page("factors", smost="8")
    button = next(b for b in app.button if b.key == "start-sweep")
    assert button.label == "Try every pair of layers (8 runs)"
    button.click().run()
    assert not app.exception
    assert len(waiting()) == 8
