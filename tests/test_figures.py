"""Figures, tables and sentences from recorded results: axes, colours that mean something, clicks, escaping."""

from __future__ import annotations

import ast
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import recorded_results
import recorded_runs
import recorded_studies

from dashboard import exports
from pkt_core.alignment.record import Curve
from pkt_core.similarity.measures import MEASURES
from pkt_core.studies.alignment_maps import text as alignment_maps_text
from pkt_core.studies.alignment_maps.figures import maps_figure, stitching_figure
from pkt_core.studies.behaviour import text as behaviour_text
from pkt_core.studies.behaviour.figures import behaviour_figure, comparison_figure, log_ticks, training_figure
from pkt_core.studies.comparison import text as comparison_text
from pkt_core.studies.comparison.figures import (
    attribution_figure,
    change_figure,
    outlier_figure,
    recomposition_figure,
    similarity_heatmap,
    small_grids,
)
from pkt_core.studies.comparison.record import Sides
from pkt_core.studies.families.figures import family_figure
from pkt_core.studies.families.record import FamilyTable, Row, Score, TaskLevel
from pkt_core.studies.generations import text as generations_text
from pkt_core.studies.latent_map import text as latent_map_text
from pkt_core.studies.latent_map.figures import COLOURED_UP_TO, chain_figure, latent_figure
from pkt_core.words import style

ROOT = Path(__file__).parents[1]
COMPARISON = recorded_results.comparison()
STEPS = [recorded_runs.step(i) for i in range(1, 26)]  # the last of them was probed
RESULTS = recorded_runs.results()
FIGURES = {
    "heatmap": lambda: similarity_heatmap(COMPARISON.grid, pairing=COMPARISON.pairing, chosen=(5, 2)),
    "recomposition": lambda: recomposition_figure(COMPARISON.recomposition, COMPARISON.crossing),
    "recomposition of two strangers": lambda: recomposition_figure(COMPARISON.recomposition),
    "attribution": lambda: attribution_figure(COMPARISON.attribution, COMPARISON.pairing, 6, (5, 2)),
    "no attribution": lambda: attribution_figure(None, COMPARISON.pairing, 6),
    "map by overlap": lambda: latent_figure(recorded_studies.latent()),
    "map by label": lambda: latent_figure(recorded_studies.latent(), colour="relation", linked=True),
    "map by model": lambda: latent_figure(recorded_studies.latent("umap"), colour="model"),
    "chain": lambda: chain_figure(recorded_studies.chain(), picked=recorded_studies.chain().ids[1:3]),
    "chain of layers by label": lambda: chain_figure(recorded_studies.chain(kind="teacher"), colour="relation"),
    "chain in one": lambda: chain_figure(recorded_studies.chain(method="umap"), colour="model", overlay=True),
    "chain, null": lambda: chain_figure(
        recorded_studies.chain(shuffled=True), overlay=True, picked=recorded_studies.chain().ids[:1]
    ),
    "training": lambda: training_figure(STEPS),
    "behaviour": lambda: behaviour_figure(RESULTS.behaviour, RESULTS.changes),
    "maps": lambda: maps_figure(recorded_studies.maps()),
    "stitching": lambda: stitching_figure(recorded_studies.stitching(), (5, 2)),
    "moved": lambda: change_figure(recorded_results.change(), 2),
    "two runs": lambda: comparison_figure({"a": RESULTS.changes, recorded_studies.HOSTILE: RESULTS.changes}),
}


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_every_figure_survives_json_and_names_its_axes(make):
    figure = make()
    data = json.loads(figure.to_json())
    titled = [axis for name, axis in data["layout"].items() if name.startswith("xaxis")]
    assert all(axis["title"]["text"] for axis in titled)
    assert data["layout"]["yaxis"].get("title", {}).get("text") or data["layout"]["yaxis"].get("ticktext")


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_no_tag_of_the_data_reaches_a_figure(make):
    text = json.dumps(json.loads(make().to_json()))
    assert "script>" not in text.replace("script&gt;", "")


