"""The command line on tiny models that are in no catalogue: results, controls, and one sentence for each way it fails."""

import json
import os
import socket
import subprocess
import sys

import fakes
import pytest
from commands import EXAMPLES, pair, run, work
from safetensors.torch import load_file

from pkt_core import __version__
from pkt_core.runs.folder import recorded_root


def test_it_tells_its_version(capsys):
    status, out, err = run(capsys, "--version")
    assert (status, out, err) == (0, f"pkt {__version__}\n", "")


def test_pairs_lists_the_demo_pair_as_ready(capsys, monkeypatch):
    monkeypatch.setattr("pkt_core.base.hub.hub_reachable", lambda: False)
    status, out, _ = run(capsys, "pairs", "--json", "-")
    found = {p["name"]: p for p in json.loads(out)}
    assert status == 0
    assert found["demo"]["unavailable"] is None
    assert {"llama2-chat", "qwen2.5", "pythia", "smollm2", "gemma3"} <= set(found)
    assert "cannot be reached" in found["pythia"]["unavailable"]


def test_compare_gives_a_grid_with_its_null_and_stores_it(capsys, models):
    words = ["compare", *pair(models), "--prompts", models / "prompts.txt", "--permutations", "20", "--json", "-"]
    status, out, _ = run(capsys, *words)
    found = json.loads(out)
    assert status == 0
    assert (len(found["grid"]["values"]), len(found["grid"]["values"][0])) == (4, 3)
    assert len(found["grid"]["null_max"]) == 20
    assert found["vocabulary"]["same_tokenizer"]
    said = run(capsys, *words[:-2])[1]
    assert "317 tokens have the same text in both vocabularies" in " ".join(said.split())
    assert "Special in the teacher 3: '<pad>' '<bos>' '<eos>'" in " ".join(said.split())
    again = json.loads(run(capsys, *words)[1])
    assert again["seconds"] == found["seconds"]  # the stored result, not a second computation


def test_transfer_evaluate_runs_and_report(capsys, models, tmp_path, cache):
    status, out, err = run(capsys, "transfer", *work(models), "--json", "-")
    assert status == 0, err
    found = json.loads(out)
    assert found["changed"]["outside_plan"] == 0
    assert found["changed"]["tensors"] > 0
    assert found["steps"] == 4
    (task,) = found["changes"]
    assert found["changes"][task]["n"] == len(EXAMPLES)
    for who in ("before", "after", "teacher"):
        assert found["behaviour"][who]["bits_per_byte"]["low"] <= found["behaviour"][who]["bits_per_byte"]["value"]
    folder = cache / "runs" / found["run"]
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "step"] == [1, 2, 3, 4]
    assert load_file(folder / "student" / "model.safetensors")

    again = json.loads(run(capsys, "evaluate", found["run"], "--json", "-")[1])
    assert again["changes"] == found["changes"]
    listed = json.loads(run(capsys, "runs", "--json", "-")[1])
    assert listed[0]["id"] == found["run"]
    assert listed[0]["state"] == "done"
    status, out, _ = run(capsys, "report", found["run"], "--out", tmp_path / "r.html", "--json", "-")
    assert found["run"] in (tmp_path / "r.html").read_text(encoding="utf-8")
    status, out, _ = run(capsys, "report", found["run"], "--out", tmp_path / "r.html")
    assert "Wrote" in out


