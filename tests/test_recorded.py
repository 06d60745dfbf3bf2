"""The recorded run is what its command gives: within 3 points of recall and 0.03 bits per byte on any machine.

On one machine the same command gives the same weights bit for bit (see test_transfer); another CPU may round otherwise.
"""

import json
import shlex
from dataclasses import asdict

import pytest
import streamlit as st

from dashboard import recorded as recorded_results
from pkt_core.base.records import from_json, to_json
from pkt_core.data.prompts import assets_folder
from pkt_core.models.catalog import demo_pair
from pkt_core.pipeline import evaluate
from pkt_core.runs.folder import create_run, list_runs, open_run
from pkt_core.studies.alignment_maps.compute import KINDS, alignment_maps, stitching
from pkt_core.studies.alignment_maps.record import MapComparison, StitchedGrid
from pkt_core.studies.comparison.compute import compare

RECORDED = assets_folder() / "recorded"
NAMES = ["demo-semalign-v1", "demo-semalign-v1-permuted", "demo-ours", "demo-logit-kd", "demo-sft"]


def test_recorded_runs_are_listed_last_and_whole():
    create_run({"method": "sft"})
    listed = list_runs(include_recorded=True)
    assert [run.recorded for run in listed] == [False, *[True] * len(NAMES)]
    assert [run.id for run in listed[1:]] == NAMES
    for name in NAMES:
        run = open_run(name)
        results = run.results()
        assert run.status().state == "done"
        assert results.changed.outside_plan == 0
        assert set(results.changes) == {
            f"demo/{who}-{form}" for who in ("known", "unknown") for form in ("seen", "unseen")
        }
        assert results.command.startswith("pkt transfer --pair demo")


def test_nothing_of_the_machine_is_in_the_recording():
    for path in [*RECORDED.glob("*.json"), *RECORDED.glob("*/*.json*")]:
        text = path.read_text(encoding="utf-8")
        assert "/home/" not in text
        assert '"pid"' not in text, path


@pytest.mark.slow
def test_the_recorded_command_gives_the_recorded_numbers(capsys):
    from pkt_core import cli

    recorded = open_run(NAMES[0]).results()
    words = shlex.split(recorded.command)
    assert words[:2] == ["pkt", "transfer"]
    cli.app([*words[1:], "--json", "-"], standalone_mode=False)
    again = json.loads(capsys.readouterr().out)
    assert again["layers"] == asdict(recorded.layers)
    for task, change in recorded.changes.items():
        for when in ("before", "after"):
            assert again["changes"][task][when] == pytest.approx(getattr(change, when), abs=0.03), (task, when)
    for who, model in recorded.behaviour.by_model():
        found = again["behaviour"][who]["bits_per_byte"]["value"]
        assert found == pytest.approx(model.bits_per_byte.value, abs=0.03)


@pytest.mark.slow
def test_the_recorded_comparison_is_what_compare_gives():
    recorded = json.loads((RECORDED / "comparison.json").read_text())
    again = to_json(compare(demo_pair()))
    for ours, theirs in zip(again["grid"]["values"], recorded["grid"]["values"], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-3)
    assert again["chosen"] == recorded["chosen"]


def test_the_recorded_maps_are_records_and_come_out_of_them_as_they_went_in(monkeypatch):
    told = json.loads((RECORDED / "maps.json").read_text())
    maps = from_json(MapComparison, told["maps"], "It")
    grids = {kind: from_json(StitchedGrid, grid, "It") for kind, grid in told["stitching"].items()}
    assert json.dumps(to_json(maps)) == json.dumps(told["maps"])
    assert json.dumps({kind: to_json(grid) for kind, grid in grids.items()}) == json.dumps(told["stitching"])
    assert set(maps.maps) == set(maps.controls) == set(grids) == set(KINDS)
    assert (maps.best, maps.massive, maps.n_texts) == ("ridge", 0, 256)
    assert recorded_results.maps() == maps
    assert recorded_results.stitching() == grids
    del told["maps"]["bound"], told["stitching"]["ridge"]["own"]["low"]  # what is broken is not shown
    monkeypatch.setattr(recorded_results, "read", lambda _: told)
    st.cache_data.clear()
    assert recorded_results.maps() is None
    assert set(recorded_results.stitching()) == set(KINDS) - {"ridge"}
    st.cache_data.clear()


def test_the_recorded_family_is_a_record_and_what_is_broken_is_not_shown(monkeypatch):
    told = json.loads((RECORDED / "family.json").read_text())
    family = recorded_results.family()
    assert json.loads(json.dumps(to_json(family, sparse=True))) == told
    assert family.kind(family.rows[0]) == "reference"
    assert {row.label for row in family.rows if family.kind(row) == "control"} == set(family.controls)
    assert {"ours", "logit-kd"} <= {row.label for row in family.rows if family.kind(row) == "rival"}
    del told["rows"][0]["tasks"]
    monkeypatch.setattr(recorded_results, "read", lambda _: told)
    st.cache_data.clear()
    assert recorded_results.family() is None
    st.cache_data.clear()


@pytest.mark.slow
def test_the_recorded_maps_are_what_maps_and_stitch_give():
    recorded = json.loads((RECORDED / "maps.json").read_text())
    layers = {side: recorded["maps"][side] for side in ("teacher_layer", "student_layer")}
    assert tuple(layers.values()) == demo_pair().layers
    again = to_json(alignment_maps(demo_pair(), **layers))
    for role in ("maps", "controls"):
        for kind, scores in recorded["maps"][role].items():
            for name, score in scores.items():
                assert again[role][kind][name]["value"] == pytest.approx(score["value"], abs=0.02), (role, kind, name)
    grid = to_json(stitching(demo_pair(), kind="ridge"))
    for ours, theirs in zip(grid["values"], recorded["stitching"]["ridge"]["values"], strict=True):
        assert ours == pytest.approx(theirs, abs=0.02)


@pytest.mark.slow
def test_evaluating_a_recorded_student_again_gives_its_counts(cache):
    """The weights that ship with the recording are the ones it was measured on."""
    import shutil

    folder = cache / "runs" / "copy"
    shutil.copytree(RECORDED / NAMES[0], folder)
    recorded = open_run(NAMES[0]).results()
    found = evaluate(open_run("copy"))
    for task, score in recorded.behaviour.after.tasks.items():
        assert found.behaviour.after.tasks[task].correct == pytest.approx(score.correct, abs=5)


@pytest.mark.slow
def test_the_demo_models_are_what_their_cards_say():
    """Teacher at least 95 % on all facts; student far above the prior on its half and near it on the other."""
    results = open_run(NAMES[0]).results()
    for task, score in results.behaviour.teacher.tasks.items():
        assert score.low >= 0.95, task
    before = results.behaviour.before.tasks
    for form in ("seen", "unseen"):
        assert before[f"demo/known-{form}"].rate > 0.95
        assert before[f"demo/unknown-{form}"].rate < results.changes[f"demo/unknown-{form}"].prior + 0.05
