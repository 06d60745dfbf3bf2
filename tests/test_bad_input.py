"""What a person gets wrong around a transfer is said before anything is trained, in one sentence on one line."""

import json
from types import SimpleNamespace

import fakes
import pytest
from commands import run, work
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import BertModel

from pkt_core.errors import StoreError
from pkt_core.runs.folder import list_runs


def transfer(capsys, models, **changed):
    """A tiny transfer with some options changed: exit status and the one sentence."""
    words = work(models)
    for name, value in changed.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    status, _, err = run(capsys, "transfer", *words)
    return status, "".join(line for line in err.splitlines(keepends=True) if not line.startswith("Needs about"))


@pytest.mark.parametrize("option", ["general", "prompts", "task"])
@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [("none", None, "There is no"), ("long", "word " * 100, "reads at most 64")],
)
def test_what_only_the_evaluation_needs_is_checked_before_training(
    capsys,
    models,
    tmp_path,
    option,
    name,
    content,
    sentence,
):
    path = tmp_path / (f"{name}.jsonl" if option == "task" else f"{name}.txt")
    if content:
        path.write_text(
            json.dumps({"prompt": content, "answer": " fox"})
            if option == "task"
            else "".join(f"{content}{i}\n" for i in range(4))
        )
    status, err = transfer(capsys, models, **{option: path})
    assert status == 1
    assert sentence in err
    assert list_runs() == []  # not one step, and nothing to clear away


def test_too_few_prompts_for_alignment_are_told_before_training(capsys, models, tmp_path):
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    status, err = transfer(capsys, models, prompts=tmp_path / "few.txt")
    assert (status, "holds 2 prompts" in err) == (1, True)
    assert list_runs() == []


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("layer_pairs", "9:9", "has layers 0 to"),
        ("layer_pairs", "1:9", "student has layers 0 to"),
        ("data", "nowhere.jsonl", "nowhere.jsonl"),
        ("rows", "shuffled", None),  # the other way round: a plan that is carried out leaves its run
    ],
)
def test_a_refused_plan_leaves_no_run(capsys, models, option, value, sentence):
    status, err = transfer(capsys, models, **{option: value})
    assert (status, len(list_runs())) == ((0, 1) if sentence is None else (1, 0)), err
    assert sentence is None or sentence in err


def test_a_sentence_stays_on_one_line(capsys):
    _, _, err = run(
        capsys, "compare", "--prompts", "/a/path/that/is/so/long/that/a/terminal/of/80/columns/cuts/it/x.txt"
    )
    assert err.count("\n") == 1
    assert err.startswith("pkt: There is no prompt set")


@pytest.mark.parametrize("option", ["learning_rate", "layer_weight", "output_weight", "temperature"])
@pytest.mark.parametrize("value", ["inf", "nan"])
def test_numbers_that_are_none_are_refused_before_a_run_exists(capsys, models, option, value):
    status, err = transfer(capsys, models, **{option: value})
    assert status in (1, 2)
    assert option.replace("_", "-") in err.replace("_", "-")
    assert list_runs() == []


def test_rows_that_are_no_objects_are_told(capsys, models, tmp_path):
    (tmp_path / "rows.jsonl").write_text("[1, 2]\n")
    status, err = transfer(capsys, models, data=tmp_path / "rows.jsonl")
    assert (status, "line 1, is JSON but not an object" in err) == (1, True)


def test_an_encoder_without_a_head_is_called_an_encoder(capsys, models, tmp_path):
    BertModel(fakes.config("bert")).save_pretrained(tmp_path / "bert")
    fakes.tokenizer().save_pretrained(tmp_path / "bert")
    words = ["compare", "--teacher", tmp_path / "bert", "--student", models / "student"]
    status, _, err = run(capsys, *words, "--prompts", models / "prompts.txt")
    assert (status, "is not causal" in err) == (1, True)