def test_the_command_of_a_run_makes_it_again(capsys, models, cache):
    import shlex

    first = json.loads(run(capsys, "transfer", *work(models), "--method", "logit-kd", "--seed", "3", "--json", "-")[1])
    words = shlex.split(first["command"])
    assert words[:2] == ["pkt", "transfer"]
    second = json.loads(run(capsys, *words[1:], "--json", "-")[1])
    weights = [load_file(cache / "runs" / f["run"] / "student" / "model.safetensors") for f in (first, second)]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])
    assert first["behaviour"] == second["behaviour"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["compare", "--pair", "nothing"], "There is no pair 'nothing'; expected one of demo"),
        (["compare", "--teacher", "x"], "only one of --teacher and --student"),
        (["compare", "--teacher", "/no/where", "--student", "/no/where"], "There is no folder /no/where"),
        (["evaluate", "nothing"], "nothing"),
        (["report", "nothing"], "nothing"),
    ],
)
def test_what_a_person_gets_wrong_is_one_sentence_and_status_one(capsys, words, sentence):
    status, out, err = run(capsys, *words)
    assert (status, out) == (1, "")
    assert sentence in " ".join(err.split())
    assert "Traceback" not in err


def test_a_plan_that_does_not_fit_its_models_is_refused_before_there_is_a_run(capsys, models):
    from pkt_core.runs.folder import list_runs

    status, _, err = run(capsys, "transfer", *work(models), "--teacher-layer", "9")
    assert status == 1
    assert "layers 0 to 3, got 9" in " ".join(err.split())
    assert not list_runs(), "a plan that is refused leaves no run"


def test_a_full_disk_is_one_sentence_and_loses_nothing(capsys, models, monkeypatch):
    import errno

    from pkt_core.runs.folder import list_runs

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("transformers.PreTrainedModel.save_pretrained", full)
    status, _, err = run(capsys, "transfer", *work(models))
    assert status == 1
    assert "The disk is full" in err
    assert [s.state for s in list_runs()] == ["failed"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("", "holds no prompt"), ("word " * 100, "reads at most 64"), ("one\ntwo\n", "needs at least 64")],
)
def test_bad_prompt_files(capsys, models, tmp_path, content, sentence):
    (tmp_path / "p.txt").write_text(
        content if content.strip() == "" or "\n" in content else "\n".join(f"{i} {content}" for i in range(70))
    )
    status, _, err = run(capsys, "compare", *pair(models), "--prompts", tmp_path / "p.txt")
    assert status == 1
    assert sentence in " ".join(err.split())


def test_an_encoder_is_refused_and_a_foreign_tokenizer_is_not(capsys, models, tmp_path):
    fakes.folder(tmp_path / "bert", "bert")
    fakes.folder(tmp_path / "other", texts=["zebra quilt onyx jumbo wyvern"])
    status, _, err = run(
        capsys,
        "compare",
        "--teacher",
        tmp_path / "bert",
        "--student",
        models / "student",
        "--prompts",
        models / "prompts.txt",
    )
    assert status == 1
    assert "is not causal" in err
    words = work(models)
    words[3] = str(tmp_path / "other")
    status, _, err = run(capsys, "transfer", *words)
    assert status == 0, err  # taught where both tokenizers have read the same characters
    # Looking is still allowed: words are matched by their characters.
    status, out, err = run(
        capsys,
        "compare",
        "--teacher",
        models / "teacher",
        "--student",
        tmp_path / "other",
        "--prompts",
        models / "prompts.txt",
        "--pooling",
        "tokens",
        "--json",
        "-",
    )
    assert status == 0, err
    assert not json.loads(out)["vocabulary"]["same_tokenizer"]


def test_a_wrong_option_value_has_status_two(capsys):
    assert run(capsys, "compare", "--pooling", "sideways")[0] == 2


def test_the_installed_command_starts_as_a_process():
    out = subprocess.run(
        [sys.executable, "-m", "pkt_core", "pairs", "--json", "-"],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=True,
    )
    assert json.loads(out.stdout)[0]["name"] == "demo"


