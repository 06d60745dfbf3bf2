"""The page Benchmarks and the table behind it: comparisons by hand values, what the page says, and that no link lets code run."""

from __future__ import annotations

import json

import pytest
from pages import finished_run, page, words

from dashboard import jobs, loaders
from dashboard.engine.client import Task
from dashboard.views.benchmarks import form as benchmarks_form
from pkt_core.base.records import from_json, to_json
from pkt_core.benchmarks import board as benchmarks_board
from pkt_core.benchmarks import figures as benchmarks_figures
from pkt_core.benchmarks import jobs as benchmarks_jobs
from pkt_core.benchmarks import text as benchmarks_text
from pkt_core.benchmarks.lines import lines
from pkt_core.benchmarks.record import Board, MetricScores, Protocol, Readiness, Result, Who
from pkt_core.data.prompts import assets_folder
from pkt_core.errors import PktError
from pkt_core.evaluation.power import detectable
from pkt_core.evaluation.statistics import paired_change
from pkt_core.runs import folder as run_folder
from pkt_core.words import reported

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]
BEFORE, AFTER, TEACHER = (
    Who("student before", "before"),
    Who("student after", "after", "one", 0),
    Who("teacher", "teacher"),
)
OTHER = Who("sft, seed 1", "other", "two", 1)


def result(task, right, *, group=None, model="m", second=None, limit=None):
    told = Protocol(
        harness="0.4.13",
        task=task,
        version="1.0",
        template="t",
        shots=0,
        n=len(right),
        limit=limit,
        chosen=None,
        kind="generate_until",
        decoding={"until": ["\n"], "max_gen_toks": 8},
        temperature=0.0,
        seeds=(0, 1, 2, 3),
        chat=False,
        batch_size=8,
        items=f"i{task}",
        source="local",
        judge=None,
    )
    values = [float(c == "1") for c in right]
    scores = [MetricScores("acc", "none", values, sum(values) / len(values))]
    if second is not None:
        scores.append(MetricScores("f1", "none", second, sum(second) / len(second)))
    names = [f"{task}/{i}" for i in range(len(right))]
    return Result(model, "float32 on cpu", told, group or task, [], scores, "p", [], names, {}, 0, 1.0)


def board(answered):
    """Computed, and through JSON as the engine's answer is."""
    subjects = [
        benchmarks_board.Subject(who, "m", "float32 on cpu", pytest.fail, f"/models/{who.role}") for who, _ in answered
    ]
    made = benchmarks_board.board_of(answered, subjects)
    return from_json(Board, json.loads(json.dumps(to_json(made), allow_nan=False)), "The board")


OLD, NEW, BEST = "0000000000111111111100000000000000000000", "1111111111111111111111000000000000000000", "1" * 40


def told(**more):
    return board(
        [
            (BEFORE, result("gsm8k", OLD, **more)),
            (AFTER, result("gsm8k", NEW, **more)),
            (TEACHER, result("gsm8k", BEST, **more)),
        ]
    )


def test_gain_gap_and_reach_are_those_of_the_items():
    before, after, teacher = lines(
        [(BEFORE, result("a", OLD)), (AFTER, result("a", NEW)), (TEACHER, result("a", BEST))]
    )
    bools = [[c == "1" for c in bits] for bits in (OLD, NEW, BEST)]
    assert after.gain == paired_change(bools[0], bools[1])
    assert after.gap == paired_change(bools[1], bools[2])
    assert before.gap == paired_change(bools[0], bools[2])
    assert (before.gain, teacher.gain, teacher.gap) == (None, None, None)
    assert after.detectable == pytest.approx(detectable(40, 12 / 40))
    assert (after.score.value, after.n) == (22 / 40, 40)
    assert after.p_holm == pytest.approx(after.gain.p_value)  # one test, nothing to correct