def test_many_tasks_and_a_short_context_are_still_written_side_by_side(capsys, models, tmp_path):
    """Learned positions end at 64: a continuation must not run past them."""
    fakes.folder(tmp_path / "gpt2", "gpt2")
    words = work(models)
    words[1] = words[3] = str(tmp_path / "gpt2")
    for i in range(13):
        prompt = "a b " * 14 + str(i)
        (tmp_path / f"{i}.jsonl").write_text(json.dumps({"prompt": prompt, "answer": " c"}))
        words += ["--task", str(tmp_path / f"{i}.jsonl")]
    status, out, err = run(capsys, "transfer", *words, "--json", "-")
    assert status == 0, err
    assert len(json.loads(out)["generations"]) == 13


def test_a_disk_without_room_for_the_student_is_told_before_training(capsys, models, monkeypatch):
    monkeypatch.setattr("pkt_core.transfer.export.shutil.disk_usage", lambda _: SimpleNamespace(free=2**20))
    status, err = transfer(capsys, models)
    assert (status, "The disk is full: the trained student needs" in err, err.count("\n")) == (1, True, 1)
    (summary,) = list_runs()
    assert not (summary.folder / "events.jsonl").exists()


def test_a_disk_that_fills_up_under_the_weights_is_one_sentence(capsys, models, monkeypatch):
    """The weights' library raises an error of its own, which is no OSError."""

    def full(*_args, **_kwargs):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("transformers.PreTrainedModel.save_pretrained", full)
    status, err = transfer(capsys, models)
    assert (status, err.count("\n")) == (1, 1)
    assert err.startswith("pkt: The disk is full")


def test_a_comparison_is_kept_where_its_states_do_not_fit(capsys, models, monkeypatch):
    from pkt_core.studies.comparison import compute as comparison_compute

    save = comparison_compute.save_artefact

    def no_room_for_states(kind, *rest):
        if kind == "states":
            raise StoreError("The disk is full: so it is said.")
        return save(kind, *rest)

    monkeypatch.setattr(comparison_compute, "save_artefact", no_room_for_states)
    words = ["compare", "--teacher", models / "teacher", "--student", models / "student"]
    words += ["--prompts", models / "prompts.txt", "--permutations", "20"]
    assert run(capsys, *words)[0] == 1
    status, out, err = run(capsys, *words, "--json", "-")
    assert (status, err) == (0, "")
    assert json.loads(out)["n_prompts"] == 81


@pytest.mark.parametrize(
    ("file", "sentence"),
    [("plan.json", "is not a valid plan"), ("results.json", "has no trained student")],
)
def test_a_run_whose_files_say_nothing_is_told(capsys, models, file, sentence):
    run(capsys, "transfer", *work(models))
    (summary,) = list_runs()
    (summary.folder / file).write_text("{}")
    status, _, err = run(capsys, "evaluate", summary.id)
    assert (status, sentence in err, err.count("\n")) == (1, True, 1)


def test_a_dimension_that_owns_the_grid_is_named_in_the_terminal_too(capsys, models, tmp_path):
    fakes.folder(tmp_path / "owned", layers=4, width=48)
    weights = load_file(tmp_path / "owned" / "model.safetensors")
    weights["model.embed_tokens.weight"][:, 7] *= 300
    save_file(weights, tmp_path / "owned" / "model.safetensors", metadata={"format": "pt"})
    words = ["--student", models / "student", "--prompts", models / "prompts.txt", "--permutations", "20"]
    _, plain, _ = run(capsys, "compare", "--teacher", models / "teacher", *words)
    _, owned, _ = run(capsys, "compare", "--teacher", tmp_path / "owned", *words)
    assert "one dimension of teacher layer" not in " ".join(plain.split())
    assert "One dimension of teacher layer" in " ".join(owned.split())
    assert "--skip-first" in owned
    assert "Without attribution, pairing by depth chooses" in " ".join(
        plain.split()
    )  # their context is too short for examples
