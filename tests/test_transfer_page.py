"""The Transfer page: every method with its own settings, needs before a start, the queue for two tabs, resume, a family."""

from __future__ import annotations

import pytest
import recorded_results
from pages import page, plain

from dashboard import loaders, run_widgets
from dashboard.engine.worker import answer
from dashboard.params import Param
from dashboard.views.transfer import plan_form
from dashboard.views.transfer import queue as transfer_queue
from pkt_core.base.progress import silent
from pkt_core.errors import PlanError
from pkt_core.runs import folder as run_folder
from pkt_core.runs import queue as run_queue
from pkt_core.runs.results import RunResults, TaughtLayers
from pkt_core.transfer.controls import CONTROLS
from pkt_core.transfer.method import methods
from pkt_core.transfer.plan import TransferPlan, settings, users
from pkt_core.transfer.settings import ANCHORED

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]
METHODS = methods()
DRAWN = {one.name: one for group in plan_form.SETTINGS.values() for one in group}


def keys(app) -> set[str]:
    return {one.key for kind in (app.selectbox, app.number_input, app.toggle, app.multiselect) for one in kind}


def started(app):
    app.button(key="start").click().run()
    assert not app.exception
    return next(iter(run_folder.list_runs())).plan


@pytest.mark.parametrize("method", METHODS)
def test_each_method_shows_the_settings_it_uses_and_no_other(method):
    semantic = {"pmap": "semantic"} if method in users("map") else {}  # only a map through the vocabulary has bases
    app = page("transfer", method=method, **semantic)
    assert not app.exception
    assert METHODS[method].sentence in plain(app)
    assert ("reconstructed, not the authors' code" in plain(app)) == METHODS[method].reconstructed
    for name in shared() - {*ANCHORED}:  # these are offered beside an anchor that is chosen
        if name in DRAWN:
            assert (DRAWN[name].param.value in keys(app)) == (method in users(name)), name
    trains = plan_form.bare(method).trains
    assert ("steps" in keys(app)) == trains
    assert ("lr" in keys(app)) == trains


def shared() -> set[str]:
    """Settings that some methods have and others have not."""
    return {name for name in settings() if len(users(name)) < len(METHODS)}


def test_every_setting_of_a_method_can_be_reached():
    """All but the two that are controls, the steps (they stand above) and the rank of LoRA (on the command line)."""
    assert shared() - set(DRAWN) == {"rows", "teacher_weights", "steps", "lora_rank"}


@pytest.mark.usefixtures("worked")
def test_what_a_named_layer_settles_is_not_offered():
    otherwise = {"pairs", "pairing", "mix"}
    assert otherwise <= keys(page("transfer", method="semalign-v1"))
    assert not otherwise & keys(page("transfer", method="semalign-v1", tl="5", sl="2"))
    assert otherwise & keys(page("transfer", method="semalign-v1", sl="2")) == {"pairing", "mix"}
    plan = started(page("transfer", method="semalign-v1", tl="5", pairs="2", mix="true", pairing="last-to-last"))
    TransferPlan.model_validate(plan).check_settings()
    assert (plan["teacher_layer"], plan["n_pairs"], plan["interpolate"], plan["pairing"]) == (5, 1, False, "floor")


def test_a_control_keeps_the_student_layer_of_a_plan_that_names_a_teacher_layer_alone():
    plan = plan_form.bare("semalign-v1", teacher_layer=0).model_copy(update={"data": "demo/unknown-seen"})
    made = answer("control_plan", {"plan": plan.model_dump(mode="json"), "control": "reversed pairing"}, silent)["plan"]
    assert (made["teacher_layer"], made["student_layer"], made["pairing"]) == (None, 0, "reversed")
    same = plan.model_copy(update={"teacher_layer": 5, "student_layer": 0}).model_dump(mode="json")
    with pytest.raises(PlanError, match="pairs the same layers as the transfer itself"):
        answer("control_plan", {"plan": same, "control": "reversed pairing"}, silent)
    told = answer("family_members", {"plan": same, "rivals": [], "controls": ["reversed pairing"], "seeds": 1}, silent)
    assert [one["label"] for one in told["members"]] == ["semalign-v1"]
    assert "The control reversed pairing is left out" in told["left_out"][0]


@pytest.mark.usefixtures("worked")
def test_what_is_left_alone_is_the_methods_own_and_what_the_link_sets_is_in_the_plan():
    plan = started(page("transfer", method="semalign-v2r"))
    assert (plan["positions"], plan["n_pairs"]) == ("all", 0)
    link = {
        "temp": "2",
        "lw": "0.5",
        "pairs": "2",
        "pmap": "procrustes",
        "micro": "4",
        "mix": "true",
        "prec": "bfloat16",
    }
    plan = started(page("transfer", method="semalign-v2r", **link))
    assert (plan["temperature"], plan["layer_weight"], plan["n_pairs"], plan["map"]) == (2.0, 0.5, 2, "procrustes")
    assert (plan["micro_batch"], plan["interpolate"], plan["precision"]) == (4, True, "bfloat16")