def heatmap(**changes) -> go.Figure:
    return similarity_heatmap(replace(COMPARISON.grid, **changes))


def test_each_cell_of_the_heatmap_is_a_point_that_knows_its_layers():
    values = COMPARISON.grid.values
    cells = next(trace for trace in heatmap().data if trace.name == "cells")
    found = {(row[0], row[1]): row[2] for row in cells.customdata}
    assert set(found) == set(np.ndindex(values.shape))
    assert found[5, 2] == "0.966"
    assert all((x, y) == (row[1], row[0]) for x, y, row in zip(cells.x, cells.y, cells.customdata, strict=True))
    assert heatmap().layout.hoverdistance == -1  # anywhere in a cell counts as that cell


def test_zero_is_neutral_grey_and_the_noise_level_stands_on_the_colour_bar():
    trace = heatmap().data[0]
    at_zero = next(
        colour for at, colour in trace.colorscale if abs(at - (0 - trace.zmin) / (trace.zmax - trace.zmin)) < 1e-9
    )
    assert at_zero in ("#f4f4f4", "rgb(244, 244, 244)")
    assert trace.zmin < 0 < trace.zmax == 1
    level = COMPARISON.grid.noise_level
    assert level == pytest.approx(np.quantile(COMPARISON.grid.null_max, 0.95))
    assert any(f"noise {style.number(level)}" in tick for tick in trace.colorbar.ticktext)


def test_a_measure_without_negative_values_gets_a_sequential_scale_from_zero_to_one():
    grid = recorded_results.grid_by("mutual_knn")
    unsure = replace(grid, null_max=np.array([]), low=np.full((6, 3), np.nan), high=np.full((6, 3), np.nan))
    for one in (grid, unsure):
        trace = similarity_heatmap(one).data[0]
        assert (trace.zmin, trace.zmax) == (0, 1)
    assert unsure.noise_level is unsure.beyond_noise is None
    assert "noise" not in "".join(trace.colorbar.ticktext)
    assert comparison_text.agreement(unsure).endswith("no null was measured).")
    assert "interval" not in comparison_text.cell(unsure, 0, 0)


def test_large_grids_keep_their_numbers_for_the_hover():
    assert heatmap().data[0].texttemplate
    assert similarity_heatmap(recorded_results.resized(COMPARISON.grid, 40, 32)).data[0].texttemplate is None


def test_recomposition_shows_every_control_and_the_expected_value_on_the_axes_of_the_curve():
    figure = FIGURES["recomposition"]()
    every = {"semantic bases", "random bases", "input embeddings as bases", "vocabulary permuted"}
    for axis, expected in (("x", every), ("x2", every), ("x3", {"semantic bases", "vocabulary permuted"})):
        assert {trace.name for trace in figure.data if trace.xaxis == axis and trace.name} == expected
    assert sum("expected of random" in a.text for a in figure.layout.annotations) == 2


def test_a_pair_off_the_rule_is_drawn_dashed_and_one_on_it_is_not():
    def dashed(chosen):
        traces = attribution_figure(COMPARISON.attribution, COMPARISON.pairing, 6, chosen).data
        return [t for t in traces if isinstance(t, go.Scatter) and t.line.dash == "dash"]

    assert not dashed((5, 2))
    assert len(dashed((1, 2))) == 1


def test_rare_labels_share_one_grey_and_no_point_is_lost():
    latent = recorded_studies.latent()
    figure = latent_figure(latent, colour="answer")
    answers = len(set(latent.labels["answer"]))
    assert any(trace.name == f"{answers - COLOURED_UP_TO} others" for trace in figure.data)
    assert sum(len(trace.x) for trace in figure.data) == 2 * len(latent.texts)


