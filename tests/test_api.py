"""The public API: lazy, callable whatever was imported first, the command line's defaults, activations of one's own."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import fakes
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import pkt_core as pkt
from pkt_core.errors import MeasureError, PathError, PktError, PlanError, StoreError
from pkt_core.similarity import MEASURES, measure

ROOT = Path(__file__).parents[1]
FUNCTIONS = [name for name in pkt.__all__ if name != "figures"]
HEAVY = ("torch", "transformers", "plotly", "scipy", "numpy", "pydantic")


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[-2]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A pair of tiny models and what a transfer reads."""
    folder = tmp_path_factory.mktemp("models")
    fakes.folder(folder / "teacher", layers=4, width=48)
    fakes.folder(folder / "student", seed=1)
    rows = ["prompt,answer", "Paris is a city in, France.", "Rome is a city in, Italy.", "the quick brown, fox jumps"]
    (folder / "data.csv").write_text("\n".join([rows[0], *rows[1:] * 4]))
    (folder / "prompts.txt").write_text(
        "\n".join(f"prompt {i} about {w}" for i, w in enumerate([*fakes.TEXT[:2], "Rome and Paris"] * 27))
    )
    return folder


@pytest.fixture
def pair(folders):
    return pkt.pair(str(folders / "teacher"), str(folders / "student"))


def settings(folders):
    texts = str(folders / "prompts.txt")
    return {
        **{"data": str(folders / "data.csv"), "prompts": texts, "general": texts},
        **{"n_prompts": 40, "n_general": 12, "steps": 4, "batch_size": 4},
    }


def states(layers=3, n=60, width=8, seed=0):
    return np.random.default_rng(seed).normal(size=(layers, n, width))


def test_importing_it_imports_nothing_heavy_and_finds_every_name():
    loaded = f"print([m for m in {HEAVY} if m in sys.modules])"
    assert python(f"import sys, pkt_core as pkt; dir(pkt); {loaded}") == "[]"
    light = [m for m in HEAVY if m != "pydantic"]  # a pair and a plan are checked by it
    code = f"import sys, pkt_core as pkt; pkt.plan(pkt.pair()); print([m for m in {light} if m in sys.modules])"
    assert python(code) == "[]"
    assert set(pkt.__all__) <= set(dir(pkt))
    with pytest.raises(AttributeError, match="no attribute 'compares'"):
        pkt.compares()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_is_documented_with_an_example_that_names_it(name):
    function = getattr(pkt, name)
    text = inspect.getdoc(function)
    assert callable(function)
    assert re.search(rf"^    .*pkt\.{name}\(", text, re.MULTILINE), text


def test_each_figure_is_documented_with_an_example_that_names_it():
    for name in pkt.figures.__all__:
        assert f"pkt.figures.{name}(" in inspect.getdoc(getattr(pkt.figures, name))


@pytest.mark.parametrize("room", ["runs", "similarity", "transfer"])
@pytest.mark.parametrize(
    "first",
    ["import pkt_core.{room}.{inside}", "pkt.{room}", "import pkt_core.api", "from pkt_core.{room} import {inside}"],
)
def test_a_name_of_a_function_and_a_folder_is_both_whatever_came_first(room, first):
    inside = {"runs": "folder", "similarity": "grid", "transfer": "plan"}[room]
    code = (
        "import inspect, sys; import pkt_core as pkt; "
        + first.format(room=room, inside=inside)
        + f"; import pkt_core.{room}.{inside} as module, pkt_core.api as api; room = pkt.{room}; "
        f"assert room is sys.modules['pkt_core.{room}'] and room.{inside} is module; "
        f"assert inspect.signature(room) == inspect.signature(api.{room}); "
        f"assert inspect.getdoc(api.{room}) in room.__doc__; "
        f"api.{room} = lambda *given: given; print(room('it')[0])"
    )
    assert python(code) == "it"


def test_a_room_that_can_be_called_can_be_patched_inside(monkeypatch):
    monkeypatch.setattr("pkt_core.runs.folder.list_runs", lambda **_: [])
    assert pkt.runs() == []
    monkeypatch.undo()
    assert [run.recorded for run in pkt.runs()] == [True] * len(pkt.runs()) != []


def test_a_pair_is_of_the_catalogue_or_of_two_folders_or_one_sentence(folders):
    assert pkt.pair() == pkt.pair("demo") == pkt.pair(name="demo")
    teacher, student = str(folders / "teacher"), str(folders / "student")
    both = pkt.pair(teacher, student, device="cpu", dtype="float32")
    assert both == pkt.pair(teacher=teacher, student=student, device="cpu", dtype="float32")
    assert (both.teacher.name, both.student.name, both.student.device) == (teacher, student, "cpu")
    for given, sentence in (
        ({"name": "nobody"}, "There is no pair 'nobody'; expected one of demo, .*, or give a teacher and a student."),
        ({"teacher": teacher}, "Got a teacher without a student"),
        ({"name": teacher, "student": str(folders / "none")}, "none"),
        ({"device": "tpu"}, "Got device 'tpu'; expected one of auto, cpu"),
    ):
        with pytest.raises(PktError, match=sentence):
            pkt.pair(**given)
    for function in (pkt.compare, pkt.similarity, pkt.plan):
        with pytest.raises(PlanError, match=r"Got a str; expected a pair of models. Make one with pkt.pair\(...\)."):
            function("demo")
    with pytest.raises(PlanError, match="Got a str; expected a plan."):
        pkt.transfer("demo")