@pytest.mark.usefixtures("worked")
def test_pairs_drawn_by_hand_are_in_the_plan_and_take_the_place_of_other_choices():
    app = page("transfer", method="semalign-v1", drawn="5:2, 3:1", tl="1", pairs="2")
    assert "By hand: 3 teaches 1, 5 teaches 2" in plain(app)
    assert "pairs" not in keys(app)
    plan = started(app)
    assert (plan["layer_pairs"], plan["teacher_layer"], plan["n_pairs"]) == ("3:1,5:2", None, 1)
    assert "By hand: student layers 1, 2 train; no layer of the teacher" in plain(
        page("transfer", method="sft", drawn="5:2,3:1")
    )
    app = page("transfer", method="semalign-v1", drawn="5:2, 3:1")
    app.button(key="undraw").click().run()
    assert not app.exception
    assert "By hand" not in plain(app)
    assert "pairs" in keys(app)


@pytest.mark.parametrize(
    ("drawn", "sentence"),
    [
        ("5-2", "Got the layer pair '5-2'; write the teacher layer, a colon"),
        ("5:2,3:2", "Got two teacher layers for student layer 2"),
        ("9:2", "The teacher has layers 0 to 5, got 9"),
        ("<b>:1", "Got the layer pair '<b>:1'"),
    ],
)
def test_drawn_pairs_that_cannot_be_are_one_sentence(drawn, sentence):
    app = page("transfer", drawn=drawn)
    assert not app.exception
    assert any(sentence in one.value.replace("\\", "") for one in app.error)


@pytest.mark.parametrize(
    "link", [{"temp": "-1"}, {"pairs": "many"}, {"pmap": "permuted"}, {"pairing": "reversed"}, {"control": "horoscope"},
             {"rivals": "horoscope"}, {"method": "horoscope"}, {"seeds": "0"}],
)  # fmt: skip
def test_a_bad_value_gives_the_default_and_a_notice(link):
    app = page("transfer", **({"method": "semalign-v2r"} | link))
    assert not app.exception
    assert any("is not available here" in one.value for one in app.info)


@pytest.mark.usefixtures("worked")
def test_another_method_starts_with_its_own_controls():
    app = page("transfer", control="permuted vocabulary")
    app.segmented_control(key="method").set_value("logit-kd").run()
    assert app.selectbox(key="control").value == "none"
    assert app.multiselect(key="controls").value == [
        "shuffled teacher rows",
        "untrained teacher",
        "equal-compute fine-tuning",
    ]
    app.segmented_control(key="method").set_value("semalign-v1").run()
    assert app.multiselect(key="controls").value == [c for c in CONTROLS if "anchor" not in c]


@pytest.mark.usefixtures("worked")
def test_a_control_that_pays_back_its_steps_has_more_of_them():
    plan = started(page("transfer", control="equal-compute fine-tuning", steps="50"))
    assert plan["method"] == "sft"
    assert plan["steps"] > 50


@pytest.mark.usefixtures("worked")
def test_needs_are_shown_and_a_plan_that_cannot_fit_says_so_and_can_be_started(monkeypatch):
    app = page("transfer")
    assert "of memory, this device has" in plain(app)
    assert not app.warning
    monkeypatch.setattr("pkt_core.transfer.estimate.free_memory", lambda _: 1000)
    app = page("transfer")
    assert "Use a smaller micro-batch" in app.warning[0].value.replace("\\", "")
    assert started(app)["method"] == "semalign-v1"


def test_a_plan_that_does_not_hold_together_says_so_before_it_starts():
    app = page("transfer", lw="0", ow="0")
    assert "no training objective" in app.warning[0].value.replace("\\", "")


@pytest.mark.usefixtures("worked")
def test_an_engine_that_is_busy_does_not_keep_anyone_from_starting(answers):
    answers.status = "working"
    app = page("transfer")
    assert "you can start without them" in plain(app)
    assert app.button(key="start-family").disabled
    assert started(app)["method"] == "semalign-v1"


def test_a_family_is_one_click_with_its_number_and_time(worked):
    app = page("transfer", method="logit-kd", seeds="2", rivals="sft", controls="shuffled teacher rows")
    assert app.button(key="start-family").label == "Run as a family (6 runs)"
    app.button(key="start-family").click().run()
    assert not app.exception
    (order,) = worked
    told = [run_folder.open_run(run_id).family() for run_id in order]
    assert [one.label for one in told] == ["logit-kd"] * 2 + ["sft"] * 2 + ["shuffled teacher rows"] * 2
    assert len({one.family for one in told}) == 1
    assert [run_folder.open_run(run_id).plan()["seed"] for run_id in order] == [0, 1] * 3
    assert app.get("page_link")


