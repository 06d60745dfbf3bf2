"""What stands below the score on the page Behaviour: costs ranked and named, items that turned, tests beside each other, seeds."""

import re
from dataclasses import replace

import pandas as pd
import pytest
import recorded_runs
from pages import page, words

from dashboard.engine.client import Engine
from pkt_core.data.examples import demo_facts
from pkt_core.evaluation.record import Answers, Behaviour, ModelBehaviour, TextMeasure
from pkt_core.runs import folder as run_folder
from pkt_core.runs.family import seeds_of
from pkt_core.runs.results import RunResults
from pkt_core.studies.behaviour import text as behaviour_text
from pkt_core.studies.behaviour.figures import seeds_figure

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]
TASK = "demo/known-seen"


def measured(run_id="one", *, after="1" * 10 + "0" * 10, family=None, seed=0, **plan):
    """A finished run with one task of twenty items, ten of which were forgotten."""
    made = run_folder.create_run({"method": "sft", "steps": 20, "seed": seed, "n_task_items": 20, **plan}, run_id=run_id, family=family)  # fmt: skip
    before = "1" * 20
    results = recorded_runs.answering({TASK: Answers(before=before, after=after, teacher=before)})
    dearer = results.behaviour.before.bits_per_byte  # by less than chance
    dearer = replace(dearer, value=dearer.value + 0.01)
    after_it = replace(results.behaviour.before, tasks=results.behaviour.after.tasks, bits_per_byte=dearer)
    results = replace(results, behaviour=replace(results.behaviour, after=after_it))
    made.write_status("running")
    made.write_results(results)
    made.write_status("done")
    return made


def table_with(app, column):
    return next(one.value for one in app.dataframe if column in one.value)


def test_costs_are_ranked_and_named():
    measured()
    app = page("behaviour", proof="Costs", run="one")
    assert not app.exception
    assert "Significantly worse: Answers to known facts by 50.0 % of the value before" in words(app).replace("\\", "")
    worse = table_with(app, "Relative loss")
    assert worse["Measure"].iloc[0] == "Answers to known facts"
    assert worse["Significant"].tolist() == sorted(worse["Significant"], reverse=True)


def test_forgotten_items_are_listed_by_prompt_and_can_be_turned_round():
    measured(after="1" * 18 + "00")
    app = page("behaviour", proof="Costs", run="one")
    said = words(app).replace("\\", "")
    assert "Of 20 items right before, 2 were forgotten (10.0 % of them); 0 are newly right." in said
    asked = demo_facts()[TASK].sample(20, 0).items
    assert table_with(app, "Turned")["Prompt"].tolist() == [item.prompt for item in asked[18:]]
    app = page("behaviour", proof="Costs", run="one", turned="newly right", oftask="known facts")
    assert not app.exception
    assert not any("Turned" in one.value for one in app.dataframe)


def test_gain_gap_holm_and_what_n_can_show_stand_beside_each_other():
    measured()
    table = table_with(page("behaviour", run="one"), "p (Holm)")
    assert table["Gain (points)"].iloc[0].startswith("−50.0")
    assert table["Gap to teacher"].iloc[0].startswith("+50.0")
    assert table["Detectable"].iloc[0].endswith("points")
    assert "Detectable" not in behaviour_text.changes_shown(recorded_runs.results().changes)


def test_every_seed_of_the_same_plan_is_a_point_and_other_labels_are_not():
    for seed in range(3):
        belongs = {"family": "f", "label": "sft", "place": seed}
        measured(f"s{seed}", after="1" * (10 + seed) + "0" * (10 - seed), family=belongs, seed=seed)
    measured("other", family={"family": "f", "label": "ours", "place": 3})
    found = seeds_of(run_folder.open_run("s1"))
    assert [one.run for one in found.seeds] == ["s0", "s1", "s2"]
    assert [one.tasks[TASK] for one in found.seeds] == [0.5, 0.55, 0.6]
    assert seeds_of(measured("alone")) is None
    app = page("behaviour", run="s1")
    assert not app.exception
    assert "3 seeds of sft in the family f" in words(app).replace("\\", "")
    drawn = seeds_figure(found, run_folder.open_run("s1").results().changes, "s1")
    assert [trace.name for trace in drawn.data] == ["student before", "seed 0", "seed 1 (this run)", "seed 2"]
    assert "unknown" in behaviour_text.seeds(replace(found, seeds=found.seeds[:1]))