def test_a_plan_has_the_defaults_of_the_command_line():
    from pkt_core.cli.transfers import planner

    pair = pkt.pair("demo")
    left_out = dict.fromkeys(("teacher", "student", "data", "task")) | {
        "pair": "demo",
        "device": "auto",
        "dtype": "auto",
    }
    assert pkt.plan(pair) == planner(left_out)()
    assert pkt.plan(pair, method="ours", steps=7) == planner({**left_out, "method": "ours", "steps": 7})()
    assert pkt.plan(pair, steps=7) != pkt.plan(pair)
    for given, sentence in (
        ({"steps": 0}, "steps: got 0"),
        ({"stpes": 3}, "stpes: got 3"),
        ({"method": "magic"}, "method: got 'magic'"),
        ({"method": "sft", "map": "ridge"}, "Got map ridge with sft, which does not use it"),
    ):
        with pytest.raises(PlanError, match=sentence):
            pkt.plan(pair, **given)


def test_a_session_from_pair_to_behaviour(pair, folders):
    told = []
    texts = str(folders / "prompts.txt")
    comparison = pkt.compare(pair, prompts=texts, progress=lambda stage, done: told.append((stage, done)))
    assert told
    assert np.shape(comparison.grid.values) == (4, comparison.student.n_layers)
    assert "teacher 3" in comparison._repr_html_()
    grid = pkt.similarity(pair, prompts=texts, measure="linear_cka", permutations=20)
    assert (grid.measure, np.shape(grid.values)) == ("linear_cka", np.shape(comparison.grid.values))
    layers = {"teacher_layer": 3, "student_layer": 1}
    found = {
        "heatmap": comparison,
        "recomposition": comparison,
        "attribution": comparison,
        "closer_look": pkt.closer_look(pair, prompts=texts, **layers),
        "latent_map": pkt.latent_map(pair, prompts=texts, n_prompts=40, **layers),
        "maps": pkt.maps(pair, prompts=texts, n_prompts=64, **layers),
    }
    for name, result in found.items():
        assert type(getattr(pkt.figures, name)(result)).__name__ == "Figure"
    assert pkt.figures.heatmap(grid).data[0].colorbar.title.text == MEASURES["linear_cka"].label
    stages = []
    run = pkt.transfer(pkt.plan(pair, **settings(folders)), progress=lambda stage, _done: stages.append(stage))
    assert stages
    assert run.status().state == "done"
    assert run.id in [one.id for one in pkt.runs()]
    assert all(part in run._repr_html_() for part in (run.id, "done", "before"))
    before = run.results()
    assert pkt.evaluate(run).changes == before.changes == pkt.evaluate(run.id).changes
    assert pkt.figures.behaviour(run) == pkt.figures.behaviour(before)
    assert pkt.figures.training(run).data
    (run.folder / "results.json").write_text("{")
    assert "damaged" in run._repr_html_()


def test_a_plan_that_is_refused_leaves_no_run(pair, folders):
    with pytest.raises(PktError, match="layer"):
        pkt.transfer(pkt.plan(pair, **settings(folders), teacher_layer=99))
    assert all(run.recorded for run in pkt.runs())


def test_figures_of_a_run_that_has_nothing_to_show_are_one_sentence():
    from pkt_core.runs.folder import create_run

    run = create_run(pkt.plan(pkt.pair()).model_dump(mode="json"))
    for figure, sentence in (
        (pkt.figures.behaviour, "no measured behaviour"),
        (pkt.figures.training, "no training step"),
    ):
        with pytest.raises(StoreError, match=sentence):
            figure(run)
    assert "queued" in run._repr_html_()


@pytest.mark.parametrize("name", ["debiased_linear_cka", "linear_cka", "mutual_knn"])
def test_activations_of_ones_own_give_the_grid_of_the_measure(name):
    x = states()
    y = np.concatenate([x[1:2, :, :5] * 3, states(1, width=5, seed=9)])  # part of layer 1, and noise
    grid = pkt.similarity(x, y, measure=name, permutations=40, seed=3)
    for i in range(3):
        for j in range(2):
            assert float(grid.values[i][j]) == pytest.approx(measure(name, x[i], y[j]), abs=1e-5)
    assert grid.best[:2] == (1, 0)
    assert float(grid.p_values[1, 0]) == pytest.approx(1 / 41)
    assert float(grid.p_values[0, 1]) > 0.05  # noise against noise
    assert grid.n == 60
    assert (grid.recipe.permutations, grid.recipe.seed, grid.recipe.n) == (40, 3, 60)
    assert grid.recipe.pooling is grid.recipe.part is None
    assert MEASURES[name].label in grid._repr_html_()
    assert pkt.figures.heatmap(grid).data