def queued(*names: str) -> None:
    for name in names:
        run_folder.create_run(plan_form.bare("sft").model_dump(mode="json"), run_id=name)
    run_queue.enqueue(names)


def test_two_tabs_change_one_queue_without_losing_each_others_changes():
    queued("a", "b", "c")
    one, two = page("transfer"), page("transfer")
    one.button(key="queue-up-c").click().run()
    two.button(key="queue-down-a").click().run()  # drawn before the other tab's change
    assert run_queue.waiting() == ["c", "a", "b"]
    one.button(key="queue-remove-b").click().run()
    two.button(key="queue-up-b").click().run()  # gone meanwhile
    assert "is no longer waiting" in plain(two)
    assert run_queue.waiting() == ["c", "a"]
    assert one.query_params == {}
    one.button(key="queue-clear").click().run()
    assert run_queue.waiting() == []


def test_a_queue_that_nobody_works_on_offers_to(worked):
    queued("a")
    app = page("transfer")
    assert "No worker is processing this queue" in plain(app)
    app.button(key="work").click().run()
    assert worked == [["a"]]


@pytest.mark.usefixtures("worked")
def test_a_run_taken_out_can_be_put_back():
    queued("a", "b")
    app = page("transfer", run="b")
    assert "Number 2 of 2 in the queue" in plain(app)
    app.button(key="dequeue").click().run()
    assert run_queue.waiting() == ["a"]
    app.button(key="requeue").click().run()
    assert run_queue.waiting() == ["a", "b"]


@pytest.mark.parametrize("state_of_it", ["failed", "stopped"])
@pytest.mark.parametrize("kept", [True, False])
def test_a_run_that_ended_early_says_from_where_it_goes_on(monkeypatch, state_of_it, kept):
    made = run_folder.create_run(plan_form.bare("sft").model_dump(mode="json"), run_id="half")
    made.write_status("running")
    made.write_status(state_of_it, message="The disk is full.")
    if kept:
        (made.folder / "checkpoints" / "step-00000120").mkdir(parents=True)
        (made.folder / "checkpoints" / "step-00000120" / "facts.json").write_text("{}")
    started: list[list[str]] = []
    monkeypatch.setattr("dashboard.jobs.work", lambda: started.append(run_queue.waiting()))
    for name in ("transfer", "runs"):
        app = page(name, run="half")
        button = app.button(key="resume")
        assert button.label == ("Resume from step 120 of 300" if kept else "Start again from the beginning")
        button.click().run()
        assert not app.exception
        assert f"{state_of_it}, waiting to resume" in plain(app)
        assert "resume" not in {one.key for one in app.button}, "no second start"
        app.button(key="dequeue").click().run()
        assert made.status().state == state_of_it
    assert started == [["half"]] * 2


def test_a_trained_run_that_was_stopped_while_measured_offers_to_measure_only(monkeypatch):
    made = run_folder.create_run(plan_form.bare("sft").model_dump(mode="json"), run_id="half")
    made.write_status("running")
    made.write_results(RunResults(layers=TaughtLayers(1, 1, "plan"), steps=300, planned_steps=300))
    app = page("behaviour", run="half")
    assert "This run is still running" in plain(app)
    assert "stopped" not in plain(app)
    assert "go-on" not in {one.key for one in app.button}, "no second start of something at work"
    made.write_status("stopped", message="Stopped while its behaviour was measured; the trained student is kept.")
    assert page("transfer", run="half").button(key="resume").label == "Start again from the beginning"
    (made.folder / "student").mkdir()
    (made.folder / "student" / "model.safetensors").write_bytes(b"")
    assert page("transfer", run="half").button(key="resume").label == "Measure its behaviour"
    monkeypatch.setattr("dashboard.jobs.work", lambda: None)
    app = page("behaviour", run="half")
    assert "it is stopped" in plain(app)
    app.button(key="go-on").click().run()
    assert run_queue.waiting() == ["half"]
    assert "This run is waiting in the queue" in plain(app)
    assert "go-on" not in {one.key for one in app.button}


def test_a_done_run_offers_no_resume():
    made = run_folder.create_run(plan_form.bare("sft").model_dump(mode="json"), run_id="whole")
    made.write_status("running")
    made.write_status("done")
    assert "resume" not in {one.key for one in page("transfer", run="whole").button}