def test_holm_counts_every_leading_gain_once():
    answered = [(who, result(task, bits)) for task in "ab" for who, bits in ((BEFORE, OLD), (AFTER, NEW), (OTHER, OLD))]
    found = {(line.task, line.label): line for line in lines(answered)}
    raw = found["a", AFTER.label].gain.p_value
    assert found["a", AFTER.label].p_holm == pytest.approx(min(1, 4 * raw))  # 2 tasks x 2 students
    assert found["a", OTHER.label].p_holm == 1.0
    assert found["a", OTHER.label].gain.difference == 0


def test_groups_are_taken_together_and_their_tasks_not_tested_again():
    answered = [
        (who, result(task, bits, group="mmlu"))
        for task in ("mmlu_a", "mmlu_b")
        for who, bits in ((BEFORE, OLD), (AFTER, NEW))
    ]
    found = {(line.task, line.label): line for line in lines(answered)}
    whole = found["mmlu", AFTER.label]
    assert (whole.n, whole.tasks, whole.score.value) == (80, 2, 22 / 40)
    assert whole.p_holm == pytest.approx(whole.gain.p_value)
    assert found["mmlu_a", AFTER.label].p_holm is None
    shown = benchmarks_figures.scored(board(answered).lines)
    assert {line.task for line in shown} == {"mmlu"}
    lone = lines([*answered, (TEACHER, result("mmlu_a", BEST, group="mmlu"))])
    assert not any(line.tasks > 1 for line in lone)  # the teacher has answered one of two: nothing to take together


def test_different_items_are_never_compared():
    found = lines([(BEFORE, result("a", OLD)), (AFTER, result("a", NEW[:20]))])
    assert all(line.gain is None for line in found)


def test_scores_that_are_no_yes_or_no_have_a_mean_and_no_reach():
    second = ([0.1 * (i % 5) for i in range(40)], [0.1 * (i % 5) + 0.2 for i in range(40)])
    found = lines(
        [(who, result("a", bits, second=s)) for who, bits, s in ((BEFORE, OLD, second[0]), (AFTER, NEW, second[1]))]
    )
    f1 = next(line for line in found if line.metric == "f1" and line.role == "after")
    assert (f1.share, f1.detectable, f1.p_holm, f1.leads) == (False, None, None, False)
    assert f1.gain.difference == pytest.approx(0.2)
    assert f1.gain.low <= 0.2 + 1e-9
    assert f1.gain.p_value < 0.01


def test_what_is_said_of_a_change_and_of_none():
    said = benchmarks_text.headline(told())
    assert "gsm8k: the student's score changed, 25.0\u00a0% before and 55.0\u00a0% after (n = 40" in said
    assert "are detectable with 80 % power" in said
    same = board([(BEFORE, result("gsm8k", OLD)), (AFTER, result("gsm8k", OLD))])
    assert "no significant change" in benchmarks_text.headline(same)
    assert "detectable with 80 % power" in benchmarks_text.headline(same)
    assert "Only the first 40 items of gsm8k were used" in " ".join(benchmarks_text.cautions(told(limit=40)))
    gained, lost = benchmarks_text.turned(told())["gsm8k, n = 40"]
    assert (len(gained), len(lost)) == (12, 0)
    assert gained[0] == "gsm8k/0"
    table = benchmarks_text.full(told())
    assert {"protocol_items", "gain_p_value", "gap_difference", "detectable"} <= set(table.columns)
    assert len(benchmarks_figures.benchmark_figure(told().lines).data) == 3


def test_reported_figures_are_tagged_and_never_beside_measured_ones():
    assert all(source.startswith("reported, arXiv 2510.24208v1, table ") for source in reported.table()["Source"])
    row = reported.table().set_index("Model or method").loc["student, Llama2-7B-Chat"]
    assert list(row[["MMLU", "GSM8K", "HumanEval", "MBPP"]]) == ["44.20", "16.07", "14.05", "17.80"]
    assert "Source" not in benchmarks_text.shown(told().lines).columns