def test_every_form_of_the_same_activations_gives_the_same_grid(tmp_path):
    x, y = states(12), states(2, seed=1)
    x[10] = y[1] * 2  # layer 10 comes after layer 9, not after layer 1
    for kind in ("npy", "tensors"):
        (tmp_path / kind).mkdir()
    for i, layer in enumerate(x):
        np.save(tmp_path / "npy" / f"layer{i}.npy", layer)
        save_file({"states": torch.from_numpy(layer)}, tmp_path / "tensors" / f"layer{i}.safetensors")
    (tmp_path / "npy" / "notes.txt").write_text("not a layer")
    forms = [
        x,
        torch.from_numpy(x),
        x.tolist(),
        list(x),
        tmp_path / "npy",
        str(tmp_path / "tensors"),
        np.asfortranarray(x),
    ]
    grids = [pkt.similarity(form, y, permutations=20) for form in forms]
    assert all(np.array_equal(grid.values, grids[0].values) for grid in grids)
    assert grids[0].best[:2] == (10, 1)
    single = pkt.similarity(x.astype(np.float32), torch.from_numpy(y).bfloat16(), permutations=20)
    assert np.abs(np.asarray(single.values) - np.asarray(grids[0].values)).max() < 0.02


def test_activations_that_do_not_fit_are_one_sentence():
    x, ragged, holed = states(), [states(1)[0], states(1, width=9)[0]], states()
    holed[2, 5, 1] = np.nan
    for first, second, given, sentence in (
        (x[0], x, {}, r"The first activations have shape \(60, 8\); expected layers x samples x width.*x\[None\]"),
        (x, x[:, :50], {}, "Got 60 and 50 samples; expected the same samples on both sides, in the same order."),
        (x, holed, {}, "Layer 2 of the second activations holds values that are not finite numbers."),
        (ragged, x, {}, r"The first activations have \(60, 8\) in layer 0 and \(60, 9\) in layer 1"),
        ([], x, {}, "The first activations have layers of shape none"),
        (x[:, :, :0], x, {}, "Layer 0 of the first activations is empty"),
        (x, [[["a"]]], {}, "The second activations are not a table of real numbers"),
        (x, [[[1.0, 2.0], [3.0]]], {}, "The second activations are not a table of real numbers"),
        (x.astype(complex), x, {}, "The first activations are not a table of real numbers"),
        (7, x, {}, "The first activations are a int; expected an array or tensor, a list of matrices"),
        (x[:, :10], x[:, :10], {}, "Got 10 samples; expected at least 16"),
        (x[:, :12], x[:, :12], {"measure": "mutual_knn"}, "Got 12 samples; expected 16 to 4,096 for mutual_knn. Add"),
        (
            states(1, 5000),
            states(1, 5000),
            {"measure": "linear_cka"},
            "Got 5,000 samples.*or choose debiased_linear_cka",
        ),
        (x, x, {"measure": "cosine"}, "There is no measure 'cosine'; expected one of debiased_linear_cka"),
        (x, x, {"measure": "semantic_cosine"}, "semantic_cosine reads activations through the models"),
    ):
        with pytest.raises(MeasureError, match=sentence):
            pkt.similarity(first, second, **given)
    for given, sentence in (
        ({"pooling": "last"}, "Got pooling with activations of your own"),
        ({"seed": -1}, "seed: got -1"),
    ):
        with pytest.raises(PlanError, match=sentence):
            pkt.similarity(x, x, **given)
    assert pkt.similarity(x, x, permutations=20).best[2] == pytest.approx(1)


def test_files_that_are_no_layers_are_one_sentence(tmp_path):
    import os
    import pickle

    x = states()
    for name in ("objects", "empty", "both", "pipe", "torn", "many"):
        (tmp_path / name).mkdir()
    np.save(tmp_path / "objects" / "0.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "objects" / "1.npy").write_bytes(pickle.dumps(x))
    np.save(tmp_path / "both" / "0.npy", x[0])
    save_file({"a": torch.zeros(3, 2)}, tmp_path / "both" / "0.safetensors")
    os.mkfifo(tmp_path / "pipe" / "0.npy")
    (tmp_path / "torn" / "0.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    save_file({"a": torch.zeros(3, 2), "b": torch.zeros(3, 2)}, tmp_path / "many" / "0.safetensors")
    for name, sentence in (
        ("objects", "0.npy is not a .npy file of plain numbers"),
        ("empty", "holds no .npy or .safetensors file"),
        ("both", "0.npy and 0.safetensors; expected files of one kind"),
        ("pipe", "is a pipe, device or socket"),
        ("torn", "is not a .safetensors file of plain numbers"),
        ("many", "holds 2 tensors; expected one"),
        ("nowhere", "is not a readable folder"),
        ("both/0.npy", "is not a readable folder"),
        ("no\0name", "is not a readable folder"),
    ):
        with pytest.raises(PathError, match=sentence):
            pkt.similarity(tmp_path / name, x)
    (tmp_path / "both" / "0.safetensors").unlink()
    assert pkt.similarity(tmp_path / "both", x, permutations=20).best[0] == 0