def test_a_run_with_other_items_or_without_single_answers_says_so():
    short = measured("short")
    kept = {TASK: Answers(before="11111", after="11110", teacher="11111")}
    short.write_results(replace(short.results(), right=kept))
    app = page("behaviour", proof="Costs", run="short")  # five answers kept, twenty asked
    assert not app.exception
    assert "have changed since the evaluation" in words(app)
    made = measured("bare")
    made.write_results(replace(made.results(), right={}))
    assert "answers per item are not stored" in words(page("behaviour", proof="Costs", run="bare"))


def test_nothing_worse_is_said_so():
    empty = behaviour_text.worsened(RunResults())
    assert isinstance(empty, pd.DataFrame)
    assert behaviour_text.worse(empty) == "No measure got worse."
    results = recorded_runs.results()
    before, after = results.behaviour.before, results.behaviour.after
    dearer = replace(before.bits_per_byte, value=before.bits_per_byte.value + 0.01)
    behaviour = replace(results.behaviour, after=replace(after, bits_per_byte=dearer))
    bits = behaviour_text.worsened(replace(results, behaviour=behaviour)).set_index("what")["sure"]
    assert not bits["Bits per byte (general text)"]  # dearer, but the intervals touch


def with_student(made):
    (made.folder / "student").mkdir()
    (made.folder / "student" / "model.safetensors").write_bytes(b"")
    return made


def test_the_link_says_after_what_and_how_is_written(answers):
    with_student(measured())
    app = page(
        "behaviour",
        proof="Answers",
        run="one",
        picked="4",
        decoding="sampled",
        heat="0.5",
        topp="0.9",
        wseed="3",
        more="40",
    )
    assert not app.exception
    request = [arguments for name, arguments in answers.asked if name == "writing"][-1]
    assert request == {"run": "one", "new_tokens": 40, "prompts": "facts", "ids": [4], "temperature": 0.5, "top_p": 0.9, "seed": 3}  # fmt: skip
    app = page("behaviour", proof="Answers", run="one", after="Paris is\nRome is")
    request = [arguments for name, arguments in answers.asked if name == "writing"][-1]
    assert request == {"run": "one", "new_tokens": 24, "lines": "Paris is\nRome is"}


def test_changed_words_are_marked_and_hostile_ones_shown_literally(answers):
    with_student(measured())
    app = page("behaviour", proof="Answers", run="one")
    assert not app.exception
    said = [str(one.value) for one in app.markdown if str(one.value).endswith("same")]
    assert len(said) == 6  # before and after of three rows, the unchanged one last
    assert said[0].startswith(":orange-background[\\:red\\[x\\]")
    assert "background" not in said[4] + said[5]
    for one in app.markdown:
        assert not re.search(r"(?<!\\)(\]\(http|:red\[|<script)", str(one.value))
    app = page("behaviour", proof="Answers", run="one", changed="true")
    assert len([one for one in app.markdown if str(one.value).endswith("same")]) == 4
    answers.status = "working"
    app = page("behaviour", proof="Answers", run="one")
    assert not app.exception
    assert app.button(key="stop-writing").label == "Stop"


def test_picked_prompts_are_written_on_in_one_section_at_once_and_all_of_them_when_asked(answers, monkeypatch):
    with_student(measured())
    monkeypatch.setattr(Engine, "known", lambda *_: None)
    app = page("behaviour", proof="Answers", run="one", picked="4, 7")
    assert not app.exception
    assert [arguments["ids"] for name, arguments in answers.asked if name == "picked_continuations"] == [[4, 7]]
    assert len([one for one in app.subheader if "picked prompts" in one.value]) == 1
    assert "2 of 2 picked prompts, greedy, 12 tokens" in words(app).replace("\\", "")
    assert "Before and after differ for 2 of 2 prompts" in words(app)  # words are marked, as in what is asked for
    assert "writing" not in dict(answers.asked)
    app.button(key="write").click().run()
    assert dict(answers.asked)["writing"]["ids"] == [4, 7]
    answers.asked.clear()
    page("behaviour", proof="Answers", run="one", picked="4, 7", after="Paris is")  # what was typed comes first
    page("behaviour", proof="Answers", run="one")
    assert "picked_continuations" not in dict(answers.asked)


def test_a_run_without_weights_writes_nothing_new():
    measured()
    assert "cannot generate new text" in words(page("behaviour", proof="Answers", run="one"))


