"""The report: whole, offline, escaped; and one sentence where there is nothing to report yet."""

import json
import re
from dataclasses import replace

import plotly.graph_objects as go
import pytest
import recorded_runs
from scipy.stats import binomtest

from pkt_core.errors import StoreError
from pkt_core.models.ref import ModelRef
from pkt_core.report.html_page import drawn, marked, said, write_report
from pkt_core.runs.folder import Run, create_run, list_runs, open_run
from pkt_core.runs.results import TaughtLayers, TaughtPair
from pkt_core.studies.behaviour import text as behaviour_text
from pkt_core.studies.behaviour.controls import controls_of, differences
from pkt_core.studies.behaviour.record import Controls
from pkt_core.transfer.plan import TransferPlan
from pkt_core.words import style


def finished(results):
    sides = {side: ModelRef(name=f"demo:{side}") for side in ("teacher", "student")}
    run = create_run(TransferPlan(**sides, data="mine.jsonl").model_dump(mode="json"))
    run.write_results(results)
    return run


def test_a_report_opens_offline_and_holds_the_figures(tmp_path):
    results = recorded_runs.results()
    run = finished(results)
    run.append_event(recorded_runs.event(1))
    page = write_report(run, tmp_path / "report.html").read_text()
    assert "plotly" in page
    assert "src=" not in page.split("</script>")[-1]
    assert len(page) < 10_000_000
    for task, change in results.changes.items():
        assert style.task_name(task) in page
        assert style.percent(change.after, 1) in page


def test_a_report_prints_words_and_sensible_digits(tmp_path):
    page = write_report(recorded("demo-semalign-v1"), tmp_path / "report.html").read_text()
    page = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    raw = ("p_value", "kl_to_teacher", "top1_agreement", "e-31", "0.08908", "{&#x27;name", "{'name'", "revision", "`")
    assert not [one for one in raw if one in page.split("Methods paragraph")[0]]
    assert "<td>&lt;\u00a00.001</td>" in page
    assert "+11.7 [+9.7,\u00a0+13.8]" in page
    assert "<td>demo:teacher</td>" in page
    assert "If the interval of <code>after</code> covers" in page
    assert "1,044" in page


def test_of_a_model_the_recipe_names_what_was_asked_for():
    plain = {"name": "demo:teacher", "revision": None, "dtype": "auto", "device": "auto"}
    assert said(plain) == "demo:teacher"
    assert said({**plain, "revision": "abc"}) == "demo:teacher, revision abc"
    assert [said(one) for one in (None, True, [], ["a", "b"], 0.1)] == ["–", "yes", "–", "a, b", "0.1"]


def test_a_caption_keeps_its_tags_as_text():
    assert marked("a `b<i>` & <b>c</b>") == "a <code>b&lt;i&gt;</code> &amp; &lt;b&gt;c&lt;/b&gt;"


def test_a_report_written_by_the_app_has_room_for_its_row_labels():
    bare = go.layout.Template(layout={"yaxis": {"automargin": False}})  # the app's own template has none either
    figure = go.Figure(layout={"template": bare}).update_yaxes(ticktext=["a"], tickvals=[0])
    assert style.on_paper(figure).layout.yaxis.automargin
    assert '"automargin":false' not in drawn(figure)


def test_hostile_text_is_shown_and_not_run(tmp_path):
    results = replace(recorded_runs.hostile(), command="pkt <img src=x onerror=alert(1)>")
    page = write_report(finished(results), tmp_path / "report.html").read_text()
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_an_unfinished_run_is_one_sentence(tmp_path):
    run = create_run({"method": "sft"})
    with pytest.raises(StoreError, match="no measured results yet"):
        write_report(run, tmp_path / "report.html")


def recorded(name):
    return next(Run(one.id, one.folder, True) for one in list_runs(include_recorded=True) if one.id == name)


def test_the_controls_of_a_recorded_run_are_found_by_their_plans():
    found = {one.name: one for one in controls_of(recorded("demo-semalign-v1")).controls}
    permuted = found["permuted vocabulary"]
    assert permuted.run == "demo-semalign-v1-permuted"
    assert found["random bases"].run is None
    assert found["equal-compute fine-tuning"].run is None  # demo-sft has other steps than those it would have paid for
    one, other = (recorded(name).results().right for name in ("demo-semalign-v1", "demo-semalign-v1-permuted"))
    for task, left in permuted.left.items():
        pairs = list(zip(one[task].after, other[task].after, strict=True))
        by_hand = sum(a > b for a, b in pairs) - sum(a < b for a, b in pairs)
        assert left.difference == pytest.approx(by_hand / len(pairs))
    raw = [paired_p(one[t].after, other[t].after) for t in permuted.left]
    assert [left.p_value for left in permuted.left.values()] == pytest.approx(holm(raw))
    assert "1 of 9 controls was run" in behaviour_text.controls(Controls(list(found.values())))


def test_a_control_of_the_pairing_that_pairs_the_same_layers_is_none():
    folder = recorded("demo-semalign-v1").folder
    plan = json.loads((folder / "plan.json").read_text())
    plan |= {"teacher_layer": 5, "student_layer": 0}
    results = replace(recorded_runs.results(), layers=TaughtLayers(5, 0, "plan", [TaughtPair(5, 0)]))
    for name, change in {"one": {}, "reversed": {"teacher_layer": None, "pairing": "reversed"}}.items():
        run = create_run(plan | change, run_id=name)
        run.write_results(results)
        run.write_status("done")
    found = {one.name: one for one in controls_of(open_run("one")).controls}
    assert "reversed pairing" not in found  # it would pair 5 with 0 again
    assert "random pair of layers" in found
    other = plan | {"teacher_layer": 4}
    early = create_run(
        other, run_id="early"
    )  # and a run that says of itself that it paired the very same layers is none either
    early.write_results(results)
    assert next(one for one in controls_of(early).controls if one.name == "reversed pairing").run is None


def paired_p(after, control):
    """McNemar's exact p from the binomial."""
    b = sum(x > y for x, y in zip(after, control, strict=True))
    c = sum(x < y for x, y in zip(after, control, strict=True))
    return binomtest(b, b + c).pvalue if b + c else 1.0


def holm(raw):
    """Holm's rule, step by step."""
    order, worst, found = sorted(range(len(raw)), key=raw.__getitem__), 0.0, [0.0] * len(raw)
    for step, i in enumerate(order):
        worst = max(worst, min(1.0, raw[i] * (len(raw) - step)))
        found[i] = worst
    return found


def test_a_control_that_gains_as_much_leaves_nothing_and_one_of_other_items_is_not_compared():
    right = recorded_runs.results().right
    task, answers = next(iter(right.items()))
    same = differences(right, right)
    assert all(left.difference == 0 and left.p_value == 1 for left in same.values())
    other = replace(answers, before=answers.before[::-1] + "0", after=answers.after + "0")
    assert task not in differences(right, right | {task: other})


def test_a_report_says_which_controls_were_not_carried_out(tmp_path):
    page = write_report(recorded("demo-semalign-v1"), tmp_path / "report.html").read_text()
    assert "1 of 9 controls was run; the transfer is better than it on" in page
    assert page.count("not\u00a0run") == 8
    assert "Glossary" in page
    assert "arXiv 1905.00414" in page
    lone = write_report(finished(recorded_runs.results()), tmp_path / "lone.html").read_text()
    assert "controls was run, so the cause of its change is unknown" in lone