def test_long_trainings_are_thinned_but_keep_the_last_step():
    steps = [recorded_runs.step(i, 5000) for i in range(1, 5001)]
    figure = training_figure(steps)
    assert len(figure.data[0].x) <= 601
    assert figure.data[0].x[-1] == 5000
    recall = next(trace for trace in figure.data if trace.name.startswith("share right"))
    assert list(recall.x) == [i for i in range(1, 5001) if recorded_runs.step(i).recall]  # rare, so none is left out
    assert len(recall.x) > 190
    assert "one step in 9 is drawn" in behaviour_text.training(steps)


def test_a_loss_that_starts_near_zero_does_not_squeeze_the_others_and_the_caption_says_so():
    first = [replace(STEPS[0], terms={"kl": 3.0, "anchor": 1e-9}), replace(STEPS[1], terms={"kl": 2.0, "anchor": 0.0})]
    steps = [*first, *STEPS[2:]]
    axis = training_figure(steps).layout.yaxis
    assert axis.range[0] == pytest.approx(np.log10(3e-3), abs=0.2)
    assert len(axis.tickvals) <= 7
    assert "cut off" in behaviour_text.training(steps)
    assert "cut off" not in behaviour_text.training(steps[5:])


def test_ticks_of_a_narrow_axis_are_there_and_those_of_a_wide_one_are_few():
    assert log_ticks(2.2, 2.9) == [2.2, 2.9]
    assert log_ticks(1.4, 3.6) == [2, 3]
    assert log_ticks(0.1, 4.0) == pytest.approx([0.1, 0.2, 0.5, 1, 2])
    assert log_ticks(0.003, 4.0) == pytest.approx([0.01, 0.1, 1])


def test_the_caption_of_a_training_speaks_of_the_curves_there_are():
    bare = [replace(step, alignment=None) for step in STEPS]
    nothing = [replace(step, recall={}) for step in bare]
    assert "mean cosine" in behaviour_text.training(STEPS)
    assert "cosine" not in behaviour_text.training(bare)
    assert "Nothing is drawn on the right" in behaviour_text.training(nothing)
    assert "Cosine" not in training_figure(bare).layout.yaxis2.title.text


def test_the_prior_is_a_tick_and_intervals_are_drawn():
    figure = FIGURES["behaviour"]()
    prior = next(trace for trace in figure.data if trace.name.startswith("majority-answer baseline"))
    assert list(prior.x) == pytest.approx([100 * change.prior for change in RESULTS.changes.values()])
    after = next(trace for trace in figure.data if trace.name == "student after")
    recalls = RESULTS.behaviour.after.tasks.values()
    assert list(after.error_x.array) == pytest.approx([100 * (one.high - one.rate) for one in recalls])
    assert list(after.error_x.arrayminus) == pytest.approx([100 * (one.rate - one.low) for one in recalls])


def test_tables_hold_the_numbers_behind_the_figures():
    assert comparison_text.grid_table(COMPARISON.grid)["similarity"].tolist() == COMPARISON.grid.values.ravel().tolist()
    assert set(comparison_text.recomposition_table(COMPARISON.recomposition)["curve"]) == {
        "real",
        "gaussian",
        "embedding_rows",
        "permuted",
    }
    both = comparison_text.recomposition_table(COMPARISON.recomposition, COMPARISON.crossing)
    assert len(both[both["model"] == "crossing"]) == 6
    table = comparison_text.attribution_table(COMPARISON.attribution, [0, 2, 5])
    assert table["student_layers"].tolist() == ["0", "", "1", "", "", "2"]
    assert table["scores"].tolist() == COMPARISON.attribution.scores.tolist()
    assert len(comparison_text.attribution_table(None, COMPARISON.pairing)) == 6
    assert len(latent_map_text.latent_table(recorded_studies.latent())) == 40
    assert behaviour_text.steps_table(STEPS)["layer"].tolist() == [step.terms["layer"] for step in STEPS]
    assert len(behaviour_text.behaviour_table(RESULTS.behaviour)) == 12
    priors = [change.prior for change in RESULTS.changes.values()]
    assert behaviour_text.changes_table(RESULTS.changes)["prior"].tolist() == priors