def test_a_task_of_ones_own_is_asked_by_what_its_file_holds_now(answers, tmp_path):
    with_student(measured())
    path = tmp_path / "mine.jsonl"
    path.write_text('{"prompt": "Paris is in", "answer": " France.", "choices": [" France.", " Peru."]}\n')
    app = page("behaviour", proof="Your own task", run="one", mytask=str(path))
    assert not app.exception
    first = [arguments["task"] for name, arguments in answers.asked if name == "user_task"][-1]
    assert first.startswith("kept:mine-")
    assert table_with(app, "Scoring")["Scoring"].tolist() == [
        "choice, log-likelihood",
        "choice, log-likelihood per byte",
    ]
    assert "nothing" in table_with(app, "Scoring")["Detectable"].tolist()
    path.write_text('{"prompt": "Rome is in", "answer": " Italy."}\n')
    page("behaviour", proof="Your own task", run="one", mytask=str(path))
    assert [arguments["task"] for name, arguments in answers.asked if name == "user_task"][-1] != first


def test_a_task_that_is_malformed_is_one_sentence_with_its_line(answers, tmp_path):
    with_student(measured())
    path = tmp_path / "bad.jsonl"
    path.write_text('{"prompt": "Paris is in", "answer": " France."}\n{"prompt": "x"}\n')
    app = page("behaviour", proof="Your own task", run="one", mytask=str(path))
    assert not app.exception
    assert "line 2, lacks a prompt or an answer" in words(app).replace("\\", "")
    assert "user_task" not in dict(answers.asked)
    missing = words(page("behaviour", proof="Your own task", run="one", mytask=str(tmp_path / "nowhere.jsonl")))
    assert "There is no file" in missing.replace("\\", "")
    elsewhere = words(page("behaviour", proof="Your own task", run="one", mytask="/nowhere.jsonl"))
    assert "outside the folders" in elsewhere, "whether it is there is not told"


def test_an_uploaded_task_fills_in_its_name(answers):
    with_student(measured())
    app = page("behaviour", proof="Your own task", run="one")
    app.file_uploader(key="uploaded-task").upload(
        "mine.csv", b"prompt,answer\nParis is in, France.\n", "text/csv"
    ).run()
    assert not app.exception
    assert [arguments["task"] for name, arguments in answers.asked if name == "user_task"][-1].startswith("kept:mine-")


def test_a_gain_stands_beside_its_controls_and_missing_ones_are_named():
    sides = {side: {"name": f"demo:{side}"} for side in ("teacher", "student")}
    plan = {**sides, "data": "demo/unknown-seen", "method": "semalign-v1", "teacher_layer": 5, "student_layer": 2}
    measured("one", after="1" * 20, **plan)
    app = page("behaviour", run="one")
    assert not app.exception
    assert "None of this run's 9 controls was run" in words(app).replace("\\", "")
    measured("two", after="1" * 8 + "0" * 12, **plan, map="permuted")
    app = page("behaviour", run="one")
    assert "1 of 9 controls was run; the transfer is better than it on known facts" in words(app).replace("\\", "")
    table = table_with(app, "removes")
    assert table.set_index("control")["run"]["permuted vocabulary"] == "two"
    assert table.set_index("control")["difference (points)"]["permuted vocabulary"].startswith("60.0 [")
    measured("three", after="1" * 20, **plan, rows="shuffled")  # a control that reaches as far
    app = page("behaviour", run="one")
    assert "on no task better than each of them" in words(app).replace("\\", "")


def test_a_large_loss_is_a_factor_and_large_counts_have_separators():
    kl = [TextMeasure(0.1, 0.1, 0.2, 200), TextMeasure(0.705, 0.6, 0.8, 200)]
    before, after = (ModelBehaviour({}, kl_to_teacher=one) for one in kl)
    table = behaviour_text.worsened(RunResults(behaviour=Behaviour(before, after)))
    said = behaviour_text.worse(table)
    assert (
        said == "Significantly worse: KL to the teacher (general text, bits per token) at 7.0 times the value before."
    )
    assert behaviour_text.worsened_shown(table)["Relative loss"].tolist() == ["7.0 times"]
    assert behaviour_text.worse_by(14.2) == "at 15 times the value before"
    counts = behaviour_text.turned_counts({"t": Answers(before="1" * 1044, after="0" * 1044)})
    assert counts["Forgotten"].tolist() == ["1,044"]
