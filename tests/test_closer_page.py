"""The closer look on Alignment and what is pinned, in Streamlit's test harness, and its figure, tables and sentences.

Not covered: clicks in the figure and what a browser draws (test_browser_closer.py).
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import recorded_results
import recorded_studies
import reference_agreement as twin
from pages import page, words

from dashboard import loaders, recorded
from dashboard.engine.client import Engine
from pkt_core.models.catalog import demo_pair
from pkt_core.studies.comparison.figures import similarity_heatmap
from pkt_core.studies.layer_pair import text as sentences
from pkt_core.studies.layer_pair import text as tables
from pkt_core.studies.layer_pair.figures import closer_figure
from pkt_core.words import style

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]


def asked(answers, function="closer_look"):
    return [(a["teacher_layer"], a["student_layer"]) for name, a in answers.asked if name == function]


def heads(app):
    return [one.value for one in app.subheader]


def test_nothing_is_computed_until_somebody_wants_it(answers, monkeypatch):
    monkeypatch.setattr(recorded, "comparison", recorded_results.comparison)
    monkeypatch.setattr(Engine, "known", lambda *_: None)
    app = page("alignment")
    assert not app.exception
    teacher, student = demo_pair().layers  # where its recorded runs worked
    assert f"A closer look at teacher layer {teacher} and student layer {student}" in heads(app)
    assert not asked(answers)
    app.button(key="look-closer").click().run()
    assert not app.exception
    assert set(asked(answers)) == {(teacher, student)}
    assert (app.selectbox(key="tl").value, app.selectbox(key="sl").value) == (str(teacher), str(student))
    assert "rank correlation 0." in words(app).replace("\\", "")


def test_a_pair_that_does_not_ship_is_not_looked_at_before_it_is_compared(answers, monkeypatch):
    monkeypatch.setattr(Engine, "known", lambda *_: None)
    page("alignment", pair="pythia", tl="1", sl="0", pin="0.0", picked="3")
    assert not answers.asked


def test_layers_in_the_link_are_looked_at_with_the_settings_of_the_comparison(answers):
    app = page("alignment", tl="4", sl="1", pooling="tokens", outliers="clamp")
    assert not app.exception
    request = [a for name, a in answers.asked if name == "closer_look"][-1]
    compared = [a for name, a in answers.asked if name == "compare"][-1]
    assert request == {**compared, "teacher_layer": 4, "student_layer": 1}
    assert not any(one.value.startswith("Pinned") for one in app.caption)


def test_a_pin_is_set_beside_the_selection_swapped_and_taken_off(answers, monkeypatch):
    app = page("alignment", tl="4", sl="1")
    app.button(key="pin-layers").click().run()
    assert app.text_input(key="pin").value == "4.1"
    assert "Click another cell to compare" in words(app)
    app.selectbox(key="tl").set_value("2").run()
    assert set(asked(answers)) >= {(2, 1), (4, 1)}
    said = words(app).replace("\\", "")
    assert "Chosen − pinned: by all pairs of prompts" in said
    assert any("Chosen − pinned" in one.value for one in app.dataframe)
    app.button(key="swap-layers").click().run()
    assert not app.exception
    assert (app.selectbox(key="tl").value, app.text_input(key="pin").value) == ("4", "2.1")
    app.switch_page("views/latent_map/page.py").run()
    app.switch_page("views/alignment/page.py").run()
    assert app.text_input(key="pin").value == "2.1"  # kept from page to page
    answers.asked.clear()
    monkeypatch.setattr(Engine, "known", lambda *_: None)
    app.button(key="unpin-layers").click().run()
    assert app.text_input(key="pin").value == ""
    assert set(asked(answers)) == {(4, 1)}


@pytest.mark.parametrize("bad", ["99.0", "0.9", "x.y", "5", "5.2.1", "-1.0", "<script>"])
def test_a_bad_pin_in_a_link_gives_a_notice_and_is_dropped(answers, bad):
    app = page("pair", tl="4", sl="1", pin=bad)
    assert not app.exception
    assert any("is no pair of layers here" in one.value.replace("\\", "") for one in app.info)
    assert app.text_input(key="pin").value == ""
    app.switch_page("views/alignment/page.py").run()
    assert not app.exception
    assert not any("is no pair of layers" in one.value for one in app.info)  # said once
    assert set(asked(answers)) == {(4, 1)}
    good = page("pair", tl="4", sl="1", pin="5.2")
    assert good.text_input(key="pin").value == "5.2"
    assert not any("is no pair of layers" in one.value for one in good.info)


def test_progress_and_errors_of_a_closer_look_are_on_the_page(answers, monkeypatch):
    monkeypatch.setattr(recorded, "comparison", recorded_results.comparison)
    monkeypatch.setattr(loaders, "soon", lambda task, *_: task)
    answers.status = "working"
    app = page("alignment", tl="4", sl="1")
    assert not app.exception
    assert any("The closer look" in one.proto.text for one in app.main.get("progress"))
    answers.status, answers.error = "failed", "The student's layer does not vary over these prompts."
    app = page("alignment", tl="4", sl="1", pin="2.0")
    assert not app.exception
    assert any("does not vary" in one.value for one in app.error)


@pytest.mark.parametrize("picture", ["chain of spaces", "joined by a map"])
def test_the_map_of_the_pinned_layers_stands_below_the_chosen(answers, picture):
    function = "chain_map" if picture.startswith("chain") else "latent_map"
    app = page("latent_map", tl="4", sl="1", pin="2.0", picture=picture)
    assert not app.exception
    assert "Pinned: teacher layer 2 and student layer 0" in heads(app)
    assert set(asked(answers, function)) == {(4, 1), (2, 0)}
    answers.asked.clear()
    app = page("latent_map", tl="4", sl="1", pin="4.1", picture=picture)  # the same pair: nothing to set beside it
    assert set(asked(answers, function)) == {(4, 1)}
    assert not any(head.startswith("Pinned") for head in heads(app))


def test_what_picked_prompts_are_followed_by_is_asked_of_a_small_pair_at_once():
    assert "Predicted next tokens" in heads(page("alignment", picked="100"))
    assert "Predicted next tokens" not in heads(page("alignment"))


def test_the_figure_escapes_text_names_its_axes_and_carries_both_prompts():
    chosen, pinned = recorded_studies.closer_look(), recorded_studies.closer_look(1, 0)
    picked = chosen.ids[chosen.pairs.first[0]]
    figure = closer_figure([chosen, pinned], names=("Chosen", "Pinned"), picked=[picked])
    told = figure.to_json()
    assert "<script" not in json.dumps(json.loads(told)).replace("\\u003c", "<")
    layout = json.loads(told)["layout"]
    assert layout["xaxis"]["title"]["text"] == "Cosine in student layer 2 (−1 to 1)"
    assert layout["yaxis2"]["title"]["text"] == "Cosine in teacher layer 1 (−1 to 1)"
    assert (layout["xaxis"]["range"], layout["yaxis"]["range"]) == (
        layout["xaxis2"]["range"],
        layout["yaxis2"]["range"],
    )
    marked = [trace for trace in figure.data if trace.name == "one of them picked"]
    assert len(marked) == 2
    assert all(picked in row[:2] for row in marked[0].customdata)
    others = next(trace for trace in figure.data if trace.name == "two prompts")
    assert not any(picked in row[:2] for row in others.customdata)
    assert len(marked[0].x) + len(others.x) == len(chosen.pairs.first)


def test_a_pinned_cell_has_another_frame_than_the_chosen():
    figure = similarity_heatmap(recorded_results.grid(), chosen=(5, 2), pinned=(1, 0))
    frames = {shape.name: shape for shape in figure.layout.shapes}
    assert (frames["pinned"].y0, frames["pinned"].x0) == (1 - 0.45, -0.47)
    assert frames["pinned"].line.color != frames["chosen"].line.color
    assert frames["pinned"].line.dash != frames["chosen"].line.dash
    assert "pinned" not in {
        shape.name for shape in similarity_heatmap(recorded_results.grid(), chosen=(5, 2)).layout.shapes
    }


def test_tables_rank_the_worst_first_and_the_largest_difference_first():
    one, other = recorded_studies.closer_look(), recorded_studies.closer_look(1, 0)
    table = tables.overlap_table(one)
    assert table["shared"].is_monotonic_increasing
    assert table["shared"][0] == min(one.overlap.values)
    both = tables.beside_table(one, other)
    assert both["difference"].abs().is_monotonic_decreasing
    row = both.iloc[0]
    place = one.ids.index(row["prompt"])
    assert row["difference"] == pytest.approx(one.overlap.values[place] - other.overlap.values[place])
    pairs = tables.pairs_table([one, other])
    assert len(pairs) == len(one.pairs.first) + len(other.pairs.first)
    assert set(pairs["teacher_layer"]) == {5, 1}


def test_differences_are_paired_and_nothing_is_claimed_where_they_hold_zero():
    one, other = recorded_studies.closer_look(), recorded_studies.closer_look(1, 0)
    found = one.correlation.minus(other.correlation)
    without = np.array(one.correlation.left_out) - np.array(other.correlation.left_out)
    assert (found.low, found.high) == pytest.approx(twin.interval(found.value, without))
    assert found.value == pytest.approx(one.correlation.value - other.correlation.value)
    assert found.n == 10
    same = one.overlap.minus(one.overlap)
    assert (same.value, same.low, same.high, same.differs) == (0, 0, 0, False)
    assert sentences.beside(one, one).count("neither agrees significantly better") == 2
    clear = replace(other, correlation=replace(other.correlation, value=0.1))
    assert "by all pairs of prompts (rank correlation) the chosen layers agree better" in sentences.beside(one, clear)
    assert "by all pairs of prompts (rank correlation) the pinned layers agree better" in sentences.beside(clear, one)
    grid = recorded_results.grid()
    table = tables.summary_table(one, other, "CKA", grid)
    assert table["Measure"].tolist()[0] == "CKA"
    unsure = np.full((6, 3), np.nan)
    bare = tables.summary_table(one, other, "CKA", replace(grid, low=unsure, high=unsure))
    assert "[" in table["Chosen"][0]
    assert "[" not in bare["Chosen"][0]


def test_sentences_say_chance_where_it_is_chance_and_what_is_drawn():
    one = recorded_studies.closer_look()
    assert sentences.correlation(one).startswith(
        "Prompts similar in the student layer tend to be similar in the teacher layer"
    )
    chance = replace(one, correlation=replace(one.correlation, value=0.01, p_value=0.4))
    assert "no better than chance" in sentences.correlation(chance)
    few = sum(share < one.overlap.beyond for share in one.overlap.values)
    assert 0 < few < len(one.ids)
    assert f"{few} of 64 prompts share less than {style.percent(one.overlap.beyond)}" in sentences.overlap(one)
    assert sentences.sample(replace(one, n_pairs=len(one.pairs.first))) == ""
    assert sentences.sample(one) == "A random sample of 504 of 2,016 pairs of prompts is drawn."
    assert sentences.sample(replace(one, n_all=900)) == (
        "A random sample of 504 of 2,016 pairs of prompts is drawn; the comparison stores the states of its first 64 prompts of 900."
    )