def test_sentences_say_yes_only_above_noise():
    low = COMPARISON.grid.values.copy()
    low[0, 0] = -0.03
    good = replace(COMPARISON, grid=replace(COMPARISON.grid, values=low))
    bad = replace(COMPARISON, grid=replace(COMPARISON.grid, null_max=np.full(200, 0.99)))
    assert comparison_text.compatible(good).startswith("Yes: they share all 4,093 tokens")
    assert comparison_text.compatible(bad).startswith("Hardly:")
    assert "17 of 18" in comparison_text.spread(good.grid)
    assert "0 of 18" in comparison_text.spread(bad.grid)
    assert "Closer than the noise" in comparison_text.cell(good.grid, 4, 2)
    assert "No closer than the noise" in comparison_text.cell(good.grid, 0, 0)


def test_sentences_on_behaviour_name_gain_and_loss_or_neither():
    assert "gained 12 points on new facts and lost 43 points on reworded known facts." in behaviour_text.behaviour(
        RESULTS
    )
    assert len(behaviour_text.behaviour(RESULTS).split(". ")[0].split()) <= 20
    flat = {task: replace(change, p_value=0.6) for task, change in RESULTS.changes.items()}
    assert "No task changed beyond chance" in behaviour_text.behaviour(replace(RESULTS, changes=flat))
    assert "Partly aligned" in latent_map_text.latent(recorded_studies.latent())
    assert "Not aligned" in latent_map_text.latent(
        replace(recorded_studies.latent(), map_control=recorded_studies.latent().map_cosine)
    )


def test_where_smaller_is_closer_everything_turns_round():
    low = COMPARISON.grid.values.copy()
    low[0, 0] = 0.05
    up = replace(COMPARISON.grid, values=low)
    down = replace(up, measure="procrustes", larger_is_closer=False, values=1.5 - up.values, null_max=np.full(100, 1.4))
    assert down.best[:2] == up.best[:2]
    assert down.noise_level == pytest.approx(1.4)
    assert comparison_text.cell(down, 4, 2).endswith("Closer than the noise level 1.400.")
    assert "No closer than the noise" in comparison_text.cell(down, 0, 0)
    assert "17 of 18" in comparison_text.spread(down)
    heatmap = similarity_heatmap(down, label="Procrustes angle").data[0]
    assert heatmap.reversescale
    assert (heatmap.zmin, heatmap.zmax) == (0.0, pytest.approx(1.5708, abs=1e-4))
    table = comparison_text.measures_table(
        {"debiased_linear_cka": up, "procrustes": down}, {"procrustes": "Procrustes"}
    )
    assert table["rank_correlation"].tolist() == pytest.approx([1, 1])
    assert table["measure"].tolist() == ["debiased_linear_cka", "Procrustes"]
    assert len(small_grids({"a": up, "b": down}, {}).data) == 2


def test_a_warning_only_where_something_owns_the_picture():
    calm, recipe = COMPARISON.outliers, COMPARISON.grid.recipe
    assert comparison_text.outliers(calm, recipe) is None
    loud = replace(calm, teacher=replace(calm.teacher, top_share=[0.8] * 6, first_ratio=[300.0] * 6))
    assert "has 80\u00a0% of its variance; position 0 of teacher layer 0 has 300 times" in comparison_text.outliers(
        loud, recipe
    )
    left_out = comparison_text.outliers(loud, replace(recipe, skip_first=True))
    assert "position 0" not in left_out.split(". ")[0]
    assert "80\u00a0%" not in comparison_text.outliers(loud, replace(recipe, outliers="drop_top"))
    short = replace(calm, student=replace(calm.student, first_ratio=[]))  # no prompt long enough
    assert comparison_text.outlier_table(short)["first_ratio"].isna().sum() == 3
    assert len(comparison_text.outlier_table(loud)) == 9
    assert len(outlier_figure(loud).data) == 6


