"""The Families page, its figure, tables and sentences: nothing there yet, a running family, a finished one, broken things."""

from __future__ import annotations

from dataclasses import replace

import pytest
import recorded_runs
from pages import finished_run, page, plain

from dashboard import run_widgets
from dashboard.views.transfer import plan_form
from pkt_core.evaluation.record import Answers
from pkt_core.runs import folder as run_folder
from pkt_core.runs.results import Memory, RunResults, Seconds, TaughtLayers, TaughtPair
from pkt_core.studies.families import text as families_text
from pkt_core.studies.families.figures import family_figure
from pkt_core.studies.families.record import FamilyTable, Row, Score, TaskLevel

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]
RIGHT = {"base": "0" * 60 + "1" * 40, "better": "0" * 20 + "1" * 80}


def member(place: int, label: str, right: str | None, family: str = "f", **plan):
    """A run of a family; done with these answers, or waiting."""
    made = run_folder.create_run(
        plan_form.bare("semalign-v1", seed=place % 2, **plan).model_dump(mode="json"),
        run_id=f"r{place}",
        family={"family": family, "label": label, "place": place},
    )
    if right is None:
        return made
    made.write_status("running")
    told = Answers(after=right, before="0" * 95 + "1" * 5, teacher="1" * 100)
    made.write_results(recorded_runs.answering(dict.fromkeys(("demo/unknown-unseen", "other"), told)))
    made.write_status("done", message="Done.")
    return made


def whole() -> None:
    for place, (label, right) in enumerate(
        [("semalign-v1", RIGHT["base"])] * 2
        + [("logit-kd", RIGHT["better"])] * 2
        + [("permuted vocabulary", RIGHT["base"])] * 2
    ):
        member(place, label, right)


def test_a_first_visit_sees_the_recorded_family_and_where_to_make_one():
    app = page("families")
    said = plain(app)
    assert "recorded" in said
    assert "beats" in said
    assert len(app.get("plotly_chart")) == 1
    rows = app.dataframe[0].value
    assert {"semalign-v1", "logit-kd", "ours", "permuted vocabulary"} <= set(rows["Member"])
    assert len(app.get("page_link")) == 1


def test_without_a_recording_the_page_says_what_to_do(monkeypatch):
    monkeypatch.setattr("dashboard.recorded.family", lambda: None)
    app = page("families")
    assert "No family yet" in plain(app)
    assert len(app.get("page_link")) == 1


def test_a_finished_family_answers_first_and_each_row_opens_its_runs():
    whole()
    app = page("families")
    assert not app.exception
    said = plain(app)
    assert "6 of 6 runs done" in said
    assert "logit-kd beats semalign-v1 by +40.0 points" in said
    assert "1 of 1 controls is not significantly worse than semalign-v1: permuted vocabulary" in said
    assert len(app.get("plotly_chart")) == 1
    table = app.dataframe[0].value
    assert table["Member"].tolist() == ["semalign-v1", "logit-kd", "permuted vocabulary"]
    assert table["Seeds"].tolist() == [2, 2, 2]
    assert table["Difference (points)"].tolist() == ["–", "+40.0", "+0.0"]
    assert page("families", ftask="other").segmented_control(key="ftask").value == "other"


def test_a_running_family_shows_how_far_it_is_and_the_part_of_the_table_that_is_there():
    member(0, "semalign-v1", None)
    member(1, "logit-kd", RIGHT["better"])
    going = member(2, "sft", None)
    going.write_status("running", step=5, total_steps=20)
    app = page("families")
    assert not app.exception
    text = app.main.get("progress")[0].proto.text.replace("\\", "")
    assert "1 of 3 runs done" in text
    assert "now: sft, seed 0" in text
    assert "semalign-v1 has not been evaluated yet" in plain(app)


def test_a_family_that_waits_has_no_table_and_one_with_failures_names_them():
    member(0, "semalign-v1", None)
    assert "No run of this family is done yet" in plain(page("families"))
    bad = member(1, "sft", None)
    bad.write_status("running")
    bad.write_status("failed", message="The disk is full.")
    app = page("families")
    assert not app.exception
    assert "The disk is full" in app.button(key="open-r1").label.replace("\\", "")


