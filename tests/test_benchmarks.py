"""Benchmarks: the harness's own scores bit for bit, code judged as its authors meant, answers kept and asked once."""

from __future__ import annotations

import importlib.util
import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import benchmark_items
import fakes
import pytest

from pkt_core.base.fingerprint import fingerprint
from pkt_core.base.records import from_json, to_json
from pkt_core.base.store import load_artefact, save_artefact
from pkt_core.benchmarks import asking as benchmarks_asking
from pkt_core.benchmarks import board as benchmarks_board
from pkt_core.benchmarks import text as benchmarks_text
from pkt_core.benchmarks.asking import measure
from pkt_core.benchmarks.code_judge import JUDGE, judging, pass_at, uses_our_judge
from pkt_core.benchmarks.local_tasks import find_items, override
from pkt_core.benchmarks.record import Result
from pkt_core.benchmarks.tasks import Asking, find_tasks, leaves, manager, temperature
from pkt_core.data.examples import ExampleSet, load_examples
from pkt_core.errors import BenchmarkError, SandboxError, StoreError
from pkt_core.evaluation.behaviour import answered_right
from pkt_core.models.loading import load
from pkt_core.models.ref import ModelRef
from pkt_core.runs.folder import create_run, open_run

STUDENT = ModelRef(name="demo:student", device="cpu")
FACTS = "demo/unknown-seen"


@pytest.fixture(scope="module")
def student():
    return load(STUDENT)


def solved(problem, body=None):
    return problem["prompt"] + (problem["canonical_solution"] if body is None else body)


def checks_of(problem):
    return f"{problem['test']}\ncheck({problem['entry_point']})"


def judged(problems, answers):
    with judging(allowed=True):
        JUDGE.taken()
        found = JUDGE.compute(references=[checks_of(p) for p in problems], predictions=[[a] for a in answers], k=[1])
        return found[0]["pass@1"], [outcome.how for outcome in JUDGE.taken()]


@pytest.mark.usefixtures("walls")
def test_written_solutions_of_real_problems_pass_and_wrong_ones_do_not():
    problems = benchmark_items.humaneval()[:12]
    assert judged(problems, [solved(p) for p in problems]) == (1.0, ["passed"] * 12)
    share, hows = judged(problems, [solved(p, "    return None\n") for p in problems])
    assert (share, set(hows)) == (0.0, {"failed"})


@pytest.mark.usefixtures("walls")
@pytest.mark.slow
def test_all_164_written_solutions_pass():
    problems = benchmark_items.humaneval()
    assert len(problems) == 164
    share, hows = judged(problems, [solved(p) for p in problems])
    assert share == 1.0, [p["task_id"] for p, how in zip(problems, hows, strict=True) if how != "passed"]


def test_pass_at_k_has_its_hand_values():
    assert pass_at(1, 1, 1) == 1.0
    assert pass_at(1, 0, 1) == 0.0
    assert pass_at(4, 2, 1) == pytest.approx(0.5)
    assert pass_at(4, 2, 2) == pytest.approx(1 - 1 / 6)  # both drawn are wrong in one of six draws
    assert pass_at(4, 1, 4) == 1.0


def test_code_runs_only_where_it_was_allowed_and_shut_in(tmp_path, monkeypatch):
    marker = tmp_path / "ran"
    with (
        judging(allowed=False),
        pytest.raises(SandboxError, match="only with your permission. Allow it with --allow-code"),
    ):
        JUDGE.compute(references=["pass"], predictions=[[f"open({str(marker)!r}, 'w')"]])
    monkeypatch.setattr(
        "pkt_core.benchmarks.code_judge.run", lambda *_: (_ for _ in ()).throw(SandboxError("no sandbox"))
    )
    with judging(allowed=True), pytest.raises(SandboxError, match="no sandbox"):
        JUDGE.compute(references=["pass"], predictions=[[f"open({str(marker)!r}, 'w')"]])
    assert not marker.exists()
    assert not JUDGE.allowed


def test_a_task_that_judges_code_by_itself_is_known():
    def by_itself(**told):
        return exec(told["predictions"][0])

    def by_ours(references, predictions):
        return JUDGE.compute(references=references, predictions=predictions)

    class Task:
        class config:
            metric_list = ()
            process_results = None

    Task.config.metric_list = [{"metric": by_ours}]
    assert uses_our_judge(Task)  # this module holds JUDGE
    by_itself = type(by_itself)(by_itself.__code__, {"__builtins__": __builtins__}, "by_itself")
    Task.config.metric_list = [{"metric": by_itself}]
    assert not uses_our_judge(Task)
    Task.config.metric_list = [{"metric": by_ours}, {"metric": by_itself}]
    assert not uses_our_judge(Task)
    Task.config.metric_list = [{"metric": "acc"}]
    assert not uses_our_judge(Task)