def test_stitching_is_coloured_by_what_it_costs_over_the_student_alone_and_its_cells_can_be_clicked():
    grid = recorded_studies.stitching()
    figure = stitching_figure(grid)
    axis = figure.layout.coloraxis
    at_zero = next(c for at, c in axis.colorscale if abs(at - (0 - axis.cmin) / (axis.cmax - axis.cmin)) < 1e-9)
    assert at_zero in ("#f4f4f4", "rgb(244, 244, 244)")
    assert axis.cmin < 0
    values = np.asarray(grid.values)
    assert np.allclose(np.asarray(figure.data[0].z), values - grid.own.value)
    cells = next(trace for trace in figure.data if trace.name == "cells")
    assert {(row[0], row[1]) for row in cells.customdata} == set(np.ndindex(values.shape))
    teacher, student = np.unravel_index(values.argmin(), values.shape)
    words = alignment_maps_text.stitching(grid)
    assert f"Teacher layer {teacher} into student layer {student} costs least: {values.min():.2f}" in words


def test_what_moved_is_framed_and_said_with_its_direction():
    figure = change_figure(recorded_results.change(), 2)
    frames = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert len(frames) == 6
    assert figure.layout.coloraxis2.cmin == -figure.layout.coloraxis2.cmax
    words = comparison_text.change(recorded_results.change())
    assert words.startswith(
        "Of 18 layer pairs, 5 came closer to the teacher and 1 moved away. The largest change: teacher layer 5"
    )
    other_way = comparison_text.change(recorded_results.change(larger_is_closer=False))
    assert other_way.startswith("Of 18 layer pairs, 1 came closer")
    assert comparison_text.change_table(recorded_results.change())["difference"].tolist()[-1] == -0.1
    still = recorded_results.change(p_values=np.ones((6, 3)))
    assert comparison_text.change(still).startswith("No layer pair of 18 changed")


def test_maps_are_shown_with_controls_bounds_and_the_best_one_named():
    found = recorded_studies.maps()
    figure = maps_figure(found)
    assert {trace.name for trace in figure.data} == {"map", "control: meaning removed"}
    assert len([shape for shape in figure.layout.shapes if shape.type == "line"]) == 6
    best = min(found.maps, key=lambda kind: found.maps[kind].bits_per_byte.value)
    assert f"the {best} map is best" in alignment_maps_text.maps(found).lower()
    assert len(alignment_maps_text.maps_table(found)) == 10


def test_every_panel_of_a_chain_shows_the_same_rectangle_and_says_what_it_keeps():
    chain = recorded_studies.chain(kind="teacher")
    figure = chain_figure(chain)
    layout = json.loads(figure.to_json())["layout"]
    for axis in ("xaxis", "yaxis"):
        ranges = [value["range"] for name, value in layout.items() if name.startswith(axis)]
        assert len(ranges) >= 5
        assert all(one == ranges[0] for one in ranges)
    said = " ".join(a.text for a in figure.layout.annotations)
    for one in chain.slices:
        assert f"keeps {style.percent(one.fidelity)} of neighbours, {style.percent(one.explained)} of variance" in said
    assert f"{chain.overlap_chance:.2f}" not in said
    assert f"(chance {style.percent(chain.overlap_chance)})" in said


def test_a_chain_is_coloured_by_overlap_in_the_full_spaces_and_points_carry_their_ids():
    chain = recorded_studies.chain()
    figure = chain_figure(chain, picked=[chain.ids[3], 99999])
    dots = [t for t in figure.data if t.customdata is not None]
    assert [list(t.marker.color) for t in dots] == chain.overlap
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 1)
    assert [row[0] for row in dots[2].customdata] == chain.ids
    rings = [t for t in figure.data if t.name == "picked"]
    assert [(list(t.x), list(t.y)) for t in rings] == [([xy[3][0]], [xy[3][1]]) for xy in chain.xy]