@pytest.fixture
def student(answers):
    """A finished run that keeps a student, and an engine that knows its board."""
    made = finished_run("one")
    (made.folder / "student").mkdir()
    (made.folder / "student" / "model.safetensors").write_bytes(b"")

    def ask(_engine, function, arguments, **_more):
        task = Task(function, arguments)
        if function == "benchmark_board":
            task.result = to_json(told())
        elif function == "benchmark_sandbox":
            task.result = to_json(Readiness(missing=None, unavailable=None, why="because"))
        task.status = "done" if task.result is not None else "waiting"
        return task

    answers.ask = ask
    return made


@pytest.mark.usefixtures("student")
def test_the_page_answers_first_and_shows_how_it_was_asked():
    app = page("benchmarks", run="one")
    assert not app.exception
    assert "Standard benchmarks" in app.title[0].value
    assert "score changed" in words(app)
    assert len(app.dataframe) >= 3  # measured, protocol, reported
    assert any("lm-eval run --model hf" in code.value for code in app.code)
    assert any("pkt benchmark one --task demo/unknown-seen" in code.value for code in app.code)


@pytest.mark.usefixtures("student")
def test_a_run_without_a_student_says_so():
    finished_run("bare")
    app = page("benchmarks", run="bare")
    assert not app.exception
    assert "trained weights are not stored" in words(app)


@pytest.mark.usefixtures("student")
def test_no_link_lets_code_run():
    app = page("benchmarks", run="one", tasks="humaneval")
    switches = [t for t in app.toggle if "sandbox" in t.label]
    assert len(switches) == 1
    assert not switches[0].value
    assert not any("--allow-code" in code.value for code in app.code)
    switches[0].set_value(True).run()
    assert any("--allow-code" in code.value for code in app.code)


@pytest.mark.usefixtures("student")
def test_a_click_asks_in_a_process_of_its_own_and_stops_there(monkeypatch):
    started = []
    monkeypatch.setattr(jobs, "start", lambda arguments, folder: started.append((arguments, folder)))
    app = page("benchmarks", run="one")
    next(b for b in app.button if b.label == "Run on all models").click().run()
    assert not app.exception
    (job,) = benchmarks_jobs.listed()
    assert started == [(["benchmark", "--job", str(job.folder)], job.folder)]
    assert job.plan()["asking"]["limit"] == benchmarks_form.ITEMS
    assert not any(run.id == job.id for run in loaders.runs())  # no run among the runs
    job.write_status("running", message="gsm8k: asking teacher", fraction=0.5)
    app = page("benchmarks", run="one")
    stopped = []
    monkeypatch.setattr(jobs, "stop", lambda folder, **_: stopped.append(folder))
    next(b for b in app.button if b.label == "Stop").click().run()
    assert stopped == [job.folder]


@pytest.mark.slow
def test_a_request_is_carried_out_and_its_status_is_true(monkeypatch):
    monkeypatch.setattr(run_folder, "recorded_root", lambda: assets_folder() / "recorded")
    asked = {"run": "demo-semalign-v1", "tasks": ["demo/known-seen"], "asking": {"limit": 4}}
    job = benchmarks_jobs.create(benchmarks_jobs.Request.model_validate(asked))
    benchmarks_jobs.carry_out(str(job.folder))
    assert (job.status().state, job.status().message) == ("done", "3 scores are stored.")
    bad = benchmarks_jobs.create(benchmarks_jobs.Request.model_validate(asked | {"tasks": ["none.jsonl"]}))
    benchmarks_jobs.carry_out(str(bad.folder))
    assert bad.status().state == "failed"
    assert "There is no example set or file" in bad.status().message
    ended = benchmarks_jobs.create(benchmarks_jobs.Request.model_validate(asked | {"asking": {"limit": 5}}))
    monkeypatch.setattr(run_folder.Run, "stop_requested", lambda _self: True)
    benchmarks_jobs.carry_out(str(ended.folder))
    assert ended.status().state == "stopped"
    with pytest.raises(PktError):
        jobs.log_tail("no-such", 3)
