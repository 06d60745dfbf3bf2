"""The page Factors, its figures, table and sentences: the recording, runs of one's own, too few, broken ones, a sweep begun."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import recorded_studies
from made_runs import a_run
from pages import page, plain

from pkt_core.runs.queue import waiting
from pkt_core.studies.factors import text as factors_text
from pkt_core.studies.factors.figures import beside_figure, factors_figure, points_figure
from pkt_core.words import style

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]


SURE, UNSURE = "general text", "demo/unknown-seen"
"""A gain of the recording with which a factor goes beyond chance, and one with which none does."""


def listed(task=SURE):
    return recorded_studies.factors().factors[task]


def group():
    return recorded_studies.factors().groups[0]


FIGURES = {
    "factors": lambda: factors_figure(listed()),
    "points": lambda: points_figure([group()], listed()[0], UNSURE, {group().key: recorded_studies.HOSTILE}),
    "points of bits": lambda: points_figure([group()], listed()[0], SURE, {}),
    "beside": lambda: beside_figure(group(), listed()[0], UNSURE),
}


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_figures_name_their_axes_and_let_no_tag_through(make):
    data = json.loads(make().to_json())
    assert all(axis["title"]["text"] for name, axis in data["layout"].items() if name.startswith("xaxis"))
    assert data["layout"]["yaxis"].get("title", {}).get("text") or data["layout"]["yaxis"].get("ticktext")
    assert "script>" not in json.dumps(data).replace("script&gt;", "")


def test_the_strongest_factor_stands_on_top_with_its_band_of_chance_and_what_cannot_be_said_is_left_out():
    figure, known = factors_figure(listed()), [factor for factor in listed() if factor.rho is not None]
    assert 0 < len(known) < len(listed())
    assert abs(known[0].rho) == max(abs(factor.rho) for factor in known)
    assert figure.layout.yaxis.ticktext[-1] == known[0].label
    assert len(figure.layout.yaxis.ticktext) == len(figure.layout.shapes) == len(known)
    assert [(s.x0, s.x1) for s in figure.layout.shapes] == [(-one.visible, one.visible) for one in reversed(known)]
    alone = next(trace for trace in figure.data if trace.name == "relative depth")
    assert list(alone.x) == [factor.rho for factor in known if factor.kind == "depth"]
    assert len(alone.x) == 1


def test_each_point_knows_its_layers_and_its_run_and_each_gain_its_cell():
    (seeds, points), one = points_figure([group()], listed()[0], UNSURE, {}).data, group().points[4]
    assert list(points.customdata[4]) == [one.teacher, one.student, one.runs[0], len(one.runs)]
    assert points.y[4] == pytest.approx(100 * np.mean(one.gains[UNSURE]))
    assert list(seeds.y[12:15]) == pytest.approx([100 * gain for gain in one.gains[UNSURE]])
    gained = beside_figure(group(), listed()[0], SURE).data[0]
    assert gained.z[one.teacher][one.student] == pytest.approx(np.mean(one.gains[SURE]))
    assert gained.zmin < 0 < gained.zmax


def test_sentences_say_what_predicts_beyond_depth_what_does_not_and_what_is_not_detectable():
    first, depth = listed()[0], recorded_studies.factors().depth
    sure = factors_text.eases(listed(), SURE, depth[SURE])
    assert first.rho < 0  # as recorded: where neighbours rank alike, less was gained
    p = style.p_value(first.p_corrected)
    goes = f"{first.label} than depth suggests goes with more gain in {SURE} (corrected p {p})."
    assert sure.startswith(f"Less {goes}")
    assert sure.endswith(f"Depth explains {style.percent(depth[SURE])} of it.")
    unsure = factors_text.eases(listed(UNSURE), UNSURE, None)
    nearest = style.p_value(min(factor.p_corrected for factor in listed(UNSURE) if factor.rho is not None))
    assert unsure == f"No measure predicts the gain in new facts beyond depth (smallest corrected p {nearest})."
    assert len(unsure.split()) <= 20
    assert factors_text.eases([replace(first, rho=0.9)], SURE, None).startswith(f"More {goes}")
    assert "too few teacher layers" in factors_text.eases([listed()[-1]], SURE, None)
    known = [factor for factor in listed() if factor.rho is not None]
    alike = [replace(factor, visible=0.55) for factor in known]
    assert "detectable from ±0.55; a smaller one is not evidence" in factors_text.cannot(alike)
    low, high = (style.number(end(factor.visible for factor in known)) for end in (min, max))
    assert f"from ±{low} to ±{high}, depending on the factor; a smaller" in factors_text.cannot(listed())


def test_tables_hold_every_factor_and_every_run():
    assert len(factors_text.factors_table(listed())) == len(listed())
    shown = factors_text.factors_shown(listed())["Correlation beyond depth"].tolist()
    assert shown == [style.number(factor.rho) for factor in listed()]
    assert shown[-1] == "–"
    table = factors_text.points_table([group()], listed()[0], SURE, {group().key: "one"})
    assert table["run"].tolist() == [run for point in group().points for run in point.runs]


def test_a_first_visit_sees_the_recording_and_can_try_every_pair():
    app = page("factors")
    assert not app.exception
    said = plain(app)
    assert "recorded" in said
    assert "beyond depth" in said
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
    for t in range(6):
        done(a_run(0.1 * t**3, t, 1))
    app = page("factors")
    assert not app.exception
    said = plain(app)
    assert "of it" in said
    assert "A sweep of the demo pair" not in said  # the recorded one
    assert len(app.get("plotly_chart")) == 3
    other = page("factors", gained="general text")
    assert "goes with more gain in general text" in plain(other)
    assert page("factors", factor="Procrustes angle").selectbox(key="factor").value == "Procrustes angle"


def test_a_sweep_goes_into_the_queue(monkeypatch):
    from dashboard import jobs

    monkeypatch.setattr(jobs, "work", lambda: None)
    app = page("factors", smost="8")
    button = next(b for b in app.button if b.key == "start-sweep")
    assert button.label == "Try every pair of layers (6 runs)"
    button.click().run()
    assert not app.exception
    assert len(waiting()) == 6