def test_a_broken_link_and_broken_runs_are_no_fault(cache):
    whole()
    (cache / "runs" / "r0" / "family.json").write_text("{")
    (cache / "runs" / "r2" / "results.json").write_text("{")
    (cache / "runs" / "r4" / "family.json").write_text('{"family": "f"}')
    app = page("families", family="<script>", ftask="horoscope")
    assert not app.exception
    assert not app.error
    assert any("There is no family" in one.value for one in app.info)
    assert app.dataframe[0].value["Member"].tolist() == ["semalign-v1", "logit-kd", "permuted vocabulary"]


def test_families_are_told_apart_and_the_newest_is_shown():
    member(0, "sft", RIGHT["base"], family="old")
    member(1, "logit-kd", RIGHT["base"], family="new")
    assert page("families").dataframe[0].value["Member"].tolist() == ["logit-kd"]
    assert page("families", family="old").dataframe[0].value["Member"].tolist() == ["sft"]


def row(label: str, value: float, p: float | None = None, away: float | None = None, tasks=("t",)) -> Row:
    ends = (None, None) if away is None else (away - 0.02, away + 0.02)
    score = Score([value - 0.01, value + 0.01], value, value - 0.03, value + 0.03, away, *ends, p)
    return Row(label, ["x", "y"], dict.fromkeys(tasks, score), [2.0, 2.2], [3.0, 5.0])


def table(*rows: Row, controls=(), before: float | None = None, prior: float | None = None) -> FamilyTable:
    return FamilyTable(list(rows), list(controls), {"t": TaskLevel(prior, before, 100)}, rows[0].label)


FIRST = row("mine", value=0.5)


def test_the_sentence_claims_a_win_only_beyond_chance():
    sure, unsure = row("rival", value=0.6, p=0.01, away=0.1), row("rival", value=0.6, p=0.3, away=0.1)
    assert "rival beats mine by +10.0 points" in families_text.winner(table(FIRST, sure), "t")
    assert "no rival beats mine significantly" in families_text.winner(table(FIRST, unsure), "t")
    worse = row("rival", value=0.4, p=0.01, away=-0.1)
    assert "better than rival" in families_text.winner(table(FIRST, worse), "t")
    assert "no rival has finished" in families_text.winner(table(FIRST, worse, controls=["rival"]), "t")
    assert "not measured" not in families_text.winner(table(FIRST), "t")
    elsewhere = replace(FIRST, tasks={"other": FIRST.tasks["t"]})
    alone = row("rival", value=0.6)  # asked what the first row was not, so nothing is tested
    assert "No method is measured" in families_text.winner(table(elsewhere), "t")
    assert "no rival has finished" in families_text.winner(table(elsewhere, alone), "t")
    assert "no row is significantly above that" in families_text.gained(table(FIRST, before=0.49), "t")
    assert "no row is significantly above that" not in families_text.gained(table(FIRST, before=0.4), "t")


def test_a_control_that_does_as_well_refutes_and_one_that_does_not_supports():
    same, worse = row("a", value=0.49, p=0.6, away=-0.01), row("b", value=0.2, p=0.001, away=-0.3)
    found = families_text.explained(table(FIRST, same, worse, controls=["a", "b"]), "t")
    assert "1 of 2 controls is not significantly worse than mine: a" in found
    assert "better than all of its controls (1)" in families_text.explained(table(FIRST, worse, controls=["b"]), "t")
    better = row("c", value=0.9, p=0.001, away=0.4)
    found = families_text.explained(table(FIRST, better, controls=["c"]), "t")
    assert "not significantly worse than mine: c" in found
    assert "No control" in families_text.explained(table(FIRST, same), "t")