@pytest.mark.parametrize("method", METHODS)
def test_the_needs_of_every_method_are_known_without_a_model(method):
    plan = plan_form.bare(method).model_copy(update={"data": "demo/unknown-seen"})
    found = answer("plan_needs", {"plan": plan.model_dump(mode="json")}, silent)
    assert 0 < found["memory"] < found["free"]
    assert found["refused"] is None


def test_layers_are_said_as_the_plan_will_choose_them():
    from dashboard.views.transfer.plan_choices import layers_in_words

    found = recorded_results.comparison()  # 6 and 3 layers
    assert layers_in_words(found, plan_form.bare("semalign-v1", teacher_layer=1)).startswith(
        "Teacher layer 1 teaches student layer 0"
    )
    assert layers_in_words(found, plan_form.bare("semalign-v1", student_layer=1)).startswith(
        "Teacher layer 3 teaches student layer 1"
    )
    assert layers_in_words(found, plan_form.bare("semalign-v1", student_layer=0, pairing="reversed")).startswith(
        "Teacher layer 5"
    )
    assert "Every student layer" in layers_in_words(found, plan_form.bare("semalign-aclr"))
    assert "no layer of the teacher is matched" in layers_in_words(found, plan_form.bare("sft"))
    assert "Attribution will select" in layers_in_words(None, plan_form.bare("semalign-v1"))


def test_link_names_are_used_once():
    assert len({one.param for one in DRAWN.values()}) == len(DRAWN)
    assert set(DRAWN) <= set(settings())
    assert len({param.value for param in Param}) == len(list(Param))


@pytest.mark.usefixtures("worked")
def test_the_demo_starts_where_its_recorded_runs_worked_unless_layers_are_chosen_otherwise():
    app = page("transfer")
    assert "Teacher layer 5 teaches student layer 2, as in the recorded runs of this pair." in plain(app)
    plan = started(app)
    assert (plan["teacher_layer"], plan["student_layer"]) == (5, 2)
    assert "Teacher layer 4 teaches student layer 1, chosen in the sidebar" in plain(page("transfer", tl="4", sl="1"))
    every = started(page("transfer", pairs="0"))
    assert (every["teacher_layer"], every["student_layer"]) == (None, None)


@pytest.mark.usefixtures("worked")
def test_a_run_taken_out_of_the_queue_says_so_and_is_not_what_a_page_opens_on():
    first = started(page("transfer"))
    (run,) = run_folder.list_runs()
    run_queue.remove(run.id)
    app = page("transfer", run=run.id)
    assert "removed from the queue" in plain(app)
    assert first["method"] == "semalign-v1"
    listed = {
        one.id: run_widgets.taken_out(one, one.state, run_queue.waiting())
        for one in run_folder.list_runs(include_recorded=True)
    }
    assert [name for name, gone in listed.items() if gone] == [run.id]


@pytest.mark.usefixtures("answers")
def test_memory_is_freed_at_once_only_where_nothing_is_computed(monkeypatch):
    app = page("transfer")
    assert any(one.label == "Free the engine's memory" for one in app.button)
    monkeypatch.setattr(type(loaders.engine()), "at_work", lambda _self: [object(), object()], raising=False)
    app = page("transfer")
    assert not any(one.label == "Free the engine's memory" for one in app.button)
    assert "2 computations are running or waiting, possibly for another visitor" in plain(app)


def watch_first(app) -> bool:
    """Whether the run is above the plan."""
    drawn = [str(getattr(one, "key", None) or getattr(one, "value", "")) for one in app.main]
    return drawn.index("Watch") < drawn.index("start")


@pytest.mark.usefixtures("worked")
def test_the_run_stands_first_for_who_came_for_it(monkeypatch):
    queued("mine", "other")
    models = run_widgets.models(run_folder.open_run("mine").plan())
    assert not watch_first(page("transfer"))
    assert watch_first(page("transfer", run="mine"))
    assert not watch_first(page("transfer", run="gone"))  # said, and not shown
    (listed,) = (run for run in run_folder.list_runs() if run.id == "mine")
    monkeypatch.setattr(transfer_queue, "running", lambda: [listed])
    assert watch_first(page("transfer"))
    monkeypatch.setattr(run_widgets, "models", lambda plan: models if plan != listed.plan else ("another", "pair"))
    assert not watch_first(page("transfer"))


def test_what_is_watched_unasked_belongs_to_the_chosen_models():
    plan = plan_form.bare("sft").model_dump(mode="json")
    run_folder.create_run(plan, run_id="ours")
    run_folder.create_run(plan | {"teacher": plan["teacher"] | {"name": "another/teacher"}}, run_id="newer")
    run_queue.enqueue(["newer", "ours"])
    run = page("transfer").selectbox(key="run")
    assert run.label == "Run (auto is ours)"
    assert "newer" in run.options
    run_queue.remove("ours")
    assert page("transfer").selectbox(key="run").label == "Run (auto is newer)"