def test_an_example_set_as_a_task_scores_what_recall_scores(student):
    asking = Asking(limit=60, batch_size=16)
    (found,) = find_tasks([FACTS], asking)
    told = []
    result = measure(student, found, asking, progress=told.append)
    facts = load_examples(FACTS)
    assert result.scores[0].right == answered_right(student, ExampleSet("first", facts.items[:60]))
    assert 0 < sum(result.scores[0].right) < 60 or result.scores[0].reported == 0
    known = find_tasks(["demo/known-seen"], asking)[0]
    assert measure(student, known, asking).scores[0].reported > 0.9  # and not always wrong
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert from_json(Result, json.loads(json.dumps(to_json(result))), "x") == result
    assert (result.protocol.n, result.protocol.limit, result.protocol.source) == (60, 60, "local")


def test_a_users_file_with_choices_is_multiple_choice(tmp_path, student):
    rows = [
        {"prompt": f"{fact.prompt}", "answer": fact.answer, "choices": [fact.answer, " zzz xq."]}
        for fact in load_examples("demo/known-seen").items[:8]
    ]
    path = benchmark_items.write(tmp_path, "mine.jsonl", rows)
    (found,) = find_tasks([str(path)], Asking())
    assert found.protocol.kind == "multiple_choice"
    assert measure(student, found, Asking()).scores[0].reported == 1.0
    rows[0]["choices"] = ["a", "b"]
    with pytest.raises(BenchmarkError, match="which is not one of its choices"):
        find_tasks([str(benchmark_items.write(tmp_path, "bad.jsonl", rows))], Asking())
    del rows[0]["choices"]
    with pytest.raises(BenchmarkError, match="give them to all items or none"):
        find_tasks([str(benchmark_items.write(tmp_path, "part.jsonl", rows))], Asking())
    with pytest.raises(BenchmarkError, match="There is no example set or file"):
        find_tasks([str(tmp_path / "none.csv")], Asking())


def test_the_protocol_changes_with_all_that_could_change_a_score():
    def keys(**more):
        return find_tasks([FACTS], Asking(**{"limit": 8, **more}))[0].protocol.key

    seen = [keys(), keys(spread=True), keys(limit=9), keys(seed=3), keys(batch_size=4), keys(chat=True)]
    assert len(set(seen)) == len(seen)
    assert keys() == seen[0]
    assert temperature({"do_sample": False, "temperature": 0.7}) == 0.0
    assert temperature({"do_sample": True}) == 1.0


def test_a_missing_harness_is_one_sentence(monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "lm_eval" else there(name, *a))
    with pytest.raises(BenchmarkError, match=r'Install it with `pip install "semalign-pkt\[benchmarks\]"`.'):
        find_tasks([FACTS], Asking())


def test_answers_are_asked_once_and_kept_through_a_stop(monkeypatch):
    subjects = benchmarks_board.subjects_of(open_run("demo-semalign-v1"))
    assert [one.who.role for one in subjects] == ["before", "after", "teacher"]
    names, asking = [FACTS, "demo/known-seen"], Asking(limit=12, batch_size=12)
    asked = []

    def counted(loaded, found, *args, **more):
        asked.append((loaded.name, found.protocol.task))
        return measure(loaded, found, *args, **more)

    monkeypatch.setattr(benchmarks_board, "measure", counted)
    told: list[float] = []
    stopped = benchmarks_board.benchmark(
        subjects, names, asking, stopping=lambda: len(asked) > 2, progress=lambda _w, d: told.append(d)
    )
    assert stopped.stopped
    assert [(one.label, one.task) for one in stopped.asked] == [
        ("student before", "demo_unknown_seen"),
        ("student before", "demo_known_seen"),
    ]
    board = benchmarks_board.benchmark(subjects, names, asking, progress=lambda _w, d: told.append(d))
    assert len(asked) == 3 + 4  # the one that was going on was asked again
    assert not board.stopped
    assert len(board.asked) == 6
    again = benchmarks_board.benchmark(subjects, names, asking)
    assert len(asked) == 7
    assert again == board
    assert benchmarks_board.stored(subjects).lines == board.lines
    line = next(line for line in board.lines if line.role == "after" and line.task == "demo_known_seen")
    assert line.gain is not None
    assert line.gap is not None
    assert line.gain.before == 1.0
    assert line.n == 12
    assert line.p_holm is not None
    json.dumps(to_json(board), allow_nan=False)
    assert max(told) <= 1.0
    assert replace(subjects[0], held="bfloat16 on cpu").digest == subjects[0].digest
    assert benchmarks_board.key(
        replace(subjects[0], held="bfloat16 on cpu"), find_tasks([FACTS], asking)[0]
    ) != benchmarks_board.key(subjects[0], find_tasks([FACTS], asking)[0])