def test_lines_join_the_same_prompt_and_in_the_null_picture_its_false_partner():
    for shuffled in (False, True):
        chain = recorded_studies.chain(shuffled=shuffled)
        figure = chain_figure(chain, overlay=True, picked=[chain.ids[4]])
        arrows = [t for t in figure.data if t.mode == "lines+markers"]
        there = chain.partners[0][4] if shuffled else 4
        assert (arrows[0].x[0], arrows[0].x[1]) == (chain.xy[0][4][0], chain.xy[1][there][0])
        assert ("Null picture" in " ".join(a.text for a in figure.layout.annotations)) == shuffled


def test_the_joint_picture_prints_the_held_out_error_beside_its_control():
    ridge = recorded_studies.latent("ridge")
    said = " ".join(a.text for a in latent_figure(ridge).layout.annotations)
    cosines = f"cosine {style.number(ridge.map_cosine)} (control {style.number(ridge.map_control)})"
    shares = f"R² {style.number(ridge.map_r2)} (control {style.number(ridge.map_r2_control)})"
    assert f"ridge map: {cosines}, {shares}" in said
    assert ridge.map_r2_control < 0
    assert "R²" not in " ".join(a.text for a in latent_figure(recorded_studies.latent()).layout.annotations)


def test_sentences_and_tables_of_chains():
    chain, layers = recorded_studies.chain(), recorded_studies.chain(kind="teacher")
    before, after = style.percent(chain.steps[0]), style.percent(chain.ends)
    assert (
        f"{before} of each prompt's nearest neighbours with the teacher before the transfer and {after} after it"
        in latent_map_text.chain(chain)
    )
    least = layers.steps.index(min(layers.steps))
    assert f"largest change is between teacher, layer {least} and teacher, layer {least + 1}" in latent_map_text.chain(
        layers
    )
    assert latent_map_text.chain(recorded_studies.chain(shuffled=True)).startswith("Null picture")
    assert "3 of 40 prompts changed" in latent_map_text.turnover(recorded_studies.turnover(3))
    assert "No prompt changed" in latent_map_text.turnover(recorded_studies.turnover(0))
    special = recorded_studies.picked_cell(40, enough=True)
    assert generations_text.picked_cell(special, "CKA").startswith(
        f"CKA: {special.facts.picked:.3f} over the 40 picked prompts"
    )
    assert len(latent_map_text.chain_table(chain)) == 3 * 40
    found = recorded_studies.turnover()
    table = latent_map_text.turnover_table(found)
    assert table["neighbours_before"][0].split(" | ") == [found.texts[str(i)] for i in found.rows[0].before]
    assert table["prompt"].tolist() == [row.id for row in found.rows]
    assert generations_text.next_token_table(recorded_studies.picked_tokens())["teacher_next"][0].startswith(
        "a|b 90 %  \\n 5 %"
    )


def test_without_attribution_the_pairing_has_the_whole_width():
    alone = FIGURES["no attribution"]().layout.xaxis.domain
    beside = FIGURES["attribution"]().layout.xaxis2.domain
    assert (alone[0], beside[0] > 0.5) == (0, True)


def test_a_task_from_a_file_goes_by_the_file_and_not_by_its_folders():
    long = "/home/somebody/a/long/way/down/to/the/capitals.jsonl"
    assert [style.task_name(t) for t in (long, "demo/unknown-seen")] == ["capitals.jsonl", "new facts"]
    change = replace(next(iter(RESULTS.changes.values())), difference=0.5, p_value=0.001)
    assert "gained 50 points on capitals.jsonl" in behaviour_text.behaviour(replace(RESULTS, changes={long: change}))


def test_figures_become_pictures_on_white_paper():

    if not exports.can_draw():
        pytest.skip("no Chromium for Kaleido to draw with; install Debian's chromium")
    figure = heatmap()
    png, svg = (exports.picture(figure, kind, "What it shows", "How to read it.") for kind in ("png", "svg"))
    assert png.startswith(b"\x89PNG")
    size = [int.from_bytes(png[at : at + 4], "big") for at in (16, 20)]
    assert size[0] == 2 * figure.layout.width
    assert size[1] > 2 * figure.layout.height  # the caption is below
    assert b"How to read it." in svg
    assert b"Student layer (from 0)" in svg
    assert "white" in style.on_paper(figure).layout.paper_bgcolor