def test_the_picture_has_a_panel_per_task_every_seed_and_the_levels():
    tasks = ("t", "t0", "t1", "t2")
    rows = [
        row("mine", value=0.5, tasks=tasks),
        row("rival", value=0.6, p=0.01, away=0.1, tasks=tasks),
        row("<b>control", value=0.5, p=1.0, away=0.0, tasks=tasks),
    ]
    figure = family_figure(table(*rows, controls=["<b>control"], prior=0.07, before=0.1))
    assert len(figure.layout.annotations) == 4
    first = [trace for trace in figure.data if trace.xaxis == "x"]
    assert sum(len(trace.x) for trace in first if trace.name == "one seed") == 6
    dashed = [trace for trace in first if trace.mode == "lines" and trace.line.dash == "dash"]
    assert [list(trace.x) for trace in dashed] == [pytest.approx([7.0, 7.0])]
    labels = figure.layout.yaxis.ticktext
    assert labels[0] == "<b>mine</b>"
    assert labels[2] == "&lt;b&gt;control"
    low, high = figure.layout.xaxis.range
    assert low < 7 < 63 < high
    kinds = {trace.name: trace.marker.symbol for trace in first if trace.error_x.array is not None}
    assert len(set(kinds.values())) == 3


def test_the_tables_carry_the_same_numbers():
    family = table(FIRST, row("rival", value=0.6, p=0.012, away=-0.1))
    numbers = families_text.family_table(family)
    assert numbers["bits_per_byte"].tolist() == [2.1, 2.1]
    assert numbers["kind"].tolist() == ["reference", "rival"]
    shown = families_text.family_shown(family, "t")
    assert shown["Difference (points)"].tolist() == ["–", "−10.0"]
    assert shown["p (Holm)"].tolist() == ["–", "0.012"]
    assert families_text.family_shown(family, "elsewhere")["Right"].tolist() == ["–", "–"]


def rewritten(results) -> None:
    finished_run("one").write_results(results)


def test_runs_of_several_pairs_and_of_no_steps_are_shown():
    pairs = [TaughtPair(1, 0), TaughtPair(5, 2)]
    rewritten(
        replace(recorded_runs.results(), layers=TaughtLayers(5, 2, "plan", pairs), memory=Memory(2**30, estimated=1))
    )
    app = page("behaviour", proof="How it was made", run="one")
    assert not app.exception
    assert "1 to 0, 5 to 2" in plain(app)
    assert "at most 1.00 GiB of memory" in plain(app)
    made = run_folder.create_run(plan_form.bare("stitch").model_dump(mode="json"), run_id="still")
    made.write_status("running")
    made.write_results(replace(recorded_runs.results(), steps=0, trained_parameters=0, seconds=Seconds(1.0, 0.0)))
    made.write_status("done")
    for name in ("behaviour", "runs", "transfer"):
        app = page(name, proof="How it was made", run="still")
        assert not app.exception
        assert not app.error
        assert "no training" in plain(app)


def test_a_run_without_its_teacher_says_so_rather_than_that_it_was_stopped():
    found = recorded_runs.results()
    kept = {name: getattr(found, name) for name in ("layers", "steps", "seconds", "trained_parameters")}
    rewritten(RunResults(**kept, unmeasured="The teacher is not here, so nothing was measured."))
    for name in ("behaviour", "runs", "transfer"):
        app = page(name, run="one")
        assert not app.exception
    said = plain(page("behaviour", run="one"))
    assert "The teacher is not here" in said
    assert "was stopped" not in said


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"rows": "shuffled"}, "shuffled teacher rows"),
        ({"teacher_weights": "untrained"}, "untrained teacher"),
        ({"pairing": "reversed"}, "reversed pairing"),
        ({"pairing": "random"}, "random pair of layers"),
        ({"map": "permuted"}, "permuted vocabulary"),
        ({"output_weight": 0.0}, "layer term only"),
    ],
)
def test_a_plan_in_words_names_its_control(change, word):
    assert word in run_widgets.describe(plan_form.bare("semalign-v1", **change).model_dump(mode="json"))
    assert word not in run_widgets.describe(plan_form.bare("semalign-v1").model_dump(mode="json"))


def test_names_that_hold_a_comma_are_joined_by_semicolons():
    assert families_text.listed(["a", "b", "c"]) == "a, b and c"
    assert families_text.listed(["a", "no anchor, equal compute", "c"]) == "a; no anchor, equal compute; and c"
