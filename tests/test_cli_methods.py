"""Seeking, LaTen and stitching through the command line: a whole run, its report, and the same again from its own command."""

import json
import shlex

import pytest
import typer
from commands import run, work
from safetensors.torch import load_file

from pkt_core.cli import app
from pkt_core.cli.transfers import GIVEN_OTHERWISE
from pkt_core.transfer.plan import settings

PLANS = {
    "seeking": ("--scope", "layer", "--lora-rank", "4", "--teacher-layer", "3", "--student-layer", "1"),
    "laten": ("--learning-rate", "0.01"),
    "stitch": ("--strength", "0.5", "--student-layer", "1"),
}


def test_every_setting_of_a_plan_is_an_option_with_its_help():
    command = typer.main.get_command(app).commands["transfer"].loaded()
    options = {option: param for param in command.params for option in param.opts}
    for name, field in settings().items():
        if name not in GIVEN_OTHERWISE:
            assert options[f"--{name.replace('_', '-')}"].help == field.description


@pytest.mark.parametrize("method", PLANS)
def test_a_run_its_report_and_the_same_again(capsys, models, tmp_path, cache, method):
    training = work(models) if method != "stitch" else work(models)[:-4]  # which takes no steps
    words = ["transfer", *training, "--method", method, *PLANS[method], "--json", "-"]
    status, out, err = run(capsys, *words)
    assert status == 0, err
    first = json.loads(out)
    trains = method != "stitch"
    assert (first["steps"], first["planned_steps"]) == ((4, 4) if trains else (0, 0))
    assert (first["trained_parameters"] > 0) == trains
    assert first["changed"]["outside_plan"] == 0
    assert first["changed"]["tensors"] > 0
    folder = cache / "runs" / first["run"]
    assert (folder / "foreign.safetensors").is_file() == (method == "laten")
    assert not (folder / "checkpoints").exists()
    listed = json.loads(run(capsys, "runs", "--json", "-")[1])
    assert next(r["state"] for r in listed if r["id"] == first["run"]) == "done"
    run(capsys, "report", first["run"], "--out", tmp_path / "r.html")
    assert first["run"] in (tmp_path / "r.html").read_text(encoding="utf-8")
    status, out, err = run(capsys, *shlex.split(first["command"])[1:], "--json", "-")
    assert status == 0, err
    again = json.loads(out)
    weights = [load_file(cache / "runs" / f["run"] / "student" / "model.safetensors") for f in (first, again)]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


def test_a_task_of_one_item_is_measured_to_the_end(capsys, models, tmp_path):
    (tmp_path / "one.jsonl").write_text(json.dumps({"prompt": "Paris is a city in", "answer": " France."}))
    words = work(models)
    words[words.index("--data") + 1] = str(tmp_path / "one.jsonl")
    status, out, err = run(capsys, "transfer", *words, "--method", "sft", "--json", "-")
    assert status == 0, err
    (change,) = json.loads(out)["changes"].values()
    assert (change["n"], change["low"], change["high"]) == (1, -1, 1)
    assert run(capsys, "transfer", *words, "--method", "sft")[0] == 0  # the table for people, too
    (tmp_path / "one.txt").write_text("One text only.")
    words[words.index("--general") + 1] = str(tmp_path / "one.txt")
    status, _, err = run(capsys, "transfer", *words)
    assert status == 1
    assert "holds 1 prompt; an interval of bits per byte needs at least 2 texts. Add texts." in " ".join(err.split())


def test_items_that_are_repeated_are_said(capsys, models, tmp_path):
    status, out, err = run(capsys, "transfer", *work(models), "--method", "sft")  # three items, four times each
    assert status == 0, err
    assert "9 of the 12 items of" in " ".join(out.split())
    (tmp_path / "twice.jsonl").write_text(
        2 * (json.dumps({"prompt": "Paris is a city in", "answer": " France."}) + "\n")
    )
    name = json.loads(run(capsys, "runs", "--json", "-")[1])[0]["id"]
    status, out, err = run(capsys, "evaluate", name, "--task", tmp_path / "twice.jsonl")
    assert status == 0, err
    assert "1 of the 2 items of" in " ".join(out.split())


def test_a_setting_of_another_method_is_refused_in_one_sentence(capsys, models):
    status, _, err = run(capsys, "transfer", *work(models), "--method", "seeking", "--strength", "0.5")
    assert status == 1
    assert "Got strength 0.5 with seeking, which does not use it" in err
