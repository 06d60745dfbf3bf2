"""Figures, tables and sentences from hand-made results: axes, colours that mean something, clicks, escaping."""

from __future__ import annotations

import json

import numpy as np
import plotly.graph_objects as go
import pytest
import report_samples as samples

from pkt_core.report import figures, look, sentences, tables

FIGURES = {
    "heatmap": lambda: figures.similarity_heatmap(samples.grid(), pairing=[0, 2, 5], chosen=(5, 2)),
    "recomposition": lambda: figures.recomposition_figure(
        samples.comparison()["recomposition"], samples.comparison()["crossing"]
    ),
    "recomposition of two strangers": lambda: figures.recomposition_figure(samples.comparison()["recomposition"]),
    "attribution": lambda: figures.attribution_figure(samples.attribution(), [0, 2, 5], 6, (5, 2)),
    "no attribution": lambda: figures.attribution_figure(None, [0, 2, 5], 6),
    "map by overlap": lambda: figures.latent_figure(samples.latent()),
    "map by label": lambda: figures.latent_figure(samples.latent(), colour="relation", linked=True),
    "map by model": lambda: figures.latent_figure(samples.latent(method="umap"), colour="model"),
    "training": lambda: figures.training_figure([samples.step(i) for i in range(1, 21)]),
    "behaviour": lambda: figures.behaviour_figure(samples.results()["behaviour"], samples.results()["changes"]),
    "two runs": lambda: figures.comparison_figure({"a": samples.results(), samples.HOSTILE: samples.results()}),
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


def heatmap(**options) -> go.Figure:
    return figures.similarity_heatmap(samples.grid(**options))


def test_each_cell_of_the_heatmap_is_a_point_that_knows_its_layers():
    values = np.asarray(samples.grid()["values"])
    cells = next(trace for trace in heatmap().data if trace.name == "cells")
    found = {(row[0], row[1]): row[2] for row in cells.customdata}
    assert set(found) == set(np.ndindex(values.shape))
    assert found[4, 2] == "0.850"
    assert all((x, y) == (row[1], row[0]) for x, y, row in zip(cells.x, cells.y, cells.customdata, strict=True))
    assert heatmap().layout.hoverdistance == -1  # anywhere in a cell counts as that cell


def test_zero_is_neutral_grey_and_the_noise_level_stands_on_the_colour_bar():
    trace = heatmap().data[0]
    at_zero = next(
        colour for at, colour in trace.colorscale if abs(at - (0 - trace.zmin) / (trace.zmax - trace.zmin)) < 1e-9
    )
    assert at_zero in ("#f4f4f4", "rgb(244, 244, 244)")
    assert trace.zmin < 0 < trace.zmax == 1
    level = figures.noise_level(samples.grid())
    assert level == pytest.approx(np.quantile(samples.grid()["null_max"], 0.95))
    assert any(f"noise {look.number(level)}" in tick for tick in trace.colorbar.ticktext)


def test_a_measure_without_negative_values_gets_a_sequential_scale_from_zero_to_one():
    grid = samples.grid() | {"measure": "mutual_knn", "values": [[0.2, 0.4], [0.1, 0.9]], "null_max": []}
    grid |= {"low": None, "high": None, "p_values": None}
    trace = figures.similarity_heatmap(grid).data[0]
    assert (trace.zmin, trace.zmax) == (0, 1)
    assert figures.noise_level(grid) is None


def test_large_grids_keep_their_numbers_for_the_hover():
    assert heatmap().data[0].texttemplate
    assert heatmap(n_teacher=40, n_student=32).data[0].texttemplate is None


def test_recomposition_shows_every_control_and_the_expected_value_on_the_axes_of_the_curve():
    figure = FIGURES["recomposition"]()
    every = {"own semantic bases", "random bases", "input embeddings as bases", "vocabulary permuted"}
    for axis, expected in (("x", every), ("x2", every), ("x3", {"own semantic bases", "vocabulary permuted"})):
        assert {trace.name for trace in figure.data if trace.xaxis == axis and trace.name} == expected
    assert sum("expected of random" in a.text for a in figure.layout.annotations) == 2


def test_a_pair_off_the_rule_is_drawn_dashed_and_one_on_it_is_not():
    def dashed(chosen):
        traces = figures.attribution_figure(samples.attribution(), [0, 2, 5], 6, chosen).data
        return [t for t in traces if isinstance(t, go.Scatter) and t.line.dash == "dash"]

    assert not dashed((5, 2))
    assert len(dashed((1, 2))) == 1


def test_rare_labels_share_one_grey_and_no_point_is_lost():
    latent = samples.latent()
    figure = figures.latent_figure(latent, colour="relation")
    assert any(trace.name == "3 others" for trace in figure.data)
    assert sum(len(trace.x) for trace in figure.data) == 2 * len(latent["texts"])


def test_long_trainings_are_thinned_but_keep_the_last_step():
    steps = [samples.step(i, 5000) for i in range(1, 5001)]
    figure = figures.training_figure(steps)
    assert len(figure.data[0].x) <= 601
    assert figure.data[0].x[-1] == 5000


def test_the_prior_is_a_tick_and_intervals_are_drawn():
    figure = FIGURES["behaviour"]()
    prior = next(trace for trace in figure.data if trace.name.startswith("prior"))
    assert list(prior.x) == pytest.approx([24, 24, 20])
    after = next(trace for trace in figure.data if trace.name == "student after")
    assert list(after.error_x.array) == pytest.approx([3, 3, 3])


def test_tables_hold_the_numbers_behind_the_figures():
    assert len(tables.grid_table(samples.grid())) == 18
    assert set(tables.recomposition_table(samples.comparison()["recomposition"])["curve"]) == {
        "real",
        "gaussian",
        "embedding_rows",
        "permuted",
    }
    both = tables.recomposition_table(samples.comparison()["recomposition"], samples.comparison()["crossing"])
    assert len(both[both["model"] == "crossing"]) == 6
    assert tables.attribution_table(samples.attribution(), [0, 2, 5])["student_layers"].tolist() == [
        "0",
        "",
        "1",
        "",
        "",
        "2",
    ]
    assert len(tables.attribution_table(None, [0, 2, 5])) == 6
    assert len(tables.latent_table(samples.latent())) == 40
    assert tables.steps_table([samples.step(1)])["layer"].tolist() == [1.0]
    assert len(tables.behaviour_table(samples.results()["behaviour"])) == 9
    assert len(tables.divergence_table(samples.results()["behaviour"])) == 7
    assert tables.changes_table(samples.results()["changes"])["prior"].tolist() == [0.24, 0.24, 0.2]


def test_sentences_say_yes_only_above_noise():
    good, bad = samples.comparison(), samples.comparison(grid=samples.grid() | {"null_max": [0.99] * 200})
    assert sentences.compatible(good).startswith("Yes: they share all 4,093 tokens")
    assert sentences.compatible(bad).startswith("Hardly:")
    assert "17 of 18" in sentences.where(good)
    assert "0 of 18" in sentences.where(bad)
    assert "Closer than the noise" in sentences.cell(good["grid"], 4, 2)
    assert "No closer than the noise" in sentences.cell(good["grid"], 0, 0)


def test_sentences_on_behaviour_name_gain_and_loss_or_neither():
    found = samples.results()
    assert "gained on demo/unknown" in sentences.behaviour(found)
    assert "lost on demo/known-seen (50 % to 33 %" in sentences.behaviour(found)
    flat = {task: change | {"p_value": 0.6} for task, change in found["changes"].items()}
    assert "No task changed beyond chance" in sentences.behaviour(found | {"changes": flat})
    assert "Alike in part" in sentences.latent(samples.latent())
    assert "Not alike" in sentences.latent(samples.latent() | {"map_control": 0.4})


def test_where_smaller_is_closer_everything_turns_round():
    up = samples.grid()
    down = up | {
        "measure": "procrustes",
        "larger_is_closer": False,
        "values": [[1.5 - v for v in row] for row in up["values"]],
        "null_max": [1.4] * 100,
    }
    assert figures.best_cell(down)[:2] == figures.best_cell(up)[:2]
    assert figures.noise_level(down) == pytest.approx(1.4)
    assert "closer than the noise" in sentences.cell(down, 4, 2).lower()
    assert "17 of 18" in sentences.spread(down)
    heatmap = figures.similarity_heatmap(down, label="Procrustes angle").data[0]
    assert heatmap.reversescale
    assert (heatmap.zmin, heatmap.zmax) == (0.0, pytest.approx(1.5708, abs=1e-4))
    table = tables.measures_table({"debiased_linear_cka": up, "procrustes": down}, {"procrustes": "Procrustes"})
    assert table["rank_correlation"].tolist() == pytest.approx([1, 1])
    assert table["measure"].tolist() == ["debiased_linear_cka", "Procrustes"]
    assert len(figures.small_grids({"a": up, "b": down}, {}).data) == 2


def test_a_warning_only_where_something_owns_the_picture():
    calm = {"teacher": samples.outliers(6), "student": samples.outliers(3)}
    assert sentences.outliers(calm, "none") is None
    loud = calm | {"teacher": samples.outliers(6, top=0.8, first=300.0)}
    assert "holds 80 % of its variance; position 0 of teacher layer 0 is 300 times" in sentences.outliers(loud, "none")
    assert "80 %" not in sentences.outliers(loud, "drop_top")
    assert len(tables.outlier_table(loud)) == 9
    assert len(figures.outlier_figure(loud).data) == 6