def test_stored_answers_of_another_form_are_asked_again_and_those_of_earlier_versions_read():
    subjects = benchmarks_board.subjects_of(open_run("demo-semalign-v1"))[:1]
    asking = Asking(limit=4, batch_size=4)
    asked = benchmarks_board.benchmark(subjects, [FACTS], asking)
    key = benchmarks_board.key(subjects[0], find_tasks([FACTS], asking)[0])
    assert key == fingerprint(
        model=subjects[0].digest, held=subjects[0].held, protocol=asked.asked[0].protocol, version=2
    )
    meta = load_artefact("benchmark", key)[1]
    assert set(meta) == KEPT_FIELDS  # what versions since 2 write, and this one reads
    save_artefact("benchmark", key, {}, {**meta, "cut": "none"})
    assert benchmarks_board.stored(subjects).asked == []
    again = benchmarks_board.benchmark(subjects, [FACTS], asking)
    assert again.lines == asked.lines


KEPT_FIELDS = {
    "model",
    "held",
    "protocol",
    "group",
    "include",
    "scores",
    "prompts",
    "answers",
    "names",
    "endings",
    "cut",
    "seconds",
}


def test_runs_that_cannot_be_asked_say_why():
    with pytest.raises(StoreError, match="keeps no trained student"):
        benchmarks_board.subjects_of(open_run("demo-sft"))
    run = open_run("demo-semalign-v1")

    plan = run.plan()
    other = create_run(plan | {"teacher": plan["teacher"] | {"name": "else/where"}})
    with pytest.raises(StoreError, match="Choose a run of this pair"):
        benchmarks_board.subjects_of(run, [other])


def test_local_items_are_found_as_a_user_lays_them_down(tmp_path):
    config = {
        "dataset_path": "openai/gsm8k",
        "dataset_name": "main",
        "test_split": "test",
        "training_split": "train",
        "fewshot_split": "train",
    }
    with pytest.raises(BenchmarkError, match=r"expected gsm8k.jsonl or gsm8k/test.jsonl in the schema of openai/gsm8k"):
        find_items("gsm8k", config, tmp_path)
    with pytest.raises(BenchmarkError, match="There is no folder"):
        find_items("gsm8k", config, tmp_path / "none")
    benchmark_items.write(tmp_path, "gsm8k.jsonl", [{"question": "q", "answer": "a"}])
    found = find_items("gsm8k", config, tmp_path)
    assert set(found.files) == {"test"}
    assert override(config, found)["fewshot_split"] is None  # no file, so no split
    benchmark_items.write(tmp_path, "gsm8k/train.jsonl", [{"question": "q", "answer": "a"}])
    assert set(find_items("gsm8k", config, tmp_path).files) == {"test", "train"}
    assert "fewshot_split" not in override(config, find_items("gsm8k", config, tmp_path))
    subject = {"dataset_path": "cais/mmlu", "dataset_name": "anatomy", "test_split": "test", "fewshot_split": "dev"}
    path = benchmark_items.write(tmp_path, "mmlu/anatomy/test.jsonl", [{}])
    assert find_items("mmlu_anatomy", subject, tmp_path).files == {"test": path}
    benchmark_items.write(tmp_path, "humaneval.jsonl", [{}])
    assert find_items(
        "humaneval_instruct", {"dataset_path": "openai/openai_humaneval", "test_split": "test"}, tmp_path
    ).files


@pytest.mark.slow
def test_tasks_of_the_harness_are_read_from_local_files_or_refused_in_a_sentence(tmp_path, student):
    data = str(benchmark_items.folder_of_items(tmp_path))
    found = find_tasks(["mmlu_anatomy", "gsm8k"], Asking(data=data, shots=0))
    assert [one.protocol.n for one in found] == [5, 4]
    assert found[1].protocol.decoding["max_gen_toks"] == 256
    shots = find_tasks(["gsm8k"], Asking(data=data, shots=1))[0].protocol
    assert (shots.shots, shots.template) == (1, found[1].protocol.template)
    assert shots.key != found[1].protocol.key
    for names, asking, said in (
        (["gsm9k"], Asking(data=data), "Similar: gsm8k"),
        (["humaneval"], Asking(data=data), "humaneval runs generated code"),
        (["mbpp"], Asking(data=data, allow_code=True), "has no items of mbpp"),
        (["mmlu_anatomy"], Asking(data=data, shots=5), "needs 5 worked examples"),
        (["gsm8k"], Asking(data=data, include=str(tmp_path / "none")), "There is no folder"),
        (["mmlu"], Asking(data=data, shots=0), "has no items of mmlu_abstract_algebra"),
    ):
        with pytest.raises(BenchmarkError, match=said):
            find_tasks(names, asking)
    assert len(leaves("mmlu", manager())) == 57
    with pytest.raises(BenchmarkError, match="Set --decoding max_gen_toks="):
        measure(
            replace(student),
            replace(found[1], protocol=replace(found[1].protocol, decoding={"max_gen_toks": 10_000})),
            Asking(),
        )