def family_of(low: float, levels: dict[str, TaskLevel]) -> FamilyTable:
    """A reference and a rival on two tasks, whose intervals begin at `low`."""
    score = Score([low + 0.05], low + 0.05, low, low + 0.1, None, None, None, None)
    tasks = dict.fromkeys(("demo/unknown-seen", "demo/known-seen"), score)
    return FamilyTable([Row(label, ["r"], tasks, [2.0], [1.0]) for label in ("a", "b")], [], levels, "a")


def test_the_panels_of_a_family_share_one_scale_with_room_between_their_numbers():
    wide = family_figure(family_of(0.1, {"demo/unknown-seen": TaskLevel(None, 0.9, None)})).layout
    assert wide.xaxis.range == wide.xaxis2.range == (-3, 103)
    assert [text for text in wide.xaxis.ticktext if text] == ["0 %", "50 %", "100 %"]
    assert wide.xaxis2.domain[0] - wide.xaxis.domain[1] > 0.05
    near = family_figure(family_of(0.4, {})).layout
    assert near.xaxis.range == near.xaxis2.range == pytest.approx((38.9, 51.1))


def test_two_lines_near_each_other_have_their_words_at_two_heights():
    notes = {a.text: a.yshift for a in maps_figure(recorded_studies.maps()).layout.annotations}
    assert notes["student alone"] - notes["mean state"] >= 12


def test_a_faint_change_is_drawn_faintly_and_the_trained_layer_is_marked_beside_the_numbers():
    figure = change_figure(recorded_results.change(difference=np.full((6, 3), 0.01)), 2)
    assert figure.layout.coloraxis2.cmax >= 0.1
    assert {shape.x0 for shape in figure.layout.shapes if shape.type == "line"} == {1.5}
    third, last = figure.data[2].xaxis, figure.data[3].xaxis
    gap = figure.layout[last.replace("x", "xaxis")].domain[0] - figure.layout[third.replace("x", "xaxis")].domain[1]
    assert gap > 0.09  # for the last panel's own axis


def test_no_name_of_a_measure_takes_more_than_two_lines():
    named = {name: measure.label for name, measure in MEASURES.items()}
    figure = small_grids({name: recorded_results.grid_by(name) for name in named}, named)
    assert max(a.text.count("<br>") for a in figure.layout.annotations) == 1


def test_the_expected_value_of_random_bases_is_written_above_every_curve():
    layout = FIGURES["recomposition"]().layout
    notes = [a for a in layout.annotations if "expected of random" in a.text]
    assert all((a.yref, a.y, a.yanchor) == ("y domain", 1, "top") for a in notes)
    assert layout.yaxis.range[1] > 1.1


def test_own_bases_are_said_to_lie_above_or_below_random_ones():
    def level(value: float, n: int) -> Curve:
        return Curve([value] * n, [value - 0.02] * n, [value + 0.02] * n)

    teacher, student = COMPARISON.recomposition.teacher, COMPARISON.recomposition.student
    low = replace(teacher, real=level(0.7, 6), gaussian=level(0.97, 6))
    high = replace(student, real=level(0.7, 3), gaussian=level(0.5, 3))
    words = comparison_text.recomposition(Sides(low, high))
    assert (
        "The teacher's vocabulary vectors reconstruct its hidden states no better than random vectors at any of 6 layers"
        in words
    )
    assert "(cosine 0.70 vs 0.97)" in words
    assert (
        "The student's vocabulary vectors reconstruct its hidden states better than random vectors at all 3 layers"
        in words
    )
    mixed = replace(high, gaussian=replace(level(0.5, 3), high=[0.6, 0.9, 0.9]))
    assert mixed.special_layers == [0]
    assert "at 1 of 3 layers (0; " in comparison_text.recomposition(Sides(low, mixed))