def test_maps_and_stitching_have_their_fields_and_their_tables(capsys, models):
    words = [*pair(models), "--prompts", models / "prompts.txt", "--n-prompts", "40"]
    status, out, _ = run(capsys, "maps", "--teacher-layer", "3", "--student-layer", "1", *words, "--json", "-")
    found = json.loads(out)
    assert status == 0
    assert (
        set(found["maps"])
        == set(found["controls"])
        == {"semantic", "logit-preserving", "ridge", "procrustes", "affine"}
    )
    assert set(found["maps"]["ridge"]) == {"cosine", "r2", "round_trip", "bits_per_byte"}
    status, out, _ = run(capsys, "maps", "--teacher-layer", "3", "--student-layer", "1", *words)
    assert status == 0
    assert "map is best" in out
    status, out, _ = run(capsys, "stitch", "--kind", "ridge", *words, "--json", "-")
    assert status == 0
    assert len(json.loads(out)["values"]) == 4
    status, out, err = run(capsys, "stitch", "--kind", "magic", *words)
    assert (status, out) == (1, "")
    assert "expected one of semantic" in err
    status, _, err = run(capsys, "maps", "--teacher-layer", "9", "--student-layer", "1", *words)
    assert status == 1
    assert "has layers 0 to 3, got 9" in err


def test_moved_says_what_a_run_moved(capsys):
    words = ["moved", "demo-semalign-v1", "--measure", "mutual_knn", "--n-prompts", "64"]
    status, out, _ = run(capsys, *words, "--json", "-")
    found = json.loads(out)
    assert status == 0
    assert len(found["difference"]) == 6
    status, out, _ = run(capsys, *words)
    assert status == 0
    assert "of 18" in " ".join(out.split())


def test_the_report_of_a_recorded_run_is_written_here_and_not_into_the_recording(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = run(capsys, "report", "demo-sft", "--json", "-")
    assert status == 0
    assert json.loads(out)["report"] == "demo-sft.html"
    assert (tmp_path / "demo-sft.html").is_file()
    assert not (recorded_root() / "demo-sft" / "report.html").exists()


def forbidden_places(folder):
    """Where `--json` must not write, by kind, with what is said of it."""
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / "file").write_text("x")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "to-null").symlink_to("/dev/null")
    (folder / "to-out").symlink_to("/dev/stdout")
    (folder / "to-pipe").symlink_to("pipe")
    (folder / "descriptors").symlink_to("/proc/self/fd")
    line = socket.socket(socket.AF_UNIX)
    line.bind(str(folder / "socket"))
    inside = {"pipe": "pipe", "folder": "folder", "loop": "loop of links", "to-null": "device", "to-out": "device"}
    inside |= {
        "to-pipe": "pipe",
        "descriptors/1": "process's own",
        "socket": "socket",
        "file/x.json": "in no folder",
        "n" * 300: "no path",
    }
    outside = {
        "/dev/null": "device",
        "/dev/stdout": "device",
        "/dev/fd/1": "device",
        "/proc/self/fd/1": "process's own",
    }
    return line, {**{f"{folder}/{name}": said for name, said in inside.items()}, **outside}


def test_json_goes_to_a_file_that_is_new_or_regular_and_nowhere_else(capsys, tmp_path, monkeypatch):
    line, bad = forbidden_places(tmp_path)
    monkeypatch.setattr("pkt_core.models.catalog.pairs", lambda: pytest.fail("it was computed first"))
    for path, kind in bad.items():
        status, out, err = run(capsys, "pairs", "--json", path)
        assert (status, out) == (1, ""), path
        assert kind in err, path
        assert err.count("\n") == 1, path
        assert "expected the path of a file, new or to be replaced, or - for standard output" in err
    line.close()
    monkeypatch.undo()
    (tmp_path / "link").symlink_to("file")
    for name, written in (
        ("new.json", "new.json"),
        ("a/b/new.json", "a/b/new.json"),
        ("file", "file"),
        ("link", "file"),
    ):
        (tmp_path / "file").write_text("former")
        status, _, err = run(capsys, "pairs", "--json", tmp_path / name)
        assert (status, err) == (0, "")
        assert json.loads((tmp_path / written).read_text())[0]["name"] == "demo"
    assert (tmp_path / "link").is_symlink()
    assert not list(tmp_path.glob(".*.tmp"))