@pytest.mark.usefixtures("walls")
@pytest.mark.slow
def test_humaneval_end_to_end_with_a_model_that_knows_the_solutions(tmp_path, monkeypatch):
    """The harness builds prompts, cuts and judges; only what the model writes is given."""
    data = str(benchmark_items.folder_of_items(tmp_path, n=4))
    asking = Asking(data=data, allow_code=True)
    (found,) = find_tasks(["humaneval"], asking)
    solutions = {p["prompt"]: p["canonical_solution"] for p in benchmark_items.humaneval()}
    spoilt = benchmark_items.humaneval()[2]["prompt"]
    loaded = fakes.loaded(tmp_path / "model")

    def knows(loaded, asking):
        lm = made(loaded, asking)
        lm.generate_until = lambda requests, **_: [
            "    return None\n" if r.args[0] == spoilt else solutions[r.args[0]] for r in requests
        ]
        return lm

    made = benchmarks_asking.harness_model
    monkeypatch.setattr(benchmarks_asking, "harness_model", knows)
    monkeypatch.setattr(benchmarks_asking, "require_fit", lambda *_: None)
    result = measure(loaded, found, asking)
    assert result.scores[0].right == [True, True, False, True]
    assert (result.scores[0].metric, result.scores[0].filter, result.scores[0].reported) == (
        "pass@1",
        "create_test",
        0.75,
    )
    assert result.endings == {"passed": 3, "failed": 1}
    assert result.names == [f"HumanEval/{i}" for i in range(4)]
    assert "sandbox" in result.protocol.judge


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_harnesss_own_command_line_gives_the_same_counts(tmp_path):
    """The command that the page shows, run as it stands on the exported student: item by item the same, bit for bit."""
    data = str(benchmark_items.folder_of_items(tmp_path / "items"))
    (after,) = [one for one in benchmarks_board.subjects_of(open_run("demo-semalign-v1")) if one.who.role == "after"]
    for names, asking in (
        (["mmlu_anatomy"], Asking(data=data, shots=0, batch_size=3)),
        (["gsm8k"], Asking(data=data, shots=1, limit=3, batch_size=2, decoding={"max_gen_toks": 24})),
        ([FACTS], Asking(limit=60, spread=True, batch_size=16)),
    ):
        board = benchmarks_board.benchmark([after], names, asking)
        out = tmp_path / names[0].replace("/", "-")
        command = shlex.split(benchmarks_text.harness_command(board, board.asked[0]))
        assert command[:2] == ["lm-eval", "run"]
        subprocess.run(
            [sys.executable, "-m", "lm_eval", *command[1:], "--output_path", str(out), "--log_samples"],
            check=True,
            capture_output=True,
            cwd=tmp_path,
        )
        (results,) = out.rglob("results_*.json")
        theirs = json.loads(results.read_text())["results"][board.lines[0].task]
        (samples,) = out.rglob("samples_*.jsonl")
        rows = [json.loads(line) for line in samples.read_text().splitlines()]
        for key, values in board.asked[0].values.items():
            metric, _, cut = key.partition(",")
            mine = sorted((row for row in rows if row["filter"] == cut), key=lambda row: row["doc_id"])
            assert len(mine) == board.lines[0].n
            if values is not None:
                assert [float(row[metric]) for row in mine] == values
            line = next(one for one in board.lines if (one.metric, one.filter) == (metric, cut))
            assert line.reported == theirs[key]


def test_a_model_folder_and_a_run_cannot_both_be_asked(capsys, monkeypatch):
    from pkt_core import cli

    for words, said in (
        (["benchmark", "demo-semalign-v1"], "Got no task"),
        (["benchmark", "--task", FACTS], "expected a run or --model"),
        (["benchmark", "demo-semalign-v1", "--model", "demo:student", "--task", FACTS], "expected a run or --model"),
        (["benchmark", "--model", "demo:student", "--task", FACTS, "--decoding", "x"], "expected NAME=VALUE"),
    ):
        monkeypatch.setattr(sys, "argv", ["pkt", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 1
        assert said in " ".join(capsys.readouterr().err.split())
    monkeypatch.setattr(
        sys, "argv", ["pkt", "benchmark", "--model", "demo:student", "--task", FACTS, "--limit", "4", "--json", "-"]
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert told["lines"][0]["n"] == 4
    assert Path(told["models"]["demo-student"]).is_dir()