def test_the_panels_of_a_chain_fill_their_places_and_the_scale_leaves_room_for_buttons():
    figure = chain_figure(recorded_studies.chain())
    assert {axis.constrain for axis in (*figure.select_xaxes(), *figure.select_yaxes())} == {"range"}
    bar = figure.layout.coloraxis.colorbar
    assert bar.xanchor == "left"
    assert bar.x + bar.len < 0.75


def test_a_share_and_its_sign_stay_on_one_line_also_in_a_figure():
    assert style.percent(0.05) == "5\u00a0%"
    assert style.text("  a\n b  5\u00a0% ") == "a b 5\u00a0%"
    assert style.text("\u00a0\u00a0a") == "a"


def test_chance_is_the_nulls_where_samples_are_pieces_of_prompts():
    """A formula for independent samples says nothing of pieces of one prompt, which resemble each other."""
    assert comparison_text.by_chance(COMPARISON.grid, "0") == "By chance: 0."
    pieces = replace(COMPARISON.grid, recipe=replace(COMPARISON.grid.recipe, pooling="tokens"))
    known = replace(pieces, null_mean=np.array([[0.3, np.nan], [0.34, 0.32]]))
    assert comparison_text.by_chance(known, "0").endswith("permutation null applies: 0.32 on average over all cells.")
    for unknown in (pieces, replace(pieces, null_mean=np.array([[np.nan]]))):
        assert comparison_text.by_chance(unknown, "0").endswith("so the permutation null applies.")


def test_a_figure_that_is_taken_away_carries_title_and_caption_and_keeps_its_plot():

    plain = style.on_paper(chain_figure(recorded_studies.chain()))
    long = "How to read `it`, and what would refute it. " * 12
    shown = style.captioned(plain, "<img src=x onerror=alert(1)> by layer", long, width=700)
    note = next(one for one in shown.layout.annotations if one.name == "caption")
    assert "<b>&lt;img src=x onerror=alert(1)&gt; by layer</b>" in note.text
    assert "<img" not in note.text
    assert "`" not in note.text
    assert note.text.count("<br>") > 4
    grown = shown.layout.height - plain.layout.height
    assert grown == shown.layout.margin.b - plain.layout.margin.b  # the plot itself is as large as before
    assert grown >= 17 * (note.text.count("<br>") + 1)
    assert not any(one.name == "caption" for one in plain.layout.annotations)
    assert "How to read it" in exports.offline(plain, "Title", long)


def test_a_csv_holds_no_formula_and_every_number():
    text = ["=1+1", "+1", "-1", "@sum", "\tx", "\rx", "＝1", "a-b", "", "1=1", None, " =1"]
    table = pd.DataFrame({"=head": text, "number": [-1.5, *range(-11, 0)], "mixed": [-2, "-2", *[0] * 10]})
    table["kind"] = pd.Categorical(["-x", "y"] * 6)
    table["near"] = np.float32(-0.1)
    before = table.copy()
    told = exports.csv(table)
    found = pd.read_csv(io.StringIO(told, newline=""), keep_default_na=False)
    shown = ["'=1+1", "'+1", "'-1", "'@sum", "'\tx", "'\rx", "'＝1", "a-b", "", "1=1", "", " =1"]
    assert found["'=head"].tolist() == shown
    assert found["number"].tolist() == table["number"].tolist()
    assert found["mixed"].tolist()[:2] == ["-2", "'-2"]
    assert found["kind"].tolist()[:2] == ["'-x", "y"]
    assert ",-0.1\n" in told
    pd.testing.assert_frame_equal(table, before)


def test_every_csv_goes_through_one_door():
    for path in [*(ROOT / "dashboard").rglob("*.py"), *(ROOT / "pkt_core").rglob("*.py")]:
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
        assert not any(call.attr == "to_csv" for call in calls) or path.name == "exports.py", path
