"""The Inspector in Streamlit's own test harness: what it asks for, what it shows, and that the link holds all of it."""

from dataclasses import replace

import pytest
import recorded_results
import recorded_studies
from pages import finished_run, page, words

from dashboard import loaders, recorded
from dashboard.engine.client import Engine

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]


@pytest.fixture(autouse=True)
def found(answers, monkeypatch):
    """An engine whose inspections can be swapped."""
    monkeypatch.setattr(recorded, "comparison", recorded_results.comparison)
    return answers


def asked(answers, function):
    return [arguments for name, arguments in answers.asked if name == function][-1]


def test_the_link_says_text_token_layers_and_bases(found):
    finished_run("one")
    link = {"prompt": "3", "at": "9", "k": "4", "anchor": "Peru", "tl": "4", "sl": "1", "run": "one"}
    app = page("inspector", gain="true", norm="true", ridge="0.001", **link)
    assert not app.exception
    texts, _ = loaders.prompt_list("facts")
    request = asked(found, "inspect_token")
    expected = {
        "text": texts[3],
        "at": 9,
        "k": 4,
        "anchor": "Peru",
        "teacher_layer": 4,
        "student_layer": 1,
        "run": "one",
    }
    expected |= {"gain": True, "norm": True, "ridge": 0.001, "pair": "demo", "part": "block_out"}
    assert {key: request[key] for key in expected} == expected
    assert set(asked(found, "basis_options")) == {"pair", "device", "dtype", "prompts", "part", "seed"}


def test_without_a_link_it_takes_the_first_picked_prompt_its_answer_and_its_last_token(found):
    page("inspector", picked="7, 2")
    texts, labels = loaders.prompt_list("facts")
    request = asked(found, "inspect_token")
    assert (request["text"], request["anchor"]) == (texts[7], labels["answer"][7])
    assert "at" not in request
    assert (request["run"], request["ridge"]) == (None, 0.0)


def test_own_text_wins_over_the_prompt(found):
    page("inspector", prompt="3", text="Paris is a city in")
    request = asked(found, "inspect_token")
    assert (request["text"], request["anchor"]) == ("Paris is a city in", "")


def test_a_click_on_a_token_is_a_character_and_another_text_forgets_it(found):
    app = page("inspector", text="a <b>city</b> in")
    row = next(group for group in app.get("button_group") if group.label == "Token")
    row.set_value(1).run()
    assert not app.exception
    assert asked(found, "inspect_token")["at"] == 12
    app.text_input(key="text").set_value("another text").run()
    assert "at" not in asked(found, "inspect_token")


def test_a_token_that_comes_twice_can_be_clicked_both_times(found, monkeypatch):
    once, tokens = recorded_studies.inspection(), [("the", 0, 3), (" the", 3, 7), (" the", 7, 11)]
    teacher, student = replace(once.teacher, tokens=tokens), replace(once.student, tokens=tokens)
    twice = replace(once, text="the the the", teacher=teacher, student=student)
    monkeypatch.setattr(found, "find", lambda f, _: twice if f == "inspect_token" else recorded_studies.basis_options())
    app = page("inspector", text=twice.text)
    row = next(group for group in app.get("button_group") if group.label == "Token")
    assert len({option.content for option in row.proto.options}) == 3
    assert row.value == 2
    row.set_value(1).run()
    assert asked(found, "inspect_token")["at"] == 6


def test_two_tokenizers_get_a_row_each(found, monkeypatch):
    monkeypatch.setattr(
        found,
        "find",
        lambda f, _: (
            recorded_studies.inspection(cut_alike=False) if f == "inspect_token" else recorded_studies.basis_options()
        ),
    )
    app = page("inspector")
    assert not app.exception
    assert [group.label for group in app.get("button_group")][:2] == [
        "Teacher's tokens",
        "Student's tokens",
    ]
    assert "nothing is matched by position or id" in words(app)


def test_pictures_table_and_heads_are_there_and_strangers_are_told(found, monkeypatch):
    app = page("inspector")
    assert len(app.get("plotly_chart")) == 3
    assert len(app.table) == 1
    assert app.table[0].value["Gain"].iloc[0] == "**left out**"
    assert "is tied" in words(app)
    monkeypatch.setattr(
        found,
        "find",
        lambda f, _: (
            recorded_studies.inspection(shared=False) if f == "inspect_token" else recorded_studies.basis_options()
        ),
    )
    app = page("inspector")
    assert len(app.get("plotly_chart")) == 2
    assert "needs half" in words(app)


def test_wrong_numbers_are_one_sentence(found):
    assert "Got prompt 5000; this set has prompts 0 to 1047" in words(page("inspector", prompt="5000")).replace(
        "\\", ""
    )
    app = page("inspector", text="short", at="90")
    assert not app.exception
    assert "Showing its last token" in words(app)
    assert "cannot be read here" in words(page("inspector", run="nobody")).replace("\\", "")
    assert "at" not in asked(found, "inspect_token")


def test_a_pair_that_does_not_ship_is_read_only_when_asked(found, monkeypatch):
    monkeypatch.setattr(Engine, "known", lambda *_: None)
    app = page("inspector", pair="pythia")
    assert not [name for name, _ in found.asked if name == "inspect_token"]
    app.button(key="start-inspect_token").click().run()
    assert asked(found, "inspect_token")["pair"] == "pythia"


def test_a_reading_under_way_shows_progress(found):
    found.status = "working"
    app = page("inspector")
    assert not app.exception
    assert "The reading" in app.main.get("progress")[0].proto.text
